#!/usr/bin/env python3
"""Runs the commands of docs/editing.md on its pictures and draws its figures: .venv/bin/python scripts/editing_figures.py
[FOLDER [ONESTEP]]. Without a folder, where docs/editing.md shows them; without a program, build/src/onestep."""

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
from PIL import Image, ImageDraw, ImageFont

ROOT = Path(__file__).resolve().parents[1]
SIDE, GAP = 112, 6  # pixels of a picture in a figure, and between two
PAPER = 225  # neither the white nor the black of pictures

# Of each figure: the command's -o, what goes in, what the README calls it.
FIGURES = {
    "inpainted.png": (["coat.png", "mask.png"], "inpaint"),
    "widened.png": (["part.png"], "inpaint what is missing"),
    "upscaled.png": (["small.png"], "upscale"),
    "painted.png": (["sketch.png"], "stroke"),
    "clean.png": (["noisy.png"], "denoise"),
    "between.png": (["coat.png", "other.png"], "interpolate"),
}


def enlarged(pixels: numpy.ndarray) -> Image.Image:
    """Squares for pixels; what is transparent is a grey."""
    if pixels.ndim == 3:
        pixels = numpy.where(pixels[..., -1] < 128, 110, pixels[..., 0]).astype(numpy.uint8)
    scale = SIDE // max(pixels.shape)
    big = Image.fromarray(pixels).resize((pixels.shape[1] * scale, pixels.shape[0] * scale), Image.NEAREST)
    tile = Image.new("L", (SIDE, SIDE), PAPER)
    tile.paste(big, ((SIDE - big.width) // 2, (SIDE - big.height) // 2))
    return tile


def strip(inputs: list[numpy.ndarray], results: list[numpy.ndarray]) -> Image.Image:
    """What went in, a wider gap, what came out."""
    tiles = [enlarged(x) for x in inputs] + [enlarged(x) for x in results]
    places = [GAP + i * (SIDE + GAP) + (3 * GAP if i >= len(inputs) else 0) for i in range(len(tiles))]
    sheet = Image.new("L", (places[-1] + SIDE + GAP, SIDE + 2 * GAP), PAPER)
    for tile, x in zip(tiles, places):
        sheet.paste(tile, (x, GAP))
    return sheet


def main():
    text = (ROOT / "docs" / "editing.md").read_text()
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "editing"
    onestep = sys.argv[2] if len(sys.argv) > 2 else ROOT / "build" / "src" / "onestep"
    inputs = ROOT / "docs" / "editing"
    strips = {}
    with tempfile.TemporaryDirectory() as results:
        for line in re.findall(r"^    onestep (edit .*)$", text, re.MULTILINE):
            arguments = shlex.split(line, comments=True)
            name = arguments[arguments.index("-o") + 1]
            if name not in FIGURES:
                continue
            # As an array, so that each sample is a tile of its own.
            made = Path(results) / (name + ".npy")
            arguments[arguments.index("-o") + 1] = str(made)
            subprocess.run([onestep, *arguments, "--quiet"], cwd=inputs, check=True)
            samples = ((numpy.load(made).clip(-1, 1) + 1) * 127.5).round().astype(numpy.uint8)[:, 0]
            shown = [numpy.asarray(Image.open(inputs / file)) for file in FIGURES[name][0]]
            strips[name] = strip(shown, list(samples))
            strips[name].save(folder / name, optimize=True)
    if missing := FIGURES.keys() - strips.keys():
        raise SystemExit(f"docs/editing.md has no command for {', '.join(sorted(missing))}")

    font = ImageFont.load_default(18)
    width = max(image.width for image in strips.values())
    row = SIDE + 2 * GAP + 26
    sheet = Image.new("L", (width, row * len(FIGURES)), PAPER)
    draw = ImageDraw.Draw(sheet)
    for i, (name, (_, title)) in enumerate(FIGURES.items()):
        draw.text((GAP, i * row + 4), title, fill=0, font=font)
        sheet.paste(strips[name], (0, i * row + 26))
    sheet.save(folder.parent / "edits.png" if len(sys.argv) == 1 else folder / "edits.png", optimize=True)


if __name__ == "__main__":
    main()
