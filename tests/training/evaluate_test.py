"""The quality measures against sets whose answers are known."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models/training"))
import classifier  # noqa: E402
import data  # noqa: E402
from evaluate import consistency, coverage, frechet_distance, nearest, to_bytes  # noqa: E402

torch.manual_seed(0)

# Gaussians N(m, s^2) in each of 4 dimensions: 4 ((m_a - m_b)^2 + (s_a - s_b)^2). 400,000 points: the standard error of a
# mean is 0.003, and the answer moves by 4 * 2 * 1 * 0.003 a mean; 0.1 is four times that.
a, b = torch.randn(400_000, 4), 1 + 2 * torch.randn(400_000, 4)
assert abs(frechet_distance(a, b) - 8) < 0.1, frechet_distance(a, b)
# The same set: zero up to the square root of rounding errors in double precision.
assert abs(frechet_distance(a, a)) < 1e-6

# Distances on a line.
line = torch.arange(10.0)[:, None]
assert nearest(line, line, 1).tolist() == [0] * 10
assert nearest(line, line, 2).tolist() == [1] * 10
assert nearest(torch.tensor([[20.0]]), line, 1).tolist() == [11]

# Identical sets cover each other; far ones do not; of two modes, far apart, a sampler that knows one recalls half.
x = torch.randn(1000, 8)
assert coverage(x, x) == 1
assert coverage(x, x + 1000) == 0
both = torch.cat([x, x + 1000])
assert coverage(x, both) == 1
assert coverage(both, x) == 0.5

# Bytes: the ends, the middle rounded to even, what lies outside clamped.
assert to_bytes(torch.tensor([-9.0, -1, 0, 1, 9])).tolist() == [0, 0, 128, 255, 255]


# For data N(0, 1) the exact consistency function keeps unit deviation however many levels are used.
def exact(y, sigma):
    return y * (1 + 0.002**2) ** 0.5 / (1 + sigma**2) ** 0.5


for levels in ([80.0], [80.0, 0.8], [80.0, 5.0, 0.8]):
    # 200,000 values: the standard error of a deviation is 0.0016; three of these.
    assert abs(consistency(exact, (200_000,), levels).std() - 1) < 0.005

# The committed classifier on the real test pictures: about as good as published small networks (0.93, issue of the data set).
test = data.fashion_mnist("t10k")
accuracy = classifier.accuracy(classifier.load(), test.pixels, test.labels)
assert accuracy > 0.92, accuracy
print(f"ok; the classifier's accuracy on the test pictures is {accuracy:.4f}")
