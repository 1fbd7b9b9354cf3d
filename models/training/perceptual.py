"""A small classifier whose feature maps serve as a perceptual distance while the student trains."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from data import Pictures
from network import GroupNorm
from optimizer import optimizers
from trainer import train


class PerceptualNetwork(nn.Module):
    """Feature maps at a half and a quarter of the sides, then the classes. Not the network that evaluates."""

    def __init__(self, channels: int, labels: int):
        super().__init__()
        widths = [4 * channels, 48, 48, 96, 96]
        strides = [1, 1, 2, 1]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a, b, 3, stride=s, padding=1, bias=False) for a, b, s in zip(widths, widths[1:], strides))
        self.norms = nn.ModuleList(GroupNorm(w) for w in widths[1:])
        self.out = nn.Linear(widths[-1], max(labels, 2))

    def features(self, x: Tensor) -> list[Tensor]:
        """x: [N, C, H, W] in [-1, 1] -> maps after each convolution, [N, width, height, width]."""
        with torch.autocast(x.device.type, torch.bfloat16):
            maps, x = [], F.pixel_unshuffle(x, 2)
            for convolution, norm in zip(self.convolutions, self.norms):
                x = F.silu(norm(convolution(x)))
                maps.append(x)
        return maps

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.features(x)[-1].float().mean(dim=(2, 3)))


def train_perceptual(pictures: Pictures, *, images: int, batch: int, folder: Path, seed: int, device: str,
                     compiled: bool) -> PerceptualNetwork:
    """Cross-entropy on the training pictures, shifted by up to two pixels and mirrored."""
    torch.manual_seed(seed + 1)
    network = PerceptualNetwork(pictures.pixels.shape[1], len(pictures.names)).to(device, memory_format=torch.channels_last)
    run = torch.compile(network, disable=not compiled)

    def loss(_step: int, _steps: int) -> Tensor:
        index = torch.randint(len(pictures), (batch,))
        x = pictures.batch(index)
        across, down = torch.randint(0, 5, (2,)).tolist()
        height, width = x.shape[2:]
        x = F.pad(x, (2, 2, 2, 2), mode="replicate")[:, :, down:down + height, across:across + width]
        x = torch.where(torch.rand(batch, 1, 1, 1) < 0.5, x, x.flip(3))
        return F.cross_entropy(run(x.to(device)), pictures.labels[index].to(device), label_smoothing=0.1)

    average = train("perceptual", network, optimizers(network, muon=1e-3, adam=2e-3), loss, images=images, batch=batch,
                    folder=folder, seed=seed + 1, about={}, sheet=lambda *_: None)
    return average.requires_grad_(False)
