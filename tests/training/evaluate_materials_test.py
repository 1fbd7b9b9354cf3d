"""What is measured of materials, against pictures whose answers are known."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "training"))
from evaluate_materials import autocorrelation, crops_of, nearest_training_crop, prominence, read, write  # noqa: E402
from materials import Materials, cut, held_out  # noqa: E402

torch.set_num_threads(1)
torch.manual_seed(0)

# Squares are what a picture is made of, row by row.
x = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
assert torch.equal(cut(x, 2)[4], x[0, :, 2:4, 2:4])
assert torch.equal(cut(x, 2)[6], x[1, :, 0:2, 0:2])

# A wave of a period of 32 pixels, along one dimension, is like itself there and its opposite at 16; a constant wave along the other.
wave = (torch.arange(256) * 2 * torch.pi / 32).cos().expand(3, 256, 256)
r = autocorrelation(wave, 2)
assert len(r) == 192 and abs(r[32] - 1) < 0.05 and abs(r[16] + 1) < 0.05, r  # the ends of the picture count by less than a period
assert (autocorrelation(wave, 1) - 1).abs().max() < 1e-4, "nothing changes downward"

# A grid at the tiles' edges stands out of noise, smooth or not, and noise does not. Two deviations are no event among 24 lags'
# own; a grid of a quarter of the noise's deviation on one pixel in 64 was seen to give 8.
noise = [torch.randn(3, 256, 256) for _ in range(4)]
smooth = [torch.nn.functional.avg_pool2d(n, 5, 1, 2) for n in noise]
grid = torch.zeros(256)
grid[::64] = 1
for plain in (noise, smooth):
    assert abs(prominence(plain, 64)) < 3.5, prominence(plain, 64)
    drawn = [n + n.std() * (grid.view(-1, 1) + grid) for n in plain]
    assert prominence(drawn, 64) > 6, prominence(drawn, 64)

with tempfile.TemporaryDirectory() as folder:
    rng = np.random.default_rng(0)
    for name in ("brick", "moss"):
        (Path(folder) / name).mkdir()
        for i in range(16):
            # Coarse noise that wraps, as large as its neighbours' differences.
            picture = np.kron(rng.integers(0, 256, (32, 32, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
            Image.fromarray(picture).save(Path(folder) / name / f"{i}.png")
    train = Materials(Path(folder))
    assert len(train) + len(train.held_out) == 32 and len(train.held_out) == sum(held_out(f) for f in Path(folder).glob("*/*"))

    # Each label is drawn as often as the other, whatever its files.
    assert torch.allclose(torch.bincount(Materials(Path(folder), power=0).labels.mul(0) + train.labels,
                                         Materials(Path(folder), power=0).chances), torch.ones(2))

    # A training crop, at both scales and over the edge, is found, another one is not.
    whole = train.seamless[3] if len(train.seamless) else train.cut[3]
    rolled = whole.roll((8, 16), (1, 2)) if len(train.seamless) else whole
    half = torch.nn.functional.avg_pool2d(rolled.float(), 2).round().byte()
    crops = torch.stack([rolled[:, :64, :64], half[:, :64, :64], torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8)])
    found = nearest_training_crop(crops, train)
    assert found[0] < 1e-3 and found[1] < 0.01 and found[2] > 0.2, found

    # What is written is read again; a region's crops are its squares.
    regions = {"brick": [torch.randint(0, 256, (3, 128, 192), dtype=torch.uint8)],
               "moss": [torch.randint(0, 256, (3, 64, 100), dtype=torch.uint8) for _ in range(2)]}
    write(regions, Path(folder) / "drawn")
    again = read(Path(folder) / "drawn", list(regions))
    assert all(torch.equal(a, b) for name in regions for a, b in zip(regions[name], again[name]))
    pixels, labels = crops_of(regions)
    assert labels.tolist() == [0] * 6 + [1] * 2
    assert torch.equal(pixels[4], regions["brick"][0][:, 64:, 64:128])
print("ok")
