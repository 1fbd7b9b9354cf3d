"""Networks that torch.jit.script compiles: loops, branches, lists and methods stay in their graphs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import EDM, TIMESTEPS, Embedding, metadata


class Block(nn.Module):
    def __init__(self, width_in: int, width_out: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(4, width_in), nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, width_out), nn.Conv2d(width_out, width_out, 3, padding=1)
        self.affine, self.dropout = nn.Linear(embedding, 2 * width_out), nn.Dropout(0.2)
        self.skip = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else nn.Identity()

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.affine(emb)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(self.dropout(h))


class UNet(nn.Module):
    """A list of skips, loops over blocks, attention in a method, a branch on a setting."""

    def __init__(self, channels: int, labels: int, width: int = 16, attention: bool = True):
        super().__init__()
        self.attention, self.heads = attention, 2
        self.embed, self.stem = Embedding(32, labels), nn.Conv2d(channels, width, 3, padding=1)
        self.down = nn.ModuleList([Block(width, width, 32), Block(width, 2 * width, 32)])
        self.qkv, self.proj = nn.Conv2d(2 * width, 6 * width, 1), nn.Conv2d(2 * width, 2 * width, 1)
        self.up = nn.ModuleList([Block(4 * width, 2 * width, 32), Block(3 * width, width, 32)])
        self.norm, self.out = nn.GroupNorm(4, width), nn.Conv2d(width, channels, 3, padding=1)

    def attend(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(x).reshape(n, 3, self.heads, c // self.heads, h * w).unbind(1)
        weights = torch.softmax(q.transpose(-1, -2) @ k * (c // self.heads) ** -0.5, dim=-1)
        return x + self.proj((v @ weights.transpose(-1, -2)).reshape(n, c, h, w))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        emb = F.silu(self.embed(noise, label))
        x = self.stem(x)
        skips: list[Tensor] = []
        for block in self.down:
            x = block(x, emb)
            skips.append(x)
            x = F.avg_pool2d(x, 2)
        if self.attention:
            x = self.attend(x)
        for block in self.up:
            skip = skips.pop()
            x = F.interpolate(x, size=skip.shape[2:], mode="nearest")
            x = block(torch.cat([x, skip], dim=1), emb)
        return self.out(F.silu(self.norm(x)))


class Shapes(nn.Module):
    """Decides by sizes and counts in loops, one that ends early; the same layer is called by turns."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.embed, self.stem, self.out = Embedding(16), nn.Conv2d(3, width, 1), nn.Conv2d(width, 3, 3, padding=1)
        self.affine, self.norm = nn.Linear(16, width), nn.GroupNorm(3, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        x = self.stem(x) + self.affine(self.embed(noise))[:, :, None, None]
        height = x.size(2)
        if height > 4 and x.dim() == 4:
            x = F.avg_pool2d(x, 2, ceil_mode=True)
        else:
            x = F.relu(x)
        turn = 0
        while turn < 5:
            x = x + 0.5 * self.conv(F.silu(self.norm(x)))
            if turn == 2:
                break
            turn += 1
        parts = torch.jit.annotate(list[Tensor], [])
        for k in range(x.size(1) // 4):
            parts.append(x[:, 4 * k:4 * k + 4] * (k + 1.0))
        named = {"x": torch.cat(parts, dim=1), "y": x}
        x = 0.3 * (named["x"] + named["y"])
        if x.size(2) != height:
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear")[:, :, :height]
        assert x.size(2) == height
        return self.out(x)


class Values(nn.Module):
    """Decides by the values of tensors. Both branches of each decision that the whole batch shares are the same function,
    spelled in two ways: rows stay independent."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.embed, self.stem, self.out = Embedding(16), nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.affine, self.norm = nn.Linear(16, width), nn.GroupNorm(3, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.threshold = nn.Parameter(torch.empty(4))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        h = self.norm(self.stem(x)) + self.affine(self.embed(noise))[:, :, None, None]
        if x.mean() > 0:
            h = F.silu(h)
        else:
            h = h * torch.sigmoid(h)
        if bool(self.threshold.sum() > 100):
            h = h * 2
        for k in range(int(self.threshold.numel())):
            h = h + self.conv(h) * 0.2
        if float(noise[0]) > 0.5:
            h = self.conv(F.pad(h, [1, 1, 1, 1]))[:, :, 1:-1, 1:-1]
        else:
            h = self.conv(h)
        return self.out(h)


class Dropouts(nn.Module):
    """Scripted, they ask at every call whether the network is training."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.embed, self.stem, self.out = Embedding(16), nn.Conv2d(3, width, 3, padding=1), nn.Conv2d(width, 3, 3, padding=1)
        self.affine, self.norm = nn.Linear(16, 2 * width), nn.GroupNorm(3, width)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.batch, self.single, self.maps = nn.BatchNorm2d(width), nn.Dropout(0.5), nn.Dropout2d(0.5)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        scale, shift = self.affine(self.single(self.embed(noise)))[:, :, None, None].chunk(2, dim=1)
        x = self.stem(x)
        x = x + self.conv(self.single(F.silu(self.norm(x) * (1 + scale) + shift)))
        x = x + F.dropout(self.batch(self.conv(self.maps(x))), 0.3, self.training)
        return self.out(self.single(x))


def write(save) -> None:
    picture = (3, 6, 6)
    save("scripted_unet", UNet(3, 4), metadata((3, 8, 8), EDM, labels=4), script=True)
    save("scripted_unet_frozen", UNet(1, 4, width=8, attention=False), metadata((1, 8, 8), TIMESTEPS, labels=4), script=True,
         freeze=True)
    save("scripted_shapes", Shapes(), metadata((3, 5, 6), EDM), script=True)
    save("scripted_values", Values(), metadata(picture, EDM), script=True)
    save("scripted_dropout", Dropouts(), metadata(picture, EDM), script=True)
    save("traced_dropout", Dropouts(), metadata(picture, EDM))
