"""Drums: waveforms survive their spectra, sounds are tuned, noises shared out among them; and loops: clips begin anywhere."""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from drums import CODES, LENGTH, RATE, Drums, Pairing, Spectra, Tuned  # noqa: E402
from evaluate_loops import steps_between  # noqa: E402
from loops import FRAMES, Loops  # noqa: E402
from loops import held_out as clip_held_out  # noqa: E402
from spectral import SKIP, SpectralConfig  # noqa: E402

torch.manual_seed(0)
TIME = torch.arange(LENGTH) / RATE


def tone(frequency: float, fade: float = 0.2) -> torch.Tensor:
    return 0.9 * torch.exp(-TIME / fade) * torch.sin(2 * math.pi * frequency * TIME)


def test_spectra_give_waveforms_back() -> None:
    network = SpectralConfig(labels=3, widths=(16, 16, 16)).build().eval()
    x = torch.randn(3, 1, LENGTH)
    assert torch.allclose(network.waveform(network.spectrum(x)), x, atol=1e-5)  # float32, sums of 400 terms of size 1
    # A tone is in the bin of its frequency: they are 52.5 Hz apart.
    real, imaginary = network.spectrum(tone(20 * 52.5, 10).view(1, 1, -1)).chunk(2, dim=1)
    assert (real.square() + imaginary.square()).mean(dim=2).argmax() == 20


def test_codes_are_normal_numbers() -> None:
    network = SpectralConfig(labels=3, widths=(16, 16, 16)).build()
    codes = network.codes(torch.randn(2000, 1, LENGTH))
    # 2000 draws: five deviations of a mean and of a covariance.
    assert codes.mean(dim=0).abs().max() < 5 / 2000**0.5
    assert (torch.cov(codes.T) - torch.eye(codes.shape[1])).abs().max() < 5 * (2 / 2000) ** 0.5


def test_untrained_network_lets_noise_through_at_the_boundary_alone() -> None:
    network = SpectralConfig(labels=3, widths=(16, 16, 16)).build().eval()
    from diffusion import SIGMA_MIN, Denoiser
    denoiser, x = Denoiser(network, SKIP, SIGMA_MIN), torch.randn(1, 1, LENGTH) * 0.1
    with torch.no_grad():
        assert torch.allclose(denoiser(x, torch.tensor([SIGMA_MIN]), torch.tensor([0])), x, atol=1e-6)


