#!/usr/bin/env python3
"""Draws docs/materials.png, a square of each of some labels, with the commands that a reader would type: .venv/bin/python
scripts/materials_figure.py [ONESTEP [MODEL]]. Without a program, build/src/onestep; without a model, materials."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LABELS = ["animal", "lava", "ocean", "planks", "cow hide", "grass", "candy", "logs", "gold", "sky", "zebra", "plants"]
SIDE, GAP, COLUMNS = 256, 4, 4

onestep = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/src/onestep").resolve()
model = sys.argv[2] if len(sys.argv) > 2 else "materials"
rows = len(LABELS) // COLUMNS
figure = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
with tempfile.TemporaryDirectory() as temporary:
    for i, label in enumerate(LABELS):
        file = Path(temporary) / f"{i}.png"
        subprocess.run([onestep, "generate", model, "--label", label, "--size", f"{SIDE}x{SIDE}", "-o", file, "--quiet"], check=True)
        figure.paste(Image.open(file), (i % COLUMNS * (SIDE + GAP), i // COLUMNS * (SIDE + GAP)))
figure.save(ROOT / "docs/materials.png", optimize=True)
