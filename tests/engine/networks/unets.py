"""Further UNets that people have: this project's own, and those in the style of Ho et al. 2020, of latent diffusion
(Rombach et al. 2022), of the PyTorch rewrites of DDPM with linear attention, of Ronneberger et al. 2015 with BatchNorm."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training import network as own

from .common import CONSISTENCY, EDM, TIMESTEPS, Embedding, metadata


def swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


class Block(nn.Module):
    """The embedding is added between the convolutions."""

    def __init__(self, width_in: int, width_out: int, embedding: int):
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(4, width_in, eps=1e-6), nn.Conv2d(width_in, width_out, 3, padding=1)
        self.norm2, self.conv2 = nn.GroupNorm(4, width_out, eps=1e-6), nn.Conv2d(width_out, width_out, 3, padding=1)
        self.project, self.dropout = nn.Linear(embedding, width_out), nn.Dropout(0.1)
        self.shortcut = nn.Conv2d(width_in, width_out, 1) if width_in != width_out else None

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        h = self.conv1(swish(self.norm1(x)))
        h = h + self.project(swish(emb))[:, :, None, None]
        h = self.conv2(self.dropout(swish(self.norm2(h))))
        return (x if self.shortcut is None else self.shortcut(x)) + h


class BatchedAttention(nn.Module):
    """One head, by bmm."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.GroupNorm(4, width, eps=1e-6)
        self.q, self.k, self.v, self.out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(x)
        n, c, height, width = x.shape
        q = self.q(h).reshape(n, c, height * width).permute(0, 2, 1)
        k, v = self.k(h).reshape(n, c, height * width), self.v(h).reshape(n, c, height * width)
        weights = F.softmax(torch.bmm(q, k) * (int(c) ** (-0.5)), dim=2).permute(0, 2, 1)
        return x + self.out(torch.bmm(v, weights).reshape(n, c, height, width))


