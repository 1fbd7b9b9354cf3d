"""UNets in the style of EDM (Karras et al. 2022): DDPM++, NCSN++ (Song et al. 2021), ADM; of EDM2 (Karras et al. 2024)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import CONSISTENCY, EDM, metadata


class Linear(nn.Module):
    def __init__(self, width_in: int, width_out: int, bias: bool = True):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in))
        self.bias = nn.Parameter(torch.empty(width_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        x = x @ self.weight.to(x.dtype).t()
        return x if self.bias is None else x.add_(self.bias.to(x.dtype))


class Conv2d(nn.Module):
    """A convolution, a resampling by a small filter, or both, one after the other; `fused` pads for both at once."""

    def __init__(self, width_in: int, width_out: int, kernel: int, up: bool = False, down: bool = False,
                 taps: tuple[int, ...] = (1, 1), fused: bool = False):
        super().__init__()
        self.widths, self.up, self.down, self.fused = (width_in, width_out), up, down, fused
        self.weight = nn.Parameter(torch.empty(width_out, width_in, kernel, kernel)) if kernel else None
        self.bias = nn.Parameter(torch.empty(width_out)) if kernel else None
        f = torch.tensor(taps, dtype=torch.float32)
        self.register_buffer("taps", (f.ger(f) / f.sum().square())[None, None] if up or down else None)

    def forward(self, x: Tensor) -> Tensor:
        w = None if self.weight is None else self.weight.to(x.dtype)
        f = None if self.taps is None else self.taps.to(x.dtype)
        w_pad = 0 if w is None else w.shape[-1] // 2
        f_pad = 0 if f is None else (f.shape[-1] - 1) // 2
        c_in, c_out = self.widths
        if self.fused and self.up:
            x = F.conv_transpose2d(x, f.mul(4).tile([c_in, 1, 1, 1]), groups=c_in, stride=2, padding=max(f_pad - w_pad, 0))
            x = F.conv2d(x, w, padding=max(w_pad - f_pad, 0))
        elif self.fused and self.down:
            x = F.conv2d(x, w, padding=w_pad + f_pad)
            x = F.conv2d(x, f.tile([c_out, 1, 1, 1]), groups=c_out, stride=2)
        else:
            if self.up:
                x = F.conv_transpose2d(x, f.mul(4).tile([c_in, 1, 1, 1]), groups=c_in, stride=2, padding=f_pad)
            if self.down:
                x = F.conv2d(x, f.tile([c_in, 1, 1, 1]), groups=c_in, stride=2, padding=f_pad)
            if w is not None:
                x = F.conv2d(x, w, padding=w_pad)
        return x if self.bias is None else x.add_(self.bias.to(x.dtype).reshape(1, -1, 1, 1))


class GroupNorm(nn.Module):
    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.groups, self.eps = min(32, width // 4), eps
        self.weight, self.bias = nn.Parameter(torch.empty(width)), nn.Parameter(torch.empty(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


def einsum_weights(q: Tensor, k: Tensor) -> Tensor:
    scaled = (k / math.sqrt(k.shape[1])).to(torch.float32)
    return torch.einsum("ncq,nck->nqk", q.to(torch.float32), scaled).softmax(dim=2).to(q.dtype)


def matmul_weights(q: Tensor, k: Tensor) -> Tensor:
    """What models/export.py puts in the place of EDM's own autograd function."""
    return (q.transpose(1, 2) @ (k / k.shape[1]**0.5)).softmax(2)


