"""Transformers: DiT (Peebles & Xie 2023), as traced and with fused attention or not, and torch's own encoder layer."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .common import EDM, FLOW, Embedding, metadata


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale.unsqueeze(1)) + shift.unsqueeze(1)


class Block(nn.Module):
    def __init__(self, width: int, heads: int, fused: bool):
        super().__init__()
        self.heads, self.fused = heads, fused
        self.norm1, self.norm2 = (nn.LayerNorm(width, elementwise_affine=False, eps=1e-6) for _ in range(2))
        self.q_norm, self.k_norm = (nn.LayerNorm(width // heads) if fused else nn.Identity() for _ in range(2))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Dropout(0),
                                 nn.Linear(4 * width, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def attend(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        q, k = self.q_norm(q), self.k_norm(k)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v, dropout_p=0.0)
        else:
            x = (q * (int(c) // self.heads) ** -0.5 @ k.transpose(-2, -1)).softmax(dim=-1) @ v
        return self.proj(x.transpose(1, 2).reshape(n, t, c))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(c).chunk(6, dim=1)
        x = x + gate1.unsqueeze(1) * self.attend(modulate(self.norm1(x), shift1, scale1))
        return x + gate2.unsqueeze(1) * self.mlp(modulate(self.norm2(x), shift2, scale2))


class Transformer(nn.Module):
    """Patches of 2x2 pixels as tokens."""

    def __init__(self, channels: int, size: int, labels: int, width: int = 24, heads: int = 3, fused: bool = True):
        super().__init__()
        self.channels = channels
        self.patchify, self.embed = nn.Conv2d(channels, width, 2, stride=2), Embedding(width, labels)
        self.positions = nn.Parameter(torch.empty(1, size * size // 4, width), requires_grad=False)
        self.blocks = nn.ModuleList([Block(width, heads, fused) for _ in range(2)])
        self.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.out = nn.Linear(width, 4 * channels)

    def forward(self, x: Tensor, noise: Tensor, label: Tensor | None = None) -> Tensor:
        c = self.embed(noise, label)
        x = self.patchify(x).flatten(2).transpose(1, 2) + self.positions
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.modulation(c).chunk(2, dim=1)
        x = self.out(modulate(self.norm(x), shift, scale))
        side = int(x.shape[1] ** 0.5)
        x = torch.einsum("nhwpqc->nchpwq", x.reshape(x.shape[0], side, side, 2, 2, self.channels))
        return x.reshape(x.shape[0], self.channels, side * 2, side * 2)


class Encoder(nn.Module):
    """torch.nn.TransformerEncoderLayer, whose inference is one operator, and its MultiheadAttention alone."""

    def __init__(self, channels: int, width: int = 16):
        super().__init__()
        self.embed, self.stem = Embedding(width), nn.Conv2d(channels, width, 1)
        self.layer = nn.TransformerEncoderLayer(width, 2, 2 * width, activation="gelu", batch_first=True, norm_first=True)
        self.attention, self.norm = nn.MultiheadAttention(width, 4), nn.LayerNorm(width)
        self.out = nn.Conv2d(width, channels, 1)

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        h = self.stem(x)
        tokens = h.flatten(2).transpose(1, 2)
        tokens = self.layer(torch.cat([self.embed(noise)[:, None], tokens], dim=1))
        sequence = self.norm(tokens.transpose(0, 1))
        tokens = tokens + self.attention(sequence, sequence, sequence, need_weights=False)[0].transpose(0, 1)
        return self.out(tokens[:, 1:].transpose(1, 2).unflatten(2, (h.shape[2], h.shape[3])))


def write(save) -> None:
    save("dit_fused", Transformer(3, 8, 5), metadata((3, 8, 8), FLOW, labels=5))
    save("dit_spelled_out", Transformer(1, 6, 0, fused=False), metadata((1, 6, 6), EDM))
    save("encoder_layer", Encoder(3), metadata((3, 5, 4), EDM))
