#!/usr/bin/env python3
"""Measures drawn drums against sounds that no training saw: python models/training/evaluate_drums.py --data FOLDER CHECKPOINT|MODEL ...

A classifier of spectra is trained first, on the training sounds, or read if --classifier is there; its accuracy on held-out sounds
is their agreement. What `onestep evaluate` says in its features (docs/evaluation.md) is against the training sounds, of which held-out
sounds are the floor. Nearest is how far away the nearest training sound of all is, in the median, in units of how far it is from a
held-out sound. Peak, clipped and silent samples tell what an ear would notice first.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import checkpoint
from classifier import Classifier
from diffusion import SIGMA_MAX, SIGMA_MIN, Denoiser
from drums import LENGTH, Drums, Tuned, power
from evaluate import nearest
from measure import Measure, is_model
from measure import draw as draw_model

QUIET = 0.001  # of full scale: 60 dB below


def picture(x: Tensor) -> Tensor:
    """Of sounds [N, 1, L], [N, 1, 64 bands, 44 frames] in about [-1, 1]: decibels of the ear's bands."""
    long, short = power(x.flatten(1), 1024), power(x.flatten(1), 512)
    low = long[:, 1:33]  # to 700 Hz, where bands are narrow
    high = F.adaptive_max_pool2d(short[:, 17:], (32, low.shape[2]))
    return (torch.cat([low, high], dim=1) + 1e-7).log10().unsqueeze(1) / 3.5 + 1


def train_classifier(drums: Drums, steps: int) -> Classifier:
    """Sounds a little higher or lower, later and softer."""
    torch.manual_seed(7)
    network, tuned = Classifier(1, len(drums.names)), Tuned(drums.sounds)
    network.train()
    chances = torch.bincount(drums.labels).float().rsqrt()[drums.labels]
    adam = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 3e-3 * min(step / 20, 2 * (1 - step / steps), 1)
        which = torch.multinomial(chances, 32, replacement=True)
        x = tuned(which, torch.randn(32)) * 10 ** (-0.5 * torch.rand(32, 1, 1))
        x = picture(x.roll(int(torch.randint(400, ())), 2))
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(x).float(), drums.labels[which], label_smoothing=0.05)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return network.eval().requires_grad_(False)


class Ears(nn.Module):
    """The classifier of spectra, given sounds."""

    def __init__(self, network: Classifier):
        super().__init__()
        self.network, self.out = network, network.out

    def features(self, x: Tensor) -> Tensor:
        return self.network.features(picture(x))


def features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """[N, 128], and the label given."""
    found = torch.cat([network.features(picture(part)) for part in x.split(100)])
    return found, network.out(found).argmax(1)


@torch.no_grad()
def draw(file: Path, count: int, levels: list[float]) -> tuple[Tensor, Tensor]:
    """Sounds, every label as often, and their labels."""
    if is_model(file):
        x, labels = draw_model(file, count, "--levels", ",".join(map(str, levels)))
        return x.clamp(-1, 1), labels
    about, average = checkpoint.load(file)
    network = checkpoint.config_of(about).build()
    network.load_state_dict(average)
    denoiser = Denoiser(network.eval().requires_grad_(False), about["sigma_data"], about["boundary"])
    labels, found = torch.arange(count) % len(about["names"]), []
    torch.manual_seed(0)
    for label in labels.split(46):
        x = torch.zeros(len(label), 1, LENGTH)
        for level in levels:
            noise = (level**2 - SIGMA_MIN**2) ** 0.5 if level < SIGMA_MAX else level
            x = denoiser(x + noise * torch.randn_like(x), torch.full((len(label),), level), label).clamp(-1, 1)
        found.append(x)
    return torch.cat(found), labels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="*", type=Path, metavar="CHECKPOINT|MODEL")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--classifier", type=Path, default=Path("drums-classifier.pt"), help="(default %(default)s)")
    parser.add_argument("--steps", type=int, default=500, help="of the classifier's training (default %(default)s)")
    parser.add_argument("--count", type=int, default=1150, help="sounds drawn (default %(default)s)")
    parser.add_argument("--levels", default="80", help="noise levels (default %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    drums = Drums(options.data)
    if options.classifier.exists():
        network = Classifier(1, len(drums.names))
        network.load_state_dict(torch.load(options.classifier, weights_only=True))
        network.eval().requires_grad_(False)
    else:
        network = train_classifier(drums, options.steps)
        torch.save(network.state_dict(), options.classifier)
    outside, inside = drums.held_out, drums
    real, _ = features(network, inside.sounds.unsqueeze(1))
    measure = Measure(Ears(network), inside.sounds.unsqueeze(1), inside.labels)
    distance = float(nearest(features(network, outside.sounds.unsqueeze(1))[0], real, 1).median())
    levels = [float(level) for level in options.levels.split(",")]
    sets = {"held-out sounds": (outside.sounds.unsqueeze(1), outside.labels)}
    torch.manual_seed(0)
    sets["noise that fades"] = (torch.randn(460, 1, LENGTH) * torch.exp(-torch.arange(LENGTH) / 3000) * 0.3, torch.arange(460) % len(drums.names))
    for file in options.checkpoints:
        sets[file.name] = draw(file, options.count, levels)
    for name, (x, labels) in sets.items():
        found, given = features(network, x)
        right = [round(float((given == labels)[labels == label].float().mean()), 2) for label in range(len(drums.names))]
        print(json.dumps({"set": name, **measure(x, labels),
                          "nearest": round(float(nearest(found, real, 1).median()) / distance, 2),
                          "peak": round(float(x.abs().amax(dim=2).median()), 2), "clipped": round(float((x.abs() >= 0.999).float().mean()), 5),
                          "silent": round(float((x.abs() < QUIET).float().mean()), 3), "by label": dict(zip(drums.names, right))}), flush=True)


if __name__ == "__main__":
    main()
