"""The one-step network of textures: how they look it learns from real pictures.

Which grain of a texture becomes of which noise can't be foretold by a small network, and nobody minds. What a texture is known
by is the distribution of its patches. So a drawn picture is compared with a real one of its label: its patches at several
scales by the sliced Wasserstein distance (Rabin et al. 2011; Elnekave & Weiss 2022), and the feature maps of a classifier by
their means and covariances (Gatys et al. 2015). Unlike a discriminator these can't win.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diffusion import SIGMA_MAX
from materials import Materials

PATCH = 7  # pixels a side of a patch
SCALES = (1, 2, 4, 8)
DIRECTIONS = 32  # along which patches are compared, drawn anew at each step
LEAST = 1e-4  # variance of what is nearly flat
AT_FIRST = 0.875  # share of the batch at sigma_max, where a single step starts; the rest is noisy pictures
LOWER = (-3.0, 4.4)  # ln sigma of those, uniform


def patches(pictures: Tensor, seed: int) -> list[Tensor]:
    """Of pictures [N, 3, H, W], the patches at every scale along random directions, [N, DIRECTIONS, patches] each; the same
    directions and places for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    found = []
    for scale in SCALES:
        filters = torch.randn(DIRECTIONS, 3, PATCH, PATCH, generator=generator)
        filters[::2] -= F.avg_pool2d(filters[::2], 3, 1, 1)  # the large is seen at the other scales
        filters = (filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).to(pictures.device)
        stride = max(4 // scale, 1)
        down, across = torch.randint(stride, (2,), generator=generator).tolist()
        x = F.avg_pool2d(pictures, scale) if scale > 1 else pictures
        found.append(F.conv2d(x[:, :, down:, across:], filters, stride=stride).flatten(2))
    return found


def order(x: Tensor) -> Tensor:
    """As x.argsort(dim=2)."""
    # NumPy sorts five times as fast as PyTorch on a CPU with AVX-512, where sorting took a sixth of a step.
    return torch.from_numpy(np.argsort(x.detach().numpy(), axis=2)) if x.device.type == "cpu" else x.detach().argsort(dim=2)


def sliced_distance(drawn: Tensor, real: Tensor) -> Tensor:
    """Of projections [N, K, S]: squared Wasserstein distance in units of the real ones' variance, [N]."""
    scale = real.var(dim=2).clamp(min=LEAST)
    wanted = torch.empty_like(real).scatter_(2, order(drawn), real.gather(2, order(real)))
    return ((drawn - wanted).square().mean(dim=2) / scale).mean(dim=1)


class Moments:
    """Of feature maps [N, C, H, W]: means [N, C] and covariances [N, C, C] of real pictures."""

    def __init__(self, maps: Tensor):
        x = maps.flatten(2)
        self.mean = x.mean(dim=2)
        x = x - self.mean.unsqueeze(2)
        self.covariance = (x @ x.transpose(1, 2)).float() / x.shape[2]
        self.trace = self.covariance.diagonal(dim1=1, dim2=2).sum(1)
        self.size = self.covariance.square().sum(dim=(1, 2))

    def distance(self, maps: Tensor, which: Tensor) -> Tensor:
        """Of drawn pictures' maps to those of the real pictures `which`, [N]."""
        x = maps.flatten(2) - self.mean[which].unsqueeze(2)
        mean = x.mean(dim=2).float().square().sum(dim=1) / self.trace[which]
        covariance = ((x @ x.transpose(1, 2)).float() / x.shape[2] - self.covariance[which]).square().sum(dim=(1, 2)) / self.size[which]
        return mean + covariance


class TextureLoss:
    """The student's loss, a function of the step alone: (step, steps) -> scalar."""

    def __init__(self, student: nn.Module, features: Callable[[Tensor], list[Tensor]], pictures: Materials, *, batch: int,
                 device: str):
        self.student, self.features, self.pictures, self.batch, self.device = student, features, pictures, batch, device
        self.real = pictures.wholes()
        self.regularity = pictures.regularity()
        with torch.no_grad():
            # As many at a time as in training, which is compiled for that.
            filled = torch.cat([self.real, self.real[:1].expand(-len(self.real) % batch, -1, -1, -1)])
            maps = [self.features(part) for part in filled.split(batch)]
            self.moments = [Moments(torch.cat(layer)) for layer in zip(*maps)]

    def __call__(self, step: int, _steps: int) -> Tensor:
        n = self.batch
        which = torch.multinomial(self.pictures.chances, n // 2, replacement=True).repeat(2)
        real = self.real[which.to(self.real.device)]
        # Two of each picture. The first are made of noise alone, the last of noisy pictures.
        lower = (LOWER[0] + torch.rand(n) * (LOWER[1] - LOWER[0])).exp()
        sigma = torch.where(torch.arange(n) < round(AT_FIRST * n), SIGMA_MAX, lower)
        sigma = sigma.to(self.device)
        given = (sigma < SIGMA_MAX).view(-1, 1, 1, 1)
        drawn = self.student(given * real + sigma.view(-1, 1, 1, 1) * torch.randn(real.shape, device=self.device), sigma,
                             self.pictures.labels[which].to(self.device))

        terms = [sliced_distance(a, b) for a, b in zip(patches(drawn, step), patches(real, step))]
        # The classifier sees every other pixel differently, and the network draws them four by four: neither may rely on the other.
        moved = drawn.roll(torch.randint(8, (2,)).tolist(), (2, 3))
        terms += [moments.distance(layer, which) for moments, layer in zip(self.moments, self.features(moved))]
        # Distances, not their squares: no picture counts more because it is flat, or hard.
        loss = torch.stack([(term + 1e-3).sqrt() for term in terms]).mean()
        # Of two noises come two pictures, alike at most as far as the real one is like itself further on.
        one, other = (drawn - drawn.mean(dim=(2, 3), keepdim=True)).flatten(1).chunk(2)
        likeness = F.cosine_similarity(one, other) - self.regularity[which[:n // 2]]
        loss = loss + (likeness.clamp(min=0) * (sigma.chunk(2)[1] == SIGMA_MAX)).mean()
        # What is left of a picture in the noise is kept.
        deviation = real.var(dim=(1, 2, 3)).clamp(min=LEAST) / (1 + 4 * sigma**2)
        kept = ((drawn - real).square().mean(dim=(1, 2, 3)) / deviation + 1e-3).sqrt()
        return loss + (kept / (1 + 4 * sigma**2)).mean()
