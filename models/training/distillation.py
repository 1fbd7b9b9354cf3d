"""The one-step student: regressed on the teacher's trajectories, then sharpened against real pictures.

A consistency function maps every point of a trajectory of the probability-flow ODE to its end (Song et al. 2023,
Sec. 3). With a teacher whose trajectories are cheap to draw, that is plain regression: no bootstrapping from the
student's own outputs, hence no error that grows from level to level. Regression alone leaves what the student can't
resolve smeared; a discriminator, as in consistency trajectory models (Kim et al. 2023, Sec. 4), takes that away.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from diffusion import RHO, SIGMA_MAX, SIGMA_MIN, dpm_solver_2m
from materials import Dataset

LEVELS = 18  # with dpm_solver_2m, as close to the exact end as Heun's method with 35 calls
USES = 8  # points trained on for each trajectory drawn


@dataclass
class Trajectories:
    """Points [levels, M, C, H, W] of M trajectories, their noise levels, ends [M, C, H, W] and labels [M]."""

    points: Tensor
    levels: Tensor
    ends: Tensor
    labels: Tensor


@torch.no_grad()
def draw_trajectories(teacher: nn.Module, labels: Tensor, shape: tuple[int, ...],
                      batch: int) -> Trajectories:
    """One trajectory a label. All start at sigma_max; the further levels are shifted at random from run to run."""
    ramp = (torch.arange(LEVELS - 1) + torch.rand(1).item()) / (LEVELS - 1)
    ends = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    further = (ends[0] + ramp * (ends[1] - ends[0])) ** RHO
    levels = [SIGMA_MAX, *[s for s in further.tolist() if s < 0.98 * SIGMA_MAX]]
    points = []
    for part in labels.split(batch):
        x = torch.randn(len(part), *shape, device=part.device) * SIGMA_MAX

        def denoise(y: Tensor, sigma: float, label: Tensor = part) -> Tensor:
            return teacher(y, torch.full((len(y),), sigma, device=y.device), label)

        points.append(torch.stack(dpm_solver_2m(denoise, x, [*levels, 0.0])))
    points = torch.cat(points, dim=1)
    return Trajectories(points[:-1], torch.tensor(levels, device=labels.device), points[-1], labels)


def perceptual_distance(a: list[Tensor], b: list[Tensor]) -> Tensor:
    """Squared distance of unit feature vectors, mean over positions, sum over layers: [N] (Zhang et al. 2018)."""
    layers = [(F.normalize(x.float(), dim=1) - F.normalize(y.float(), dim=1)).square().sum(1).mean(dim=(1, 2))
              for x, y in zip(a, b)]
    return torch.stack(layers).sum(0)


class Discriminator(nn.Module):
    """Tells real pictures from drawn ones by the feature maps of a frozen classifier (Sauer et al. 2021), a label at a time."""

    def __init__(self, channels: list[int], labels: int, width: int = 64):
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 1), nn.LeakyReLU(0.2))
            for c in channels)
        self.plain = nn.ModuleList(nn.Linear(width, 1) for _ in channels)
        self.label = nn.ModuleList(nn.Embedding(labels + 1, width) for _ in channels)
        for embedding in self.label:
            nn.init.zeros_(embedding.weight)

    def forward(self, features: list[Tensor], label: Tensor) -> Tensor:
        """[N, layers * positions] scores, high for real."""
        scores = []
        for x, head, plain, embedding in zip(features, self.heads, self.plain, self.label):
            with torch.autocast(x.device.type, torch.bfloat16):
                h = head(F.normalize(x, dim=1) * x.shape[1] ** 0.5)
            h = h.float().flatten(2).transpose(1, 2)
            scores.append((plain(h) + h @ embedding(label)[:, :, None]).squeeze(-1))
        return torch.cat(scores, dim=1)


def frozen(module: nn.Module, *inputs) -> Tensor:
    """module(*inputs) with gradients for the inputs only."""
    return functional_call(module, {name: p.detach() for name, p in module.named_parameters()}, inputs)


class Distillation:
    """The student's loss, a function of the step alone: (step, steps) -> scalar, also for the discriminator beside it."""

    SHARP_FROM = 0.25  # of the run, regression alone; the discriminator learns from then on
    PERCEPTUAL, ADVERSARIAL = 0.3, 0.02  # weights of the terms beside the pixels' own

    def __init__(self, student: nn.Module, teacher: nn.Module, features: Callable[[Tensor], list[Tensor]],
                 discriminator: Discriminator, pictures: Dataset, batch: int, pool: int, seed: int, device: str):
        self.student, self.teacher, self.features, self.discriminator = student, teacher, features, discriminator
        self.pictures, self.batch, self.pool, self.seed, self.device = pictures, batch, pool, seed, device
        self.drawn, self.trajectories = -1, None

    def labels(self, count: int) -> Tensor:
        """Each label as often as the others; one in twenty is dropped."""
        names = len(self.pictures.names)
        return torch.where(torch.rand(count) < 0.05, names, torch.randint(names, (count,)))

    def pool_of(self, step: int) -> Trajectories:
        """The trajectories of this step, drawn from a generator of its own, so that a resumed run draws the same."""
        number = step * self.batch // (self.pool * USES)
        if number != self.drawn:
            with torch.random.fork_rng():
                torch.manual_seed(self.seed * 1_000_003 + 500_000 + number)
                self.trajectories = draw_trajectories(self.teacher, self.labels(self.pool).to(self.device),
                                                      self.pictures.shape, self.batch)
            self.drawn = number
        return self.trajectories

    def __call__(self, step: int, steps: int) -> Tensor:
        pool, n = self.pool_of(step), self.batch
        # Half of the points at sigma_max, where a single step starts; the others anywhere below.
        which = torch.randint(len(pool.labels), (n,)).to(self.device)
        point = torch.where(torch.arange(n) < n // 2, 0, torch.randint(1, len(pool.levels), (n,))).to(self.device)
        label, end = pool.labels[which], pool.ends[which]
        drawn = self.student(pool.points[point, which], pool.levels[point], label)

        drawn_features = self.features(drawn)
        with torch.no_grad():
            end_features = self.features(end)
        # Pseudo-Huber: squared for small errors, linear for large ones (Song & Dhariwal 2023, Sec. 3.3).
        pixels = ((drawn - end).square().mean(dim=(1, 2, 3)) + 0.03**2).sqrt().mean()
        loss = pixels + self.PERCEPTUAL * perceptual_distance(drawn_features, end_features).mean()
        if step < self.SHARP_FROM * steps:
            return loss

        real = self.pictures.draw(n)
        real_label = torch.where(torch.rand(len(real.x)) < 0.05, len(self.pictures.names), real.labels).to(self.device)
        with torch.no_grad():
            real_features = self.features(real.x.to(self.device))
        loss = loss - self.ADVERSARIAL * frozen(self.discriminator, drawn_features, label).mean()
        # Hinge loss (Lim & Ye 2017).
        of_real = self.discriminator(real_features, real_label)
        of_drawn = self.discriminator([f.detach() for f in drawn_features], label)
        return loss + F.relu(1 - of_real).mean() + F.relu(1 + of_drawn).mean()
