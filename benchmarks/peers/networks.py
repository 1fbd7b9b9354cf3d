#!/usr/bin/env python3
"""The networks that the peers are compared on, and their model files:

    networks.py FOLDER [NAME...] [--onestep PROGRAM]

UNets as most people write them, in two families, and a transformer. Their weights are random, since what a network draws
does not change how long it takes; but nothing in them is zero or negligible, so that an engine that computes them wrongly is
found out."""

import argparse
import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "models"), str(ROOT / "models/training")]
from exporters.model_file import write  # noqa: E402
import network as shipped  # noqa: E402

LABELS = 10


@dataclass(frozen=True)
class Config:
    channels: int  # of the image
    size: int  # its side
    widths: tuple[int, ...]  # feature maps a level, from the finest; each level halves the sides
    blocks: int  # residual blocks a level on the way down; one more on the way up
    attention: tuple[int, ...]  # the sides of the maps that have it
    head: int = 64  # channels of an attention head
    groups: int = 16  # of GroupNorm
    resize_in_blocks: bool = False  # the family: resized by residual blocks, or by convolutions of their own


@dataclass(frozen=True)
class TransformerConfig:
    channels: int
    size: int
    width: int
    depth: int
    head: int = 64
    patch: int = 2  # its side; a token each


NETWORKS = {
    # Dhariwal & Nichol 2021, section 3, without what they add for large images; as in Karras et al. 2022, Table 8.
    "small": Config(1, 28, widths=(32, 48, 64), blocks=1, attention=(7,)),
    "medium": Config(1, 28, widths=(64, 112, 160), blocks=1, attention=(7,)),
    "large": Config(3, 32, widths=(96, 192, 256), blocks=2, attention=(16, 8)),
    # Dhariwal & Nichol 2021 for 64 x 64, which Song et al. 2023 distil, with a third of its widths.
    "openai64": Config(3, 64, widths=(64, 128, 192, 256), blocks=3, attention=(16, 8), groups=32, resize_in_blocks=True),
    # Peebles & Xie 2023, Table 1, DiT-S/2: 256 tokens.
    "transformer": TransformerConfig(3, 32, width=384, depth=12),
}
SHIPPED = "fashion"  # the student that onestep comes with; of float32 weights, as the peers would have them
NAMES = ["small", SHIPPED, "medium", "large", "openai64", "transformer"]


