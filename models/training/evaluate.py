#!/usr/bin/env python3
"""Measures samples against real garments: python models/training/evaluate.py CHECKPOINT|SAMPLES.npz ...

What `onestep evaluate` says of them in the features of the committed classifier (docs/evaluation.md), and how near samples come
to the training pictures. Samples become bytes first, as in a user's PNG.
"""

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import classifier
import data
from checkpoint import config_of, load
from diffusion import SIGMA_MAX, SIGMA_MIN, Denoiser, heun, karras_levels
from measure import Measure

HEUN_LEVELS = {79: 40, 35: 18, 9: 5}  # calls: levels


def nearest(points: Tensor, among: Tensor, k: int) -> Tensor:
    """Distance of every point to the k-th nearest `among`, [N]; k = 1 is the nearest."""
    return torch.cat([torch.cdist(part, among).kthvalue(k, dim=1).values for part in points.split(500)])


def to_bytes(x: Tensor) -> Tensor:
    return ((x.clamp(-1, 1) + 1) * 127.5).round().byte()


class Judge:
    """The real pictures, seen through the classifier."""

    def __init__(self, count: int):
        self.train, self.test = data.fashion_mnist("train"), data.fashion_mnist("t10k")
        self.measure = Measure(classifier.load(), self.test.pixels, self.test.labels)
        self.count = count

    def floor(self) -> dict:
        """Training pictures in place of samples."""
        index = torch.from_numpy(np.random.default_rng(0).permutation(len(self.train))[:self.count].copy())
        return self.measure(self.train.pixels[index], self.train.labels[index])

    def copies(self, pixels: Tensor) -> dict:
        """Distance to the nearest training picture, root mean square a pixel in units of [-1, 1]: median, first
        percentile, and the share below the first percentile of the real test pictures (0.01 if none is copied)."""
        train = self.train.pixels.flatten(1).float() / 127.5 - 1
        side = math.sqrt(train.shape[1])
        distances = [nearest(p.flatten(1).float() / 127.5 - 1, train, 1) / side for p in (pixels, self.test.pixels)]
        low = float(distances[1].quantile(0.01))
        return {"median": round(float(distances[0].median()), 4), "median_of_test": round(float(distances[1].median()), 4),
                "percentile_1": round(float(distances[0].quantile(0.01)), 4), "percentile_1_of_test": round(low, 4),
                "share_below": round(float((distances[0] < low).float().mean()), 4), "least": round(float(distances[0].min()), 4)}


def consistency(f: Callable[[Tensor, float], Tensor], shape: tuple[int, ...], levels: list[float]) -> Tensor:
    """Song et al. 2023, Algorithm 1."""
    x = f(levels[0] * torch.randn(shape), levels[0])
    for level in levels[1:]:
        x = f(x + math.sqrt(level**2 - SIGMA_MIN**2) * torch.randn(shape), level)
    return x


def draw(checkpoint: Path, count: int, calls: int, levels: list[float]) -> tuple[Tensor, Tensor]:
    """`count` samples as bytes, every label as often, and their labels; one call or several, by the model's kind."""
    about, average = load(checkpoint)
    network = config_of(about).build().to(memory_format=torch.channels_last)
    network.load_state_dict(average)
    denoiser = torch.compile(Denoiser(network.eval().requires_grad_(False), about["sigma_data"], about["boundary"]))
    labels = torch.arange(count) % len(about["names"])
    torch.manual_seed(0)
    samples = []
    with torch.no_grad():
        for label in labels.split(200):
            shape = (len(label), *about["shape"])

            def denoise(x, sigma, label=label):
                denoised = denoiser(x, torch.full((len(x),), float(sigma)), label)
                return denoised.clamp(-1, 1) if about["boundary"] > 0 else denoised  # as models/export.py says

            if about["boundary"] > 0:
                samples.append(consistency(denoise, shape, levels[:calls]))
            else:
                noise = torch.randn(shape) * SIGMA_MAX
                samples.append(heun(denoise, noise, karras_levels(HEUN_LEVELS[calls]).tolist())[-1])
    return to_bytes(torch.cat(samples)), labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", type=Path, nargs="+", help="checkpoints of models/training; .npz files with samples and labels")
    parser.add_argument("--samples", type=int, default=10_000, help="of a checkpoint (default %(default)s)")
    parser.add_argument("--calls", default="", help="default: 79,35,9 of a diffusion model, 1,2 of a consistency model")
    parser.add_argument("--levels", default="80,0.821", help="of a consistency model (default %(default)s)")
    parser.add_argument("--copies", action="store_true", help="also the distances to the nearest training pictures")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)

    judge = Judge(options.samples)

    def show(name: str, values: dict) -> None:
        line = json.dumps({"samples": name, **values}) if options.json else \
            f"{name:32s} " + "  ".join(f"{k} {v:g}" for k, v in values.items())
        print(line, flush=True)

    show("training pictures (the floor)", judge.floor())
    for path in options.what:
        if path.suffix == ".npz":
            arrays = np.load(path, allow_pickle=False)
            drawn = [("", (to_bytes(torch.from_numpy(arrays["samples"])), torch.from_numpy(arrays["labels"])))]
        else:
            one_step = load(path)[0]["boundary"] > 0
            calls = [int(c) for c in (options.calls or ("1,2" if one_step else "79,35,9")).split(",")]
            levels = [float(level) for level in options.levels.split(",")]
            drawn = ((f" {c} calls", draw(path, options.samples, c, levels)) for c in calls)
        for suffix, (pixels, labels) in drawn:
            values = judge.measure(pixels, labels)
            show(path.stem + suffix, {**values, **(judge.copies(pixels) if options.copies else {})})


if __name__ == "__main__":
    main()
