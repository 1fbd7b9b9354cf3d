"""The mathematics of both models: preconditioning, noise levels, the deterministic sampler (Karras et al. 2022)."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

SIGMA_MIN, SIGMA_MAX, RHO = 0.002, 80.0, 7.0  # Karras et al. 2022, Table 1


class Denoiser(nn.Module):
    """network + preconditioning: (x, sigma [N], label [N]) -> denoised sample (Karras et al. 2022, Eq. 7).

    boundary 0: a diffusion model's mean of the clean data. boundary = sigma_min: a consistency function, which is the
    identity there (Song et al. 2023, App. C).
    """

    def __init__(self, network: nn.Module, sigma_data: float, boundary: float):
        super().__init__()
        self.network, self.sigma_data, self.boundary = network, sigma_data, boundary

    def forward(self, x: Tensor, sigma: Tensor, label: Tensor | None) -> Tensor:
        s = sigma.view(-1, *[1] * (x.dim() - 1))
        total = (s**2 + self.sigma_data**2).sqrt()
        c_skip = self.sigma_data**2 / ((s - self.boundary) ** 2 + self.sigma_data**2)
        c_out = (s - self.boundary) * self.sigma_data / total
        with torch.autocast(x.device.type, torch.bfloat16):
            output = self.network(x / total, sigma.log() / 4, label)
        return c_skip * x + c_out * output.float()


def karras_levels(steps: int) -> Tensor:
    """`steps` levels from sigma_max to sigma_min, then 0 (Karras et al. 2022, Eq. 5)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return torch.cat([(ends[0] + ramp * (ends[1] - ends[0])) ** RHO, torch.zeros(1, dtype=torch.float64)])


def heun(denoise: Callable[[Tensor, float], Tensor], x: Tensor, levels: Sequence[float]) -> list[Tensor]:
    """Karras et al. 2022, Algorithm 1: the points of the trajectory at each level, x first."""
    points = [x]
    for sigma, following in zip(levels[:-1], levels[1:]):
        slope = (x - denoise(x, sigma)) / sigma
        euler = x + (following - sigma) * slope
        if following > 0:
            slope = (slope + (euler - denoise(euler, following)) / following) / 2
        x = x + (following - sigma) * slope
        points.append(x)
    return points


def dpm_solver_2m(denoise: Callable[[Tensor, float], Tensor], x: Tensor, levels: Sequence[float]) -> list[Tensor]:
    """DPM-Solver++(2M) (Lu et al. 2022, Algorithm 2) on levels that end with 0: one call a level. The points, x first."""
    points, before, step_before = [x], None, 0.0
    for sigma, following in zip(levels[:-1], levels[1:]):
        denoised = denoise(x, sigma)
        if following > 0:
            step = math.log(sigma / following)
            ahead = denoised if before is None else denoised + (denoised - before) * (step / (2 * step_before))
            x = x * (following / sigma) + (1 - following / sigma) * ahead
            before, step_before = denoised, step
        else:
            x = denoised
        points.append(x)
    return points