def halve(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class NoiseEmbedding(nn.Module):
    """Sinusoids of the noise input, ln(sigma) / 4, [N] -> [N, width], at the frequencies of Vaswani et al. 2017."""

    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("frequencies", 1000 * torch.exp(torch.linspace(0, -math.log(1e4), width // 2)))

    def forward(self, noise: Tensor) -> Tensor:
        angles = noise[:, None] * self.frequencies
        return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResidualBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice, resized between the first SiLU and its convolution; the noise level and the label
    scale and shift the second norm (Dhariwal & Nichol 2021, section 3)."""

    def __init__(self, channels_in: int, channels_out: int, groups: int, embedding: int,
                 resize: Callable[[Tensor], Tensor] | None = None):
        super().__init__()
        self.resize = resize or nn.Identity()
        self.norm1 = nn.GroupNorm(groups, channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = nn.GroupNorm(groups, channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(self.resize(F.silu(self.norm1(x))))
        scale, shift = self.modulation(F.silu(embedding))[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return self.skip(self.resize(x)) + h


class ConvolutionalResize(nn.Module):
    """A strided convolution, or a convolution of the doubled picture (Ho et al. 2020)."""

    def __init__(self, channels: int, grow: bool):
        super().__init__()
        self.grow = grow
        self.conv = nn.Conv2d(channels, channels, 3, stride=1 if grow else 2, padding=1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.conv(double(x) if self.grow else x)


class Attention(nn.Module):
    """Self-attention over all pixels."""

    def __init__(self, channels: int, groups: int, head: int):
        super().__init__()
        self.heads = max(channels // head, 1)
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).transpose(-1, -2).unbind(1)
        return x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(-1, -2).reshape(n, c, h, w))


class Stage(nn.Module):
    """A residual block and, on maps whose side says so, attention."""

    def __init__(self, channels_in: int, channels_out: int, side: int, config: Config, embedding: int):
        super().__init__()
        self.block = ResidualBlock(channels_in, channels_out, config.groups, embedding)
        self.attention = Attention(channels_out, config.groups, config.head) if side in config.attention else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.attention(self.block(x, embedding))


class UNet(nn.Module):
    """F(c_in x, ln(sigma) / 4, label): image [N, C, H, W], noise [N], label int64 [N] -> [N, C, H, W]."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.widths[0]
        embedding = 4 * width
        self.noise = NoiseEmbedding(width)
        self.embed1, self.embed2 = nn.Linear(width, embedding), nn.Linear(embedding, embedding)
        self.label = nn.Embedding(LABELS, embedding)
        self.stem = nn.Conv2d(config.channels, width, 3, padding=1)

        def resized(channels: int, grow: bool) -> nn.Module:
            if config.resize_in_blocks:
                return ResidualBlock(channels, channels, config.groups, embedding, double if grow else halve)
            return ConvolutionalResize(channels, grow)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()  # `down` leaves a skip connection after each of its parts
        skips, channels, side = [width], width, config.size
        for depth, w in enumerate(config.widths):
            if depth > 0:
                self.down.append(resized(channels, grow=False))
                skips.append(channels)
                side //= 2
            for _ in range(config.blocks):
                self.down.append(Stage(channels, w, side, config, embedding))
                channels = w
                skips.append(channels)

        self.middle = Stage(channels, channels, side, config, embedding)
        self.after_middle = ResidualBlock(channels, channels, config.groups, embedding)

        for depth, w in reversed(list(enumerate(config.widths))):
            for _ in range(config.blocks + 1):
                self.up.append(Stage(channels + skips.pop(), w, side, config, embedding))
                channels = w
            if depth > 0:
                self.up.append(resized(channels, grow=True))
                side *= 2

        self.norm = nn.GroupNorm(config.groups, channels)
        self.out = nn.Conv2d(channels, config.channels, 3, padding=1)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        embedding = self.embed2(F.silu(self.embed1(self.noise(noise)))) + self.label(label)
        x = self.stem(x)
        skips = [x]
        for part in self.down:
            x = part(x, embedding)
            skips.append(x)
        x = self.after_middle(self.middle(x, embedding), embedding)
        for part in self.up:
            x = part(torch.cat([x, skips.pop()], dim=1) if isinstance(part, Stage) else x, embedding)
        return self.out(F.silu(self.norm(x)))


class TransformerBlock(nn.Module):
    """Attention and a perceptron, each of a norm that the noise level and the label scale and shift, each scaled by them
    before it is added (Peebles & Xie 2023, section 3.2, adaLN)."""

    def __init__(self, width: int, head: int):
        super().__init__()
        self.heads = width // head
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.modulation = nn.Linear(width, 6 * width)

    def attend(self, x: Tensor) -> Tensor:
        n, tokens, c = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        return self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, tokens, c))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(F.silu(embedding))[:, None].chunk(6, dim=2)
        x = x + gate1 * self.attend(self.norm1(x) * (1 + scale1) + shift1)
        h = self.wide(self.norm2(x) * (1 + scale2) + shift2)
        return x + gate2 * self.narrow(F.gelu(h, approximate="tanh"))


class Transformer(nn.Module):
    """As UNet: image [N, C, H, W], noise [N], label int64 [N] -> [N, C, H, W]."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        width, self.patch, self.side = config.width, config.patch, config.size // config.patch
        self.noise = NoiseEmbedding(256)
        self.embed1, self.embed2 = nn.Linear(256, width), nn.Linear(width, width)
        self.label = nn.Embedding(LABELS, width)
        self.patches = nn.Conv2d(config.channels, width, config.patch, stride=config.patch)
        self.places = nn.Parameter(torch.empty(self.side**2, width))
        self.blocks = nn.ModuleList(TransformerBlock(width, config.head) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation, self.out = nn.Linear(width, 2 * width), nn.Linear(width, config.patch**2 * config.channels)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        embedding = self.embed2(F.silu(self.embed1(self.noise(noise)))) + self.label(label)
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            x = block(x, embedding)
        shift, scale = self.modulation(F.silu(embedding))[:, None].chunk(2, dim=2)
        x = self.out(self.norm(x) * (1 + scale) + shift)
        n, p, side = x.shape[0], self.patch, self.side
        return x.reshape(n, side, side, p, p, -1).permute(0, 5, 1, 3, 2, 4).reshape(n, -1, side * p, side * p)


def build(name: str) -> nn.Module:
    config = NETWORKS[name]
    return Transformer(config) if isinstance(config, TransformerConfig) else UNet(config)


def randomize(network: nn.Module) -> nn.Module:
    """Weights that keep the size of what goes through them, and norms and biases that are not ones and zeros."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.dim() > 1 and not name.startswith("label"):
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            else:
                tensor.normal_(1 if "norm" in name and name.endswith("weight") else 0, 0.1, generator=generator)
    return network.eval().requires_grad_(False)


def metadata(name: str) -> dict:
    config = NETWORKS[name]
    return {
        "format": 1, "name": name, "role": "consistency",
        "sample": {"modality": "image", "shape": [config.channels, config.size, config.size], "range": [-1, 1]},
        "network": {
            "noise_input": {"kind": "log_sigma", "scale": 0.25},
            "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002},
        },
        "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        "labels": {"count": LABELS, "encoding": "index"},
        "card": {"weights": "random: benchmarks/peers/networks.py"},
    }


def module(file: Path, name: str) -> nn.Module:
    """The Python module of a model file, for the peers that can't start from TorchScript; the weights are the file's."""
    weights = torch.jit.load(str(file)).state_dict()
    network = shipped.UNet(shipped_config(weights)) if name == SHIPPED else build(name)
    network.load_state_dict(weights)
    return network.eval().requires_grad_(False)


def made(name: str) -> tuple[nn.Module, dict]:
    """A network and its metadata."""
    if name != SHIPPED:
        return randomize(build(name)), metadata(name)
    file, about = ROOT / "models" / f"{name}.pt", {"onestep.json": ""}
    torch.jit.load(str(file), _extra_files=about)
    return module(file, name), json.loads(about["onestep.json"])


def shipped_config(weights: dict[str, Tensor]) -> shipped.UNetConfig:
    """What models/training/network.py was given, told by the tensors."""
    def levels(pattern: str) -> list[str]:
        found = []
        while pattern.format(len(found)) in weights:
            found.append(pattern.format(len(found)))
        return found

    return shipped.UNetConfig(channels=len(weights["out.weight"]) // 4, labels=len(weights["label.weight"]) - 1,
                              widths=tuple(len(weights[key]) for key in levels("down.{}.0.block.conv1.weight")),
                              blocks=len(levels("down.0.{}.block.conv1.weight")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME",
                        help=f"{', '.join(NAMES)} (default: all)")
    parser.add_argument("--onestep", help="the program that verifies the files (default: build/src/onestep)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        network, about = made(name)
        parameters = sum(tensor.numel() for tensor in network.parameters())
        print(f"{name}: {parameters / 1e6:.1f} million parameters", file=sys.stderr)
        with contextlib.redirect_stdout(sys.stderr):
            write(network, about, options.folder / f"{name}.pt", options.onestep)


if __name__ == "__main__":
    main()
