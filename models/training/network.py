"""The UNet of garments, songs and loops, which both of their models share: class-conditional, for images whose
sides divide by fold * 2 ** (len(widths) - 1)."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class UNetConfig:
    """What has to be known to build the network again: stored in every checkpoint."""

    channels: int = 1  # of the image
    labels: int = 10  # the index `labels` means "no label"
    widths: tuple[int, ...] = (64, 128)  # feature maps a level, from the finest; each level halves the sides
    blocks: int = 1  # residual blocks a level on the way down; one more on the way up
    fold: int = 2  # side of the squares of pixels that are folded into channels
    dropout: float = 0.0
    gated: bool = False  # the input, each value times a gate, is part of the output

    def build(self) -> "UNet":
        return UNet(self)


class GroupNorm(nn.GroupNorm):
    """GroupNorm over groups of 16 channels (Wu & He 2018); in training, spelled out from per-channel moments.

    torch.compile fuses the spelled-out form with its neighbours, which took an eighth off a training step on one CPU core;
    the exported network holds the plain operator.
    """

    def __init__(self, channels: int):
        super().__init__(channels // 16, channels)

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        n, c = x.shape[:2]
        x32 = x.float()
        mean = x32.mean(dim=(2, 3)).view(n, self.num_groups, -1).mean(-1, keepdim=True)
        square = x32.square().mean(dim=(2, 3)).view(n, self.num_groups, -1).mean(-1, keepdim=True)
        gain = torch.rsqrt(square - mean.square() + self.eps) * self.weight.view(self.num_groups, -1)
        bias = self.bias.view(self.num_groups, -1) - mean * gain
        return (x32 * gain.view(n, c, 1, 1) + bias.view(n, c, 1, 1)).to(x.dtype)


def zeroed(layer: nn.Module) -> nn.Module:
    """A residual branch that starts as zero, so that the network starts as the identity (He et al. 2016)."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class NoiseEmbedding(nn.Module):
    """Sinusoids of c_noise, [N] -> [N, width]; c_noise = ln(sigma) / 4 lies in about [-1.6, 1.1]."""

    def __init__(self, width: int):
        super().__init__()
        frequencies = torch.exp(torch.linspace(math.log(0.25), math.log(32.0), width // 2))
        self.register_buffer("frequencies", frequencies)

    def forward(self, noise: Tensor) -> Tensor:
        angles = noise[:, None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice; the noise level and the label scale and shift the second norm."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int, dropout: float):
        super().__init__()
        self.norm1 = GroupNorm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = GroupNorm(channels_out)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = zeroed(nn.Conv2d(channels_out, channels_out, 3, padding=1))
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class Attention(nn.Module):
    """Self-attention over all pixels, heads of 64 channels (Vaswani et al. 2017)."""

    def __init__(self, channels: int):
        super().__init__()
        self.heads = max(channels // 64, 1)
        self.norm = GroupNorm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).unbind(1)
        # Spelled out: the fused operator's backward made a whole training step a fifth slower on one CPU core.
        weights = torch.softmax(q.transpose(-1, -2) @ k * (c // self.heads) ** -0.5, dim=-1)
        return x + self.out((v @ weights.transpose(-1, -2)).reshape(n, c, h, w))


class Level(nn.Module):
    """One residual block and, at the coarsest level, attention."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int, dropout: float, attention: bool):
        super().__init__()
        self.block = ResidualBlock(channels_in, channels_out, embedding, dropout)
        self.attention = Attention(channels_out) if attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class UNet(nn.Module):
    """F(c_in x, c_noise, label): image [N, C, H, W], noise [N], label int64 [N] -> [N, C, H, W].

    The image is folded into channels first and unfolded at the end: with 2x2, a quarter of the pixels for four times the
    channels, which is what makes the network cheap. Where a folded pixel has more values than there are features, those can't
    tell the noise of each value, which the output has to name where it is weak: `gated` networks need not.
    """

    def __init__(self, config: UNetConfig):
        super().__init__()
        self.config = config
        widths, width = config.widths, config.widths[0]
        embedding = 4 * width
        self.noise = NoiseEmbedding(4 * width)
        self.label = nn.Embedding(config.labels + 1, embedding) if config.labels else None
        self.embed1 = nn.Linear(4 * width, embedding)
        self.embed2 = nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(config.fold**2 * config.channels, width, 3, padding=1)

        def level(channels_in: int, channels_out: int, depth: int) -> Level:
            return Level(channels_in, channels_out, embedding, config.dropout, depth == len(widths) - 1)

        self.down, self.shrink = nn.ModuleList(), nn.ModuleList()
        skips, channels = [width], width
        for depth, w in enumerate(widths):
            if depth > 0:
                self.shrink.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                skips.append(channels)
            blocks = nn.ModuleList()
            for _ in range(config.blocks):
                blocks.append(level(channels, w, depth))
                channels = w
                skips.append(channels)
            self.down.append(blocks)

        self.middle = level(channels, channels, len(widths) - 1)

        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        for depth, w in reversed(list(enumerate(widths))):
            blocks = nn.ModuleList()
            for _ in range(config.blocks + 1):
                blocks.append(level(channels + skips.pop(), w, depth))
                channels = w
            self.up.append(blocks)
            if depth > 0:
                self.grow.append(nn.Conv2d(channels, channels, 3, padding=1))

        self.norm = GroupNorm(channels)
        self.out = zeroed(nn.Conv2d(channels, config.fold**2 * config.channels, 3, padding=1))
        self.gate = zeroed(nn.Conv2d(channels, config.fold**2 * config.channels, 1)) if config.gated else None

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        embedding = self.embed1(self.noise(noise))
        if self.label is not None:
            embedding = embedding + self.label(label)
        embedding = F.silu(self.embed2(F.silu(embedding)))

        folded = F.pixel_unshuffle(x, self.config.fold)
        x = self.stem(folded)
        skips = [x]
        for depth, blocks in enumerate(self.down):
            if depth > 0:
                x = self.shrink[depth - 1](x)
                skips.append(x)
            for block in blocks:
                x = block(x, embedding)
                skips.append(x)

        x = self.middle(x, embedding)

        for depth, blocks in enumerate(self.up):
            for block in blocks:
                x = block(torch.cat([x, skips.pop()], dim=1), embedding)
            if depth < len(self.grow):
                x = self.grow[depth](F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = F.silu(self.norm(x))
        output = self.out(x)
        if self.gate is not None:
            output = output + self.gate(x) * folded
        return F.pixel_shuffle(output, self.config.fold)
