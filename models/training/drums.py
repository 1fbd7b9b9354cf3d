"""Sounds of drums: a second each, a file a class; and what the one-step network of them learns from."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion import SIGMA_MAX
from spectral import SKIP

RATE = LENGTH = 22_050  # samples a second, and of a sound
CODES = 8  # numbers by which sounds of one label are told apart
SEMITONES = 1.0  # standard deviation of how far a sound is tuned up or down; the code behind CODES says how far
LOWER = (-5.5, 2.5)  # ln sigma of sounds that are noisy, uniform
AT_FIRST = 0.75  # share of the batch at sigma_max, where a single step starts
WINDOWS = (128, 512, 2048)  # samples, of the spectra that are compared
QUIET = 1e-8  # power below which spectra are not told apart: 80 dB below full scale


def held_out(name: str, index: int) -> bool:
    """A tenth of the sounds, told by class and number alone: the same on every machine."""
    return hashlib.sha256(f"{name}/{index}".encode()).digest()[0] * 10 < 256


def power(x: Tensor, window: int) -> Tensor:
    """Of sounds [N, L], [N, bins, frames]; full scale is about 1."""
    hann = torch.hann_window(window, device=x.device)
    return torch.stft(x, window, window // 2, window=hann, return_complex=True).abs().square() / (hann.sum() / 2) ** 2


def look(x: Tensor) -> Tensor:
    """Of sounds [N, L] how loud 24 bands are in 10 parts of the second, shorter ones at first: [N, 240]."""
    spectrum = power(x, 512)
    edges = np.unique(np.round(np.geomspace(1, spectrum.shape[1], 25) + np.arange(25) * 0.5).astype(int).clip(1, spectrum.shape[1]))
    times = [0, 1, 2, 4, 7, 11, 18, 28, 42, 62, spectrum.shape[2]]
    bands = torch.stack([spectrum[:, a:b].mean(dim=1) for a, b in zip(edges, edges[1:])], dim=1)
    parts = torch.stack([bands[:, :, a:b].mean(dim=2) for a, b in zip(times, times[1:])], dim=2)
    return (parts + 1e-7).log().flatten(1)


class Drums:
    """Sounds [1, 22050] in [-1, 1]."""

    shape = [1, LENGTH]
    sample = {"modality": "audio", "range": [-1, 1], "sample_rate": RATE}

    def __init__(self, folder: Path, part: str = "train"):
        """part: train, or held_out, the tenth that no training sees."""
        import soundfile

        files = sorted(folder.glob("*.ogg"))
        if not files:
            raise SystemExit(f"{folder}: no sounds (.ogg, a file a class) in it")
        self.names = [file.stem for file in files]
        self.held_out = Drums(folder, "held_out") if part == "train" else None
        sounds, labels = [], []
        for label, file in enumerate(files):
            try:
                samples, rate = soundfile.read(file, dtype="float32")
            except RuntimeError as error:
                raise SystemExit(f"{file}: {error}") from None
            if rate != RATE or samples.ndim != 1 or len(samples) % LENGTH:
                raise SystemExit(f"{file}: must be sounds of {LENGTH} samples at {RATE} Hz, mono, end to end; it has "
                                 f"{samples.shape} samples at {rate} Hz")
            for index, sound in enumerate(samples.reshape(-1, LENGTH)):
                if held_out(self.names[label], index) == (part == "held_out"):
                    sounds.append(sound)
                    labels.append(label)
        if not sounds:
            raise SystemExit(f"{folder}: no sounds in it to {part} with")
        self.sounds, self.labels = torch.from_numpy(np.stack(sounds)), torch.tensor(labels)
        self.source = (f"{folder.name}, {len(sounds)} sounds" + (", a tenth held out" if part == "train" else ""))

    def __len__(self) -> int:
        return len(self.sounds)

    @property
    def sheet(self) -> tuple[int, int]:
        """Rows and columns of a sheet of samples: a column a label."""
        return 4, len(self.names)

    def deviation(self) -> float:
        """Standard deviation of all samples."""
        return round(float(self.sounds.double().std()), 3)

    @staticmethod
    def sigma_data() -> float:
        """Not the sounds' own: the network does its own preconditioning but where samples pass as they are."""
        return SKIP

    @staticmethod
    def picture(x: Tensor) -> Tensor:
        """uint8 [N, 1, 128, 88]: spectra, low below, 80 dB from black to white."""
        bands = F.adaptive_max_pool2d(power(x.flatten(1), 512)[:, :128], (64, 88)).repeat_interleave(2, dim=1)
        level = (10 * (bands + 1e-8).log10() / 80 + 1).clamp(0, 1)
        level[:, :, -1] = 1  # a line between sounds
        return (255 * level).round().byte().flip(1).unsqueeze(1)


