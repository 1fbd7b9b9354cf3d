#!/usr/bin/env python3
"""The most that torch's libraries get out of a device: machine.py --threads N --device D, as JSON: its name, whether it
has bf16, and in GFLOP/s what a network could reach at best if it were one product of matrices, or one convolution."""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

import processor

# Large enough to fill the device. Of a product: rows, columns. Of a convolution: samples, channels, height and width.
SIZES = {"cpu": {"product": [(1024,), (2048,)], "convolution": [(16, 128, 32), (16, 256, 16)]},
         "cuda": {"product": [(4096,), (8192,)], "convolution": [(128, 256, 64), (256, 512, 32)]}}


def fastest(call: Callable[[], torch.Tensor], operations: float, wait: Callable[[], None], seconds: float = 1) -> float:
    """GFLOP/s of the fastest call: what the device can do, not what it does on the average."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        wait()
        begin = time.perf_counter()
        call()
        wait()
        times.append(time.perf_counter() - begin)
    return operations / min(times) / 1e9


def product(n: int, **where) -> tuple[Callable[[], torch.Tensor], float]:
    a, b = torch.randn(n, n, **where), torch.randn(n, n, **where)
    return lambda: torch.mm(a, b), 2 * n**3


def convolution(n: int, channels: int, side: int, **where) -> tuple[Callable[[], torch.Tensor], float]:
    x = torch.randn(n, channels, side, side, **where).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3, **where).contiguous(memory_format=torch.channels_last)
    return lambda: F.conv2d(x, weight, padding=1), 2 * 9 * channels**2 * n * side**2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--only-name", action="store_true", help="and whether it has bf16: nothing is measured")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.cudnn.allow_tf32 = False
    on_gpu = options.device != "cpu"
    has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False) if on_gpu else processor.has_bf16()
    found = {"name": torch.cuda.get_device_name(options.device) if on_gpu else processor.name(), "bf16": has_bf16}
    if not options.only_name:
        wait = partial(torch.cuda.synchronize, options.device) if on_gpu else lambda: None
        sizes = SIZES["cuda" if on_gpu else "cpu"]
        with torch.inference_mode():
            found["gflops"] = {
                name: {make.__name__: max(fastest(*make(*size, dtype=dtype, device=options.device), wait)
                                          for size in sizes[make.__name__]) for make in (product, convolution)}
                for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))[:1 + has_bf16]}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