class Block(nn.Module):
    def __init__(self, width_in: int, width_out: int, style: dict, up: bool = False, down: bool = False,
                 attention: bool = False):
        super().__init__()
        self.adaptive, self.skip_scale, self.weights = style["adaptive"], style["skip_scale"], style["weights"]
        eps, taps = style["eps"], style["taps"]
        self.width_in, self.heads = width_in, style["heads"] if attention else 0
        self.norm0, self.conv0 = GroupNorm(width_in, eps), Conv2d(width_in, width_out, 3, up, down, taps)
        self.affine = Linear(style["embedding"], width_out * (1 + self.adaptive))
        self.norm1, self.conv1 = GroupNorm(width_out, eps), Conv2d(width_out, width_out, 3)
        self.skip = None
        if width_in != width_out or up or down:
            kernel = 1 if width_in != width_out or style["project"] else 0
            self.skip = Conv2d(width_in, width_out, kernel, up, down, taps)
        if attention:
            self.norm2 = GroupNorm(width_out, eps)
            self.qkv, self.proj = Conv2d(width_out, 3 * width_out, 1), Conv2d(width_out, width_out, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        before = x
        x = self.conv0(F.silu(self.norm0(x)))
        params = self.affine(emb).unsqueeze(2).unsqueeze(3).to(x.dtype)
        if self.adaptive:
            scale, shift = params.chunk(chunks=2, dim=1)
            x = F.silu(torch.addcmul(shift, self.norm1(x), scale + 1))
        else:
            x = F.silu(self.norm1(x.add_(params)))
        x = self.conv1(F.dropout(x, p=0.1, training=self.training))
        x = x.add_(self.skip(before) if self.skip is not None else before)
        x = x * self.skip_scale
        if self.heads:
            n, c = x.shape[:2]
            q, k, v = self.qkv(self.norm2(x)).reshape(n * self.heads, c // self.heads, 3, -1).unbind(2)
            a = torch.einsum("nqk,nck->ncq", self.weights(q, k), v)
            x = self.proj(a.reshape(*x.shape)).add_(x)
            x = x * self.skip_scale
        return x


class Positions(nn.Module):
    """Sinusoids from 1 to 1 / 10000; `endpoint` includes the last."""

    def __init__(self, width: int, endpoint: bool):
        super().__init__()
        self.width, self.endpoint = width, endpoint

    def forward(self, x: Tensor) -> Tensor:
        f = torch.arange(start=0, end=self.width // 2, dtype=torch.float32, device=x.device)
        x = x.ger(((1 / 10000) ** (f / (self.width // 2 - self.endpoint))).to(x.dtype))
        return torch.cat([x.cos(), x.sin()], dim=1)


class Fourier(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.register_buffer("frequencies", torch.randn(width // 2, generator=torch.Generator().manual_seed(0)) * 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.ger((2 * math.pi * self.frequencies).to(x.dtype))
        return torch.cat([x.cos(), x.sin()], dim=1)


class UNet(nn.Module):
    """`encoder` and `decoder` are standard, skip or residual, after Song et al. 2021; `adm` embeds as ADM does."""

    def __init__(self, channels: int = 3, width: int = 16, levels: tuple[int, ...] = (1, 2), blocks: int = 1,
                 labels: int = 0, encoder: str = "standard", decoder: str = "standard", adm: bool = False,
                 taps: tuple[int, ...] = (1, 1), heads: int = 1, weights=einsum_weights):
        super().__init__()
        self.adm, embedding = adm, 4 * width
        style = {"adaptive": adm, "project": not adm, "skip_scale": 1 if adm else math.sqrt(0.5),
                 "eps": 1e-5 if adm else 1e-6, "taps": taps, "heads": heads, "embedding": embedding, "weights": weights}
        self.embed = Fourier(width) if len(taps) > 2 else Positions(width, endpoint=not adm)
        self.map_label = Linear(labels, embedding if adm else width, bias=not adm) if labels else None
        self.map_layer0, self.map_layer1 = Linear(width, embedding), Linear(embedding, embedding)

        self.enc, w, w_aux, skips = nn.ModuleDict(), channels, channels, []
        for depth, factor in enumerate(levels):
            if depth == 0:
                self.enc["0_conv"] = Conv2d(w, width, 3)
                w = width
                skips.append(w)
            else:
                self.enc[f"{depth}_down"] = Block(w, w, style, down=True)
                skips.append(w)
                if encoder == "skip":
                    self.enc[f"{depth}_aux_down"] = Conv2d(w_aux, w_aux, 0, down=True, taps=taps)
                    self.enc[f"{depth}_aux_skip"] = Conv2d(w_aux, w, 1)
                if encoder == "residual":
                    self.enc[f"{depth}_aux_residual"] = Conv2d(w_aux, w, 3, down=True, taps=taps, fused=True)
                    w_aux = w
            for block in range(blocks):
                self.enc[f"{depth}_block{block}"] = Block(w, width * factor, style, attention=depth > 0)
                w = width * factor
                skips.append(w)

        self.dec = nn.ModuleDict()
        for depth, factor in reversed(list(enumerate(levels))):
            if depth == len(levels) - 1:
                self.dec[f"{depth}_in0"], self.dec[f"{depth}_in1"] = Block(w, w, style, attention=True), Block(w, w, style)
            else:
                self.dec[f"{depth}_up"] = Block(w, w, style, up=True)
            for block in range(blocks + 1):
                last = depth > 0 and block == blocks
                self.dec[f"{depth}_block{block}"] = Block(w + skips.pop(), width * factor, style, attention=last)
                w = width * factor
            if decoder == "skip" or depth == 0:
                if decoder == "skip" and depth < len(levels) - 1:
                    self.dec[f"{depth}_aux_up"] = Conv2d(channels, channels, 0, up=True, taps=taps)
                self.dec[f"{depth}_aux_norm"], self.dec[f"{depth}_aux_conv"] = GroupNorm(w, 1e-6), Conv2d(w, channels, 3)

    def embedding(self, noise: Tensor, label: Tensor | None) -> Tensor:
        emb = self.embed(noise)
        if self.adm:
            emb = self.map_layer1(F.silu(self.map_layer0(emb)))
            return F.silu(emb if self.map_label is None else emb + self.map_label(label))
        emb = emb.reshape(emb.shape[0], 2, -1).flip(1).reshape(*emb.shape)  # sine first
        if self.map_label is not None:
            emb = emb + self.map_label(label * math.sqrt(label.shape[1]))
        return F.silu(self.map_layer1(F.silu(self.map_layer0(emb))))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        emb, aux, skips = self.embedding(noise, label), x, []
        for name, block in self.enc.items():
            if "aux_down" in name:
                aux = block(aux)
            elif "aux_skip" in name:
                x = skips[-1] = x + block(aux)
            elif "aux_residual" in name:
                x = skips[-1] = aux = (x + block(aux)) / math.sqrt(2)
            else:
                x = block(x, emb) if isinstance(block, Block) else block(x)
                skips.append(x)

        aux, h = None, None
        for name, block in self.dec.items():
            if "aux_up" in name:
                aux = block(aux)
            elif "aux_norm" in name:
                h = block(x)
            elif "aux_conv" in name:
                h = block(F.silu(h))
                aux = h if aux is None else h + aux
            else:
                if x.shape[1] != block.width_in:
                    x = torch.cat([x, skips.pop()], dim=1)
                x = block(x, emb)
        return aux


def normalized(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """To unit magnitude on average (Karras et al. 2024, Eq. 5)."""
    norm = torch.linalg.vector_norm(x, dim=dims, keepdim=True, dtype=torch.float32)
    norm = torch.add(1e-4, norm, alpha=math.sqrt(norm.numel() / x.numel()))
    return x / norm.to(x.dtype)


def silu2(x: Tensor) -> Tensor:
    return F.silu(x) / 0.596


class Conv2(nn.Module):
    """Weights are normalized when they are used."""

    def __init__(self, width_in: int, width_out: int, *kernel: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width_out, width_in, *kernel))

    def forward(self, x: Tensor, gain: float | Tensor = 1.0) -> Tensor:
        w = normalized(self.weight.to(torch.float32), tuple(range(1, self.weight.dim())))
        w = w * (gain / self.weight[0].numel()**0.5)
        return x @ w.t() if w.dim() == 2 else F.conv2d(x, w.to(x.dtype), padding=(w.shape[-1] // 2,))


class Block2(nn.Module):
    def __init__(self, width_in: int, width_out: int, embedding: int, decoder: bool, resample: str = "keep"):
        super().__init__()
        self.decoder, self.resample = decoder, resample
        self.skip = Conv2(width_in, width_out, 1, 1)
        self.conv0 = Conv2(width_in if decoder else width_out, width_out, 3, 3)
        self.linear, self.gain = Conv2(embedding, width_out), nn.Parameter(torch.empty([]))
        self.conv1, self.qkv, self.proj = Conv2(width_out, width_out, 3, 3), Conv2(width_out, 3 * width_out, 1, 1), \
            Conv2(width_out, width_out, 1, 1)

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        if self.resample == "down":
            x = F.conv2d(x, torch.full((x.shape[1], 1, 2, 2), 0.25), groups=x.shape[1], stride=2)
        if self.resample == "up":
            x = F.conv_transpose2d(x, torch.ones(x.shape[1], 1, 2, 2), groups=x.shape[1], stride=2)
        if not self.decoder:
            x = normalized(self.skip(x), (1,))
        h = self.conv0(silu2(x))
        h = silu2(h * (self.linear(emb, gain=self.gain) + 1).unsqueeze(2).unsqueeze(3).to(h.dtype))
        h = self.conv1(h)
        if self.decoder:
            x = self.skip(x)
        x = x.lerp(h, 0.3) / math.sqrt(0.7**2 + 0.3**2)
        q, k, v = normalized(self.qkv(x).reshape(x.shape[0], 2, -1, 3, x.shape[2] * x.shape[3]), (2,)).unbind(3)
        weights = torch.einsum("nhcq,nhck->nhqk", q, k / math.sqrt(q.shape[2])).softmax(dim=3)
        a = self.proj(torch.einsum("nhqk,nhck->nhcq", weights, v).reshape(*x.shape))
        return (x.lerp(a, 0.3) / math.sqrt(0.7**2 + 0.3**2)).clip_(-256, 256)


class UNet2(nn.Module):
    def __init__(self, channels: int, labels: int, width: int = 16):
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * torch.linspace(0.1, 2, width))
        self.register_buffer("phases", 2 * math.pi * torch.linspace(0, 0.9, width))
        self.emb_noise, self.emb_label = Conv2(width, 2 * width), Conv2(labels, 2 * width)
        self.stem = Conv2(channels + 1, width, 3, 3)
        self.down1, self.down2 = Block2(width, width, 2 * width, False), Block2(width, 2 * width, 2 * width, False, "down")
        self.up2, self.up1 = Block2(4 * width, 2 * width, 2 * width, True), Block2(2 * width, width, 2 * width, True, "up")
        self.out, self.gain = Conv2(width, channels, 3, 3), nn.Parameter(torch.empty([]))

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        waves = noise.to(torch.float32).ger(self.frequencies.to(torch.float32)) + self.phases.to(torch.float32)
        emb = self.emb_noise(waves.cos() * math.sqrt(2))
        emb = silu2(emb.lerp(self.emb_label(label * math.sqrt(label.shape[1])), 0.5) / math.sqrt(0.5))
        x = torch.cat([x, torch.ones_like(x[:, :1])], dim=1)
        first = self.down1(self.stem(x), emb)
        second = self.down2(first, emb)
        # Concatenation that keeps the magnitudes (Karras et al. 2024, Eq. 103), here of as many channels on both sides.
        x = self.up2(torch.cat([second / math.sqrt(2), second * math.sqrt(2)], dim=1), emb)
        return self.out(self.up1(x, emb).add(first), gain=self.gain)


def write(save) -> None:
    picture = (3, 8, 8)
    save("edm_ddpmpp", UNet(labels=5), metadata(picture, EDM, labels=5, encoding="one_hot"))
    save("edm_ddpmpp_exported", UNet(weights=matmul_weights, heads=2), metadata(picture, EDM))
    save("edm_ncsnpp", UNet(encoder="residual", taps=(1, 3, 3, 1)), metadata(picture, EDM))
    save("edm_ncsnpp_skip", UNet(encoder="skip", decoder="skip", taps=(1, 3, 3, 1), labels=4, width=12),
         metadata(picture, CONSISTENCY, labels=4, encoding="one_hot"))
    save("edm_adm", UNet(adm=True, heads=2, labels=5, blocks=2, width=12),
         metadata(picture, EDM, labels=5, encoding="one_hot"))
    save("edm_three_levels", UNet(levels=(1, 2, 2), width=12, channels=1), metadata((1, 12, 8), EDM))
    save("edm2", UNet2(3, 5), metadata(picture, EDM, labels=5, encoding="one_hot"))
