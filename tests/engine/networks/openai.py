"""UNets in the style of guided diffusion (Dhariwal & Nichol 2021) and consistency models (Song et al. 2023), as traced."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import CONSISTENCY, EDM, TIMESTEPS, metadata

CONVOLUTION = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
POOLING = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}


class GroupNorm32(nn.GroupNorm):
    """GroupNorm in single precision, whatever comes in."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).type(x.dtype)


def halving(dims: int):
    """Clips keep their frames: only height and width are halved."""
    return (1, 2, 2) if dims == 3 else 2


class Upsample(nn.Module):
    def __init__(self, dims: int, width: int, convolve: bool):
        super().__init__()
        self.conv = CONVOLUTION[dims](width, width, 3, padding=1) if convolve else None

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 5:
            x = F.interpolate(x, (x.shape[2], x.shape[3] * 2, x.shape[4] * 2), mode="nearest")
        else:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        return x if self.conv is None else self.conv(x)


class Downsample(nn.Module):
    def __init__(self, dims: int, width: int, convolve: bool):
        super().__init__()
        self.op = (CONVOLUTION[dims](width, width, 3, stride=halving(dims), padding=1) if convolve
                   else POOLING[dims](halving(dims), halving(dims)))

    def forward(self, x: Tensor) -> Tensor:
        return self.op(x)