def test_sounds_are_tuned() -> None:
    tuned = Tuned(torch.stack([tone(440), tone(1000)]))
    assert torch.allclose(tuned(torch.tensor([1]), torch.zeros(1))[0, 0], tone(1000), atol=1e-3)  # kept in 16 bits
    up = tuned(torch.tensor([0, 0]), torch.tensor([12.0, -12.0]))[:, 0]
    # An octave up, time is halved too; straight lines between samples at 44.1 kHz err by (pi f / 44100)^2 / 2.
    half = 0.9 * torch.exp(-TIME / 0.1) * torch.sin(2 * math.pi * 880 * TIME)
    assert (up[0] - half)[:LENGTH // 2 - 1].abs().max() < 0.01 and up[0, LENGTH // 2:].abs().max() == 0
    assert up[1].abs().max() > 0.8


def test_noises_are_shared_out() -> None:
    sounds = torch.stack([tone(f) for f in np.geomspace(100, 4000, 30)])
    labels = torch.arange(30) // 20  # 20 of one label, 10 of another
    pairing = Pairing(sounds, labels, 2)
    codes, asked = torch.randn(6000, CODES), torch.arange(6000) % 2
    which = pairing(codes, asked)
    assert torch.equal(labels[which], asked)
    count = torch.bincount(which, minlength=30)
    for label, fair in ((0, 150), (1, 300)):
        assert (count[labels == label] > 0.6 * fair).all() and (count[labels == label] < 1.5 * fair).all()
    # The same noise, or nearly, becomes the same sound, or nearly.
    assert (pairing(codes + 0.001, asked) == which).float().mean() > 0.95


def test_real_spread_has_the_least_energy_distance() -> None:
    spectra = Spectra(512)

    def noise(spread: float) -> list[torch.Tensor]:
        """Whose loudness varies."""
        return spectra((spread * torch.randn(1000, 1, 1)).exp() * torch.randn(1000, 1, LENGTH // 16) * 0.1)

    real = noise(0.5)
    apart = [float(Spectra.apart(noise(spread), noise(spread), real, spectra.weight).mean()) for spread in (0.0, 0.5, 1.5)]
    assert apart[1] < apart[0] and apart[1] < apart[2], apart


def test_files() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label, frequency in (("bell", 2000), ("tom", 200)):
            sounds = torch.cat([tone(frequency * (1 + i / 100)) for i in range(30)])
            soundfile.write(folder / f"{label}.ogg", sounds.numpy(), RATE, format="OGG", subtype="VORBIS")
        drums = Drums(folder)
        assert drums.names == ["bell", "tom"] and len(drums) + len(drums.held_out) == 60 and 0 < len(drums.held_out) < 20
        assert drums.picture(drums.sounds[:2].unsqueeze(1)).shape == (2, 1, 128, 88)
        soundfile.write(folder / "short.ogg", np.zeros(100, np.float32), RATE, format="OGG", subtype="VORBIS")
        try:
            Drums(folder)
            raise AssertionError("a sound that is no second long was read")
        except SystemExit as error:
            assert "short.ogg" in str(error) and "(100,)" in str(error)


def test_clips_that_close() -> None:
    # A grey that rises by a sixteenth of the range a frame goes back by seven of those; opaque, of three colours of three.
    rising = (torch.arange(FRAMES) / 8 - 1).view(1, 1, FRAMES, 1, 1).expand(2, 3, FRAMES, 4, 4)
    moves, closes = steps_between(torch.cat([rising, torch.ones(2, 1, FRAMES, 4, 4)], dim=1))
    assert abs(moves - 1 / 16) < 1e-6 and abs(closes - 7) < 1e-5, (moves, closes)
    # One pixel that goes round closes as it goes on, and one that can't be seen does not move.
    ring = torch.eye(FRAMES).view(1, 1, FRAMES, 1, FRAMES) * 2 - 1
    moves, closes = steps_between(ring.expand(1, 4, FRAMES, 1, FRAMES))
    assert abs(moves - 2 / FRAMES) < 1e-6 and abs(closes - 1) < 1e-6, (moves, closes)
    moves, _ = steps_between(torch.cat([ring.expand(1, 3, FRAMES, 1, FRAMES), -torch.ones(1, 1, FRAMES, 1, FRAMES)], dim=1))
    assert moves == 0, moves


def test_clips() -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for label in ("idle", "run"):
            (folder / label).mkdir()
            for i in range(40):
                strip = rng.integers(0, 256, (32, 256, 4), np.uint8)
                strip[..., 3] *= strip[..., 3] > 99
                Image.fromarray(strip).save(folder / label / f"{i}.webp", lossless=True)
        loops = Loops(folder)
        outside = sum(clip_held_out(Path(f"{i}.webp")) for i in range(40))
        assert len(loops) == 80 - 2 * outside and len(loops.held_out) == 2 * outside > 0
        assert loops.pixels[:, :3].amax(dim=1)[loops.pixels[:, 3] == 0].max() == 0  # what can't be seen is black
        crops = loops.draw(20)
        assert list(crops.x.shape) == [20, *loops.shape]
        clips = {clip.roll(-by, 1).numpy().tobytes() for clip in loops.clips(torch.arange(len(loops))) for by in range(FRAMES)}
        assert all(x.view(4, FRAMES, 32, 32).numpy().tobytes() in clips for x in crops.x)
        assert loops.picture(crops.x).shape == (20, 3, 32, 256)
        Image.new("RGBA", (32, 32)).save(folder / "run" / "still.webp")
        try:
            Loops(folder)
            raise AssertionError("a still was read")
        except SystemExit as error:
            assert "still.webp" in str(error) and "32x32" in str(error)


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: passed")
