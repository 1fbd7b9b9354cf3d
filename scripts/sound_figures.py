#!/usr/bin/env python3
"""Runs the commands of docs/sound.md, and draws its figures: .venv/bin/python scripts/sound_figures.py [FOLDER [ONESTEP]]. Without a
folder, docs; without a program, build/src/onestep."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from document import commands_of, folder, onestep

commands = commands_of("sound.md", 9)


def picture(file: Path) -> Image.Image:
    with Image.open(file) as image:
        return image.convert("RGB")


with tempfile.TemporaryDirectory() as temporary:
    here = Path(temporary)

    def run(command: str) -> None:
        done = subprocess.run([onestep, *shlex.split(command)], cwd=here, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"onestep {command}: {done.stderr}")

    for command in commands:
        if "noisy.wav" in command:  # a recording
            sound, rate = soundfile.read(here / "snare.wav")
            soundfile.write(here / "noisy.wav", sound + 0.05 * np.random.default_rng(0).standard_normal(len(sound)), rate)
        run(command)
    for name in ("kicks/000015.wav", "variations/000008.wav", "filled.wav", "clean.wav", "compared.png"):
        if not (here / name).exists():
            sys.exit(f"docs/sound.md no longer makes {name}")
    picture(here / "kicks.png").save(folder / "kicks.png", optimize=True)
    # The snare, and beside it what stroke makes of it.
    [snare] = [command for command in commands if command.endswith("-o snare.wav")]
    [stroke] = [command for command in commands if "variations/" in command]
    run(snare.replace("snare.wav", "snare.png"))
    run(stroke.replace("variations/", "variations.png"))
    given, drawn = picture(here / "snare.png"), picture(here / "variations.png")
    figure = Image.new("RGB", (given.width + 32 + drawn.width, drawn.height), "white")
    figure.paste(given, (16, 16))
    figure.paste(drawn, (given.width + 32, 0))
    figure.save(folder / "variations.png", optimize=True)