class Tuned:
    """The sounds, each as high or low as is asked for."""

    def __init__(self, sounds: Tensor):
        # Twice as fine, where straight lines between samples are good enough.
        spectrum = torch.fft.rfft(sounds)
        fine = torch.cat([torch.fft.irfft(2 * part, n=2 * LENGTH) for part in spectrum.split(256)])
        self.fine = F.pad((fine.clamp(-1, 1) * 32767).round().short(), (0, 2))

    def __call__(self, which: Tensor, semitones: Tensor) -> Tensor:
        """[N, 1, L] of the sounds `which` [N], up by so many semitones [N]."""
        place = (2 * torch.arange(LENGTH) * (2 ** (semitones / 12)).view(-1, 1)).clamp(max=2 * LENGTH)
        left = place.long()
        rows = self.fine[which]
        a, b = rows.gather(1, left).float(), rows.gather(1, left + 1).float()
        return (torch.lerp(a, b, place - left) / 32767).unsqueeze(1)


class Pairing:
    """Which sound of its label a noise becomes: as many noises for each as for the others, and like sounds for like noises.

    The noise's codes, normal numbers, are shared out among a label's sounds by semi-discrete optimal transport (Genevay et al.
    2016): every sound has a point, the main components of how it looks, and a price, and gets the codes to which it is the best offer.
    """

    def __init__(self, sounds: Tensor, labels: Tensor, names: int):
        looks = torch.cat([look(part) for part in sounds.split(256)])
        count = torch.bincount(labels, minlength=names)
        self.index = torch.zeros(names, int(count.max()), dtype=torch.long)
        points = torch.zeros(names, int(count.max()), CODES)
        self.price = torch.full((names, int(count.max())), -1e9)
        for label in range(names):
            which = (labels == label).nonzero().flatten()
            of = looks[which] - looks[which].mean(dim=0)
            u, s, _ = torch.linalg.svd(of, full_matrices=False)
            rank = min(CODES, len(which) - 1)
            points[label, :len(which), :rank] = u[:, :rank] * len(which) ** 0.5
            self.index[label, :len(which)] = which
            self.price[label, :len(which)] = 0
        self.points = points
        generator = torch.Generator().manual_seed(0)
        here = self.price == 0
        for step in range(600):
            best = self._best(torch.randn(names, 512, CODES, generator=generator), slice(None))
            share = torch.zeros_like(self.price).scatter_add_(1, best, torch.full(best.shape, 1 / best.shape[1]))
            self.price -= here * (share * count.view(-1, 1) - 1) * (1 / (1 + step / 8))

    def _best(self, codes: Tensor, label: Tensor | slice) -> Tensor:
        return (codes @ self.points[label].transpose(1, 2) + self.price[label].unsqueeze(1)).argmax(dim=2)

    def __call__(self, codes: Tensor, labels: Tensor) -> Tensor:
        """Of codes [N, CODES] and labels [N], the sounds' numbers [N]."""
        return self.index[labels, self._best(codes.unsqueeze(1), labels).squeeze(1)]


