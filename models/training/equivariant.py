"""A UNet that knows no place: for materials, on planes without an end.

Shifting its input by `multiple` pixels shifts its output: there is no attention, no statistics over space (features are
normalized over the channels at each pixel, as in EDM2, Karras et al. 2024, Sec. 2.3) and, where it is trained, no border,
since pictures wrap. An output pixel depends on input pixels up to `halo()` away and on no other.
"""

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
    widths: tuple[int, ...] = (96, 160, 256)  # feature maps a level, from the finest; each level halves the sides
    blocks: int = 1  # residual blocks a level on the way down, and as many on the way up

    def build(self, wrap: bool = True) -> "EquivariantUNet":
        return EquivariantUNet(self, wrap)

    @property
    def multiple(self) -> int:
        """Sides of pictures and shifts must divide by this, pixels."""
        return self.fold * 2 ** (len(self.widths) - 1)

    def halo(self) -> int:
        """Distance in pixels, along each axis, beyond which no output pixel depends on an input pixel."""
        farthest = 0
        for pixel in range(self.multiple):
            # The cells that the pixel depends on, from the output back to the input by the longest way: through the
            # coarsest level. A convolution reads one cell further; a residual block has two.
            first = last = pixel // self.fold
            first, last = first - 1, last + 1  # out
            for _ in self.widths[1:]:
                first, last = (first - 2 * self.blocks) // 2, (last + 2 * self.blocks) // 2
            first, last = first - 2 * self.blocks, last + 2 * self.blocks
            for _ in self.widths[1:]:
                first, last = 2 * first - 2 * self.blocks, 2 * last + 1 + 2 * self.blocks
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


class Convolution(nn.Conv2d):
    """3x3; beyond the edges lies the other edge, or zeros."""

    def __init__(self, channels_in: int, channels_out: int, wrap: bool):
        super().__init__(channels_in, channels_out, 3, padding=0 if wrap else 1)
        self.wrap = wrap

    def forward(self, x: Tensor) -> Tensor:
        if self.wrap:
            # Spelled out, so that torch.compile writes it together with what comes before: the padding mode "circular" made
            # a training step take two thirds longer.
            x = torch.cat([x[:, :, -1:], x, x[:, :, :1]], dim=2)
            x = torch.cat([x[:, :, :, -1:], x, x[:, :, :, :1]], dim=3)
        return self._conv_forward(x, self.weight, self.bias)


class Block(nn.Module):
    """Norm, SiLU, convolution, twice; the noise level and the label scale and shift the second norm."""

    def __init__(self, channels: int, embedding: int, wrap: bool):
        super().__init__()
        self.norm1, self.norm2 = PixelNorm(channels), PixelNorm(channels)
        self.conv1 = Convolution(channels, channels, wrap)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.conv2 = zeroed(Convolution(channels, channels, wrap))

    def forward(self, x: Tensor, embedding: Tensor, shares: Tensor | None) -> Tensor:
        """embedding: [N, K, E] of K labels; shares: each one's part of every pixel, [N, K, H, W], or none where K is 1."""
        modulation = self.modulation(embedding).transpose(1, 2)
        if shares is None:
            modulation = modulation.unsqueeze(3)
        else:
            modulation = (modulation @ shares.flatten(2).to(modulation.dtype)).view(x.shape[0], -1, x.shape[2], x.shape[3])
        scale, shift = modulation.chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))


class Level(nn.Module):
    """Blocks of one width, after what leads there from another level."""

    def __init__(self, entry: nn.Module, channels: int, blocks: int, embedding: int, wrap: bool):
        super().__init__()
        self.entry = entry
        self.blocks = nn.ModuleList(Block(channels, embedding, wrap) for _ in range(blocks))

    def forward(self, x: Tensor, embedding: Tensor, shares: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, embedding, shares)
        return x


class EquivariantUNet(nn.Module):
    """F(c_in x, c_noise, label): image [N, C, H, W], noise [N], label int64 [N] or a map [N, H, W] -> [N, C, H, W].

    A map that is the same everywhere does what the label alone does. `wrap`: the left edge continues the right one and the
    top the bottom; else there are zeros outside, and only what is farther than the halo from the edges is right.
    """

    def __init__(self, config: EquivariantConfig, wrap: bool):
        super().__init__()
        self.config, self.fold, self.labels = config, config.fold, config.labels
        widths, pixels = config.widths, config.channels * config.fold**2
        embedding = widths[-1]
        self.noise = NoiseEmbedding(embedding)
        self.label = nn.Embedding(config.labels + 1, embedding)
        self.embed1 = nn.Linear(embedding, embedding)
        self.embed2 = nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(pixels, widths[0], 1)

        def level(entry: nn.Module, width: int) -> Level:
            return Level(entry, width, config.blocks, embedding, wrap)

        # Two by two pixels are one of the coarser level, and a coarse one spreads over two by two: neither looks beyond.
        self.down = nn.ModuleList([level(nn.Identity(), widths[0])])
        self.down.extend(level(nn.Conv2d(fine, coarse, 2, stride=2), coarse) for fine, coarse in zip(widths, widths[1:]))
        self.up = nn.ModuleList(level(nn.Conv2d(coarse, fine, 1), fine)
                                for fine, coarse in reversed(list(zip(widths, widths[1:]))))
        self.norm = PixelNorm(widths[0])
        self.out = zeroed(Convolution(widths[0], pixels, wrap))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        embedding = self.embed1(self.noise(noise)).unsqueeze(1)
        shares: Tensor | None = None  # of every label in every pixel
        if label.dim() == 1:
            embedding = embedding + self.label(label).unsqueeze(1)
        else:
            embedding = embedding + self.label.weight
            shares = F.one_hot(label, self.labels + 1).permute(0, 3, 1, 2).float()
            shares = F.avg_pool2d(shares, self.fold)
        embedding = F.silu(self.embed2(F.silu(embedding)))

        x = self.stem(F.pixel_unshuffle(x, self.fold))
        skips: list[Tensor] = []
        all_shares: list[Tensor | None] = []
        for depth, level in enumerate(self.down):
            if depth > 0 and shares is not None:
                shares = F.avg_pool2d(shares, 2)
            x = level(level.entry(x), embedding, shares)
            skips.append(x)
            all_shares.append(shares)
        skips.pop()
        all_shares.pop()

        for level in self.up:
            x = F.interpolate(level.entry(x), scale_factor=2.0, mode="nearest") + skips.pop()
            x = level(x, embedding, all_shares.pop())
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.fold)
