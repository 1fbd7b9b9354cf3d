#!/usr/bin/env python3
"""The most that oneDNN and MKL get out of this machine: machine.py --threads N [--bf16], as JSON, in GFLOP/s.

What a network could reach at best if it were one product of matrices, or one convolution."""

import argparse
import json
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F


def fastest(call: Callable[[], torch.Tensor], operations: float, seconds: float = 1) -> float:
    """GFLOP/s of the fastest call: what the machine can do, not what it does on the average."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return operations / min(times) / 1e9


def product(dtype: torch.dtype, n: int) -> float:
    a, b = torch.randn(n, n, dtype=dtype), torch.randn(n, n, dtype=dtype)
    return fastest(lambda: torch.mm(a, b), 2 * n**3)


def convolution(dtype: torch.dtype, n: int, channels: int, side: int) -> float:
    x = torch.randn(n, channels, side, side, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return fastest(lambda: F.conv2d(x, weight, padding=1), 2 * 9 * channels**2 * n * side**2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--bf16", action="store_true", help="also in bf16, which this processor should have")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    with torch.inference_mode():
        for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))[:1 + options.bf16]:
            found[name] = {"product": max(product(dtype, n) for n in (1024, 2048)),
                           "convolution": max(convolution(dtype, *size) for size in ((16, 128, 32), (16, 256, 16)))}
    print(json.dumps({"gflops": found}))


if __name__ == "__main__":
    main()
