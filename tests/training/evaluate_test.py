"""The quality measures against sets whose answers are known. Usage: evaluate_test.py ONESTEP"""

import os
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "models/training"))
import classifier  # noqa: E402
import data  # noqa: E402
from evaluate import Judge, consistency, nearest, to_bytes  # noqa: E402

torch.manual_seed(0)

os.environ["ONESTEP"] = sys.argv[1]

# Distances on a line.
line = torch.arange(10.0)[:, None]
assert nearest(line, line, 1).tolist() == [0] * 10
assert nearest(line, line, 2).tolist() == [1] * 10
assert nearest(torch.tensor([[20.0]]), line, 1).tolist() == [11]

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

# Real pictures of labels in turn get what training pictures get, and pictures of noise do not.
judge = Judge(1000)
judge.measure.save(judge.measure.real, test.pixels[:1000], test.labels[:1000])
real, noise = judge.floor(), judge.measure(torch.randint(0, 256, (1000, 1, 28, 28)).byte(), torch.arange(1000) % 10)
assert abs(real["agreement"] - accuracy) < 0.03, real  # a thousand pictures: a standard error of 0.008
assert noise["frechet"] > 20 * real["frechet"] and noise["agreement"] < 0.3 and noise["recall"] < 0.1, (real, noise)
print(f"ok; the classifier's accuracy on the test pictures is {accuracy:.4f}")
