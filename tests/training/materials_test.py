"""The network of the materials knows no place: it shifts with its input, sees no further than its halo, and a label map that
is the same everywhere is a label. Its crops: which files are held out, what wraps, what counts."""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from equivariant import EquivariantConfig, EquivariantUNet  # noqa: E402
from materials import SEAM, SIDE, Materials, held_out, wraps  # noqa: E402
from textures import Moments, patches, sliced_distance  # noqa: E402

torch.set_num_threads(1)
ROUNDING = 1e-5  # of float32 sums that are added in another order, relative to the largest value; seen: 1e-6
CONFIGS = [EquivariantConfig(channels=3, labels=4, widths=(16, 24, 32), looks=(2, 1, 0), embedding=16, period=32),
           EquivariantConfig(channels=1, labels=2, fold=2, widths=(8, 16), looks=(1, 2), embedding=8, period=8),
           EquivariantConfig(channels=2, labels=1, fold=4, widths=(16,), looks=(2,), embedding=16, period=32)]


def network_of(config: EquivariantConfig, wrap: bool) -> EquivariantUNet:
    """Weights at random, those too that are zero before training."""
    torch.manual_seed(1)
    network = config.build(wrap).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.add_(0.1 * torch.randn_like(parameter))
    network.regular[0] = 1  # a label that is told of the place, and others that are not
    return network


def arguments(config: EquivariantConfig, height: int, width: int) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(2)
    return torch.randn(2, config.channels, height, width), torch.tensor([0.9, -0.4]), torch.tensor([0, 1])


def test_shifts_with_its_input(config: EquivariantConfig) -> None:
    network, m = network_of(config, wrap=True), config.multiple
    x, noise, label = arguments(config, 3 * m, 4 * m)
    expected = network(x, noise, label)
    for shift in ((m, 0), (0, 3 * m), (-m, 2 * m)):
        shifted = network(x.roll(shift, (2, 3)), noise, label).roll((-shift[0], -shift[1]), (2, 3))
        assert (shifted - expected).abs().max() < ROUNDING * expected.abs().max(), (config, shift)
    if m > 1:
        shifted = network(x.roll(1, 3), noise, label).roll(-1, 3)
        assert (shifted - expected).abs().max() > 1e-3, f"{config}: a multiple smaller than {m} would do"


