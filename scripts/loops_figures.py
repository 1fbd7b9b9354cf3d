#!/usr/bin/env python3
"""Runs the commands of docs/loops.md, looks whether the files hold what they should, and draws its figure: .venv/bin/python
scripts/loops_figures.py [FOLDER [ONESTEP]]. Without a folder, docs; without a program, build/src/onestep."""

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageSequence

from document import commands_of, folder, onestep

SCALE, PAPER = 2, (94, 102, 114)

commands = commands_of("loops.md", 5)
with tempfile.TemporaryDirectory() as temporary:
    here = Path(temporary)
    for command in commands:
        subprocess.run([onestep, *shlex.split(command)], cwd=here, check=True, stdout=subprocess.DEVNULL)
    if len(list((here / "creatures").glob("*.webp"))) != 8:
        sys.exit("creatures/ does not hold eight clips")
    sheet = json.loads((here / "sheet.json").read_text())
    with Image.open(here / "sheet.png") as picture:
        if picture.size != (8 * 32, 8 * 32) or len(sheet["frames"]) != 64:
            sys.exit("sheet.png is no sheet of eight clips")
    with Image.open(here / "runner.gif") as picture:
        if picture.n_frames != 8:
            sys.exit("runner.gif has lost frames")
    with Image.open(here / "all.webp") as picture:
        frames = []
        for frame in ImageSequence.Iterator(picture):
            seen = Image.new("RGBA", frame.size, PAPER)
            seen.alpha_composite(frame.convert("RGBA"))
            frames.append(seen.convert("RGB").resize((SCALE * frame.width, SCALE * frame.height), Image.Resampling.NEAREST))
        duration = picture.info["duration"]
frames[0].save(folder / "loops.webp", save_all=True, append_images=frames[1:], duration=duration, loop=0, lossless=True, quality=100, method=6)
