#!/usr/bin/env python3
"""Runs the commands of docs/evaluation.md and draws its pictures: .venv/bin/python scripts/evaluation_figures.py [FOLDER [ONESTEP]].
Without a folder, docs; without a program, build/src/onestep. With a folder, as the tests run it, of fewer samples."""

import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from document import ROOT, commands_of, folder, onestep

commands = commands_of("evaluation.md", 5, r"^    (\.venv/bin/python|onestep) (.*)$")
with tempfile.TemporaryDirectory() as temporary:
    for program, text in commands:
        arguments = shlex.split(text)
        if program == "onestep":
            if len(sys.argv) > 1:
                arguments = ["200" if before == "-n" else word for before, word in zip(["", *arguments], arguments)]
                # As many pictures as are needed to see that the command works.
                arguments = [word.replace("train-", "t10k-") for word in arguments]
                arguments += [] if "-n" in arguments else ["-n", "200"]
            subprocess.run([onestep, *arguments, "--quiet"], cwd=temporary, check=True)
        else:
            subprocess.run([sys.executable, ROOT / arguments[0], *arguments[1:]], cwd=temporary, check=True)
    for picture in ("evaluation.png", "neighbours.png"):
        (folder / picture).write_bytes((Path(temporary) / picture).read_bytes())
