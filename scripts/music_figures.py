#!/usr/bin/env python3
"""Runs the commands of docs/music.md on docs/motif.mid, and draws its figure: .venv/bin/python scripts/music_figures.py [FOLDER [ONESTEP
[MODEL]]]. Without a folder, docs; without a program, build/src/onestep; a model stands in for songs. Needs Debian's midicsv."""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from document import ROOT, commands_of, folder, onestep


model = Path(sys.argv[3]).resolve() if len(sys.argv) > 3 else None
commands = commands_of("music.md", 7)


def voice(file: Path) -> set[tuple[str, ...]]:
    """Where its notes begin and end, by midicsv."""
    lines = [line.split(", ") for line in subprocess.run(["midicsv", file], check=True, capture_output=True, text=True).stdout.splitlines()]
    [track] = [line[0] for line in lines if line[2] == "Title_t" and line[3] == '"Voice"']
    return {(line[1], line[2], line[4]) for line in lines if line[0] == track and line[2].startswith("Note_")}


with tempfile.TemporaryDirectory() as temporary:
    here = Path(temporary)
    shutil.copy(ROOT / "docs/motif.mid", here)
    environment = dict(os.environ)
    if model:
        (here / "models").mkdir()
        shutil.copy(model, here / "models/songs.pt")
        environment["ONESTEP_MODELS"] = str(here / "models")
    for command in commands:
        run = subprocess.run([onestep, *shlex.split(command), "--quiet"], cwd=here, env=environment, capture_output=True, text=True)
        if run.returncode == 2 and command.endswith(".wav") and "ONESTEP_FLUIDSYNTH" in run.stderr:
            continue  # of a build without it, as the page says
        if run.returncode != 0:
            sys.exit(f"onestep {command}: {run.stderr}")
    motif = voice(here / "motif.mid")
    for name in ("harmonised", "continued"):
        if not motif <= voice(here / f"{name}.mid"):
            sys.exit(f"{name}.mid has lost notes of motif.mid")
    with Image.open(here / "continued.png") as picture:
        picture.convert("RGB").save(folder / "music.png", optimize=True)
