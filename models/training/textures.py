"""The one-step student of textures: where the colours lie it learns from its teacher, how they look from real pictures.

Which grain of a texture becomes of which noise can't be foretold by a small network, and nobody minds: the regression that
makes a student of shapes (distillation.py) would leave textures smeared. What a texture is known by is the distribution of
its patches. So squares of the student's picture are compared with the teacher's by their means, and its patches and feature
maps of a classifier with those of a real picture of the label: by the sliced Wasserstein distance (Rabin et al. 2011; of
features, Heitz et al. 2021; of patches, Elnekave & Weiss 2022), which unlike a discriminator can't win. The real picture is
the one whose colour is nearest to the teacher's picture, so that every noise has its own, and each real picture some noise.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distillation import Trajectories, draw_trajectories
from materials import Materials

COARSE = 32  # pixels a side of the squares that are compared with the teacher's
PATCH = 7  # pixels a side of a patch, at three scales
POSITIONS, DIRECTIONS = 512, 24  # of every layer and picture, drawn anew at each step
TEXTURE = 0.01  # weight of the distance between distributions beside that of the squares
USES = 32  # points trained on for each trajectory drawn: of the layout alone there is little to learn by heart
AT_FIRST = 0.75  # share of the points that are at sigma_max, where a single step starts; the others are anywhere below


def sliced_distance(drawn: Tensor, real: Tensor) -> Tensor:
    """Squared Wasserstein distance of projections [N, S, K], in units of the real ones' variance."""
    scale = real.var(dim=1).mean().clamp(min=1e-6)
    return (drawn.sort(dim=1).values - real.sort(dim=1).values).square().mean() / scale


def projections(pictures: Tensor, maps: list[Tensor], seed: int) -> list[Tensor]:
    """Of pictures [N, 3, H, W] and their feature maps, the patches of three scales and the features along random directions at
    random positions, [N, POSITIONS, DIRECTIONS] each; the same ones for the same seed."""
    generator = torch.Generator().manual_seed(seed)

    def at_positions(values: Tensor) -> Tensor:
        values = values.flatten(2)
        index = torch.randint(values.shape[2], (POSITIONS,), generator=generator)
        return values[:, :, index.to(values.device)].transpose(1, 2)

    found = []
    for scale in (1, 2, 4):
        filters = torch.randn(DIRECTIONS, 3, PATCH, PATCH, generator=generator)
        filters = (filters / filters.flatten(1).norm(dim=1).view(-1, 1, 1, 1)).to(pictures.device)
        # Every few patches, beginning anywhere, will do.
        stride = 4 // scale
        down, across = torch.randint(stride, (2,), generator=generator).tolist()
        found.append(at_positions(F.conv2d(F.avg_pool2d(pictures, scale)[:, :, down:, across:], filters, stride=stride)))
    for layer in maps:
        directions = torch.randn(layer.shape[1], DIRECTIONS, generator=generator)
        found.append(at_positions(layer).float() @ (directions / directions.norm(dim=0)).to(layer.device))
    return found


class TextureDistillation:
    """The student's loss, a function of the step alone: (step, steps) -> scalar."""

    def __init__(self, student: nn.Module, teacher: nn.Module, features: Callable[[Tensor], list[Tensor]], pictures: Materials,
                 *, batch: int, pool: int, seed: int, device: str):
        """pool: trajectories drawn at once."""
        self.student, self.teacher, self.features, self.pictures = student, teacher, features, pictures
        self.batch, self.pool, self.seed, self.device = batch, pool, seed, device
        self.drawn, self.trajectories = -1, None

    def pool_of(self, step: int) -> Trajectories:
        """The trajectories of this step, drawn from a generator of its own, so that a resumed run draws the same. Each label as
        often as the others; one in twenty is dropped."""
        number = step * self.batch // (self.pool * USES)
        if number != self.drawn:
            with torch.random.fork_rng():
                torch.manual_seed(self.seed * 1_000_003 + 500_000 + number)
                names = len(self.pictures.names)
                labels = torch.where(torch.rand(self.pool) < 0.05, names, torch.randint(names, (self.pool,)))
                self.trajectories = draw_trajectories(self.teacher, labels.to(self.device), self.pictures.shape, self.batch)
            self.drawn = number
        return self.trajectories

    def __call__(self, step: int, _steps: int) -> Tensor:
        pool, n = self.pool_of(step), self.batch
        which = torch.randint(len(pool.labels), (n,)).to(self.device)
        point = torch.where(torch.arange(n) < round(AT_FIRST * n), 0, torch.randint(1, len(pool.levels), (n,))).to(self.device)
        label, end = pool.labels[which], pool.ends[which]
        drawn = self.student(pool.points[point, which], pool.levels[point], label)

        # Pseudo-Huber: squared for small errors, linear for large ones (Song & Dhariwal 2023, Sec. 3.3).
        error = F.avg_pool2d(drawn - end, COARSE)
        layout = (error.square().mean(dim=(1, 2, 3)) + 0.03**2).sqrt().mean()

        real = self.pictures.crops_of(self.pictures.nearest(end.mean(dim=(2, 3)).cpu(), label.cpu())).x
        with torch.no_grad():
            of_real = projections(real, self.features(real), step)
        of_drawn = projections(drawn, self.features(drawn), step)
        return layout + TEXTURE * torch.stack([sliced_distance(a, b) for a, b in zip(of_drawn, of_real)]).sum()
