"""`onestep edit` as its user meets it, on real garments. Usage: edit_test.py ONESTEP TRAINING_FOLDER"""

import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageOps

sys.path.insert(0, sys.argv.pop(2))
import classifier  # noqa: E402
import data  # noqa: E402
import tiny_models  # noqa: E402

ONESTEP = sys.argv.pop(1)
MODELS = Path(__file__).parents[2] / "models"
# Other tests run at the same time, and threads that wait for each other's cores take many times as long.
os.environ["OMP_NUM_THREADS"] = "1"
torch.set_num_threads(1)
GARMENTS = data.fashion_mnist("t10k")


def setUpModule():  # unittest undoes what was set before it began
    warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")


def garment(label: int, which: int = 0) -> numpy.ndarray:
    """A real one, bytes [28, 28]."""
    return GARMENTS.pixels[GARMENTS.labels == label][which, 0].numpy()


class Edit(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        half = numpy.zeros((28, 28), numpy.uint8)
        half[:, 14:] = 255
        self.picture("half.png", half)
        self.picture("nothing.png", numpy.zeros((28, 28), numpy.uint8))

    def picture(self, name: str, pixels: numpy.ndarray, **options):
        Image.fromarray(pixels).save(self.folder / name, **options)

    def edit(self, *arguments, output="e.npy"):
        result = subprocess.run([ONESTEP, "edit", *arguments, "-o", output, "--json"], cwd=self.folder,
                                capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.report, self.said = json.loads(result.stdout), result.stderr
        return numpy.load(self.folder / output) if output.endswith(".npy") else None

    def as_read(self, name: str, *arguments) -> numpy.ndarray:
        """What onestep sees of a picture, [28, 28] in [0, 1]: an edit that keeps all of it."""
        with Image.open(self.folder / name) as picture:
            self.picture("black.png", numpy.zeros(picture.size[::-1], numpy.uint8))
        return self.edit("inpaint", "fashion", name, "--mask", "black.png", "--steps", "1", *arguments)[0, 0] / 2 + 0.5

    def assert_near(self, a, b, allowed):
        self.assertLess(numpy.abs(numpy.asarray(a, numpy.float64) - b).max(), allowed)

    # ---- what is known stays

    def test_inpaint_keeps_what_the_mask_does_not_cover(self):
        coat = garment(4)
        self.picture("coat.png", coat)
        drawn = self.edit("inpaint", "fashion", "coat.png", "--mask", "half.png", "--label", "Coat", "--seeds", "0-2")
        self.assertEqual(self.report["task"], "inpaint")
        self.assertGreater(abs(drawn[0] - drawn[1]).max(), 0.1)  # seeds differ
        self.assert_near(drawn[:, 0, :, :14], (coat / 127.5 - 1)[:, :14], 1e-6)  # float32 of bytes

    def test_upscale_keeps_the_mean_of_every_square(self):
        for factor in (2, 4, 7):
            side = 28 // factor
            small = garment(4).reshape(side, factor, side, factor).mean((1, 3)).round().astype(numpy.uint8)
            self.picture("small.png", small)
            drawn = self.edit("upscale", "fashion", "small.png", "--factor", str(factor), "--label", "Coat", "-n", "2")
            means = drawn[:, 0].reshape(2, side, factor, side, factor).mean((2, 4))
            self.assert_near(means, small / 127.5 - 1, 2e-6)  # float32 sums of up to 49 numbers of about 1, twice

    def test_colorize_keeps_the_luma(self):
        colours = self.colour_model()
        grey = garment(8)[:8, 10:18]
        self.picture("grey.png", grey)
        drawn = self.edit("colorize", colours, "grey.png", "--seeds", "0-3")
        luma = numpy.einsum("nchw,c->nhw", drawn, [0.299, 0.587, 0.114])
        self.assert_near(luma, grey / 127.5 - 1, 1e-6)
        self.assertGreater(abs(drawn[:, 0] - drawn[:, 2]).mean(), 0.05)  # coloured
        rgb = numpy.stack([grey, grey // 2, 255 - grey], 2)
        self.picture("rgb.png", rgb)
        drawn = self.edit("colorize", colours, "rgb.png")
        self.assert_near(numpy.einsum("chw,c->hw", drawn[0], [0.299, 0.587, 0.114]),
                         rgb @ [0.299, 0.587, 0.114] / 127.5 - 1, 1e-6)

    def colour_model(self) -> str:
        """Pixels that are Gaussian with a mean and a covariance of their own: the exact denoiser's first step."""

        class Colours(torch.nn.Module):
            def forward(self, x, noise):
                mixed = torch.stack([x[:, 0] - 0.3 * x[:, 1], 0.5 * x[:, 1], x[:, 2] - 0.2 * x[:, 0]], 1)
                return torch.tanh(mixed) + noise[:, None, None, None] / 10

        metadata = {
            "format": 1, "name": "colours", "role": "consistency",
            "sample": {"modality": "image", "shape": [3, 8, 8]},
            "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                        "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
            "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
        }
        file = self.folder / "colours.pt"
        traced = torch.jit.trace(Colours(), (torch.randn(2, 3, 8, 8), torch.zeros(2)))
        traced.save(str(file), _extra_files={"onestep.json": json.dumps(metadata)})
        return str(file)

    # ---- the published algorithm

    def test_is_algorithm_4_of_song_et_al(self):
        """The paper's lines, on the file's own network, for a mask and for block means."""
        network = torch.jit.load(MODELS / "fashion.pt")
        info = json.loads(subprocess.run([ONESTEP, "inspect", "fashion", "--json"], capture_output=True,
                                         text=True).stdout)
        s, epsilon, label = info["sigma_data"], info["boundary_sigma"], torch.tensor([4])

        @torch.no_grad()
        def f(x, sigma):
            c_skip = s**2 / ((sigma - epsilon)**2 + s**2)
            c_out = s * (sigma - epsilon) / (s**2 + sigma**2)**0.5
            c_in = 1 / (s**2 + sigma**2)**0.5
            noise = torch.tensor([numpy.log(sigma) / 4], dtype=torch.float32)
            return (c_skip * x + c_out * network(c_in * x, noise, label)).clamp(-1, 1)  # as the authors' code does

        levels = [80, 24.4, 5.8, 0.9]
        z = torch.randn(len(levels), 1, 1, 28, 28, generator=torch.Generator().manual_seed(3))
        numpy.save(self.folder / "z.npy", z.numpy())
        coat = garment(4)
        self.picture("coat.png", coat)
        small = coat.reshape(14, 2, 14, 2).mean((1, 3)).round().astype(numpy.uint8)
        self.picture("small.png", small)

        # Q: the orthogonal matrix whose first column is a constant; any completion gives the same result.
        q = torch.linalg.qr(torch.cat([torch.full((4, 1), 0.5), torch.eye(4)[:, :3]], 1)).Q
        q = q * torch.sign(q[:1, :1])
        blocks = torch.nn.functional.pixel_unshuffle
        tasks = {
            ("inpaint", "coat.png", "--mask", "half.png"):
                (lambda x: x, lambda u: u, (torch.arange(28) >= 14).float(), torch.tensor(coat / 127.5 - 1).float()),
            ("upscale", "small.png", "--factor", "2"):
                (lambda x: torch.einsum("nkhw,kj->njhw", blocks(x, 2), q),
                 lambda u: torch.nn.functional.pixel_shuffle(torch.einsum("njhw,kj->nkhw", u, q), 2),
                 torch.tensor([0.0, 1, 1, 1])[:, None, None],
                 # the first coordinate of a block is twice its mean
                 torch.cat([2 * torch.tensor(small / 127.5 - 1)[None], torch.zeros(3, 14, 14)]).float()),
        }
        for (task, *rest), (A, A_inverse, omega, Ay) in tasks.items():
            y = A_inverse((Ay * (1 - omega)).reshape(A(z[0]).shape))
            x = y + levels[0] * z[0]
            x = f(x, levels[0])
            x = A_inverse(A(y) * (1 - omega) + A(x) * omega)
            for tau, noise in zip(levels[1:], z[1:]):
                x = x + (tau**2 - epsilon**2)**0.5 * noise
                x = f(x, tau)
                x = A_inverse(A(y) * (1 - omega) + A(x) * omega)
            drawn = self.edit(task, "fashion", *rest, "--label", "Coat", "--noise", "z.npy", "--precision", "fp32",
                              "--levels", ",".join(map(str, levels)))
            self.assert_near(drawn, x.numpy(), 1e-4)  # a network's float32, four times over

    # ---- the other tasks

    def test_denoise_is_one_call_without_noise(self):
        coat = garment(4) / 127.5 - 1
        noisy = coat + 0.3 * numpy.random.default_rng(0).standard_normal(coat.shape)
        self.picture("noisy.png", ((noisy.clip(-1, 1) + 1) * 127.5).round().astype(numpy.uint8))
        clean = self.edit("denoise", "fashion", "noisy.png", "--sigma", "0.3", "--label", "Coat", "--seeds", "1,2")
        self.assertEqual((self.report["nfe"], self.report["levels"]), (1, [0.3]))
        # Rows of a batch may sum in another order.
        self.assert_near(clean[0], clean[1], 1e-5)
        before, after = (numpy.mean((x - coat)**2) for x in (noisy.clip(-1, 1), clean[0, 0]))
        self.assertLess(after, before / 2)

    def test_stroke_stays_nearer_to_its_guide_at_a_lower_level(self):
        self.picture("coat.png", garment(4))
        guide = garment(4) / 127.5 - 1
        far, near = (numpy.mean((self.edit("stroke", "fashion", "coat.png", "--levels", level, "--label", "Coat", "-n",
                                           "8") - guide)**2) for level in ("20", "0.5"))
        self.assertLess(near, far / 2)

    def test_interpolate_ends_at_its_ends(self):
        frames = self.edit("interpolate", "fashion", "3", "8", "--label", "Coat", "--frames", "5", "--levels", "80,5")
        self.assertEqual(frames.shape, (5, 1, 28, 28))
        for frame, seed in ((0, 3), (-1, 8)):
            subprocess.run([ONESTEP, "generate", "fashion", "--seeds", str(seed), "--label", "Coat", "--levels", "80",
                            "-o", "s.npy"], cwd=self.folder, check=True, capture_output=True)
            end = self.edit("interpolate", "fashion", "3", "8", "--label", "Coat", "--levels", "80")[frame]
            self.assert_near(end, numpy.load(self.folder / "s.npy")[0], 1e-5)  # another batch size
        # A third of the way is nearer to the first than to the last, and a step is smaller than the whole way.
        steps = numpy.sqrt(((frames[1:] - frames[:-1])**2).mean((1, 2, 3)))
        self.assertLess(steps.max(), numpy.sqrt(((frames[0] - frames[-1])**2).mean()))

        a, b = garment(4, 1), garment(4, 2)
        self.picture("a.png", a)
        self.picture("b.png", b)
        frames = self.edit("interpolate", "fashion", "a.png", "b.png", "--label", "Coat", "--levels", "0.1")
        for frame, end in ((frames[0, 0], a), (frames[-1, 0], b)):
            # Noise of 0.1, most of it taken out again.
            self.assertLess(numpy.sqrt(numpy.mean((frame - (end / 127.5 - 1))**2)), 0.1)

    def test_restores_half_of_real_garments(self):
        """100 of them: the classifier still recognises at least 85 % of those it recognised whole, and the half that was
        drawn is nearer to the original than the mean of the training pictures is."""
        whole, labels = GARMENTS.batch(torch.arange(100)), GARMENTS.labels[:100]

        def restore(i: int) -> torch.Tensor:
            Image.fromarray(GARMENTS.pixels[i, 0].numpy()).save(self.folder / f"{i}.png")
            subprocess.run([ONESTEP, "edit", "inpaint", "fashion", f"{i}.png", "--mask", "half.png", "--label",
                            str(int(labels[i])), "--seeds", str(i), "-o", f"{i}.npy", "--quiet"],
                           cwd=self.folder, check=True)
            return torch.from_numpy(numpy.load(self.folder / f"{i}.npy"))

        with ThreadPoolExecutor(2) as pool:
            restored = torch.cat(list(pool.map(restore, range(100))))
        judge = classifier.load()
        recognised = judge(whole).argmax(1) == labels
        still = judge(restored.clamp(-1, 1)).argmax(1) == labels
        self.assertGreaterEqual(int((recognised & still).sum()), 0.85 * int(recognised.sum()))
        mean = data.fashion_mnist("train").pixels.float().mean(0) / 127.5 - 1
        error, of_mean = (((x - whole)[..., 14:]**2).mean() for x in (restored, mean))
        self.assertLess(float(error), float(of_mean))

    # ---- users' own files

    def test_reads_pictures_as_they_are_seen(self):
        grey = garment(7)
        self.picture("grey.png", grey)
        self.assert_near(self.as_read("grey.png"), grey / 255, 1e-6)
        self.picture("grey.bmp", grey)
        self.assert_near(self.as_read("grey.bmp"), grey / 255, 1e-6)
        self.picture("rgb.png", numpy.stack([grey] * 3, 2))  # grey in three channels
        self.assert_near(self.as_read("rgb.png"), grey / 255, 1e-6)
        deep = (grey.astype(numpy.uint16) * 257 - (grey > 0) * 100).astype(numpy.uint16)
        self.picture("deep.png", deep)
        self.assert_near(self.as_read("deep.png"), deep / 65535, 1e-6)
        opacity = numpy.linspace(0, 255, 28).astype(numpy.uint8)[None].repeat(28, 0)
        self.picture("glass.png", numpy.stack([grey, opacity], 2))
        visible = opacity[0] >= 128  # the rest is drawn
        self.assert_near(self.as_read("glass.png")[:, visible], (grey / 255 * opacity / 255)[:, visible], 1e-6)

    def test_turns_photographs_upright(self):
        for orientation in range(1, 9):
            exif = Image.Exif()
            exif[274] = orientation
            self.picture("turned.jpg", garment(7), exif=exif, quality=100)
            with Image.open(self.folder / "turned.jpg") as picture:
                upright = numpy.asarray(ImageOps.exif_transpose(picture))
            # Two decoders of JPEG, each rounding its own way.
            self.assert_near(self.as_read("turned.jpg"), upright / 255, 3 / 255)

    def test_fits_pictures_of_another_size(self):
        ramp = numpy.linspace(0, 255, 84).round().astype(numpy.uint8)
        self.picture("wide.png", ramp[None].repeat(56, 0))  # 84 x 56, brighter to the right
        cropped = self.as_read("wide.png", "--fit", "crop")
        self.assert_near(cropped[13], (ramp[14:70].reshape(28, 2).mean(1)) / 255, 0.02)  # the filter's tails
        stretched = self.as_read("wide.png", "--fit", "stretch")
        self.assert_near(stretched[13], ramp.reshape(28, 3).mean(1) / 255, 0.02)
        # Above and below is nothing known: it is drawn, and the picture is in the middle.
        padded = self.as_read("wide.png", "--fit", "pad", "--label", "Bag")
        self.assert_near(padded[14], ramp.reshape(28, 3).mean(1) / 255, 0.02)
        self.assertGreater(abs(padded[0] - padded[14]).max(), 0.1)

    def test_transparent_parts_are_drawn(self):
        coat = garment(4)
        opacity = numpy.full((28, 28), 255, numpy.uint8)
        opacity[:, 14:] = 0
        self.picture("torn.png", numpy.stack([coat, opacity], 2))
        self.picture("coat.png", coat)
        self.assertEqual(self.edit("inpaint", "fashion", "torn.png", "--label", "Coat").tobytes(),
                         self.edit("inpaint", "fashion", "coat.png", "--mask", "half.png", "--label", "Coat").tobytes())

    def test_a_mask_decides_for_a_whole_pixel(self):
        tiny_models.write(self.folder / "colours.pt", tiny_models.Half(), sample={"modality": "image", "shape": [3, 8, 8]})
        colours = numpy.full((8, 8, 3), (200, 30, 90), numpy.uint8)
        self.picture("colours.png", colours)
        mask = numpy.zeros((8, 8, 3), numpy.uint8)
        mask[:2] = 255
        mask[2] = (150, 120, 140)  # light, by luma, though one channel is not: the edge of a JPEG
        self.picture("mask.png", mask)
        drawn = self.edit("inpaint", "colours.pt", "colours.png", "--mask", "mask.png")
        kept = abs(drawn[0] - (colours / 127.5 - 1).transpose(2, 0, 1)) < 1e-6  # float32 of bytes
        self.assertTrue(kept[:, 3:].all())
        self.assertFalse(kept[:, :3].any())

    def test_the_fourth_channel_is_opacity(self):
        tiny_models.write(self.folder / "glass.pt", tiny_models.Half(), sample={"modality": "image", "shape": [4, 8, 8]})
        pixels = numpy.random.default_rng(0).integers(1, 256, (8, 8, 4)).astype(numpy.uint8)
        self.picture("glass.png", pixels)
        self.picture("black.png", numpy.zeros((8, 8), numpy.uint8))
        for output in ("same.png", "same.webp"):
            self.edit("inpaint", "glass.pt", "glass.png", "--mask", "black.png", output=output)
            with Image.open(self.folder / output) as picture:
                self.assertEqual(picture.mode, "RGBA")
                numpy.testing.assert_array_equal(numpy.asarray(picture), pixels)

    def test_says_when_a_mask_covers_all_or_nothing(self):
        self.picture("coat.png", garment(4))
        self.picture("all.png", numpy.full((28, 28), 255, numpy.uint8))
        for mask, words in (("nothing.png", "nothing.png covers nothing"), ("all.png", "all.png leaves nothing")):
            self.edit("inpaint", "fashion", "coat.png", "--mask", mask)
            self.assertIn(words, self.said)
            self.assertIn(words, self.report["remark"])

    def test_pictures_carry_how_they_were_made(self):
        self.picture("a 'coat'.png", garment(4))
        self.edit("stroke", "fashion", "a 'coat'.png", "--label", "Coat", "--seeds", "7,9", output="e.png")
        with Image.open(self.folder / "e.png") as picture:
            made = json.loads(picture.text["onestep"])
        self.assertEqual(made["model_sha256"], hashlib.sha256((MODELS / "fashion.pt").read_bytes()).hexdigest())
        self.assertEqual((made["seeds"], made["levels"], made["task"]), ([7, 9], [5, 1], "stroke"))
        # The command makes the same file again.
        first = (self.folder / "e.png").read_bytes()
        command = made["command"].replace("onestep", ONESTEP, 1)
        subprocess.run(command, shell=True, cwd=self.folder, check=True, capture_output=True)
        self.assertEqual((self.folder / "e.png").read_bytes(), first)

    def test_refuses_with_a_reason_and_leaves_nothing(self):
        self.picture("coat.png", garment(4))
        self.picture("small.png", garment(4)[::2, ::2])
        self.picture("colour.png", numpy.stack([garment(4), garment(3), garment(2)], 2))
        (self.folder / "cut.png").write_bytes((self.folder / "coat.png").read_bytes()[:60])
        damaged = bytearray((self.folder / "coat.png").read_bytes())
        damaged[-14] ^= 1  # of the checksum of the pixels
        (self.folder / "damaged.png").write_bytes(damaged)
        self.picture("torn.jpg", garment(4))
        (self.folder / "torn.jpg").write_bytes((self.folder / "torn.jpg").read_bytes()[:-200])
        chunks = ((b"IHDR", struct.pack(">IIBBBBB", 30000, 30000, 8, 0, 0, 0, 0)), (b"IDAT", bytes(100)))
        (self.folder / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks))
        before = sorted(os.listdir(self.folder))
        for arguments, code, words in (
                (["inpaint", "fashion", "coat.png", "--mask", "small.png"], 4, "it must have 28 x 28"),
                (["inpaint", "fashion", "coat.png", "--mask", "small.png", "--fit", "crop"], 4, "as many as its picture"),
                (["inpaint", "fashion", "coat.png"], 2, "give --mask"),
                (["inpaint", "fashion", "colour.png", "--mask", "half.png"], 4, "is in colour"),
                (["inpaint", "fashion", "coat.png", "--mask", "colour.png"], 4, "colour.png: is in colour at ("),
                (["inpaint", "fashion", "cut.png", "--mask", "half.png"], 4, "cut.png: is cut short"),
                (["inpaint", "fashion", "damaged.png", "--mask", "half.png"], 4, "damaged.png: is damaged (IDAT: CRC error)"),
                (["inpaint", "fashion", "torn.jpg", "--mask", "half.png"], 4, "torn.jpg: is cut short"),
                (["inpaint", "fashion", "huge.png", "--mask", "half.png"], 4, "30000 x 30000 pixels, but at most"),
                (["inpaint", "fashion", ".", "--mask", "half.png"], 4, "is a folder"),
                (["inpaint", "fashion", "none.png", "--mask", "half.png"], 4, "no such file"),
                (["inpaint", "fashion-teacher", "coat.png", "--mask", "half.png"], 2, "does not suit"),
                (["colorize", "fashion", "coat.png"], 2, "makes grey pictures"),
                (["upscale", "fashion", "small.png", "--factor", "3"], 2, "divide 28 and 28"),
                (["upscale", "fashion", "coat.png", "--factor", "2"], 4, "it must have 14 x 14"),
                (["stroke", "fashion", "coat.png", "--levels", "1,5"], 2, "must be below"),
                (["stroke", "fashion", "coat.png", "--fit", "squash"], 2, "--fit"),
                (["denoise", "fashion", "coat.png"], 2, "--sigma"),
                (["denoise", "fashion", "coat.png", "--sigma", "90"], 2, "sigma_max = 80"),
                (["interpolate", "fashion", "3", "coat.png"], 2, "must both be seeds"),
                (["interpolate", "fashion", "3", "4", "--frames", "1"], 2, "frames = 1")):
            with self.subTest(arguments=arguments):
                result = subprocess.run([ONESTEP, "edit", *arguments, "-o", "no.png"], cwd=self.folder,
                                        capture_output=True, text=True)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)
                self.assertEqual(sorted(os.listdir(self.folder)), before)


if __name__ == "__main__":
    unittest.main()
