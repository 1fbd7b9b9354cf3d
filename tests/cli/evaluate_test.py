"""onestep evaluate against implementations by others, on the same features. Usage: evaluate_test.py ONESTEP"""

import gzip
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy
import scipy.linalg
import scipy.special
import torch
from PIL import Image
from prdc import compute_prdc
from sklearn.metrics.pairwise import polynomial_kernel
from torch import nn

import tiny_models
from peak_memory import peak_memory

ONESTEP = sys.argv.pop(1)
os.environ["OMP_NUM_THREADS"] = "1"
NAMES = ["boot", "coat", "hat"]


class Features(nn.Module):
    """24 features and 3 logits of a picture [C, 8, 8]."""

    def __init__(self, channels: int = 1, logits: bool = True):
        super().__init__()
        torch.manual_seed(3)
        self.layer = nn.Linear(64 * channels, 24)
        self.out = nn.Linear(24, 3)
        self.logits = logits

    def forward(self, x):
        features = torch.tanh(self.layer(x.flatten(1)))
        if self.logits:
            return features, 3 * self.out(features)
        return features


def script(network: nn.Module, file: Path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
        torch.jit.save(torch.jit.trace(network.eval(), torch.zeros(2, network.layer.in_features // 64, 8, 8)), str(file))


def pictures(count: int, seed: int, spread: int = 60) -> numpy.ndarray:
    """Bytes [count, 8, 8]: smooth, some alike."""
    random = numpy.random.default_rng(seed)
    wave = numpy.sin(random.uniform(0, 6, (count, 1, 1)) + numpy.arange(8)[None, :, None] * random.uniform(0, 1, (count, 1, 1)))
    return numpy.clip(128 + spread * wave + random.normal(0, 20, (count, 8, 8)), 0, 255).astype(numpy.uint8)


def frechet(a: numpy.ndarray, b: numpy.ndarray) -> float:
    """By the square root of a matrix that is not symmetric, as pytorch-fid does it."""
    A, B = numpy.cov(a, rowvar=False), numpy.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(A @ B)
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + numpy.trace(A + B - 2 * root.real))


def spread(count: int) -> numpy.ndarray:
    z = (numpy.arange(count, dtype=numpy.uint64) + numpy.uint64(1)) * numpy.uint64(0x9e3779b97f4a7c15)
    z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xbf58476d1ce4e5b9)
    z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94d049bb133111eb)
    return ((z ^ (z >> numpy.uint64(31))) >> numpy.uint64(11)) * 2.0**-53


def kid(a: numpy.ndarray, b: numpy.ndarray) -> tuple[float, float]:
    blocks = min(max(min(len(a), len(b)) // 1000, 10), min(len(a), len(b)) // 2)
    values = []
    a, b = (points[numpy.argsort(spread(len(points)), kind="stable")] for points in (a, b))
    for i in range(blocks):
        x, y = (points[i * len(points) // blocks:(i + 1) * len(points) // blocks] for points in (a, b))
        xx, yy, xy = (polynomial_kernel(p, q, degree=3, gamma=1 / a.shape[1], coef0=1) for p, q in ((x, x), (y, y), (x, y)))
        values.append((xx.sum() - numpy.trace(xx)) / (len(x) * (len(x) - 1)) +
                      (yy.sum() - numpy.trace(yy)) / (len(y) * (len(y) - 1)) - 2 * xy.mean())
    return numpy.mean(values), numpy.std(values, ddof=1) / blocks**0.5


def inception_score(logits: numpy.ndarray) -> float:
    scores = []
    for i in range(10):
        part = logits[(spread(len(logits)) * 10).astype(int) == i]
        p = numpy.exp(part - scipy.special.logsumexp(part, axis=1, keepdims=True))
        scores.append(numpy.exp((p * (numpy.log(p) - numpy.log(p.mean(0)))).sum(1).mean()))
    return float(numpy.mean(scores))


class Evaluate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        script(Features(), self.folder / "features.pt")

    def run_onestep(self, *arguments, **options):
        return subprocess.run([ONESTEP, *arguments], cwd=self.folder, capture_output=True, text=True, **options)

    def evaluate(self, *arguments) -> dict:
        result = self.run_onestep("evaluate", *arguments, "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def save(self, name: str, pixels: numpy.ndarray, labels=None):
        arrays = {"arr_0": pixels[..., None]} | ({} if labels is None else {"arr_1": labels})
        numpy.savez(self.folder / name, **arrays)

    def features(self, pixels: numpy.ndarray, network: nn.Module | None = None) -> tuple[numpy.ndarray, numpy.ndarray]:
        with torch.no_grad():
            features, logits = (network or Features())(torch.from_numpy(pixels.astype(numpy.float32) / 127.5 - 1)[:, None])
        return features.double().numpy(), logits.double().numpy()

    def test_agrees_with_others_on_the_same_features(self):
        for a, b in ((pictures(1500, 0), pictures(1300, 1)),
                     (pictures(2300, 2, spread=30), pictures(2100, 3))):  # more than two blocks of distances
            self.save("a.npz", a)
            self.save("b.npz", b)
            report = self.evaluate("a.npz", "--reference", "b.npz", "--features", "features.pt")
            self.assertEqual((report["samples"]["count"], report["reference"]["count"]), (len(a), len(b)))
            measures = {name: measure["value"] for name, measure in report["measures"].items()}
            (x, logits), (y, _) = self.features(a), self.features(b)
            # The same float32 features; all that follows is double precision on both sides.
            self.assertAlmostEqual(measures["frechet"] / frechet(x, y), 1, delta=1e-6)
            value, error = kid(x, y)
            self.assertAlmostEqual(measures["kid"] / value, 1, delta=1e-6)
            self.assertAlmostEqual(report["measures"]["kid"]["standard_error"] / error, 1, delta=1e-6)
            self.assertAlmostEqual(measures["inception_score"] / inception_score(logits), 1, delta=1e-6)
            by_3, by_5 = (compute_prdc(y, x, nearest_k=k) for k in (3, 5))
            self.assertTrue(0.05 < by_3["precision"] < 0.999 and 0.05 < by_3["recall"] < 0.999, by_3)
            for name, value in (("precision", by_3), ("recall", by_3), ("density", by_5), ("coverage", by_5)):
                self.assertAlmostEqual(measures[name], value[name], delta=1e-12, msg=name)  # counts
            by_7 = self.evaluate("a.npz", "--reference", "b.npz", "--features", "features.pt", "-k", "7")["measures"]
            for name, value in compute_prdc(y, x, nearest_k=7).items():
                self.assertAlmostEqual(by_7[name]["value"], value, delta=1e-12, msg=name)

    def test_of_a_set_to_itself_nothing_is_between(self):
        self.save("a.npz", pictures(400, 0))
        measures = self.evaluate("a.npz", "--reference", "a.npz", "--features", "features.pt")["measures"]
        # 24 eigenvalues, each the square root of one rounded to 1e-16.
        self.assertLess(abs(measures["frechet"]["value"]), 1e-6)
        for name in ("precision", "recall", "density", "coverage"):
            self.assertEqual(measures[name]["value"], 1)

    def test_fewer_samples_than_dimensions_are_measured(self):
        a, b = pictures(30, 0), pictures(25, 1)  # 64 values: covariances without an inverse
        self.save("a.npz", a)
        self.save("b.npz", b)
        found = self.evaluate("a.npz", "--reference", "b.npz")["measures"]["frechet"]["value"]
        x, y = (p.reshape(len(p), -1) / 127.5 - 1 for p in (a, b))
        # float32 values; scipy's root of a singular matrix is itself good to some digits only.
        self.assertAlmostEqual(found / frechet(x, y), 1, delta=1e-4)

    def test_every_kind_of_set_gives_the_same(self):
        pixels, labels = pictures(90, 4), numpy.arange(90) % 3
        self.save("real.npz", pictures(80, 5), numpy.arange(80) % 3)
        self.save("a.npz", pixels, labels)
        order = []
        for i, name in enumerate(NAMES):
            (self.folder / "folder" / name).mkdir(parents=True)
            for k in numpy.flatnonzero(labels == i):
                Image.fromarray(pixels[k]).save(self.folder / f"folder/{name}/{k:02d}.png")
                order.append(k)
        for kind, array in (("images", pixels), ("labels", labels.astype(numpy.uint8))):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            with gzip.open(self.folder / f"t-{kind}-idx{array.ndim}-ubyte.gz", "wb") as file:
                file.write(header + array.tobytes())
        numpy.savez(self.folder / "floats.npz", samples=(pixels / 127.5 - 1).astype(numpy.float32)[:, None], labels=labels)
        common = ["--reference", "real.npz", "--features", "features.pt", "--by-label"]
        expected = self.evaluate("a.npz", *common)
        self.assertEqual(list(expected["labels"]), ["0", "1", "2"])
        self.assertIn("agreement", expected["measures"])
        self.assertIn("agreement", expected["labels"]["1"])
        for other in ("t-images-idx3-ubyte.gz", "floats.npz"):
            found = self.evaluate(other, *common)
            self.assertEqual((found["measures"], found["labels"]), (expected["measures"], expected["labels"]), other)
        found = self.evaluate("folder", *common)  # in another order, and with names
        self.assertEqual(list(found["labels"]), NAMES)
        for name, measure in expected["measures"].items():
            if "standard_error" not in measure:
                self.assertAlmostEqual(found["measures"][name]["value"], measure["value"], delta=1e-9)
        # Of one label: its samples alone.
        self.save("coats.npz", pixels[labels == 1])
        self.save("real_coats.npz", pictures(80, 5)[numpy.arange(80) % 3 == 1])
        coats = self.evaluate("coats.npz", "--reference", "real_coats.npz", "--features", "features.pt")["measures"]
        for name in ("frechet", "precision", "recall", "density", "coverage"):
            self.assertAlmostEqual(found["labels"]["coat"][name]["value"], coats[name]["value"], delta=1e-9)
        _, logits = self.features(pixels)
        self.assertEqual(expected["measures"]["agreement"]["value"], numpy.mean(logits.argmax(1) == labels))

    def test_two_labels_of_one_name_are_two(self):
        tiny_models.write(self.folder / "tiny.pt", tiny_models.HalfOfALabel(),
                          labels={"count": 4, "names": ["boot", "coat", "boot", "hat"], "encoding": "index"})
        self.save("real.npz", pictures(80, 5), numpy.arange(80) % 4)
        found = self.evaluate("tiny.pt", "-n", "60", "--reference", "real.npz", "--by-label")["labels"]
        self.assertEqual(list(found), ["0", "coat", "2", "hat"])
        self.assertNotEqual(found["0"], found["2"])

    def test_labels_are_matched_by_name(self):
        for folder, names in (("a", NAMES), ("real", ["coat", "hat", "shoe"])):
            for i, name in enumerate(names):
                (self.folder / folder / name).mkdir(parents=True)
                for k, picture in enumerate(pictures(12, 10 * len(folder) + i)):
                    Image.fromarray(picture).save(self.folder / folder / name / f"{k}.png")
        found = self.evaluate("a", "--reference", "real", "--by-label")
        self.assertEqual(list(found["labels"]), ["coat", "hat"])

    def test_a_model_is_measured_as_its_files_are(self):
        tiny_models.write(self.folder / "model.pt", tiny_models.Half())
        self.save("real.npz", pictures(100, 6))
        common = ["--reference", "real.npz", "--features", "features.pt"]
        direct = self.evaluate("model.pt", "-n", "70", *common)
        self.assertEqual(direct["samples"]["nfe"], 1)
        self.assertEqual(self.run_onestep("generate", "model.pt", "-n", "70", "-o", "drawn/").returncode, 0)
        self.assertEqual(self.run_onestep("generate", "model.pt", "-n", "70", "-o", "drawn.npz").returncode, 0)
        for drawn in ("drawn", "drawn.npz"):
            self.assertEqual(self.evaluate(drawn, *common)["measures"], direct["measures"])

    def test_moments_go_out_and_come_in(self):
        a, b = pictures(300, 7), pictures(200, 8)
        self.save("a.npz", a)
        self.save("b.npz", b)
        result = self.run_onestep("evaluate", "b.npz", "--features", "features.pt", "--moments", "moments.npz")
        self.assertEqual(result.returncode, 0, result.stderr)
        moments, (y, _) = numpy.load(self.folder / "moments.npz"), self.features(b)
        # Features of up to 1, in float32.
        numpy.testing.assert_allclose(moments["mu"], y.mean(0), rtol=0, atol=1e-6)
        numpy.testing.assert_allclose(moments["sigma"], numpy.cov(y, rowvar=False), rtol=0, atol=1e-6)
        by_samples = self.evaluate("a.npz", "--reference", "b.npz", "--features", "features.pt")["measures"]["frechet"]
        numpy.savez_compressed(self.folder / "theirs.npz", mu=y.mean(0), sigma=numpy.cov(y, rowvar=False))
        for file in ("moments.npz", "theirs.npz"):
            found = self.evaluate("a.npz", "--reference", file, "--features", "features.pt")
            self.assertEqual(list(found["measures"]), ["frechet", "inception_score"])
            self.assertAlmostEqual(found["measures"]["frechet"]["value"] / by_samples["value"], 1, delta=1e-5)
        found = self.evaluate("a.npz", "--reference", "b.npz", "--features", "features.pt", "--moments-only")["measures"]
        self.assertEqual(found["frechet"], by_samples)
        self.assertNotIn("kid", found)

    def test_the_floor_is_what_real_samples_get(self):
        self.save("a.npz", pictures(90, 0))
        self.save("real.npz", pictures(100, 1))
        self.save("more.npz", pictures(90, 2))
        common = ["--reference", "real.npz", "--features", "features.pt"]
        found = self.evaluate("a.npz", *common, "--floor", "more.npz")["measures"]
        real = self.evaluate("more.npz", *common)["measures"]
        self.assertEqual({name: found[name]["floor"] for name in found}, {name: real[name]["value"] for name in real})
        found = self.evaluate("a.npz", *common, "-o", "report.png")
        self.assertEqual(found["floor"], {"source": "halves of the reference", "count": 50})
        self.save("even.npz", pictures(100, 1)[::2])
        self.save("odd.npz", pictures(100, 1)[1::2])
        halves = self.evaluate("even.npz", "--reference", "odd.npz", "--features", "features.pt")["measures"]
        for name in ("frechet", "kid", "precision", "recall", "density", "coverage"):
            self.assertAlmostEqual(found["measures"][name]["floor"], halves[name]["value"], delta=1e-9)

    def test_pictures_of_it_show_bars_and_neighbours(self):
        pixels = pictures(60, 0)
        real = numpy.concatenate([pictures(40, 1), pixels[17:18]])  # one copy
        self.save("a.npz", pixels)
        self.save("real.npz", real)
        report = self.evaluate("a.npz", "--reference", "real.npz", "-o", "report.png", "--neighbours", "sheet.png")
        self.assertEqual(report["nearest"]["least"], 0)
        chart = numpy.asarray(Image.open(self.folder / "report.png").convert("RGB")).astype(int)
        self.assertGreater((abs(chart - [0, 114, 178]).sum(2) == 0).sum(), 1000)  # bars
        self.assertGreater((abs(chart - [150, 150, 150]).sum(2) == 0).sum(), 300)
        # The copy is the first tile of the first two rows: somewhere it stands twice, enlarged, at the same x.
        sheet = numpy.asarray(Image.open(self.folder / "sheet.png").convert("L"))
        tile = pixels[17].repeat(11, 0).repeat(11, 1)
        places = [(y, x) for y, x in zip(*numpy.where(sheet[:-88, :-88] == tile[0, 0]))
                  if (sheet[y:y + 88, x:x + 88] == tile).all()]
        self.assertGreaterEqual(len(places), 2)
        self.assertIn((places[0][0] + 108, places[0][1]), places)

    def test_the_input_of_the_network_is_as_it_is_said(self):
        script(Features(channels=3), self.folder / "colour.pt")
        a, b = pictures(60, 0), pictures(50, 1)
        wide = lambda p: p.repeat(2, 1).repeat(3, 2)  # 24 x 16
        self.save("a.npz", wide(a))
        self.save("b.npz", wide(b))
        for resize in ("bicubic", "bilinear"):
            report = self.evaluate("a.npz", "--reference", "b.npz", "--features", "colour.pt", "--input-size", "8x8",
                                   "--input-channels", "3", "--input-range", "0,1", "--input-resize", resize)
            self.assertEqual(report["features"]["input"],
                             {"shape": [3, 8, 8], "range": [0, 1], "bytes_first": True, "resize": resize})
            features = []
            for pixels in (wide(a), wide(b)):
                if resize == "bicubic":
                    small = [numpy.asarray(Image.fromarray(p.astype(numpy.float32)).resize((8, 8), Image.BICUBIC)) for p in pixels]
                    small = torch.from_numpy(numpy.stack(small))[:, None] / 255
                else:
                    small = torch.nn.functional.interpolate(torch.from_numpy(pixels)[:, None].float() / 255, (8, 8), mode="bilinear")
                with torch.no_grad():
                    features.append(Features(channels=3)(small.repeat(1, 3, 1, 1))[0].double().numpy())
            # Pillow and libtorch weigh pixels in float32 in another order.
            self.assertAlmostEqual(report["measures"]["frechet"]["value"] / frechet(*features), 1, delta=1e-4)

    def test_of_moments_alone_memory_does_not_grow(self):
        class Wide(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(64, 1024)

            def forward(self, x):
                return self.layer(x.flatten(1))

        script(Wide(), self.folder / "wide.pt")
        self.save("real.npz", pictures(300, 0))
        peaks = []
        for count in (300, 12_000):
            self.save("a.npz", pictures(count, 1))
            command = [ONESTEP, "evaluate", "a.npz", "--reference", "real.npz", "--features", "wide.pt", "--moments-only"]
            peaks.append(peak_memory(command, self.folder))
        # Kept, the features of the larger set would be 48 MB.
        self.assertLess(peaks[1] - peaks[0], 16 << 20)

    def test_refuses_with_a_reason_and_leaves_nothing(self):
        class Broken(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(64, 2)

            def forward(self, x):
                return self.layer(x.flatten(1)) / (x.mean() * 0)

        script(Broken(), self.folder / "broken.pt")
        script(Features(channels=3), self.folder / "colour.pt")
        self.save("a.npz", pictures(40, 0))
        self.save("real.npz", pictures(40, 1))
        self.save("one.npz", pictures(1, 0))
        self.save("four.npz", pictures(4, 0))
        self.save("wide.npz", pictures(40, 0).repeat(2, 2))
        self.save("labelled.npz", pictures(40, 0), numpy.arange(39))
        numpy.savez(self.folder / "other.npz", pictures=pictures(4, 0))
        numpy.savez(self.folder / "moments.npz", mu=numpy.zeros(5), sigma=numpy.eye(5))
        numpy.savez(self.folder / "wide_moments.npz", mu=numpy.zeros(64), sigma=numpy.eye(64))
        numpy.savez(self.folder / "crooked.npz", mu=numpy.zeros(5), sigma=numpy.eye(4))
        numpy.savez(self.folder / "skew.npz", mu=numpy.zeros(2), sigma=numpy.array([[1.0, 0.5], [-0.5, 1]]))
        numpy.savez(self.folder / "nan.npz", mu=numpy.full(2, numpy.nan), sigma=numpy.eye(2))
        numpy.save(self.folder / "sound.npy", numpy.zeros((9, 1, 50), numpy.float32))
        (self.folder / "empty").mkdir()
        (self.folder / "text.png").write_text("text")
        before = sorted(os.listdir(self.folder))
        real = ["--reference", "real.npz"]
        for arguments, code, words in (
                (["a.npz"], 2, "give --reference"),
                (["nowhere", *real], 4, "nowhere: is no file, and no shipped model, which are "),
                (["./nowhere", *real], 4, "no such file"),
                (["empty", *real], 4, "has no PNG, JPEG or BMP pictures"),
                (["one.npz", *real], 2, "samples: one sample; a distance between sets needs two or more"),
                (["a.npz", "--reference", "one.npz"], 2, "reference: one sample"),
                (["four.npz", "--reference", "four.npz"], 2, "samples: 4, reference: 4"),
                (["a.npz", "--reference", "wide.npz"], 4, "has shape [40, 1, 8, 16], but must be [M, ...] with ... = [1, 8, 8]"),
                (["labelled.npz", *real], 4, "arr_1 has shape [39], but must have a label for each of the 40 samples"),
                (["other.npz", *real], 4, "has no array samples; it has pictures.npy"),
                (["a.npz", "--reference", "moments.npz", "--features", "features.pt"], 2, "have 5 dimensions, the features 24"),
                (["a.npz", "--reference", "crooked.npz"], 4, "mu must be [D] and sigma [D, D]"),
                (["a.npz", "--reference", "skew.npz"], 4, "must be symmetric"),
                (["a.npz", "--reference", "nan.npz"], 4, "holds NaN or infinity"),
                (["a.npz", "--reference", "text.png"], 4, "is none of a folder of pictures, a .npy, a .npz and an IDX file"),
                (["sound.npy", *real], 4, "has shape [40, 1, 8, 8], but must be [M, ...] with ... = [1, 50]"),
                (["a.npz", *real, "--features", "nowhere.pt"], 4, "nowhere.pt: the feature network can't be loaded"),
                (["a.npz", *real, "--features", "colour.pt"], 4, "colour.pt: the feature network failed"),
                (["a.npz", *real, "--features", "broken.pt"], 5, "broken.pt: the feature network returned NaN or infinity"),
                (["a.npz", *real, "--input-size", "8"], 2, "must be WIDTHxHEIGHT"),
                (["a.npz", *real, "--input-size", "8x5000"], 2, "must lie in [1, 4096]"),
                (["a.npz", *real, "--input-range", "1,0"], 2, "two finite numbers, the lower first"),
                (["a.npz", *real, "--input-channels", "4"], 2, "grey can be repeated to 3"),
                (["a.npz", *real, "--input-resize", "nearest"], 2, "must be bicubic or bilinear"),
                (["a.npz", *real, "-k", "0"], 2, "must lie in [1, 1000]"),
                (["a.npz", *real, "-k", "40"], 2, "give more, or fewer neighbours"),
                (["a.npz", *real, "-n", "1"], 2, "[2, 10000000]"),
                (["a.npz", *real, "--seeds", "1-3"], 2, "are for a model"),
                (["a.npz", *real, "--by-label"], 2, "need the label of every sample"),
                (["a.npz", *real, "-o", "report.svg"], 2, "must end in .png"),
                (["a.npz", *real, "-o", "nowhere/report.png"], 4, "make the folder nowhere first"),
                (["a.npz", *real, "--moments", "moments.npy"], 2, "must end in .npz"),
                (["a.npz", "--reference", "moments.npz", "--neighbours", "sheet.png"], 2, "needs the reference's samples"),
                (["sound.npy", "--reference", "sound.npy", "--neighbours", "sheet.png"], 2, "is for pictures, not for audio"),
                (["a.npz", "--reference", "wide_moments.npz", "-o", "report.png"], 2, "halves of the reference")):
            with self.subTest(arguments=arguments):
                result = self.run_onestep("evaluate", *arguments)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertEqual(sorted(os.listdir(self.folder)), before)


if __name__ == "__main__":
    unittest.main()
