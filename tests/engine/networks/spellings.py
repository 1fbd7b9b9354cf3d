"""One idea spelled in every way, and its near misses, which look like it and mean something else: a network each for
modulated norms, norms, divisions by norms, sums, interpolations, concatenations, convolutions, resamplings, activations,
attention and products."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import EDM, Embedding, metadata


def conv(width: int, out: int | None = None, kernel: int = 3, **further) -> nn.Conv2d:
    return nn.Conv2d(width, out or width, kernel, **{"padding": kernel // 2, **further})


class Around(nn.Module):
    """A convolution, the body of a subclass and a convolution; [N, width, H, W] is for the body."""

    def __init__(self, width: int = 12, channels: int = 3):
        super().__init__()
        self.width, self.embed, self.affine = width, Embedding(16), nn.Linear(16, 2 * width)
        self.stem, self.out = conv(channels, width), conv(width, channels)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        scale, shift = self.affine(F.silu(self.embed(noise)))[:, :, None, None].chunk(2, dim=1)
        return self.out(self.body(self.stem(x), scale, shift))


class Modulations(Around):
    def __init__(self):
        super().__init__()
        self.gain, self.bias = nn.Parameter(torch.empty(1, self.width, 1, 1)), nn.Parameter(torch.empty(1, self.width, 1, 1))
        self.spellings = [
            lambda y, scale, shift: F.silu(y * (1 + scale) + shift),
            lambda y, scale, shift: F.silu(shift + (scale + 1) * y),
            lambda y, scale, shift: F.silu(torch.addcmul(shift, y, scale + 1)),
            lambda y, scale, shift: F.silu(torch.addcmul(shift, y, scale + 1, value=0.5)),
            lambda y, scale, shift: F.silu(y + y * scale + shift),
            lambda y, scale, shift: F.silu(y.mul(scale.add(1)).add_(shift), inplace=True),
            lambda y, scale, shift: F.silu(torch.add(y * (1 + scale), shift, alpha=2)),
            lambda y, scale, shift: F.silu(y * (2 + scale) - shift),
            lambda y, scale, shift: F.silu(y * (1 - scale) + shift),
            lambda y, scale, shift: F.silu(y * scale),
            lambda y, scale, shift: F.silu(y + shift),
            lambda y, scale, shift: F.silu((y + shift) * (1 + scale)),  # shifted first
            lambda y, scale, shift: F.silu(y) * (1 + scale) + shift,
            lambda y, scale, shift: F.silu(y * (1 + y) + shift),  # scaled by itself
            lambda y, scale, shift: F.silu(y * (1 + scale * y.abs()) + shift),  # by a map
            lambda y, scale, shift: F.silu(y * (1 + scale[:, :1]) + shift[:, :1]),  # by one number a sample
            lambda y, scale, shift: F.silu(y * (1 + scale.expand_as(y)) + shift.expand(-1, -1, y.shape[2], y.shape[3])),
            lambda y, scale, shift: F.silu(y * (1 + self.gain) + self.bias),
            lambda y, scale, shift: F.silu(y * 0.8 + 0.1),
            lambda y, scale, shift: (y * (1 + scale) + shift) * torch.sigmoid(y * (1 + scale) + shift),
            lambda y, scale, shift: torch.sigmoid(y) * (y * (1 + scale) + shift),  # gated by another
            lambda y, scale, shift: F.silu(y[:, [1, 0, *range(2, self.width)]] * (1 + scale) + shift),
            lambda y, scale, shift: F.silu(torch.lerp(y, y * scale, 0.5) + shift),
            lambda y, scale, shift: F.silu(y * (1 + scale) + shift, inplace=True) + scale,
        ]
        self.norms = nn.ModuleList([nn.GroupNorm(3 + k % 2, self.width, affine=k % 3 > 0)
                                    for k in range(len(self.spellings))])
        self.convs = nn.ModuleList([conv(self.width) for _ in self.spellings])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for spelling, norm, layer in zip(self.spellings, self.norms, self.convs):
            x = (x + layer(spelling(norm(x), scale, shift))) * 0.8
        return x


class Norms(Around):
    """The norm of the body twice used, without convolutions around it, of other tensors than pictures."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.group, self.plain, self.one = nn.GroupNorm(3, w), nn.GroupNorm(4, w, affine=False), nn.GroupNorm(1, w, eps=0.1)
        self.single, self.instance = nn.GroupNorm(w, w), nn.InstanceNorm2d(w, affine=True)
        self.layer, self.root, self.batch = nn.LayerNorm(w), nn.RMSNorm(w), nn.BatchNorm2d(w)
        self.whole, self.flat, self.line = nn.LayerNorm([6]), nn.GroupNorm(2, w), nn.GroupNorm(3, w)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = self.group(x)
        x = F.silu(y) + 0.5 * y + self.plain(x)
        x = F.silu(self.one(self.group(x))) + self.single(x)
        x = self.instance(x) + F.silu(F.instance_norm(x + shift)) + self.whole(x)
        x = x + self.layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) + self.root(x.transpose(1, 3)).transpose(1, 3)
        x = F.silu(self.batch(x)) + self.flat(x.mean(dim=(2, 3)))[:, :, None, None]
        x = x + F.silu(self.line(x.flatten(2))).unflatten(2, (6, 6)) + F.silu(self.group(x.transpose(2, 3)))
        groups = x.reshape(x.shape[0], 4, -1)  # GroupNorm by hand
        variance, mean = torch.var_mean(groups, dim=2, keepdim=True, unbiased=False)
        by_hand = ((groups - mean) / torch.sqrt(variance + 1e-5)).reshape(x.shape)
        lengths = x / (x.square().mean(dim=1, keepdim=True) + 1e-6).sqrt()
        return F.silu(by_hand * (1 + scale)) + lengths + F.group_norm(x, 3, self.group.weight, None) + F.group_norm(x, 6)