class ResidualBlock(nn.Module):
    """`resample` is a class of the above, applied to both branches before the first convolution, or None."""

    def __init__(self, width_in: int, width_out: int, style: dict, resample=None):
        super().__init__()
        dims, groups, self.scale_shift = style["dims"], style["groups"], style["scale_shift"]
        conv = CONVOLUTION[dims]
        self.in_layers = nn.Sequential(GroupNorm32(groups, width_in), nn.SiLU(), conv(width_in, width_out, 3, padding=1))
        self.resample_h, self.resample_x = (resample(dims, width_in, False) if resample else None for _ in range(2))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(style["embedding"], width_out * (1 + self.scale_shift)))
        self.out_layers = nn.Sequential(GroupNorm32(groups, width_out), nn.SiLU(), nn.Dropout(0.1),
                                        conv(width_out, width_out, 3, padding=1))
        if width_in == width_out:
            self.skip = nn.Identity()
        else:
            self.skip = conv(width_in, width_out, 3, padding=1) if style["wide_skip"] else conv(width_in, width_out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        if self.resample_h is not None:
            h = self.resample_h(self.in_layers[:-1](x))
            x = self.resample_x(x)
            h = self.in_layers[-1](h)
        else:
            h = self.in_layers(x)
        emb = self.emb_layers(emb).type(h.dtype)
        while emb.dim() < h.dim():
            emb = emb[..., None]
        if self.scale_shift:
            scale, shift = torch.chunk(emb, 2, dim=1)
            h = self.out_layers[1:](self.out_layers[0](h) * (1 + scale) + shift)
        else:
            h = self.out_layers(h + emb)
        return self.skip(x) + h


def attend_legacy(qkv: Tensor, heads: int) -> Tensor:
    """Channels in the order head, {q, k, v}: [N, heads * 3 * C, T] -> [N, heads * C, T]."""
    n, rows, length = qkv.shape
    c = rows // (3 * heads)
    q, k, v = qkv.reshape(n * heads, c * 3, length).split(c, dim=1)
    scale = 1 / math.sqrt(math.sqrt(c))
    weight = torch.einsum("bct,bcs->bts", q * scale, k * scale)
    weight = torch.softmax(weight.float(), dim=-1).type(weight.dtype)
    return torch.einsum("bts,bcs->bct", weight, v).reshape(n, -1, length)


def attend(qkv: Tensor, heads: int) -> Tensor:
    """Channels in the order {q, k, v}, head."""
    n, rows, length = qkv.shape
    c = rows // (3 * heads)
    q, k, v = qkv.chunk(3, dim=1)
    scale = 1 / math.sqrt(math.sqrt(c))
    weight = torch.einsum("bct,bcs->bts", (q * scale).view(n * heads, c, length), (k * scale).view(n * heads, c, length))
    weight = torch.softmax(weight.float(), dim=-1).type(weight.dtype)
    return torch.einsum("bts,bcs->bct", weight, v.reshape(n * heads, c, length)).reshape(n, -1, length)


def attend_flash(qkv: Tensor, heads: int) -> Tensor:
    """The order of `attend`, laid out for a fused kernel."""
    n, rows, length = qkv.shape
    q, k, v = qkv.reshape(n, 3, heads, rows // (3 * heads), length).permute(0, 4, 1, 2, 3).unbind(2)  # [N, T, heads, C] each
    a = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return a.transpose(1, 2).permute(0, 2, 3, 1).reshape(n, -1, length)


class Attention(nn.Module):
    def __init__(self, width: int, style: dict):
        super().__init__()
        self.norm = GroupNorm32(style["groups"], width)
        self.qkv, self.proj_out = nn.Conv1d(width, 3 * width, 1), nn.Conv1d(width, width, 1)
        self.attend, self.heads = style["attend"], style["heads"]

    def forward(self, x: Tensor) -> Tensor:
        n, c, *spatial = x.shape
        x = x.reshape(n, c, -1)
        return (x + self.proj_out(self.attend(self.qkv(self.norm(x)), self.heads))).reshape(n, c, *spatial)


class Stage(nn.Sequential):
    """Layers in turn; those that take the embedding get it."""

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, emb) if isinstance(layer, ResidualBlock) else layer(x)
        return x


def sinusoids(steps: Tensor, width: int) -> Tensor:
    frequencies = torch.exp(-math.log(10000) * torch.arange(0, width // 2, dtype=torch.float32) / (width // 2))
    angles = steps[:, None].float() * frequencies.to(device=steps.device)[None]
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class UNet(nn.Module):
    def __init__(self, channels: int = 3, dims: int = 2, width: int = 16, levels: tuple[int, ...] = (1, 2), blocks: int = 1,
                 groups: int = 8, attention: tuple[int, ...] = (1,), attend=attend_legacy, heads: int = 2,
                 scale_shift: bool = True, block_resampling: bool = False, conv_resampling: bool = True,
                 wide_skip: bool = False, labels: int = 0, learn_sigma: bool = False):
        super().__init__()
        self.width, self.channels = width, channels
        embedding = 4 * width
        style = {"dims": dims, "groups": groups, "scale_shift": scale_shift, "embedding": embedding, "attend": attend,
                 "heads": heads, "wide_skip": wide_skip}
        conv = CONVOLUTION[dims]
        self.time_embed = nn.Sequential(nn.Linear(width, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.label_emb = nn.Embedding(labels, embedding) if labels else None

        def resample(kind, w: int) -> nn.Module:
            return ResidualBlock(w, w, style, kind) if block_resampling else kind(dims, w, conv_resampling)

        w, skips = width, [width]
        self.input_blocks = nn.ModuleList([Stage(conv(channels, w, 3, padding=1))])
        for depth, factor in enumerate(levels):
            for _ in range(blocks):
                stage = [ResidualBlock(w, width * factor, style)]
                w = width * factor
                self.input_blocks.append(Stage(*stage, *([Attention(w, style)] if depth in attention else [])))
                skips.append(w)
            if depth + 1 < len(levels):
                self.input_blocks.append(Stage(resample(Downsample, w)))
                skips.append(w)
        self.middle_block = Stage(ResidualBlock(w, w, style), Attention(w, style), ResidualBlock(w, w, style))
        self.output_blocks = nn.ModuleList()
        for depth, factor in reversed(list(enumerate(levels))):
            for block in range(blocks + 1):
                stage = [ResidualBlock(w + skips.pop(), width * factor, style)]
                w = width * factor
                stage += [Attention(w, style)] if depth in attention else []
                stage += [resample(Upsample, w)] if depth and block == blocks else []
                self.output_blocks.append(Stage(*stage))
        self.out = nn.Sequential(GroupNorm32(groups, w), nn.SiLU(), conv(w, channels * (1 + learn_sigma), 3, padding=1))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        emb = self.time_embed(sinusoids(noise, self.width))
        if self.label_emb is not None:
            emb = emb + self.label_emb(label)
        h, skips = x.type(torch.float32), []
        for stage in self.input_blocks:
            h = stage(h, emb)
            skips.append(h)
        h = self.middle_block(h, emb)
        for stage in self.output_blocks:
            h = stage(torch.cat([h, skips.pop()], dim=1), emb)
        return self.out(h.type(x.dtype))[:, :self.channels]


def write(save) -> None:
    picture = (3, 8, 8)
    save("openai_scale_shift", UNet(labels=5, block_resampling=True), metadata(picture, CONSISTENCY, labels=5))
    save("openai_added_embedding", UNet(scale_shift=False, attend=attend), metadata(picture, CONSISTENCY))
    save("openai_pooling", UNet(conv_resampling=False, wide_skip=True, attention=(0, 1), heads=4),
         metadata(picture, CONSISTENCY))
    save("openai_flash", UNet(labels=5, attend=attend_flash, block_resampling=True),
         metadata(picture, CONSISTENCY, labels=5))
    save("openai_groups_of_one", UNet(width=32, levels=(1, 1), groups=32, attention=(), heads=1, learn_sigma=True),
         metadata(picture, TIMESTEPS))
    save("openai_two_blocks", UNet(width=12, groups=6, levels=(1, 1, 2), blocks=2, attention=(2,), attend=attend,
                                   scale_shift=False, block_resampling=True), metadata(picture, TIMESTEPS))
    save("openai_audio", UNet(channels=2, dims=1, labels=3), metadata((2, 32), EDM, labels=3))
    save("openai_video", UNet(channels=1, dims=3, width=8, groups=4, block_resampling=True), metadata((1, 3, 8, 8), EDM))
