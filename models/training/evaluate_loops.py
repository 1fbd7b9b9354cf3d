#!/usr/bin/env python3
"""Measures drawn loops against real ones: python models/training/evaluate_loops.py --data FOLDER MODEL.pt ...

What `onestep evaluate` says of them in the features of a classifier (docs/evaluation.md), against the training clips; clips of the
creatures that no training saw are the floor. The classifier is trained first, on the training clips, or read if --classifier is there;
its accuracy on held-out clips is their agreement. Beside it, of frames as one sees them: `moves`, how far a frame is from the one
before (mean absolute difference, in thousandths of the range), and `closes`, how far the first frame is from the last, in units of that.
"""

import argparse
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from classifier import Classifier
from loops import FRAMES, Loops
from measure import Measure, draw


class OfClips(nn.Module):
    """A classifier of pictures whose channels are the channels and frames of clips."""

    def __init__(self, classifier: Classifier):
        super().__init__()
        self.classifier, self.out = classifier, classifier.out

    def features(self, x: Tensor) -> Tensor:
        """x: [N, 4, 8, 32, 32] in [-1, 1] -> [N, 128]."""
        return self.classifier.features(x.flatten(1, 2))


def train_classifier(loops: Loops, steps: int) -> Classifier:
    """Clips from any of their frames on, mirrored, a little to a side, lighter or darker."""
    torch.manual_seed(7)
    network = Classifier(4 * FRAMES, len(loops.names)).train()
    adam = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.05)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 3e-3 * min(step / 20, 2 * (1 - step / steps), 1)
        crops = loops.draw(64)
        x = torch.where(torch.rand(len(crops.x), 1, 1, 1) < 0.5, crops.x, crops.x.flip(3))
        x = x.roll(torch.randint(-3, 4, (2,)).tolist(), (2, 3))
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(network(x).float(), crops.labels, label_smoothing=0.05)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return network.eval().requires_grad_(False)


def steps_between(clips: Tensor) -> tuple[float, float]:
    """Of clips [N, 4, T, H, W] before black: how far frames are from those before them, and the first from the last in units of that."""
    colour, opacity = clips.clamp(-1, 1).add(1).div(2).split([3, 1], dim=1)
    seen = colour * opacity
    between = (seen[:, :, 1:] - seen[:, :, :-1]).abs().mean()
    return float(between), float((seen[:, :, 0] - seen[:, :, -1]).abs().mean() / between)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", type=Path, metavar="MODEL.pt", help="what models/export.py writes")
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="a folder a class, of strips")
    parser.add_argument("--classifier", type=Path, default=Path("loops-classifier.pt"), help="(default %(default)s)")
    parser.add_argument("--steps", type=int, default=1000, help="of the classifier's training (default %(default)s)")
    parser.add_argument("--count", type=int, default=1500, help="clips drawn of a model (default %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    loops = Loops(options.data)
    if options.classifier.exists():
        network = Classifier(4 * FRAMES, len(loops.names))
        network.load_state_dict(torch.load(options.classifier, weights_only=True))
        network.eval().requires_grad_(False)
    else:
        network = train_classifier(loops, options.steps)
        torch.save(network.state_dict(), options.classifier)

    measure = Measure(OfClips(network), loops.clips(torch.arange(len(loops))), loops.labels)
    outside = loops.held_out
    sets = [("held-out", lambda: (outside.clips(torch.arange(len(outside))), outside.labels))]
    sets += [(file.stem, lambda file=file: draw(file, options.count)) for file in options.what]
    for name, made in sets:
        clips, labels = made()
        moves, closes = steps_between(clips)
        print(json.dumps({"clips": name, **measure(clips, labels), "moves": round(1000 * moves, 1), "closes": round(closes, 3)}), flush=True)


if __name__ == "__main__":
    main()
