"""What the command line draws of endless planes against an implementation of its own, in NumPy: the noise of places, windows
that overlap (Bar-Tal et al. 2023), and one large call where windows are exact.

Usage: canvas_numpy_test.py ONESTEP MODELS"""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import torch
from PIL import Image

ONESTEP, MODELS = sys.argv.pop(1), Path(sys.argv.pop(1))


def philox(counter, key):
    """Philox4x32-10 (Salmon et al. 2011) of arrays of counters [4, n]."""
    counter = [np.asarray(word, np.uint64) for word in counter]
    for _ in range(10):
        a, b = np.uint64(0xD2511F53) * counter[0], np.uint64(0xCD9E8D57) * counter[2]
        low = np.uint64(0xFFFFFFFF)
        counter = [(b >> np.uint64(32)) ^ counter[1] ^ np.uint64(key[0]), b & low,
                   (a >> np.uint64(32)) ^ counter[3] ^ np.uint64(key[1]), a & low]
        key = ((key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32)
    return counter


def noise(seed, draw, channels, xs, ys):
    """[C, len(ys), len(xs)]: counter = (floor(x / 4), y, draw * C + c, 2), one of four normals by x modulo 4."""
    c, y, x = np.meshgrid(np.arange(channels), ys, xs, indexing="ij")
    words = philox([x // 4 % 2**32, y % 2**32, draw * channels + c, np.full_like(x, 2)], (seed % 2**32, seed >> 32))
    u = [(word.astype(np.float64) + 0.5) / 2**32 for word in words]
    normals = []
    for first, second in ((u[0], u[1]), (u[2], u[3])):
        radius = np.sqrt(-2 * np.log(first))
        normals += [radius * np.cos(2 * np.pi * second), radius * np.sin(2 * np.pi * second)]
    return np.choose(x % 4, normals).astype(np.float32)


def network(name):
    module = torch.jit.load(str(MODELS / f"{name}.pt"))

    def call(x, sigma, label=None):
        with torch.no_grad():
            arguments = [torch.from_numpy(np.ascontiguousarray(x)), torch.full((len(x),), sigma)]
            return module(*arguments, *([] if label is None else [torch.tensor([label] * len(x))])).numpy()

    return call


def joined(call, x, sigma, step_number, left, top, size=(8, 6), step=(4, 3), periodic=False):
    """The weighted mean of the windows that lie in x, whose upper left corner is at (left, top), or that wrap around."""
    channels, height, width = x.shape
    total, weights = np.zeros_like(x), np.zeros((height, width), np.float32)
    tent = [np.minimum(np.arange(n) + 1, n - np.arange(n)) for n in size]
    weight = (tent[0][:, None] * tent[1]).astype(np.float32)
    shift = [s // 2 if step_number % 2 else 0 for s in step]
    rows = range(-(-(top - shift[0]) // step[0]), (top + height - shift[0]) // step[0] + 1)
    columns = range(-(-(left - shift[1]) // step[1]), (left + width - shift[1]) // step[1] + 1)
    if periodic:
        rows, columns = range(height // step[0]), range(width // step[1])
    for row in rows:
        for column in columns:
            ys = np.arange(size[0]) + row * step[0] + shift[0] - top
            xs = np.arange(size[1]) + column * step[1] + shift[1] - left
            if periodic:
                ys, xs = ys % height, xs % width
            elif ys[-1] >= height or xs[-1] >= width:
                continue
            place = np.ix_(range(channels), ys, xs)
            total[place] += weight * call(x[place][None], sigma)[0]
            weights[np.ix_(ys, xs)] += weight
    return total / np.where(weights > 0, weights, 1)


class Canvas(unittest.TestCase):
    def drawn(self, model, *arguments):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "a.npy"
            subprocess.run([ONESTEP, "generate", str(MODELS / f"{model}.pt"), *arguments, "--quiet", "--precision", "fp32",
                            "-o", str(file)], check=True)
            values = np.load(file)
        self.assertEqual(values.shape[0], 1)
        return values[0]

    def near(self, found, expected):
        self.assertEqual(found.shape, expected.shape)
        self.assertLess(abs(found - expected).max(), 1e-5)  # float32 of values about 1, in another order

    def test_windows(self):
        call, levels = network("whole"), [80.0, 5.0, 0.7]
        left, top, width, height, margin = -21, 13, 37, 29, 40  # nothing outside of the margin is seen in three steps
        xs, ys = np.arange(left - margin, left + width + margin), np.arange(top - margin, top + height + margin)
        for steps in (1, 2, 3):
            x = levels[0] * noise(5, 0, 1, xs, ys)
            for k, level in enumerate(levels[:steps]):
                if k:
                    x = x + level * noise(5, k, 1, xs, ys)
                x = joined(call, x, level, k, xs[0], ys[0])
            found = self.drawn("whole", "--seeds", "5", "--size", f"{width}x{height}", "--at", f"{left},{top}", "--levels",
                               ",".join(map(str, levels[:steps])))
            self.near(found, x[:, margin:-margin, margin:-margin])

    def test_windows_of_a_diffusion_model_with_a_period(self):
        call = network("whole-teacher")
        levels = list(np.geomspace(80, 0.01, 12)) + [0]
        xs, ys = np.arange(24), np.arange(32)
        x = levels[0] * noise(2**40 + 3, 0, 1, xs, ys)
        for k, (level, after) in enumerate(zip(levels, levels[1:])):
            denoised = joined(call, x.astype(np.float32), level, k, 0, 0, periodic=True)
            x = denoised + after / level * (x - denoised)
        found = self.drawn("whole-teacher", "--seeds", str(2**40 + 3), "--size", "24x32", "--seamless", "--sampler", "euler",
                           "--levels", ",".join(f"{level:.17g}" for level in levels[:-1]))
        self.near(found, x)

    def test_tiles_of_a_diffusion_model_with_a_period(self):
        call, margin = network("local-teacher"), 8
        levels = list(np.geomspace(80, 0.01, 12)) + [0]
        x = levels[0] * noise(4, 0, 3, np.arange(48), np.arange(34))
        for level, after in zip(levels, levels[1:]):
            around = np.pad(x, [(0, 0), (margin, margin), (margin, margin)], mode="wrap").astype(np.float32)
            denoised = call(around[None], level, 2)[0, :, margin:-margin, margin:-margin]
            x = denoised + after / level * (x - denoised)
        found = self.drawn("local-teacher", "--seeds", "4", "--label", "2", "--size", "48x34", "--seamless", "--sampler", "euler",
                           "--levels", ",".join(f"{level:.17g}" for level in levels[:-1]))
        self.near(found, x)

    def test_tiles_are_one_large_call(self):
        call = network("local")
        left, top, width, height = -700, 610, 90, 70  # tiles of 640 meet in it; even, as folded pixels are
        for levels in ([80.0], [80.0, 2.0]):
            margin = 8 * len(levels)
            xs, ys = np.arange(left - margin, left + width + margin), np.arange(top - margin, top + height + margin)
            x = levels[0] * noise(9, 0, 3, xs, ys)
            for k, level in enumerate(levels):
                if k:
                    x = x + level * noise(9, k, 3, xs, ys)
                x = call(x[None], level, 1)[0]
            found = self.drawn("local", "--seeds", "9", "--label", "1", "--size", f"{width}x{height}", "--at",
                               f"{left},{top}", "--levels", ",".join(map(str, levels)))
            self.near(found, x[:, margin:-margin, margin:-margin])

    def test_a_map_of_labels_is_painted(self):
        model = str(MODELS / "Painted.pt")  # whose samples are their labels
        listed = subprocess.run([ONESTEP, "generate", model, "--label-map", "help"], check=True, capture_output=True, text=True).stdout
        colours = {int(name): [int(colour[i:i + 2], 16) for i in (1, 3, 5)] for colour, name in map(str.split, listed.splitlines())}
        self.assertEqual(sorted(colours), [0, 1, 2])
        labels = np.array([[0, 1, 2], [2, 2, 0]])
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "map.png"
            Image.fromarray(np.array([[colours[label] for label in row] for row in labels], np.uint8)).save(file)
            values = self.drawn("Painted", "--label-map", str(file), "--size", "30x20", "--at", "-7,100")
            self.assertEqual(values.shape, (3, 20, 30))
            for channel in values:
                self.assertTrue(np.array_equal(channel, labels.repeat(10, 0).repeat(10, 1)))
            values = self.drawn("Painted", "--label-map", str(file), "--label-map-place", "-2,-4,12x6", "--size", "16x12", "--at", "0,-6")
            rows, columns = (np.clip(np.arange(12) - 2, 0, 5) // 3, np.clip(np.arange(16) + 2, 0, 11) // 4)
            for channel in values:
                self.assertTrue(np.array_equal(channel, labels[rows][:, columns]))
            refused = subprocess.run([ONESTEP, "generate", str(MODELS / "local.pt"), "--label-map", str(file), "--size", "30x20", "-o",
                                      str(Path(folder) / "a.png")], capture_output=True, text=True)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("local takes no map of labels", refused.stderr)

    def test_every_format_holds_the_same_picture(self):
        arguments = ("--label", "2", "--size", "1300x650", "--at", "-30,-10")
        values = self.drawn("local", *arguments)
        expected = np.rint(255 * np.clip((values + 1) / 2, 0, 1)).astype(np.uint8).transpose(1, 2, 0)
        with tempfile.TemporaryDirectory() as folder:
            for name, allowed in (("a.png", 0), ("a.webp", 0), ("a.jpg", 60)):  # JPEG of noise at quality 95
                file = Path(folder) / name
                subprocess.run([ONESTEP, "generate", str(MODELS / "local.pt"), *arguments, "--quiet", "--precision", "fp32",
                                "-o", str(file)], check=True)
                found = np.asarray(Image.open(file).convert("RGB")).astype(int)
                self.assertEqual(found.shape, expected.shape)
                self.assertLessEqual(abs(found - expected).max(), allowed + 1)  # 0.5 may be rounded either way
                self.assertLess(abs(found - expected).mean(), 6 if allowed else 0.01)

    def test_tiles_of_a_map_are_the_picture(self):
        values = self.drawn("local", "--label", "0", "--size", "600x300")
        expected = np.rint(255 * np.clip((values + 1) / 2, 0, 1)).transpose(1, 2, 0)
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([ONESTEP, "generate", str(MODELS / "local.pt"), "--label", "0", "--size", "600x300", "--quiet",
                            "--precision", "fp32", "--tiles", folder], check=True)
            tiles = sorted(str(file.relative_to(folder)) for file in Path(folder).rglob("*.png"))
            self.assertEqual(tiles, ["0/0/0.png", "1/0/0.png", "1/1/0.png", "2/0/0.png", "2/0/1.png", "2/1/0.png", "2/1/1.png",
                                     "2/2/0.png", "2/2/1.png"])
            read = {tile: np.asarray(Image.open(Path(folder) / tile)).astype(int) for tile in tiles}
        self.assertTrue(all(tile.shape == (256, 256, 3) for tile in read.values()))
        self.assertLessEqual(abs(read["2/1/0.png"] - expected[:256, 256:512]).max(), 1)
        halved = expected[:256, 256:512].reshape(128, 2, 128, 2, 3).mean((1, 3))
        self.assertLessEqual(abs(read["1/0/0.png"][:128, 128:] - halved).max(), 1)


if __name__ == "__main__":
    unittest.main()
