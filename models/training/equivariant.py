"""A UNet that is the same everywhere: for materials, on planes without an end.

Shifting its input by `multiple` pixels shifts its output: there is no attention, no statistics over space (features are
normalized over the channels at each pixel, as in EDM2, Karras et al. 2024, Sec. 2.3) and, where it is trained, no border,
since pictures wrap. An output pixel depends on input pixels up to `halo()` away and on no other.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network import NoiseEmbedding, zeroed


@dataclass(frozen=True)
class EquivariantConfig:
    """What has to be known to build the network again: stored in every checkpoint."""

    channels: int = 3  # of the image
    labels: int = 22  # the index `labels` means "no label"
    fold: int = 4  # pixels a side that are folded into channels
    widths: tuple[int, ...] = (96, 160, 224, 256)  # feature maps a level, from the finest; each level halves the sides
    looks: tuple[int, ...] = (2, 2, 1, 1)  # of the two convolutions of a level's blocks, those that see their neighbours
    embedding: int = 128  # values that stand for the noise level and the label
    period: int = 64  # pixels after which what is told of the place begins anew; two cells of the coarsest level or more

    def build(self, wrap: bool = True) -> "EquivariantUNet":
        return EquivariantUNet(self, wrap)

    @property
    def multiple(self) -> int:
        """Sides of pictures and shifts must divide by this, pixels."""
        return max(self.fold * 2 ** (len(self.widths) - 1), self.period)

    def halo(self) -> int:
        """Distance in pixels, along each axis, beyond which no output pixel depends on an input pixel."""
        farthest = 0
        for pixel in range(self.fold * 2 ** (len(self.widths) - 1)):
            # The cells that the pixel depends on, from the output back to the input by the longest way: through the
            # coarsest level.
            first = last = pixel // self.fold
            first, last = first - 1, last + 1  # out
            for looks in self.looks[:-1]:
                first, last = (first - looks - 1) // 2, (last + looks + 1) // 2
            first, last = first - self.looks[-1], last + self.looks[-1]
            for looks in reversed(self.looks[:-1]):
                first, last = 2 * first - looks, 2 * last + 1 + looks
            farthest = max(farthest, pixel - first * self.fold, (last + 1) * self.fold - 1 - pixel)
        return farthest


class PixelNorm(nn.Module):
    """Every pixel's features divided by their root mean square, times a learnt gain."""

    def __init__(self, channels: int):
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        x32 = x.float()
        x32 = x32 * torch.rsqrt(x32.square().mean(dim=1, keepdim=True) + 1e-5)
        return (x32 * self.gain.view(1, -1, 1, 1)).to(x.dtype)


def around(x: Tensor) -> Tensor:
    """With a row and a column of the other edge beyond each edge."""
    # Spelled out, so that torch.compile writes it together with what comes before: the padding mode "circular" made a
    # training step take two thirds longer.
    x = torch.cat([x[:, :, -1:], x, x[:, :, :1]], dim=2)
    return torch.cat([x[:, :, :, -1:], x, x[:, :, :, :1]], dim=3)


class Convolution(nn.Conv2d):
    """3x3, or 1x1 if it doesn't look at its neighbours; beyond the edges lies the other edge, or zeros."""

    def __init__(self, channels_in: int, channels_out: int, wrap: bool, looks: bool = True):
        super().__init__(channels_in, channels_out, 3 if looks else 1, padding=0 if wrap or not looks else 1)
        self.wrap = wrap and looks

    def forward(self, x: Tensor) -> Tensor:
        if self.wrap:
            x = around(x)
        return self._conv_forward(x, self.weight, self.bias)


class Block(nn.Module):
    """Norm, SiLU, convolution, twice; the noise level and the label scale and shift both norms."""

    def __init__(self, channels: int, looks: int, embedding: int, wrap: bool):
        super().__init__()
        self.norm1, self.norm2 = PixelNorm(channels), PixelNorm(channels)
        self.conv1 = Convolution(channels, channels, wrap, looks > 0)
        self.modulation = nn.Linear(embedding, 4 * channels)
        self.conv2 = zeroed(Convolution(channels, channels, wrap, looks > 1))

    def forward(self, x: Tensor, embedding: Tensor, shares: Tensor | None) -> Tensor:
        """embedding: [N, K, E] of K labels; shares: each one's part of every pixel, [N, K, H, W], or none where K is 1."""
        modulation = self.modulation(embedding).transpose(1, 2)
        if shares is None:
            modulation = modulation.unsqueeze(3)
        else:
            modulation = (modulation @ shares.flatten(2).to(modulation.dtype)).view(x.shape[0], -1, x.shape[2], x.shape[3])
        scale1, shift1, scale2, shift2 = modulation.chunk(4, dim=1)
        h = self.conv1(F.silu(self.norm1(x) * (1 + scale1) + shift1))
        return x + self.conv2(F.silu(self.norm2(h) * (1 + scale2) + shift2))


