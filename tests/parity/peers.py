"""Models, noise and a way to run onestep, shared by the parity tests."""

import json
import subprocess
import warnings
from pathlib import Path

import numpy
import torch
from torch import nn

MU, S = 0.3, 0.5  # the data of the closed-form models: N(MU, S^2)


def noise(draws: int, shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(draws, *shape, generator=torch.Generator().manual_seed(seed))


def posterior_mean(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The mean of the data given x = data + sigma * noise."""
    return (S**2 * x + sigma**2 * MU) / (S**2 + sigma**2)


def rows(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.reshape([-1] + [1] * (like.dim() - 1))


class EpsilonOfGaussian(nn.Module):
    """What a perfect network with timesteps and `epsilon` prediction says of x_t."""

    def __init__(self, alphas_cumprod: torch.Tensor):
        super().__init__()
        self.register_buffer("alphas_cumprod", alphas_cumprod)

    def forward(self, x, t):
        a = rows(self.alphas_cumprod[t.long()], x)
        sigma = ((1 - a) / a).sqrt()
        x0 = posterior_mean(x / a.sqrt(), sigma)
        return (x - a.sqrt() * x0) / (1 - a).sqrt()


class TrigFlowOfGaussian(nn.Module):
    """What a perfect TrigFlow consistency network says of x_t / sigma_data at angle t; sigma_data = S."""

    def forward(self, x, t):
        t = rows(t, x)
        sigma = S * torch.tan(t)
        start = MU + (S * x / torch.cos(t) - MU) * S / (S**2 + sigma**2).sqrt()
        return (torch.cos(t) * S * x - start) / (torch.sin(t) * S)


class MeanFlowOfGaussian(nn.Module):
    """The average velocity of a perfect MeanFlow network (Geng et al. 2025) from z_t to z_r, at z = (1 - t) x0 + t noise."""

    def forward(self, z, t, r):
        t, r = rows(t, z), rows(r, z)

        def deviation(s):
            return (S**2 * (1 - s) ** 2 + s**2).sqrt()

        there = (1 - r) * MU + (z - (1 - t) * MU) * deviation(r) / deviation(t)
        return (z - there) / (t - r).clamp(min=1e-3)  # loading tries t = r


class TrajectoryOfGaussian(nn.Module):
    """A perfect consistency trajectory network (Kim et al. 2023, Eq. 9) with EDM preconditioning, sigma_data = S, told
    ln(sigma) / 4 of both levels: its jump G = s / t x + (1 - s / t) g lands on the trajectory."""

    def forward(self, x, t, s):
        t, s = rows((4 * t).exp(), x), rows((4 * s).exp(), x)
        total = (t**2 + S**2).sqrt()
        x = x * total
        s = torch.where(s < 0.0021, torch.zeros_like(s), s)  # the last jump is told sigma_min, and goes to 0
        there = MU + (x - MU) * ((S**2 + s**2) / (S**2 + t**2)).sqrt()
        g = (there - s / t * x) / (1 - s / t).clamp(min=1e-3)
        return (g - S**2 / total**2 * x) / (t * S / total)


def trajectory_end(z: torch.Tensor, sigma: float) -> torch.Tensor:
    """The start of the trajectory through sigma * z."""
    return MU + (sigma * z - MU) * S / (S**2 + sigma**2) ** 0.5


class Draws:
    """Gives a peer's scheduler the draws that onestep gets: draw 0 begins, the others are asked for one by one."""

    def __init__(self, z: torch.Tensor):
        self.rest = iter(z[1:])

    def __call__(self, shape, *unused, **also_unused):
        # Some ask once more, for a last step that multiplies it by 0.
        return next(self.rest, torch.ones(shape)).reshape(shape)


def save(module: nn.Module, metadata: dict, example: tuple, file: Path) -> Path:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
        traced = torch.jit.trace(module.eval(), example)
        torch.jit.save(traced, str(file), _extra_files={"onestep.json": json.dumps(metadata)})
    return file


def generate(onestep: str, model: Path, z: torch.Tensor, *options: str) -> torch.Tensor:
    """The samples that onestep draws from the unit Gaussians z, [draws, N, ...]."""
    numpy.save(model.with_suffix(".noise.npy"), z.numpy())
    output = model.with_suffix(".samples.npy")
    result = subprocess.run([onestep, "generate", str(model), "--noise", str(model.with_suffix(".noise.npy")), "-o",
                             str(output), "--precision", "fp32", *options], capture_output=True, text=True)
    if result.returncode != 0:
        raise AssertionError(result.stderr)
    return torch.from_numpy(numpy.load(output))


def levels(sigmas) -> list[str]:
    return ["--levels", ",".join(repr(float(sigma)) for sigma in sigmas)]
