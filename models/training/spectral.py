"""The network of sounds: draws a short-time Fourier spectrum, and has waveforms at both ends."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from network import GroupNorm, NoiseEmbedding, zeroed

# Of the preconditioning, in place of the sounds' own deviation: below this level, 50 dB under full scale, a sample passes as it is.
SKIP = 0.004
HEARD = 5.0  # the level above which hardly a bin of any sound stands out of the noise


@dataclass(frozen=True)
class SpectralConfig:
    """What has to be known to build the network again: stored in every checkpoint."""

    labels: int  # the index `labels` means "no label"
    length: int = 22_050  # samples
    hop: int = 105  # samples from frame to frame; a frame is four hops long
    widths: tuple[int, ...] = (128, 192, 256)  # feature maps a level, from the finest
    shrink: tuple[int, ...] = (2, 3)  # frames of a level that become one of the next
    codes: int = 32  # numbers that the network is told of the sample as a whole
    deviation: float = 0.095  # of the sounds' samples

    def build(self) -> "SpectralNetwork":
        return SpectralNetwork(self)


def spectrum_filters(hop: int) -> Tensor:
    """The spectrum of a frame of four hops as a filter bank: [2 bins, 4, hop], the real parts first. With the same filters for the way
    back it is a tight frame: a waveform taken apart and put together is itself again."""
    size = 4 * hop
    place = torch.arange(size, dtype=torch.float64)
    window = torch.sin(math.pi * (place + 0.5) / size) / math.sqrt(2 * size)
    bins = torch.arange(size // 2 + 1, dtype=torch.float64).view(-1, 1)
    twice = torch.where((bins == 0) | (bins == size // 2), 1.0, math.sqrt(2.0))  # the mirrored half
    angle = 2 * math.pi * bins * place / size
    return torch.cat([twice * window * angle.cos(), -twice * window * angle.sin()]).float().view(-1, 4, hop)


class Block(nn.Module):
    """As network.ResidualBlock, along time: [N, C, 1, frames]."""

    def __init__(self, channels_in: int, channels_out: int, embedding: int):
        super().__init__()
        self.norm1 = GroupNorm(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, (1, 3), padding=(0, 1))
        self.modulation = nn.Linear(embedding, 2 * channels_out)
        self.norm2 = GroupNorm(channels_out)
        self.conv2 = zeroed(nn.Conv2d(channels_out, channels_out, (1, 3), padding=(0, 1)))
        self.skip = nn.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm2(h) * (1 + scale) + shift)
        return self.skip(x) + self.conv2(h)


class SpectralNetwork(nn.Module):
    """F(c_in x, c_noise, label): waveform [N, 1, L], noise [N], label int64 [N] -> [N, 1, L].

    A sound is made of two parts. What hisses is the sample's own noise, of which each bin of each frame is let through by as much as
    the network says. What rings is drawn: every bin's amplitude and phase against an oscillator of the bin's middle, which change
    slowly, so that a tone is one tone from frame to frame.
    """

    def __init__(self, config: SpectralConfig):
        super().__init__()
        self.config = config
        self.frames, self.bins = config.length // config.hop, 2 * config.hop + 1
        widths, width = config.widths, config.widths[0]
        embedding = 2 * width
        filters = spectrum_filters(config.hop)
        # A hop's samples are channels, so that both ways are convolutions over frames.
        self.register_buffer("apart", filters.transpose(1, 2).contiguous(), persistent=False)
        self.register_buffer("together", filters.flip(1).permute(2, 0, 1).contiguous(), persistent=False)
        # Beside the ends fewer frames lie over a sample.
        self.register_buffer("cover", torch.ones(1, 1, config.length), persistent=False)
        self.cover = self.waveform(self.spectrum(self.cover))
        turns = torch.arange(self.bins).view(-1, 1) * torch.arange(self.frames) % 4
        cosine, sine = torch.tensor([1.0, 0, -1, 0])[turns], torch.tensor([0, 1.0, 0, -1])[turns]
        self.register_buffer("cosine", cosine.view(1, self.bins, 1, -1), persistent=False)
        self.register_buffer("sine", sine.view(1, self.bins, 1, -1), persistent=False)
        self.register_buffer("clock", self._clock(self.frames), persistent=False)

        self.noise = NoiseEmbedding(width)
        self.label = nn.Embedding(config.labels + 1, embedding)
        self.code = nn.Linear(config.codes, embedding)
        self.embed1 = nn.Linear(width, embedding)
        self.embed2 = nn.Linear(embedding, embedding)
        self.embed3 = nn.Linear(embedding, embedding)
        self.stem = nn.Conv2d(self.bins, width, 1)
        self.time = nn.Conv2d(self.clock.shape[1], width, 1)

        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        self.shrink, self.grow = nn.ModuleList(), nn.ModuleList()
        for depth, w in enumerate(widths):
            if depth > 0:
                by = config.shrink[depth - 1]
                self.shrink.append(nn.Conv2d(widths[depth - 1], w, (1, by), stride=(1, by)))
                self.grow.append(nn.Conv2d(w, widths[depth - 1], 1))
            self.down.append(Block(w, w, embedding))
            self.up.append(Block(2 * w, w, embedding))
        self.last = Block(width, width, embedding)
        self.norm = GroupNorm(width)
        self.out = zeroed(nn.Conv2d(width, 4 * self.bins, 1))

    @staticmethod
    def _clock(frames: int) -> Tensor:
        """What is known of every frame beforehand: [1, C, 1, frames]: turning by 0 to 27 turns, and fading at several rates."""
        time = torch.arange(frames) / 210  # seconds, with a hop of 105
        angle = 2 * math.pi * torch.arange(28).view(-1, 1) * time
        fades = torch.exp(-time / torch.logspace(-2.3, 0, 10).view(-1, 1))
        return torch.cat([angle.cos(), angle[1:].sin(), fades]).view(1, -1, 1, frames)

    def spectrum(self, x: Tensor) -> Tensor:
        """Of waveforms [N, 1, L], [N, 2 bins, frames]."""
        hop, edge = self.config.hop, 3 * self.config.hop // 2
        x = torch.cat([x.new_zeros(x.shape[0], 1, edge), x, x.new_zeros(x.shape[0], 1, 3 * hop - edge)], dim=2)
        x = x.view(x.shape[0], -1, hop)
        return F.conv1d(x.transpose(1, 2), self.apart)

    def waveform(self, spectrum: Tensor) -> Tensor:
        """The way back."""
        edge = 3 * self.config.hop // 2
        x = F.conv1d(spectrum, self.together, padding=3).transpose(1, 2)
        return x.reshape(x.shape[0], 1, -1)[:, :, edge:edge + self.config.length] / self.cover

    def codes(self, x: Tensor) -> Tensor:
        """Of noise [N, 1, L] as many normal numbers, which don't depend on each other: [N, codes]."""
        hop = self.config.hop
        return x.view(x.shape[0], -1, hop).sum(dim=1)[:, :self.config.codes] * (hop / self.config.length) ** 0.5

    def forward(self, x: Tensor, noise: Tensor, label: Tensor) -> Tensor:
        deviation = self.config.deviation
        with torch.autocast(x.device.type, enabled=False):
            # To deviation 1, which c_in of the preconditioning does for high levels alone.
            sigma2 = (8 * noise).exp()
            x = x * ((sigma2 + SKIP**2) / (sigma2 + deviation**2)).sqrt().view(-1, 1, 1)
            real, imaginary = self.spectrum(x).unsqueeze(2).chunk(2, dim=1)
            loudness = (real.square() + imaginary.square() + 1e-4).log() / 4

        embedding = F.silu(self.embed1(self.noise(noise)) + self.label(label) + self.code(self.codes(x)))
        embedding = F.silu(self.embed3(F.silu(self.embed2(embedding))))
        # Of noise alone it says nothing.
        h = self.stem(loudness / (1 + sigma2 / HEARD**2).view(-1, 1, 1, 1)) + self.time(self.clock)
        skips = []
        for depth, block in enumerate(self.down):
            if depth > 0:
                h = self.shrink[depth - 1](h)
            h = block(h, embedding)
            skips.append(h)
        for depth in reversed(range(len(self.up))):
            h = self.up[depth](torch.cat([h, skips[depth]], dim=1), embedding)
            if depth > 0:
                h = F.interpolate(self.grow[depth - 1](h), scale_factor=(1.0, float(self.config.shrink[depth - 1])), mode="nearest")
        h = self.out(F.silu(self.norm(self.last(h, embedding))))

        with torch.autocast(x.device.type, enabled=False):
            hiss, ring, a, b = h.float().chunk(4, dim=1)
            hiss, ring = (hiss - 1).clamp(-12, 5).exp(), (ring - 1).clamp(-12, 5).exp()
            a, b = a * ring, b * ring
            real = real * hiss + a * self.cosine - b * self.sine
            imaginary = imaginary * hiss + a * self.sine + b * self.cosine
            return self.waveform(torch.cat([real, imaginary], dim=1).squeeze(2)) * (deviation / SKIP)
