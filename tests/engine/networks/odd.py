"""Sizes that divide nothing, shared and overwritten tensors, unusual types, layouts and inputs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import CONSISTENCY, EDM, FLOW_MAP, TIMESTEPS, Embedding, metadata
from .spellings import Around, conv


class Pyramid(nn.Module):
    """Down by strided convolutions and up to each skip's own size, so that any size will do. `groups` 0: one a channel."""

    def __init__(self, widths: tuple[int, ...], groups: int, channels: int = 3, kernel: int = 3, stride: int = 2,
                 bias: bool = True, labels: int = 0):
        super().__init__()

        def norm(width: int) -> nn.GroupNorm:
            return nn.GroupNorm(groups or width, width)

        self.stem, self.embed = conv(channels, widths[0], kernel, bias=bias), Embedding(16, labels)
        self.shrink, self.norms, self.affine, self.convs, self.joins, self.skips = (nn.ModuleList() for _ in range(6))
        for a, b in zip(widths, widths[1:]):
            self.shrink.append(conv(a, b, kernel, stride=stride, bias=bias))
            self.norms.append(nn.ModuleList([norm(b), norm(b), norm(a + b)]))
            self.affine.append(nn.Linear(16, 2 * b))
            self.convs.append(nn.ModuleList([conv(b, kernel=kernel, bias=bias), conv(b, kernel=kernel, bias=bias)]))
            self.joins.append(conv(a + b, a, kernel, bias=bias))
            self.skips.append(conv(a + b, a, 1, bias=bias))
        self.norm, self.out = norm(widths[0]), conv(widths[0], channels, kernel, bias=bias)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        emb = F.silu(self.embed(noise, label))
        x, skips = self.stem(x), []
        for shrink, (norm1, norm2, _), affine, (conv1, conv2) in zip(self.shrink, self.norms, self.affine, self.convs):
            skips.append(x)
            x = shrink(x)
            scale, shift = affine(emb)[:, :, None, None].chunk(2, dim=1)
            x = x + conv2(F.silu(norm2(conv1(F.silu(norm1(x)))) * (1 + scale) + shift))
        for norms, join, shortcut in reversed(list(zip(self.norms, self.joins, self.skips))):
            skip = skips.pop()
            x = torch.cat([F.interpolate(x, size=skip.shape[2:], mode="nearest"), skip], dim=1)
            x = shortcut(x) + join(F.silu(norms[2](x)))
        return self.out(F.silu(self.norm(x)))


