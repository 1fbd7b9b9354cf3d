"""What evaluate_drums.py measures, where the answer is known: tones and hisses, which a classifier tells apart at once. Usage:
evaluate_drums_test.py ONESTEP"""

import math
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

MODELS = Path(__file__).resolve().parents[2] / "models"
sys.path.insert(0, str(MODELS / "training"))
import checkpoint  # noqa: E402
from diffusion import SIGMA_MIN  # noqa: E402
from drums import LENGTH, RATE  # noqa: E402
from evaluate_drums import Ears, draw, features, picture, train_classifier  # noqa: E402
from measure import Measure, is_model  # noqa: E402
from spectral import SKIP, SpectralConfig  # noqa: E402

os.environ["ONESTEP"] = sys.argv[1]
torch.set_num_threads(1)
torch.manual_seed(0)
TIME = torch.arange(LENGTH) / RATE


def tones(count: int) -> torch.Tensor:
    """Of 300 to 600 Hz, [N, L]."""
    return 0.5 * torch.sin(2 * math.pi * (300 + 300 * torch.rand(count, 1)) * TIME)


def hisses(count: int) -> torch.Tensor:
    return 0.1 * torch.randn(count, LENGTH)


def test_pictures_show_decibels() -> None:
    tone = 0.5 * torch.sin(2 * math.pi * 20 * RATE / 1024 * TIME)  # the middle of band 20 of a window of 1024, the first being left out
    pictures = picture(torch.stack([tone, 0.1 * tone, 0 * tone]).unsqueeze(1))
    assert pictures.shape == (3, 1, 64, 44)
    assert (pictures[0].mean(dim=2).argmax(), pictures[1].mean(dim=2).argmax()) == (19, 19)
    # 20 dB, but for the first frame: half of it is the tone mirrored, which takes most of the tone away.
    assert torch.allclose(pictures[0, 0, 19, 1:] - pictures[1, 0, 19, 1:], torch.full((43,), 2 / 3.5), atol=1e-3)
    assert torch.allclose(pictures[2], torch.full((1, 64, 44), -1.0))


def test_a_classifier_learns_and_measures() -> None:
    sounds, labels = torch.cat([tones(40), hisses(40)]), torch.arange(80) // 40
    network = train_classifier(SimpleNamespace(sounds=sounds, labels=labels, names=["tone", "hiss"]), 20)
    fresh, asked = torch.cat([tones(40), hisses(40)]).unsqueeze(1), labels
    found, given = features(network, fresh)
    assert found.shape == (80, 128) and torch.equal(given, asked)
    measure = Measure(Ears(network), sounds.unsqueeze(1), labels)
    like, unlike = measure(fresh, asked), measure(fresh[:40].repeat(2, 1, 1), asked)
    assert like["agreement"] == 1 and unlike["agreement"] == 0.5
    assert like["frechet"] < 0.1 * unlike["frechet"]
    assert like["recall"] > 0.8 and unlike["recall"] < 0.6  # of hisses none is found


def test_checkpoints_and_models_draw() -> None:
    with tempfile.TemporaryDirectory() as name:
        file, config = Path(name) / "a.checkpoint", SpectralConfig(labels=3, widths=(16, 16, 16))
        about = {"network": checkpoint.describe(config), "sigma_data": SKIP, "boundary": SIGMA_MIN, "names": ["a", "b", "c"]}
        checkpoint.save_average(about, config.build(), file)
        assert not is_model(file)
        x, labels = draw(file, 7, [80.0])
    assert x.shape == (7, 1, LENGTH) and labels.tolist() == [0, 1, 2, 0, 1, 2, 0] and x.isfinite().all()
    assert is_model(MODELS / "drums.pt")
    x, labels = draw(MODELS / "drums.pt", 24, [80.0])
    assert x.shape == (24, 1, LENGTH) and labels.tolist() == [*range(23), 0] and x.abs().max() <= 1
    assert 0.05 < x.std() < 0.2  # as loud as drums


for name, test in list(globals().items()):
    if name.startswith("test_"):
        test()
        print(f"{name}: passed")