class SpatialTransformer(nn.Module):
    """Pixels as tokens: self-attention, attention to a context, a gated feed-forward layer (GEGLU, Shazeer 2020)."""

    def __init__(self, width: int, context: int, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.norm, self.proj_in = nn.GroupNorm(4, width, eps=1e-6), nn.Conv2d(width, width, 1)
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(3)])
        self.projections = nn.ModuleList([nn.ModuleList([*(nn.Linear(c, width, bias=False) for c in (width, given, given)),
                                                         nn.Linear(width, width)]) for given in (width, context)])
        self.gate, self.back = nn.Linear(width, 8 * width), nn.Linear(4 * width, width)
        self.proj_out = nn.Conv2d(width, width, 1)

    def attend(self, x: Tensor, context: Tensor, layers: nn.ModuleList) -> Tensor:
        def heads_first(y: Tensor) -> Tensor:
            n, t, c = y.shape
            y = y.reshape(n, t, self.heads, c // self.heads).permute(0, 2, 1, 3)
            return y.reshape(n * self.heads, t, c // self.heads)

        q, k, v = heads_first(layers[0](x)), heads_first(layers[1](context)), heads_first(layers[2](context))
        weights = (torch.einsum("bid,bjd->bij", q, k) * (int(q.shape[-1]) ** -0.5)).softmax(dim=-1)
        a = torch.einsum("bij,bjd->bid", weights, v)
        n, t, c = x.shape
        return layers[3](a.reshape(n, self.heads, t, c // self.heads).permute(0, 2, 1, 3).reshape(n, t, c))

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        n, c, h, w = x.shape
        y = self.proj_in(self.norm(x)).permute(0, 2, 3, 1).reshape(n, h * w, c)
        normed = self.norms[0](y)
        y = self.attend(normed, normed, self.projections[0]) + y
        y = self.attend(self.norms[1](y), context, self.projections[1]) + y
        value, gate = self.gate(self.norms[2](y)).chunk(2, dim=-1)
        y = self.back(value * F.gelu(gate)) + y
        return self.proj_out(y.reshape(n, h, w, c).permute(0, 3, 1, 2)) + x


class Padded(nn.Module):
    """Two levels; halves with a row and a column of zeros on one side only."""

    def __init__(self, width: int = 16, labels: int = 0):
        super().__init__()
        self.embed = Embedding(32, labels)
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down1, self.shrink = Block(width, width, 32), nn.Conv2d(width, width, 3, stride=2)
        self.down2 = Block(width, 2 * width, 32)
        self.middle = SpatialTransformer(2 * width, 8) if labels else BatchedAttention(2 * width)
        self.up2, self.grow = Block(4 * width, 2 * width, 32), nn.Conv2d(2 * width, 2 * width, 3, padding=1)
        self.up1, self.norm = Block(3 * width, width, 32), nn.GroupNorm(4, width, eps=1e-6)
        self.out = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        emb = self.embed(noise, label)
        first = self.down1(self.stem(x), emb)
        second = self.down2(self.shrink(F.pad(first, (0, 1, 0, 1), mode="constant", value=0)), emb)
        h = self.middle(second) if label is None else self.middle(second, emb.reshape(-1, 4, 8))
        h = self.up2(torch.cat([h, second], dim=1), emb)
        h = self.grow(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        h = self.up1(torch.cat([h, first], dim=1), emb)
        return self.out(swish(self.norm(h)))


class RootMeanSquareNorm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.gain = nn.Parameter(torch.empty(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * (1 + self.gain) * x.shape[1] ** 0.5


class StandardizedConv(nn.Conv2d):
    """Standardizes its weights when it runs (Qiao et al. 2019)."""

    def forward(self, x: Tensor) -> Tensor:
        mean = self.weight.mean(dim=(1, 2, 3), keepdim=True)
        variance = self.weight.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        weight = (self.weight - mean) * (variance + 1e-5).rsqrt() / self.weight[0].numel() ** 0.5
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class LinearAttention(nn.Module):
    """Attention whose softmaxes come before the product (Shen et al. 2018), with learnt memory tokens."""

    def __init__(self, width: int, heads: int = 2):
        super().__init__()
        self.heads = heads
        self.norm, self.qkv = RootMeanSquareNorm(width), nn.Conv2d(width, 3 * width, 1, bias=False)
        self.memory = nn.Parameter(torch.empty(2, heads, width // heads, 4))
        self.out = nn.Sequential(nn.Conv2d(width, width, 1), RootMeanSquareNorm(width))

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = (y.reshape(n, self.heads, c // self.heads, h * w) for y in self.qkv(self.norm(x)).chunk(3, dim=1))
        key, value = (m.unsqueeze(0).expand(n, -1, -1, -1) for m in self.memory)
        k, v = torch.cat([key, k], dim=-1), torch.cat([value, v], dim=-1)
        q, k = q.softmax(dim=-2) * (int(c) // self.heads) ** -0.5, k.softmax(dim=-1)
        context = torch.einsum("bhdn,bhen->bhde", k, v)
        return self.out(torch.einsum("bhde,bhdn->bhen", context, q).reshape(n, c, h, w)) + x


class Sinusoids(nn.Module):
    """Frequencies are made of whole numbers, and a number that tracing notes in double precision."""

    def forward(self, noise: Tensor) -> Tensor:
        angles = noise[:, None] * torch.exp(torch.arange(16, device=noise.device) * -(math.log(100) / 15))[None, :]
        return torch.cat((angles.sin(), angles.cos()), dim=-1)


class Folded(nn.Module):
    """Halves by folding 2x2 pixels into channels with a reshape; norms by the root mean square."""

    def __init__(self, width: int = 12):
        super().__init__()
        self.embed = nn.Sequential(Sinusoids(), nn.Linear(32, 32), nn.GELU(), nn.Linear(32, 32))
        self.modulate = nn.Sequential(nn.SiLU(), nn.Linear(32, 4 * width))
        self.stem = nn.Conv2d(3, width, 7, padding=3)
        self.conv1, self.norm1 = StandardizedConv(width, width, 3, padding=1), RootMeanSquareNorm(width)
        self.fold, self.attention = nn.Conv2d(4 * width, 2 * width, 1), LinearAttention(2 * width)
        self.conv2, self.norm2 = StandardizedConv(2 * width, 2 * width, 3, padding=1), RootMeanSquareNorm(2 * width)
        self.grow = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(2 * width, width, 3, padding=1))
        self.out = nn.Conv2d(3 * width, 3, 1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        scale, shift = self.modulate(self.embed(noise)).reshape(-1, 4 * x.shape[1] * 4, 1, 1).chunk(2, dim=1)
        first = self.stem(x)
        h = F.silu(self.norm1(self.conv1(first))) + first
        n, c, height, width = h.shape
        h = h.reshape(n, c, height // 2, 2, width // 2, 2).permute(0, 1, 3, 5, 2, 4)
        h = self.attention(self.fold(h.reshape(n, c * 4, height // 2, width // 2)))
        h = F.silu(self.norm2(self.conv2(h)) * (scale + 1) + shift)
        return self.out(torch.cat((self.grow(h), first, first), dim=1))


class BatchNormUNet(nn.Module):
    """Convolution, BatchNorm, ReLU, twice a level; max pooling down, transposed convolutions up."""

    def __init__(self, width: int = 12):
        super().__init__()
        def double(a: int, b: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(a, b, 3, padding=1, bias=False), nn.BatchNorm2d(b), nn.ReLU(inplace=True),
                                 nn.Conv2d(b, b, 3, padding=1), nn.BatchNorm2d(b, affine=False), nn.ReLU(inplace=True))

        self.down1, self.down2, self.middle = double(4, width), double(width, 2 * width), double(2 * width, 2 * width)
        self.grow2, self.up2 = nn.ConvTranspose2d(2 * width, 2 * width, 2, stride=2), double(4 * width, width)
        self.grow1, self.up1 = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1), double(2 * width, width)
        self.pool, self.out = nn.MaxPool2d(2), nn.Conv2d(width, 3, 1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        level = noise.view(-1, 1, 1, 1).expand(-1, 1, x.shape[2], x.shape[3])
        first = self.down1(torch.cat([x, level], dim=1))
        second = self.down2(self.pool(first))
        h = self.grow2(self.middle(self.pool(second)))
        h = self.grow1(self.up2(torch.cat([second, h], dim=1)))
        return self.out(self.up1(torch.cat([first, h], dim=1)))


def write(save) -> None:
    picture = (3, 8, 8)
    garments = own.UNetConfig(widths=(16, 32))
    save("own", own.UNet(garments), metadata((1, 12, 12), {**CONSISTENCY, "network": EDM["network"]}, labels=10))
    save("own_deep", own.UNet(own.UNetConfig(channels=3, labels=0, widths=(16, 16, 32), dropout=0.1)),
         metadata((3, 16, 8), EDM))
    save("own_frozen", own.UNet(garments), metadata((1, 12, 12), EDM, labels=10), freeze=True)
    save("own_wide", own.UNet(own.UNetConfig(labels=0, widths=(32, 32))), metadata((1, 8, 8), EDM))
    save("ddpm", Padded(), metadata(picture, TIMESTEPS))
    save("latent_diffusion", Padded(labels=5), metadata(picture, TIMESTEPS, labels=5))
    save("linear_attention", Folded(), metadata(picture, EDM), optimize=True)
    save("batch_norm", BatchNormUNet(), metadata(picture, EDM))