class Video(nn.Module):
    """Convolutions over time and space, pooling of both, attention over time at every pixel."""

    def __init__(self, channels: int = 1, width: int = 12):
        super().__init__()
        self.embed, self.affine = Embedding(16), nn.Linear(16, 2 * width)
        self.stem, self.shrink = nn.Conv3d(channels, width, 3, padding=1), nn.Conv3d(width, width, 3, stride=2, padding=1)
        self.space = nn.Conv3d(width, width, (1, 3, 3), padding=(0, 1, 1))
        self.time = nn.Conv3d(width, width, (3, 1, 1), padding=(1, 0, 0))
        self.norm1, self.norm2, self.qkv = nn.GroupNorm(3, width), nn.GroupNorm(4, width), nn.Linear(width, 3 * width)
        self.out = nn.Conv3d(2 * width, channels, 1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        first = self.stem(x)
        scale, shift = self.affine(self.embed(noise))[:, :, None, None, None].chunk(2, dim=1)
        h = self.shrink(first)
        h = h + self.time(F.silu(self.norm2(self.space(F.silu(self.norm1(h)))) * (1 + scale) + shift))
        n, c, t, height, width = h.shape
        q, k, v = self.qkv(h.permute(0, 3, 4, 2, 1).reshape(n * height * width, t, c)).chunk(3, dim=-1)
        a = F.scaled_dot_product_attention(q, k, v)
        h = h + a.reshape(n, height, width, t, c).permute(0, 4, 3, 1, 2)
        return self.out(torch.cat([F.interpolate(h, size=first.shape[2:], mode="trilinear"), first], dim=1))


class Audio(nn.Module):
    """Dilated gated convolutions with a sum of skips, as in WaveNet (van den Oord et al. 2016)."""

    def __init__(self, channels: int = 1, width: int = 12, labels: int = 3):
        super().__init__()
        self.embed, self.stem = Embedding(16, labels), nn.Conv1d(channels, width, 1)
        self.gates = nn.ModuleList([nn.Conv1d(width, 2 * width, 3, padding=2**k, dilation=2**k) for k in range(4)])
        self.affine, self.outs = nn.Linear(16, width), nn.ModuleList([nn.Conv1d(width, 2 * width, 1) for _ in range(4)])
        self.shrink, self.grow = nn.Conv1d(width, width, 4, stride=4), nn.ConvTranspose1d(width, width, 4, stride=4)
        self.norm, self.recurrent = nn.GroupNorm(4, width), nn.GRU(width, width, batch_first=True)
        self.out = nn.Conv1d(width, channels, 1)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        emb, skips = self.affine(self.embed(noise, label))[:, :, None], 0
        x = F.relu(self.stem(x))
        for gate, out in zip(self.gates, self.outs):
            a, b = gate(x + emb).chunk(2, dim=1)
            residual, skip = out(torch.tanh(a) * torch.sigmoid(b)).chunk(2, dim=1)
            x, skips = (x + residual) * 0.5**0.5, skips + skip
        h = self.shrink(F.silu(self.norm(skips)))
        h = h + self.recurrent(h.transpose(1, 2))[0].transpose(1, 2)
        return self.out(F.relu(skips + self.grow(h)))


class Oddities(Around):
    """What nobody would match."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.squeeze, self.excite, self.batch = nn.Linear(w, 4), nn.Linear(4, w), nn.BatchNorm2d(w)
        self.convs = nn.ModuleList([conv(w) for _ in range(6)])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        gate = torch.sigmoid(self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3))))))
        x = self.convs[0](x) * gate[:, :, None, None]
        x = x + 0.2 * torch.cumsum(self.convs[1](x), dim=3)
        x = torch.where(x > shift, x, torch.sin(3 * x))
        x = F.leaky_relu(F.instance_norm(self.convs[2](x)), 0.1) + self.batch(x)
        x = F.interpolate(F.avg_pool2d(x, 2), scale_factor=2, mode="bilinear") + self.convs[3](x)
        x = x.masked_fill(x.abs() < 0.05, 0.5) + x.roll(1, dims=3) + x.sort(dim=1)[0].flip(2)
        x = x + self.convs[4](x.amax(dim=1, keepdim=True).expand_as(x)) + x.argmax(dim=1, keepdim=True).float() * 0.1
        spectrum = torch.fft.rfft2(x, norm="ortho")
        x = torch.fft.irfft2(spectrum * torch.linspace(1, 0.2, spectrum.shape[-1]), s=x.shape[2:], norm="ortho")
        return (self.convs[5](x) * (1 + scale)) / (1 + x.std(dim=(1, 2, 3), keepdim=True))


class Aliases(Around):
    """Overwrites views: each changes the tensor that it is a view of."""

    def __init__(self):
        super().__init__()
        self.convs, self.norm = nn.ModuleList([conv(self.width) for _ in range(6)]), nn.GroupNorm(3, self.width)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = x[:, :4]
        y.add_(1)
        kept = x
        x = self.convs[0](x)
        kept[:, 4:8] = 0.5  # after the convolution has read it
        rows = x.view(x.shape[0], 4, -1)
        rows.mul_(0.5)
        x.transpose(2, 3)[:, :, 0].sub_(shift[:, :, 0])
        x = x + kept
        before = F.silu(self.norm(x))
        x[:, ::2].copy_(before[:, ::2])
        x = x.add_(self.convs[1](x))
        first, second = self.convs[2](x).chunk(2, dim=1)
        first += second
        joined = torch.cat([first, second], dim=1)
        second.zero_()  # no longer part of `joined`
        x = joined + torch.cat([second, first], dim=1) + self.convs[3](before)
        before.mul_(scale)
        x = F.relu(x, inplace=True) + before
        wide = x.flatten(2)
        wide[..., -1] += 1
        x.clamp_(max=3)
        skips = [x]
        x = x.mul(0.5)
        skips[-1].add_(x)
        x = self.convs[4](x) + self.convs[5](skips[0])
        return torch.tanh_(x[:, :, :, :]).add_(0.1) + x


class Shared(Around):
    """One tensor is a residual, part of a concatenation, input of two norms and of two convolutions."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.norm1, self.norm2, self.joint = nn.GroupNorm(3, w), nn.GroupNorm(4, w), nn.GroupNorm(4, 2 * w)
        self.conv1, self.conv2, self.conv3, self.join = conv(w), conv(w), conv(w, kernel=1), conv(2 * w, w)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = self.conv1(x)
        a = self.conv2(F.silu(self.norm1(y) * (1 + scale) + shift))
        b = self.join(F.silu(self.joint(torch.cat([y, a], dim=1))))
        normed = F.silu(self.norm2(y))
        return 0.4 * (y + a + b + self.conv3(y) + self.conv2(normed) + normed + self.conv1(normed + y))


class Chosen(Around):
    """Channels in an order that the noise level says."""

    def __init__(self):
        super().__init__()
        self.conv = conv(self.width)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        rows = torch.arange(x.shape[0], device=x.device)[:, None]
        return self.conv(x)[rows, shift[:, :, 0, 0].argsort(dim=1)] * scale


class Several(Around):
    """Images folded into the first dimension, some with one channel each, under every operation on images."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.one, self.three, self.each = conv(1, 2), conv(w // 3), nn.Conv2d(w // 3, w // 3, 3, padding=1, groups=w // 3)
        self.norm, self.instance, self.batch = nn.GroupNorm(2, w // 3), nn.InstanceNorm2d(w // 3), nn.BatchNorm2d(w // 3)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x + self.one(x.reshape(n * c, 1, h, w)).sum(dim=1).reshape(n, c, h, w)
        y = x.reshape(n * 3, c // 3, h, w)
        y = self.three(F.silu(self.norm(y))) + self.instance(y) + self.each(self.batch(y))
        y = F.interpolate(F.avg_pool2d(F.pad(y, (1, 1, 1, 1), mode="reflect"), 2), size=(h, w))
        y = y + F.pixel_unshuffle(F.pixel_shuffle(y, 2), 2).flip(1)
        return torch.cat([y, y], dim=1).reshape(n, 2, c, h, w).mean(dim=1) * (1 + scale) + x + shift


class Doubles(Around):
    """Double precision in the middle; half precision, whole numbers and truth values where they are exact."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.conv1, self.conv2, self.norm, self.row = conv(w), conv(w), nn.GroupNorm(3, w), nn.Linear(w, w, bias=False)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        rounded = x.half().float() + x.bfloat16().to(x.dtype)
        return super().forward(rounded * 0.5, noise) + 0.1 * (x * 4).round().long().float() + 0.1 * (x > 0.25).type_as(x)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = self.conv1(x)
        y = F.group_norm(x.double(), 3, self.norm.weight.double(), self.norm.bias.double())
        y = F.silu(y * (1 + scale.double()) + shift)
        y = F.conv2d(y, self.conv2.weight.double(), self.conv2.bias.double(), padding=1).float()
        z = F.linear(x.double().mean((2, 3)), self.row.weight.double()).to(torch.float32)
        return x + y + z[:, :, None, None] + self.norm(x.float()).type(x.dtype).to("cpu").contiguous()


class Types(Around):
    """Truth values, whole numbers, complex and other real numbers on the way between two convolutions; continuous, as other
    roundings would show in what jumps."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(self.width) for _ in range(4)])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        above = x > 0.1
        x = self.convs[0](torch.where(above, x, 2 * x - 0.1)) + x.masked_fill(above, 0.1)
        y = self.convs[1](x)
        largest, where = y.max(dim=1, keepdim=True)  # both of one operator
        x = x + largest + 0.5 * y.gather(1, where) + torch.take_along_dim(y, y.argsort(dim=3), dim=3)
        x = self.convs[2]((x - shift) * (x > shift)) + torch.cat([x[:, :1] > 9, x[:, 1:]], dim=1)  # truth among numbers
        x = x + torch.fft.ifft2(torch.fft.fft2(x) * 0.5).real
        return self.convs[3](F.silu((x.double() * (1 + scale.double())).float()) * 0.5)


class Conditions(Around):
    """Truth values and whole numbers made of the conditions, maps of them, parts without channels."""

    def __init__(self):
        super().__init__()
        self.plain, self.wide = conv(self.width, bias=False), conv(self.width + 2, self.width)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = self.plain(x) + (scale > -9) + (scale > -8) + shift.long()  # two truths are 2
        x = torch.cat([x.new_zeros(n, 0, h, w), x, scale[:, :0].expand(n, 0, h, w)], dim=1)
        maps = scale[:, :1].expand(n, 1, h, w) * torch.linspace(0, 1, w)
        x = self.wide(torch.cat([x, maps, (shift[:, :1] > 0).float().expand(n, 1, h, w)], dim=1))
        return torch.where(x > shift, x, shift + 0.1 * (x - shift)) + maps.expand_as(x)


class Layouts(Around):
    """Channels last, transposed and expanded tensors go into convolutions and norms; the result is a transposed view."""

    def __init__(self):
        super().__init__()
        self.convs, self.norm = nn.ModuleList([conv(self.width) for _ in range(5)]), nn.GroupNorm(4, self.width)
        self.map = torch.linspace(-1, 1, 36).reshape(6, 6).t()  # a constant of the trace, no parameter

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return super().forward(x.transpose(2, 3), noise).transpose(2, 3)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = self.convs[0](x.contiguous(memory_format=torch.channels_last))
        x = x + self.convs[1](F.silu(self.norm(x.transpose(2, 3)))).transpose(2, 3)
        x = x.to(memory_format=torch.contiguous_format) + self.map
        x = x + self.convs[2](F.silu(shift.expand(-1, -1, 6, 6) + self.norm(scale.expand(x.shape))))
        x = x + self.convs[3](x[:, :, ::2].repeat(1, 1, 2, 1)) + self.convs[4](x.flip(1)[:, :, 1:, 1:])[:, :, :1, :1]
        states = torch.zeros(x.shape[0], 2, *x.shape[2:], device=x.device)
        states = torch.cat([states, x], dim=1)[:, 1:13]
        last = states.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        return self.norm(last) + x.view(-1, 12, 36).unflatten(2, (6, 6))


class Reused(Around):
    """Layers that are called twice, weights that two layers share, weights that are computed."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.norm, self.conv, self.tied, self.other = nn.GroupNorm(3, w), conv(w), conv(w), nn.Conv2d(w, w, 3, padding=1)
        self.tied.weight = self.conv.weight
        self.weighted = nn.utils.parametrizations.weight_norm(conv(w))
        self.gain = nn.Parameter(torch.empty(w))

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for _ in range(3):
            x = x + 0.5 * self.conv(F.silu(self.norm(x) * (1 + scale) + shift))
        x = x + self.tied(F.silu(self.norm(x)))
        x = self.weighted(x) * 0.2 + F.conv2d(x, self.conv.weight.flip(2, 3), self.gain, padding=1)
        x = x + F.conv2d(x, 0.5 * (self.conv.weight + self.other.weight), self.conv.bias + self.other.bias, padding=1)
        weights = self.other.weight * (1 + scale.unsqueeze(2))  # for each sample its own
        by_sample = (weights.flatten(2) @ F.unfold(x, 3, padding=1)).reshape(x.shape)
        return 0.4 * (F.group_norm(x, 4, 1 + self.gain, self.conv.bias) + by_sample)


class NearIdentity(nn.Module):
    """Adds to a part of its input."""

    def __init__(self):
        super().__init__()
        self.conv = conv(3)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        return x * 0.5 + self.conv(x) * noise[:, None, None, None]


class Inputs(nn.Module):
    """A network with all the inputs that its metadata speaks of, in the file format's order: target, label, guidance."""

    def __init__(self, target: bool, labels: int, guidance: bool):
        super().__init__()
        self.target, self.labels, self.guidance = target, labels, guidance
        self.body = Pyramid((12, 24), 3)
        self.row = nn.Embedding(labels, 3) if labels else None

    def join(self, x: Tensor, noise: Tensor, target: Tensor | None, label: Tensor | None, guidance: Tensor | None) -> Tensor:
        if target is not None:
            noise = torch.stack([noise, noise - target]).sum(dim=0)
        if self.row is not None:
            x = x + self.row(label)[:, :, None, None]
        if guidance is not None:
            x = x * (2 / guidance).view(-1, 1, 1, 1)
        return self.body(x, noise)

    def forward(self, x: Tensor, noise: Tensor, *further: Tensor) -> Tensor:
        given = iter(further)
        return self.join(x, noise, next(given) if self.target else None, next(given) if self.labels else None,
                         next(given) if self.guidance else None)


def write(save) -> None:
    save("sizes_7x5", Pyramid((24, 20), 4), metadata((3, 7, 5)))
    save("sizes_5x5", Pyramid((12, 6), 3, labels=3), metadata((3, 5, 5), EDM, labels=3))
    save("sizes_9x9", Pyramid((12, 20, 20), 0, kernel=5, bias=False), metadata((3, 9, 9)))
    save("sizes_1x1", Pyramid((24, 12), 3), metadata((3, 1, 1)))
    save("sizes_13x3", Pyramid((6, 33, 9), 3, channels=2, stride=3), metadata((2, 13, 3)))
    save("sizes_prime", Pyramid((13, 7, 17), 1, channels=5), metadata((5, 11, 7), CONSISTENCY))
    save("sizes_wide", Pyramid((64, 80), 16, channels=1, kernel=1), metadata((1, 3, 33)))
    save("video", Video(), metadata((1, 3, 6, 5)))
    save("audio", Audio(), metadata((1, 32), EDM, labels=3))
    for kind in (Oddities, Aliases, Shared, Several, Chosen, Conditions, Doubles, Types, Layouts, Reused):
        save(f"odd_{kind.__name__.lower()}", kind(), metadata((3, 6, 6)))
    save("odd_near_identity", NearIdentity(), metadata((3, 6, 6)))
    save("flow_map", Inputs(True, 0, False), metadata((3, 6, 6), FLOW_MAP))
    save("flow_map_all_inputs", Inputs(True, 4, True), metadata((3, 6, 6), FLOW_MAP, labels=4, guidance=3))
    save("guidance", Inputs(False, 4, True), metadata((3, 6, 6), TIMESTEPS, labels=4, guidance=7.5))
