#!/usr/bin/env python3
"""Trains the classifiers whose features measure quality: python models/training/classifier.py

Of garments; with --data, of materials, 64x64 crops at both scales. No model is ever trained against it: the student's perceptual distance has a classifier of its own (perceptual.py).
"""

import argparse
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import data
from materials import Materials
from trainer import train

FILE = Path(__file__).parent / "fashion-classifier.pt"  # a state dict
MATERIALS_FILE = Path(__file__).parent / "materials-classifier.pt"  # in half precision
FEATURES = 128


class Classifier(nn.Module):
    """Residual blocks with batch normalisation on full-size pictures (He et al. 2016)."""

    def __init__(self, channels: int = 1, labels: int = 10):
        super().__init__()

        def convolution(a: int, b: int, stride: int = 1) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b))

        widths = [32, 64, FEATURES]
        self.stem = convolution(channels, widths[0])
        self.shrink = nn.ModuleList(convolution(a, b, 2) for a, b in zip(widths, widths[1:]))
        self.blocks = nn.ModuleList(nn.Sequential(convolution(w, w), nn.ReLU(), convolution(w, w)) for w in widths[1:])
        self.out = nn.Linear(FEATURES, labels)

    def features(self, x: Tensor) -> Tensor:
        """x: [N, C, H, W] in [-1, 1] -> [N, 128]."""
        x = F.relu(self.stem(x))
        for shrink, block in zip(self.shrink, self.blocks):
            x = F.relu(shrink(x))
            x = F.relu(x + block(x))
        return x.mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x))


def load(file: Path = FILE) -> Classifier:
    """The committed weights."""
    weights = {name: value.float() if value.is_floating_point() else value
               for name, value in torch.load(file, weights_only=True).items()}
    classifier = Classifier(weights["stem.0.weight"].shape[1], len(weights["out.bias"]))
    classifier.load_state_dict(weights)
    return classifier.eval().requires_grad_(False)


def accuracy(classifier: Classifier, pictures: Tensor, labels: Tensor) -> float:
    """Of pictures as bytes [N, C, H, W]."""
    right = 0
    with torch.no_grad():
        for part, wanted in zip(pictures.split(500), labels.split(500)):
            right += int((classifier(part.float() / 127.5 - 1).argmax(1) == wanted).sum())
    return right / len(pictures)


class FeaturesAndLogits(nn.Module):
    def __init__(self, classifier: nn.Module):
        super().__init__()
        self.classifier = classifier

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        features = self.classifier.features(x)
        return features, self.classifier.out(features)


def write_features(file: Path, network: nn.Module | None = None, shape: tuple[int, ...] = (1, 28, 28)) -> None:
    """Features and logits as TorchScript; of the committed classifier of garments, or another."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        torch.jit.save(torch.jit.trace(FeaturesAndLogits(network or load()), torch.zeros(2, *shape)), str(file))


def changed(x: Tensor) -> Tensor:
    """Garments shifted by up to two pixels, mirrored, a square cut out (DeVries & Taylor 2017)."""
    across, down = torch.randint(0, 5, (2,)).tolist()
    x = F.pad(x, (2, 2, 2, 2), value=-1.0)[:, :, down:down + 28, across:across + 28]
    x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x, x.flip(3))
    across, down = torch.randint(0, 21, (2,)).tolist()
    x[:, :, down:down + 8, across:across + 8] = -1.0
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="materials, a folder a class; without it, garments")
    parser.add_argument("--images", type=int, help="training pictures drawn (default: 600000 garments, 60000 crops)")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--output", type=Path, default=Path("training-run"), help="checkpoints and log (default %(default)s)")
    parser.add_argument("--features", type=Path, metavar="FEATURES.pt",
                        help="write the committed classifier, features and logits, as TorchScript for onestep evaluate and tune, and train nothing")
    parser.add_argument("--write", type=Path, help="the weights (default: the committed ones)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.features:
        write_features(options.features)
        return

    file, images = (MATERIALS_FILE, 60_000) if options.data else (FILE, 600_000)
    pictures = Materials(options.data) if options.data else data.fashion_mnist("train")
    torch.manual_seed(7)
    network = Classifier(pictures.shape[0], len(pictures.names)).to(memory_format=torch.channels_last)
    run = torch.compile(network, dynamic=False)

    def loss(_step: int, _steps: int) -> Tensor:
        if options.data:
            x, labels = pictures.squares(options.batch)
        else:
            crops = pictures.draw(options.batch)
            x, labels = changed(crops.x), crops.labels
        with torch.autocast("cpu", torch.bfloat16):
            return F.cross_entropy(run(x).float(), labels, label_smoothing=0.05)

    adam = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02)
    average = train("classifier", network, [adam], loss, images=options.images or images, batch=options.batch,
                    folder=options.output, seed=7, about={}, sheet=lambda *_: None)
    average.load_state_dict({**average.state_dict(), **{k: v for k, v in network.state_dict().items() if "running" in k}})
    average.eval()
    weights = average.state_dict()
    if options.data:
        weights = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    torch.save(weights, options.write or file)
    if options.data:
        torch.manual_seed(7)
        x, labels = Materials(options.data, "held_out").squares(10_000)
        test = ((x + 1) * 127.5).round().byte(), labels
    else:
        garments = data.fashion_mnist("t10k")
        test = garments.pixels, garments.labels
    print(f"{options.write or file}: accuracy {accuracy(average, *test):.4f} on the test pictures")


if __name__ == "__main__":
    main()
