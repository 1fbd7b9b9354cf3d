#!/usr/bin/env python3
"""A large picture of a model with a halo: by onestep in one step, by a diffusion model of the same network in many calls, and by
libtorch as one big input. Prints a table in Markdown; each row is a process of its own, and reading the model, compiling it
and writing the PNG are in its time.

.venv/bin/python benchmarks/canvas/run.py MODEL.pt [--teacher TEACHER.pt]"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

ONE_BIG_INPUT = """
import json, sys, torch
from PIL import Image
model, width, height, threads = sys.argv[1], *map(int, sys.argv[2:5])
torch.set_num_threads(threads)
extra = {"onestep.json": ""}
network = torch.jit.load(model, _extra_files=extra).eval()
about = json.loads(extra["onestep.json"])
m, sigma = about["sample"]["multiple"], about["noise"]["sigma_max"]
data, boundary = about["network"]["prediction"]["sigma_data"], about["network"]["prediction"]["boundary_sigma"]
x = sigma * torch.randn(1, about["sample"]["shape"][0], -(-height // m) * m, -(-width // m) * m)
with torch.no_grad():
    f = network(x / (sigma**2 + data**2) ** 0.5, torch.tensor([sigma]).log() / 4, torch.tensor([0]))
skip = data**2 / ((sigma - boundary) ** 2 + data**2)
drawn = skip * x + (sigma - boundary) * data / (sigma**2 + data**2) ** 0.5 * f
pixels = ((drawn[0, :, :height, :width].clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).squeeze(-1)
Image.fromarray(pixels.numpy()).save(sys.argv[5])
"""


def measure(command: list, repeats: int) -> tuple[float, int]:
    """Median seconds, and the largest resident memory in bytes."""
    times, most = [], 0
    for _ in range(repeats):
        start = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status != 0:
            sys.exit(f"{' '.join(map(str, command))} failed")
        times.append(time.monotonic() - start)
        most = max(most, usage.ru_maxrss * 1024)
    return sorted(times)[len(times) // 2], most


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="of one step; a file")
    parser.add_argument("--teacher", help="a diffusion model; a seamless picture of it is drawn, a quarter of the sides")
    parser.add_argument("--size", default="1920x1080", help="default: %(default)s")
    parser.add_argument("--onestep", default=ROOT / "build/src/onestep", help="the program (default: build/src/onestep)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=3, help="of which the median counts (default: %(default)s)")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    with zipfile.ZipFile(options.model) as file:
        multiple = json.loads(file.read(next(n for n in file.namelist() if n.endswith("extra/onestep.json"))))["sample"]["multiple"]
    print("| | network calls | seconds | memory |\n| --- | --- | --- | --- |")

    def row(name: str, calls: int, found: tuple[float, int], times: float = 1) -> None:
        print(f"| {name} | {calls} | {times * found[0]:.2f} | {found[1] / 2**20:.0f} MiB |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "picture.png"
        drawn = [options.onestep, "generate", "--threads", str(options.threads), "--label", "0", "--quiet", "-o", out]
        row(f"onestep, {options.size}", 1, measure([*drawn, options.model, "--size", options.size], options.repeats))
        row(f"libtorch, one input of {options.size}", 1, measure(
            [sys.executable, "-c", ONE_BIG_INPUT, options.model, str(width), str(height), str(options.threads), out], options.repeats))
        if options.teacher:
            # As much of it as takes no minutes: a period of a quarter of the sides, and its time by the number of pixels.
            part = [max(side // 4 // multiple, 1) * multiple for side in (width, height)]
            found = measure([*drawn, options.teacher, "--sampler", "heun", "--steps", "40", "--seamless", "--size",
                             "x".join(map(str, part))], 1)
            share = width * height / (part[0] * part[1])
            row(f"onestep, a diffusion model, {part[0]}x{part[1]} seamless, its seconds times {share:.1f}", 79, found, share)


if __name__ == "__main__":
    main()