def test_halo_is_exact(config: EquivariantConfig) -> None:
    """No output pixel sees further than the halo, and one sees as far: each input row is perturbed by itself."""
    network, halo, m = network_of(config, wrap=False), config.halo(), config.multiple
    side = (2 * halo // m + 4) * m
    x, noise, label = arguments(config, side, m)
    expected, reach = network(x, noise, label), 0
    for row in range(side // 2 - m // 2, side // 2 + m // 2 + 1):  # a whole period of the grid
        changed = x.clone()
        changed[:, :, row] += 1e6  # what depends on it at all depends on it by more than rounding
        rows = (network(changed, noise, label) != expected).any(dim=(0, 1, 3)).nonzero().flatten()
        reach = max(reach, int((rows - row).abs().max()))
    assert reach == halo, f"{config}: reaches {reach}, says {halo}"


def test_inside_of_the_margin_is_the_wrapped_one(config: EquivariantConfig) -> None:
    """What is cut from a larger picture by zeros is right beyond the halo: this is how an endless plane is drawn."""
    halo, m = config.halo(), config.multiple
    margin = -(-halo // m) * m
    x, noise, label = arguments(config, 3 * m, 2 * m)
    expected = network_of(config, wrap=True)(x, noise, label)
    around = torch.arange(-margin, 3 * m + margin) % (3 * m), torch.arange(-margin, 2 * m + margin) % (2 * m)
    drawn = network_of(config, wrap=False)(x[:, :, around[0]][:, :, :, around[1]], noise, label)
    inside = drawn[:, :, margin:margin + 3 * m, margin:margin + 2 * m]
    assert (inside - expected).abs().max() < ROUNDING * expected.abs().max(), config


def test_label_maps(config: EquivariantConfig) -> None:
    network, m = network_of(config, wrap=False), config.multiple
    x, noise, label = arguments(config, 2 * m, 3 * m)
    everywhere = label.view(-1, 1, 1).expand(-1, 2 * m, 3 * m)
    expected = network(x, noise, label)
    assert (network(x, noise, everywhere) - expected).abs().max() < ROUNDING * expected.abs().max(), config
    # Two labels side by side: far from where they meet, each is what it is alone.
    side = -(-config.halo() // m) * m
    x, noise, label = arguments(config, m, 4 * side)
    left, right = torch.zeros_like(label), torch.ones_like(label)
    both = torch.cat([left.view(-1, 1, 1).expand(-1, m, 2 * side), right.view(-1, 1, 1).expand(-1, m, 2 * side)], dim=2)
    drawn = network(x, noise, both)
    for alone, part in ((left, slice(0, side)), (right, slice(3 * side, None))):
        difference = (drawn - network(x, noise, alone))[..., part].abs().max()
        assert difference < ROUNDING * drawn.abs().max(), (config, difference)


def test_scripts_for_every_size(config: EquivariantConfig) -> None:
    network = network_of(config, wrap=False)
    scripted, m = torch.jit.script(network), config.multiple
    for height, width in ((m, m), (3 * m, 2 * m)):
        x, noise, label = arguments(config, height, width)
        assert torch.equal(scripted(x, noise, label), network(x, noise, label)), config
        everywhere = label.view(-1, 1, 1).expand(-1, height, width)
        assert torch.equal(scripted(x, noise, everywhere), network(x, noise, everywhere)), config


for config in CONFIGS:
    test_shifts_with_its_input(config)
    test_halo_is_exact(config)
    test_inside_of_the_margin_is_the_wrapped_one(config)
    test_label_maps(config)
    test_scripts_for_every_size(config)
print("equivariant; the halos are", [config.halo() for config in CONFIGS])

# The split is a matter of names: written out, so that no change of it goes unnoticed and training sees what it must not.
names = [Path(f"any/folder/brick/{i:03d}.png") for i in range(400)]
told = [path.name for path in names if held_out(path)]
assert told[:4] == ["007.png", "027.png", "047.png", "055.png"], told[:4]
assert 20 < len(told) < 60, f"{len(told)} of 400 are no tenth"  # 40 expected, deviation 6
assert told == [path.name for path in names if held_out(Path("elsewhere/brick") / path.name)]

with tempfile.TemporaryDirectory() as temporary:
    folder = Path(temporary)
    ramp = np.linspace(0, 2 * np.pi, SIDE, endpoint=False)
    waves = (127 + 100 * np.sin(ramp)[:, None, None] * np.cos(2 * ramp)[None, :, None] * np.ones(3)).astype(np.uint8)
    slope = np.broadcast_to(np.linspace(0, 255, SIDE).astype(np.uint8)[:, None, None], (SIDE, SIDE, 3))
    assert wraps(waves) and not wraps(slope) and not wraps(slope.transpose(1, 0, 2))
    for name, picture in (("marble", waves), ("roof", slope)):
        (folder / name).mkdir()
        for i in range(40):
            Image.fromarray(np.ascontiguousarray(picture)).save(folder / name / f"{i}.png")
    train, rest = Materials(folder), Materials(folder, "held_out")
    assert len(train) + len(rest) == 80 and 0 < len(rest) == sum(held_out(f) for f in folder.glob("*/*"))
    assert train.names == rest.names == ["marble", "roof"] and len(train.seamless) == (train.labels == 0).sum()
    for scale, count, side in ((1, 32, SIDE), (2, 128, SIDE // 2)):
        torch.manual_seed(3)
        crops = train.draw(32, scale)
        assert crops.x.shape == (count, 3, side, side) and crops.weight.shape == (count, 1, side, side)
        assert abs(float(crops.weight.mean()) - 1) < 1e-6 and set(crops.labels.tolist()) == {0, 1}
        for x, label, weight in zip(crops.x, crops.labels, crops.weight[:, 0]):
            if label == 0:  # rolled: everything counts, and the edges meet as rows do inside
                assert (weight == weight[0, 0]).all() and weight[0, 0] > 0
                assert (x[:, 0] - x[:, -1]).abs().mean() <= (x[:, 1:] - x[:, :-1]).abs().amax(dim=2).max() + 0.02
            else:  # cut: nothing counts beside the edges, and what is above stays above
                outside = torch.ones(side, side, dtype=torch.bool)
                outside[SEAM:-SEAM, SEAM:-SEAM] = False
                assert (weight[outside] == 0).all() and (weight[~outside] > 0).all()
                assert (x[:, 0] < x[:, -1]).all()

    # Labels that a file lists have the pictures that it lists, without those that are held out.
    told = [held_out(folder / "roof" / f"{i}.png") for i in range(40)]
    chosen = folder / "labels.json"
    chosen.write_text(json.dumps({"slope": [f"roof/{i}.png" for i in range(40)], "waves": [f"marble/{told.index(False)}.png"] +
                                  [f"roof/{told.index(False)}.png"]}))
    listed = Materials(folder, labels=chosen, power=0)
    assert listed.names == ["slope", "waves"] and (listed.labels == 0).sum() == told.count(False), listed.labels
    assert torch.allclose(torch.zeros(2).index_add(0, listed.labels, listed.chances), torch.ones(2))
    whole = listed.wholes()
    assert whole.shape == (len(listed), 3, SIDE, SIDE) and (whole[-1].diff(dim=1) >= 0).all() and not (whole[0].diff(dim=1) >= 0).all()
print("crops and split")

# Of samples of N(0, 1) and N(1, 2^2), the squared Wasserstein distance is 1 + (2 - 1)^2, here in units of the latter's variance, 4.
# 100,000 samples: the standard errors of mean and deviation are 0.007 and 0.005, which move it by 0.006.
torch.manual_seed(0)
a, b = torch.randn(1, 1, 100_000), 1 + 2 * torch.randn(1, 1, 100_000)
assert abs(sliced_distance(a, b) - 0.5) < 0.02, sliced_distance(a, b)
assert sliced_distance(a, a[:, :, torch.randperm(100_000)]) == 0

# Two features of variances 4 and 1, uncorrelated: a mean that is off by 1 is 1 of the trace, 5; and adds 1 to one element of a
# covariance whose squares sum to 17.
maps = torch.tensor([[[2.0, -2.0, 2.0, -2.0], [1.0, 1.0, -1.0, -1.0]]]).view(1, 2, 2, 2)
moments, shift = Moments(maps), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
assert moments.distance(maps, torch.tensor([0])) < 1e-12
assert abs(moments.distance(maps + shift, torch.tensor([0])) - (1 / 5 + 1 / 17)) < 1e-6


def noise(grain: int) -> torch.Tensor:
    """Pictures of unit deviation whose values go together as far as `grain` pixels."""
    x = torch.nn.functional.avg_pool2d(torch.randn(4, 3, 128 + grain, 128 + grain), grain, 1)[:, :, :128, :128]
    return x / x.std()


def distance(x: torch.Tensor, y: torch.Tensor) -> float:
    return float(sum(sliced_distance(p, q) for p, q in zip(patches(x, 0), patches(y, 0))).mean())


# A texture is near to another piece of itself, and far from one of the same values in another order.
fine, coarse = noise(1), noise(8)
assert distance(fine, noise(1)) < 0.1 * distance(fine, coarse)
assert distance(coarse, noise(8)) < 0.1 * distance(coarse, fine)
print("textures")
