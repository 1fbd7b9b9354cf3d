"""A small classifier whose feature maps serve as a perceptual distance while the student trains."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from equivariant import PixelNorm
from materials import Dataset
from network import GroupNorm
from optimizer import optimizers
from trainer import train


@dataclass(frozen=True)
class Layers:
    """Of the network: each one's width and stride, and what normalizes it."""

    widths: tuple[int, ...]
    strides: tuple[int, ...]
    norm: Callable[[int], nn.Module]


FINE = Layers((48, 48, 96, 96), (1, 1, 2, 1), GroupNorm)
# Crops come in two sizes, and a statistic over space would tell them apart.
MULTISCALE = Layers((48, 48, 96, 96, 128, 128), (1, 1, 2, 1, 2, 1), PixelNorm)


class PerceptualNetwork(nn.Module):
    """Feature maps from a half of the sides down, then the classes. Not the network that evaluates."""

    def __init__(self, channels: int, labels: int, layers: Layers):
        super().__init__()
        widths = [4 * channels, *layers.widths]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=s, padding=1, bias=False) for a, b, s in zip(widths, widths[1:], layers.strides))
        self.norms = nn.ModuleList(layers.norm(w) for w in widths[1:])
        self.out = nn.Linear(widths[-1], max(labels, 2))

    def features(self, x: Tensor) -> list[Tensor]:
        """x: [N, C, H, W] -> maps after each convolution, [N, width, height, width]."""
        with torch.autocast(x.device.type, torch.bfloat16):
            maps, x = [], F.pixel_unshuffle(x, 2)
            for convolution, norm in zip(self.convolutions, self.norms):
                x = F.silu(norm(convolution(x)))
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x)[-1].float().mean(dim=(2, 3)))


def train_perceptual(pictures: Dataset, layers: Layers, *, images: int, batch: int, folder: Path, seed: int, device: str,
                     compiled: bool, deadline: float) -> PerceptualNetwork:
    """Cross-entropy on the training pictures, changed as their labels allow."""
    torch.manual_seed(seed + 1)
    network = PerceptualNetwork(pictures.shape[0], len(pictures.names), layers).to(device, memory_format=torch.channels_last)
    run = torch.compile(network, dynamic=False, disable=not compiled)

    def loss(_step: int, _steps: int) -> Tensor:
        crops = pictures.draw(batch)
        x = pictures.augmented(crops.x)
        return F.cross_entropy(run(x.to(device)), crops.labels.to(device), label_smoothing=0.1)

    average = train("perceptual", network, optimizers(network, muon=1e-3, adam=2e-3), loss, images=images, batch=batch,
                    folder=folder, seed=seed + 1, about={}, sheet=lambda *_: None, deadline=deadline)
    return average.requires_grad_(False)
