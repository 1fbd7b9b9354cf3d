#!/usr/bin/env python3
"""Runs the commands of docs/canvas.md, looks whether what they say is true, and draws its figure: .venv/bin/python
scripts/canvas_figures.py [FOLDER [ONESTEP]]. Without a folder, docs; without a program, build/src/onestep."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image

from document import commands_of, folder, onestep

GAP, PAPER = 20, 255

commands = commands_of("canvas.md", 5)
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
