#!/usr/bin/env python3
"""Memory and time of `onestep evaluate` with 2,048 features: .venv/bin/python benchmarks/features.py [COUNT] [ONESTEP]

Two sets of COUNT (50,000) pictures of 8x8, through a network of one layer that makes 2,048 features of them: what is left is what
the measures themselves take. First moments alone, then all measures. Prints the most memory and the time of each.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy
import torch
from torch import nn

count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
onestep = sys.argv[2] if len(sys.argv) > 2 else str(Path(__file__).resolve().parents[1] / "build/src/onestep")


class Features(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(64, 2048)

    def forward(self, x):
        return torch.tanh(self.layer(x.flatten(1)))


with tempfile.TemporaryDirectory() as folder:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Features()), f"{folder}/features.pt")
    for seed, name in enumerate(("samples", "reference")):
        pixels = numpy.random.default_rng(seed).integers(0, 256, (count, 8, 8, 1), dtype=numpy.uint8)
        numpy.savez(f"{folder}/{name}.npz", arr_0=pixels)
    for options in (["--moments-only"], []):
        command = [onestep, "evaluate", "samples.npz", "--reference", "reference.npz", "--features", "features.pt", *options]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0, status
        print(f"{' '.join(options) or 'all measures'}, twice {count} x 2048: {usage.ru_maxrss / 1024:.0f} MiB at most, "
              f"{time.monotonic() - started:.0f} s", flush=True)