class Sums(Around):
    """Residual sums that can and can't be part of a convolution."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(self.width) for _ in range(20)])
        self.narrow, self.wide = conv(self.width, 1, 1), conv(self.width, 2 * self.width, 1)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        c = iter(self.convs)
        x = x + next(c)(x)
        x = next(c)(x) + x
        x = torch.add(x, next(c)(x), alpha=0.5)
        x = torch.add(next(c)(x), x, alpha=-0.5)
        x = x - next(c)(x)
        x = 0.5 * -x + 0.5 * -next(c)(x)
        x = (x + next(c)(x)) / math.sqrt(2)
        x = (next(c)(x).add_(x)) * math.sqrt(0.5)
        x = next(c)(x) + next(c)(x)  # two convolutions
        y = next(c)(x)
        x = F.silu(x + y) + y  # the convolution is used again
        y = next(c)(x)
        x = (y + y) * 0.3
        x = 0.2 * (x + next(c)(x) + next(c)(x) + x)
        x = next(c)(x) + scale  # one value a channel
        x = next(c)(x) + self.narrow(x)  # one channel for all
        x = self.narrow(x) + next(c)(x)
        x = x.mean(dim=(2, 3), keepdim=True) + next(c)(x)
        x = x + next(c)(x) + 1
        a, b = self.wide(x).chunk(2, dim=1)
        x = (a + b + x) * 0.5
        x += next(c)(x)
        return 0.2 * x.add(shift)


class Concatenations(Around):
    def __init__(self):
        super().__init__()
        w = self.width
        self.twice, self.three, self.after = conv(2 * w, w), conv(3 * w, w), conv(2 * w, w)
        self.norm = nn.GroupNorm(4, 2 * w)
        self.odd, self.shortcut, self.back, self.tall = conv(w + 5, w), conv(2 * w, w, 1), conv(w, 2 * w), conv(w)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        y = F.silu(x * (1 + scale) + shift)
        x = self.twice(torch.cat([x, x], dim=1)) + y  # with itself
        joined = torch.cat([y, x], dim=1)
        x = self.after(F.silu(self.norm(joined))) + self.shortcut(joined)  # the whole is used twice
        x = self.three(torch.cat((x, y, shift.expand_as(x)), -3))
        x = self.odd(torch.cat([x[:, 3:], y[:, :7], x.new_ones(x.shape[0], 1, x.shape[2], x.shape[3])], dim=1))
        x = self.tall(torch.cat([x, y], dim=2))[:, :, 3:-3]  # of heights
        nested = torch.cat([torch.cat([x, y], dim=1), torch.cat([y], dim=1)], dim=1)
        x = self.three(nested) + nested.split([12, 20, 4], dim=1)[0]
        a, b = self.back(x).split(self.width, dim=1)
        both = torch.cat([b, a], dim=1)  # swaps what was one tensor
        x = self.twice(both) + torch.stack([a, b], dim=1).flatten(1, 2).view_as(both)[:, ::2]
        return 0.3 * torch.hstack([x[:, :5], y[:, 5:]])


class Convolutions(Around):
    def __init__(self):
        super().__init__()
        w = self.width
        same = [conv(w, kernel=1), conv(w, kernel=5), conv(w, dilation=2, padding=2), conv(w, groups=3), conv(w, groups=w),
                conv(w, bias=False), conv(w, kernel=1, bias=False), conv(w, padding_mode="reflect"),
                conv(w, padding_mode="circular"), conv(w, padding="same"), nn.Conv2d(w, w, (1, 3), padding=(0, 1)),
                nn.Conv2d(w, w, (5, 1), padding="same"), nn.Conv2d(w, w, 3, padding=2, dilation=(2, 2), groups=2),
                nn.ConvTranspose2d(w, w, 3, padding=1), nn.Conv2d(w, w, (3, 1), padding=(1, 0), bias=False)]
        self.same = nn.ModuleList(same)
        self.shrink = nn.ModuleList([conv(w, stride=2), conv(w, kernel=5, stride=2), nn.Conv2d(w, w, 3, stride=2),
                                     conv(w, kernel=1, stride=2), nn.Conv2d(w, w, 2, stride=2), conv(w, stride=(2, 1)),
                                     conv(w, stride=2, groups=w), nn.Conv2d(w, w, 4, stride=2, padding=1),
                                     conv(w, stride=3)])
        self.grow = nn.ModuleList([nn.ConvTranspose2d(w, w, 4, stride=2, padding=1),
                                   nn.ConvTranspose2d(w, w, 2, stride=2, groups=4),
                                   nn.ConvTranspose2d(w, w, 3, stride=2, padding=1, output_padding=1)])
        self.widen, self.narrow, self.norm = conv(w, 7 * w // 2, 1), conv(7 * w // 2, w, 3, bias=False), nn.GroupNorm(3, w)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for layer in self.same:
            x = (x + F.silu(layer(x))) * 0.8
        for k, layer in enumerate(self.shrink):
            # Without padding of its own, the third takes a row and a column on one side, the others none.
            y = F.silu(layer(F.pad(x, (0, 1, 0, 1)) if k == 2 else x))
            x = (x + F.interpolate(y, size=x.shape[2:], mode="nearest")) * 0.8
        x = x + F.avg_pool2d(self.grow[0](x), 2) + self.grow[1](x)[:, :, ::2, ::2] + self.grow[2](x)[:, :, 1::2, 1::2]
        x = self.narrow(F.silu(self.widen(F.silu(self.norm(x) * (1 + scale) + shift))))
        return self.same[0](self.same[1](x)) + self.same[0](x)  # nothing between; a layer used before


class Resamplings(Around):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(self.width) for _ in range(9)])
        self.shuffled, self.folded = conv(self.width, 4 * self.width), conv(4 * self.width, self.width)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = F.silu(x * (1 + scale) + shift)
        large = [F.interpolate(x, scale_factor=2.0, mode="nearest"),
                 F.interpolate(x, size=(2 * h, 2 * w), mode="bilinear", align_corners=False),
                 F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
                 F.interpolate(x, scale_factor=2, mode="bicubic"),
                 F.interpolate(x, scale_factor=(2, 2), mode="nearest-exact"),
                 x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3),
                 x[:, :, :, None, :, None].expand(n, c, h, 2, w, 2).reshape(n, c, 2 * h, 2 * w),
                 F.interpolate(F.interpolate(x, scale_factor=(2, 1)), scale_factor=(1, 2)),
                 F.pixel_shuffle(self.shuffled(x), 2)]
        y = sum(layer(picture) for layer, picture in zip(self.convs, large)) / 3
        small = [F.avg_pool2d(y, 2), F.max_pool2d(y, 2), F.avg_pool2d(y, 3, stride=2, padding=1, count_include_pad=False),
                 F.avg_pool2d(y, 3, 2, 1), F.adaptive_avg_pool2d(y, (h, w)), F.interpolate(y, size=(h, w), mode="area"),
                 F.interpolate(y, scale_factor=0.5, mode="bilinear", antialias=True), F.max_pool2d(y, 3, 2, padding=1),
                 y[:, :, ::2, ::2]]
        z = sum(layer(picture) for layer, picture in zip(self.convs, small)) / 3
        z = z + self.convs[0](F.interpolate(z, size=(5, 7))[:, :, :1, :1] + z)  # to a size that isn't a multiple
        return z + self.folded(F.pixel_unshuffle(y, 2)) + F.interpolate(z, scale_factor=3)[:, :, h:2 * h, w:2 * w]


class Activations(Around):
    def __init__(self):
        super().__init__()
        self.activations = [
            F.silu, F.relu, F.gelu, lambda y: F.gelu(y, approximate="tanh"), lambda y: F.leaky_relu(y, 0.2), F.elu, F.mish,
            F.hardswish, F.softplus, torch.tanh, F.selu, lambda y: y * torch.sigmoid(y), lambda y: torch.sigmoid(y) * y,
            lambda y: y / (1 + torch.exp(-y)), lambda y: y * torch.sigmoid(1.702 * y), lambda y: y.clone().sigmoid_() * y,
            lambda y: torch.sigmoid(y) * (y + 0.1), lambda y: y * torch.sigmoid(y.flip(1)), lambda y: F.silu(y) / 0.596,
            lambda y: F.silu(-y), lambda y: F.silu(F.silu(y)), lambda y: F.silu(y).neg(),
            lambda y: F.glu(torch.cat([y, -y], 1), 1), lambda y: F.silu(y, inplace=True),
            lambda y: F.relu(y, inplace=True), lambda y: torch.clamp(y, -1, 1.5),
            lambda y: F.softmax(y, dim=1), nn.PReLU(self.width)]
        self.slopes = self.activations[-1]
        self.norms = nn.ModuleList([nn.GroupNorm(4, self.width) for _ in self.activations])
        self.convs = nn.ModuleList([conv(self.width) for _ in self.activations])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for activation, norm, layer in zip(self.activations, self.norms, self.convs):
            x = (x + layer(activation(norm(x)))) * 0.8
            x = x if activation is not F.relu else activation(x + shift)
        return x * (1 + scale)


class Divisions(Around):
    """By norms, and by what looks like one."""

    def __init__(self):
        super().__init__()

        def mean_square(y: Tensor, dim: int = 1, keepdim: bool = True) -> Tensor:
            return y.pow(2).mean(dim=dim, keepdim=keepdim)

        def norm(y: Tensor, **further) -> Tensor:
            return torch.linalg.vector_norm(y, **{"dim": 1, "keepdim": True, **further})

        self.spellings = [
            lambda y: y / (norm(y) * self.width**-0.5),  # a product in between
            lambda y: y / torch.add(1e-4, norm(y), alpha=self.width**-0.5), lambda y: y / (norm(y) + 0.5) * 3,
            lambda y: y / norm(y).add(0.25, alpha=2), lambda y: y / norm(y, dim=(1,)).clamp(min=3), lambda y: 3 * y / norm(y),
            lambda y: F.normalize(y, dim=1) * 3, lambda y: F.normalize(y, dim=-1) * 3, lambda y: F.normalize(y, dim=2, eps=2) * 3,
            lambda y: y * torch.rsqrt(mean_square(y) + 1e-5), lambda y: y / torch.sqrt(y.square().mean(1, True) + 0.5),
            lambda y: (y * y).mean(1, keepdim=True).add(0.1).rsqrt() * y, lambda y: y * mean_square(y, -1).add(0.1).rsqrt(),
            lambda y: y * torch.rsqrt(mean_square(y)), lambda y: F.silu(y * torch.rsqrt(mean_square(y) + 1e-5) * 0.7 + 0.1),
            # not those
            lambda y: y / (norm(y, ord=1) + 0.5) * 9, lambda y: y / (norm(y, dim=(1, 2)) + 0.5) * 9,
            lambda y: y / (norm(y.flip(2)) + 0.5) * 3, lambda y: y / (2 - norm(y).clamp(max=1)),
            lambda y: y / norm(y).clamp(1, 2), lambda y: norm(y) / (y.abs() + norm(y)),
            lambda y: y * torch.rsqrt(y.pow(4).mean(1, True) + 1), lambda y: y * torch.rsqrt(mean_square(y + 0.1) + 1e-5),
            lambda y: y * torch.sqrt(mean_square(y) + 1e-5), lambda y: y / torch.rsqrt(mean_square(y) + 1),
            lambda y: y * (mean_square(y, keepdim=False) + 1).rsqrt()[:, None],
            lambda y: y / (norm(y, dtype=torch.float32) + norm(y)) * 6]
        self.convs = nn.ModuleList([conv(self.width) for _ in self.spellings])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        for spelling, layer in zip(self.spellings, self.convs):
            x = (x + layer(spelling(x + shift))) * 0.8
        return x * (1 + scale)


class Interpolations(Around):
    """lerp: of what is computed last, of what was before, of nothing."""

    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList([conv(self.width) for _ in range(8)])

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        x = x.lerp(self.convs[0](x), 0.3) / 0.76
        x = self.convs[1](x).lerp(x, 0.3).clamp(-2, 2)
        x = torch.lerp(self.convs[2](x), self.convs[3](x), 0.7)
        x = F.relu(self.convs[4](x) - x) - x + torch.lerp(x, x, 0.1)
        x = (x - self.convs[5](x)).lerp(shift.expand_as(x), 0.2)
        x = torch.lerp(x, F.silu(self.convs[6](x)), 1.0) + torch.lerp(x, F.silu(x), 0.0)
        return torch.lerp(x, self.convs[7](x), 0.5 * torch.sigmoid(scale))


class Attentions(Around):
    """Heads of 4 and of 6 channels; masks, other scales, softmaxes over the other side, keys of another length."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.norm, self.qkv = nn.GroupNorm(3, w), conv(w, 3 * w, 1)
        self.outs = nn.ModuleList([conv(w, kernel=1) for _ in range(9)])
        self.qkv_rows, self.out_rows = nn.Linear(w, 3 * w), nn.Linear(w, w)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        n, c, h, w = x.shape
        x = x * (1 + scale) + shift
        tokens, outs = h * w, iter(self.outs)

        def split(heads: int) -> tuple[Tensor, Tensor, Tensor]:
            """[N, heads, T, C] each."""
            parts = self.qkv(self.norm(x)).reshape(n, 3, heads, c // heads, tokens).transpose(3, 4)
            return parts[:, 0], parts[:, 1], parts[:, 2]

        def joined(a: Tensor) -> Tensor:
            return x + next(outs)(a.transpose(2, 3).reshape(n, c, h, w))

        q, k, v = split(3)
        x = joined(torch.softmax(q @ k.transpose(-2, -1) * 0.5, dim=-1) @ v)
        q, k, v = split(2)
        x = joined(torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(c / 2), dim=-2) @ v)  # over the queries
        q, k, v = split(2)
        x = joined(torch.softmax(q @ k.transpose(-2, -1), dim=-1, dtype=torch.float32).transpose(-2, -1) @ v)  # transposed
        q, k, v = split(3)
        x = joined(F.scaled_dot_product_attention(q, k, v, is_causal=True))
        q, k, v = split(3)
        mask = torch.ones(tokens, tokens).tril(3).triu(-3) > 0
        x = joined(F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
        q, k, v = split(3)
        x = joined(F.scaled_dot_product_attention(q, k[:, :, ::2], v[:, :, ::2], scale=0.8))
        q, k, v = split(3)
        bias = torch.linspace(-1, 1, tokens)
        x = joined((torch.softmax(q @ k.mT + bias, dim=-1) + 0.1) @ v)  # the weights don't add up to 1
        q, k, v = split(1)
        weights = torch.baddbmm(torch.empty(n, tokens, tokens), q[:, 0], k[:, 0].transpose(1, 2), beta=0, alpha=c**-0.5)
        x = joined(torch.bmm(weights.softmax(dim=-1), v[:, 0])[:, None])
        q, k, v = split(4)
        x = joined(F.normalize(q, dim=-1) @ (F.normalize(k, dim=-1).transpose(2, 3) @ v) / tokens)  # no softmax at all
        rows = x.flatten(2).transpose(1, 2)
        q, k, v = self.qkv_rows(rows).view(n, tokens, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        a = torch.einsum("bhqc,bhkc->bhqk", q, k).mul(c**-0.5).softmax(-1)
        a = torch.einsum("bhqk,bhkc->bqhc", a, v)
        return 0.4 * (x + self.out_rows(a.reshape(n, tokens, c)).transpose(1, 2).reshape(n, c, h, w))


class Products(Around):
    """Products of two values of the sample, softmaxes over every dimension, constants put beside values."""

    def __init__(self):
        super().__init__()
        w = self.width
        self.convs = nn.ModuleList([conv(w, kernel=1) for _ in range(4)])
        self.tokens, self.channels = nn.Parameter(torch.empty(1, w, 3)), nn.Parameter(torch.empty(1, 2, 6, 6))
        self.rows = nn.Parameter(torch.empty(1, w, 1, 6))
        self.narrow = conv(w + 2, w, 1)

    def body(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v, u = (part(x) for part in self.convs)
        a, b = q.flatten(2), k.flatten(2)  # [N, C, T]
        x = x + 0.1 * torch.einsum("nct,ndt->ncd", a, b).softmax(1).mean(2)[:, :, None, None]
        x = x + 0.1 * torch.einsum("nct,ndt->ndc", a, b).softmax(-1)[:, :, :1, None]
        x = x + torch.einsum("ncd,nct->ndt", torch.matmul(a, b.mT) / 36, v.flatten(2)).reshape(x.shape)
        x = x + torch.bmm(torch.bmm(a * 0.1, b.mT), v.flatten(2) * 0.1).reshape(x.shape)
        heads = q.reshape(n, 3, c // 3, h * w)
        one = k[:, : c // 3].reshape(n, 1, c // 3, h * w)  # for all heads
        x = x + 0.1 * torch.matmul(torch.matmul(heads, one.mT).softmax(-1), heads).reshape(x.shape)
        x = x + 0.1 * torch.matmul(q, k)  # of rows of pixels with columns
        x = x + torch.einsum("nchw,ncvw->nchv", q, k).softmax(dim=2) + u.softmax(dim=1) + u.softmax(dim=3)
        x = x + (0.5 * u).softmax(1) + torch.einsum("nchw,nchw->nc", q, v)[:, :, None, None] / 36
        beside = torch.cat([self.tokens.expand(n, -1, -1), a, b[:, :, ::5], self.tokens.expand(n, -1, -1)], dim=-1)
        x = x + (beside.softmax(dim=-1) @ beside.mT).mean(2)[:, :, None, None]
        x = self.narrow(torch.cat([x, self.channels.expand(n, -1, -1, -1)], dim=1))
        x = torch.cat([self.rows.expand(n, -1, -1, -1), x[:, :, 1:]], dim=2)
        x = torch.cat([x[:, :, :, :2], shift.expand(-1, -1, h, 1), x[:, :, :, 3:]], dim=3)  # of the conditions
        return x + torch.einsum("nchw,ndhw,ne->nchw", q, k, scale[:, :3, 0, 0]) / 100  # of three


def write(save) -> None:
    for kind in (Modulations, Norms, Divisions, Sums, Interpolations, Concatenations, Convolutions, Resamplings, Activations,
                 Attentions, Products):
        save(f"spelled_{kind.__name__.lower()}", kind(), metadata((3, 6, 6), EDM))
