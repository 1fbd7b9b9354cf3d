#!/usr/bin/env python3
"""Runs the commands of docs/canvas.md, looks whether what they say is true, and draws its figure: .venv/bin/python
scripts/canvas_figures.py [FOLDER [ONESTEP]]. Without a folder, docs; without a program, build/src/onestep."""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
GAP, PAPER = 20, 255

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs"
onestep = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build/src/onestep").resolve()
commands = re.findall(r"^    onestep (.*?)(?:\s+#.*)?$", (ROOT / "docs/canvas.md").read_text(), re.MULTILINE)
if len(commands) < 5:
    sys.exit("docs/canvas.md has lost its commands")
with tempfile.TemporaryDirectory() as temporary:
    for command in commands:
        if "MODEL" in command:
            continue  # of a model of the reader's own: tests/pipeline/canvas_numpy_test.py
        subprocess.run([onestep, *shlex.split(command), "--quiet"], cwd=temporary, check=True)
    picture = {file.stem: numpy.asarray(Image.open(file)) for file in Path(temporary).glob("*.png")}
if not numpy.array_equal(numpy.hstack([picture["left"], picture["right"]]), picture["woven"]):
    sys.exit("the left and the right half of the plane are not the whole")

tiled = numpy.tile(picture["tile"], (2, 2))
height = max(picture["woven"].shape[0], tiled.shape[0])
figure = numpy.full((height, picture["woven"].shape[1] + GAP + tiled.shape[1]), PAPER, numpy.uint8)
figure[:picture["woven"].shape[0], :picture["woven"].shape[1]] = picture["woven"]
figure[:tiled.shape[0], -tiled.shape[1]:] = tiled
Image.fromarray(figure).save(folder / "canvas.png", optimize=True)
