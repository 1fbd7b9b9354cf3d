#!/usr/bin/env python3
"""Draws a square of each of some labels of the model materials: .venv/bin/python
scripts/materials_figure.py [PICTURE [ONESTEP [MODEL]]]. Without them, docs/materials.jpg, build/src/onestep and materials."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
LABELS = ["lava", "ocean", "sand", "sky", "cow hide", "grass", "elements", "logs", "gold", "rust", "water_ice", "wood"]
SIDE, GAP, COLUMNS = 256, 4, 4

picture, onestep, model = [*sys.argv[1:], *[ROOT / "docs/materials.jpg", ROOT / "build/src/onestep", "materials"][len(sys.argv) - 1:]]
rows = len(LABELS) // COLUMNS
figure = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
with tempfile.TemporaryDirectory() as temporary:
    for i, label in enumerate(LABELS):
        file = Path(temporary) / f"{i}.png"
        subprocess.run([onestep, "generate", model, "--label", label, "--size", f"{SIDE}x{SIDE}", "-o", file, "--quiet"], check=True)
        figure.paste(Image.open(file), (i % COLUMNS * (SIDE + GAP), i // COLUMNS * (SIDE + GAP)))
figure.save(picture, quality=90)