class Place(nn.ConvTranspose2d):
    """Learnt features of every place within a period, for labels whose patterns are as regular as rows of bricks:
    ones [1, 1, H / period, W / period] -> [1, C, H / cell, W / cell]."""

    def __init__(self, channels: int, period: int, cell: int):
        cells = period // cell
        super().__init__(1, channels, cells, stride=cells, bias=False)
        # Waves at first, of periods from that of the pattern to two cells.
        angles = 2 * math.pi * torch.arange(cells) / cells * 2 ** torch.arange(int(math.log2(cells))).view(-1, 1)
        waves = torch.cat([angles.sin(), angles.cos()])
        waves = torch.cat([waves.unsqueeze(1).expand(-1, cells, -1), waves.unsqueeze(2).expand(-1, -1, cells)])
        mixed = torch.randn(channels, len(waves)) @ waves.reshape(-1, cells**2) / len(waves) ** 0.5
        with torch.no_grad():
            self.weight.copy_(0.5 * mixed.view(1, channels, cells, cells))


class Level(nn.Module):
    """A block, and what leads there from another level."""

    def __init__(self, entry: nn.Module, block: Block):
        super().__init__()
        self.entry, self.block = entry, block


class EquivariantUNet(nn.Module):
    """F(c_in x, c_noise, label): image [N, C, H, W], noise [N], label int64 [N] or a map [N, H, W] -> [N, C, H, W].

    A map that is the same everywhere does what the label alone does. `wrap`: the left edge continues the right one and the
    top the bottom; else there are zeros outside, and only what is farther than the halo from the edges is right.
    """

    def __init__(self, config: EquivariantConfig, wrap: bool):
        super().__init__()
        self.config, self.fold, self.labels, self.period = config, config.fold, config.labels, config.period
        self.wrap = wrap
        widths, pixels = config.widths, config.channels * config.fold**2
        embedding = config.embedding
        self.noise = NoiseEmbedding(embedding)
        self.label = nn.Embedding(config.labels + 1, embedding)
        self.embed1 = nn.Linear(embedding, embedding)
        self.embed2 = nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(pixels, widths[0], 1)

        def level(depth: int, entry: nn.Module) -> Level:
            return Level(entry, Block(widths[depth], config.looks[depth], embedding, wrap))

        # Two by two pixels are one of the coarser level, and looks at nothing beyond.
        self.down = nn.ModuleList([level(0, nn.Identity())])
        self.up = nn.ModuleList()
        for depth, (fine, coarse) in enumerate(zip(widths, widths[1:])):
            self.down.append(level(depth + 1, nn.Conv2d(fine, coarse, 2, stride=2)))
            self.up.insert(0, level(depth, nn.Conv2d(coarse, fine, 1)))
        self.places = nn.ModuleList(Place(width, config.period, config.fold * 2**depth) for depth, width in enumerate(widths))
        self.register_buffer("regular", torch.zeros(config.labels + 1))  # 1 for labels that are told of the place
        self.norm = PixelNorm(widths[0])
        self.out = zeroed(Convolution(widths[0], pixels, wrap))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        embedding = self.embed1(self.noise(noise)).unsqueeze(1)
        shares: Tensor | None = None  # of every label in every pixel
        if label.dim() == 1:
            embedding = embedding + self.label(label).unsqueeze(1)
            regular = F.embedding(label, self.regular.unsqueeze(1)).view(-1, 1, 1, 1)
        else:
            embedding = embedding + self.label.weight
            shares = F.one_hot(label, self.labels + 1).permute(0, 3, 1, 2).float()
            regular = F.avg_pool2d(F.embedding(label, self.regular.unsqueeze(1)).permute(0, 3, 1, 2), self.fold)
            shares = F.avg_pool2d(shares, self.fold)
        embedding = F.silu(self.embed2(F.silu(embedding)))

        everywhere = x.new_ones(1, 1, x.shape[2] // self.period, x.shape[3] // self.period)
        x = self.stem(F.pixel_unshuffle(x, self.fold))
        skips: list[Tensor] = []
        all_shares: list[Tensor | None] = []
        for depth, (level, place) in enumerate(zip(self.down, self.places)):
            if depth > 0 and shares is not None:
                shares, regular = F.avg_pool2d(shares, 2), F.avg_pool2d(regular, 2)
            x = level.block(level.entry(x) + regular * place(everywhere), embedding, shares)
            skips.append(x)
            all_shares.append(shares)
        skips.pop()
        all_shares.pop()

        for level in self.up:
            x = level.entry(x)
            if self.wrap:
                x = around(x)
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            if self.wrap:
                x = x[:, :, 2:-2, 2:-2]
            x = level.block(x + skips.pop(), embedding, all_shares.pop())
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.fold)