class Spectra:
    """How far spectra of sounds [N, 1, L] are apart at one window, amplitudes pressed together as the ear does."""

    def __init__(self, window: int):
        self.window = window
        frequency = torch.arange(window // 2 + 1) * RATE / window
        weight = 1 / (frequency + 300)  # about as many bands as the ear has there
        self.weight = (weight / weight.mean()).view(1, -1, 1)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Real and imaginary parts, [N, bins, frames] each."""
        hann = torch.hann_window(self.window, device=x.device)
        spectrum = torch.stft(x.squeeze(1), self.window, self.window // 2, window=hann, return_complex=True, normalized=True)
        return [spectrum.real.contiguous(), spectrum.imag.contiguous()]

    @staticmethod
    def apart(a: list[Tensor], b: list[Tensor], y: list[Tensor], weight: Tensor) -> Tensor:
        """Of two drawn sounds and a real one, [N]: energy distances of amplitudes and of complex values. E|a - y| - E|a - b| / 2 is
        least where a and b are distributed as y is (Gneiting & Raftery 2007; Gritsenko et al. 2020)."""
        def pressed(x: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
            power = x[0].square() + x[1].square() + QUIET
            size = power.sqrt().sqrt().sqrt()  # the fourth root of the amplitude
            turn = size / power.sqrt()
            return size, x[0] * turn, x[1] * turn

        a, b, y = pressed(a), pressed(b), pressed(y)

        def apart(p: tuple[Tensor, ...], q: tuple[Tensor, ...]) -> Tensor:
            return (p[0] - q[0]).abs() + 0.5 * ((p[1] - q[1]).square() + (p[2] - q[2]).square() + 1e-6).sqrt()

        return (weight * (apart(a, y) + apart(b, y) - apart(a, b))).mean(dim=(1, 2)) / 2


class SoundLoss:
    """The student's loss, a function of the step alone: (step, steps) -> scalar.

    From noise alone the network draws the sound that the noise is paired with. It does so twice, with the same codes but other noise:
    what can't be foretold may differ, and is to differ as much as it does among real sounds. From a noisy sound it draws that sound.
    """

    def __init__(self, student: nn.Module, codes: Callable[[Tensor], Tensor], drums: Drums, *, batch: int, compiled: bool, device: str):
        self.student, self.codes, self.drums, self.batch, self.device = student, codes, drums, batch, device
        self.tuned = Tuned(drums.sounds)
        self.pairing = Pairing(drums.sounds, drums.labels, len(drums.names))
        self.spectra = [Spectra(window) for window in WINDOWS]
        self.apart = torch.compile(Spectra.apart, dynamic=False, disable=not compiled)

    def __call__(self, _step: int, _steps: int) -> Tensor:
        first = round(AT_FIRST * self.batch)
        last = self.batch - first
        names = len(self.drums.names)
        label = torch.randint(names, (self.batch,))
        noise, other = torch.randn(2, self.batch, 1, LENGTH)
        codes = self.codes(noise)
        # The same codes in the other noise: they are sums over rows of as many samples as a hop has.
        hop, kept = LENGTH // 210, codes.shape[1]
        other.view(len(other), -1, hop)[:, :, :kept] += ((codes - self.codes(other)) * (hop / LENGTH) ** 0.5).unsqueeze(1)

        which = self.pairing(codes[:, :CODES], label)
        semitones = SEMITONES * torch.cat([codes[:first, CODES], torch.randn(last)])
        real = self.tuned(which, semitones)
        # Noisy sounds begin up to a quarter of a second late, and are up to 20 dB softer.
        late = (torch.rand(last) ** 3 * LENGTH / 4).long().tolist()
        noisy = torch.stack([F.pad(x, (by, 0))[:, :LENGTH] for x, by in zip(real[first:], late)]) * 10 ** -torch.rand(last, 1, 1)
        real = torch.cat([real[:first], noisy])
        lower = (LOWER[0] + torch.rand(last, 1, 1) * (LOWER[1] - LOWER[0])).exp()
        unsure = torch.where(torch.rand(last) < 0.1, names, label[first:])

        given = torch.cat([SIGMA_MAX * noise[:first], SIGMA_MAX * other[:first], noisy + lower * noise[first:]])
        sigma = torch.cat([torch.full((2 * first,), SIGMA_MAX), lower.flatten()])
        label = torch.cat([label[:first], label[:first], unsure])
        drawn = self.student(*(x.to(self.device) for x in (given, sigma, label)))
        real = real.to(self.device)
        one, two = torch.cat([drawn[:first], drawn[2 * first:]]), drawn[first:]
        return torch.stack([self.apart(of(one), of(two), of(real), of.weight.to(self.device)) for of in self.spectra]).sum(dim=0).mean()
