"""Clips from the command line: in every kind of file what was drawn, opacity too. Usage: loops_test.py ONESTEP"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import torch
from PIL import Image, ImageSequence
from tiny_models import write

ONESTEP = sys.argv.pop(1)


class FewColours(torch.nn.Module):
    """Red, green and blue of four steps each, and an opacity of 0, 1/4, 3/4 or 1."""

    def forward(self, x, noise):
        return torch.floor(torch.sigmoid(x / 40) * 3.999) * 2 / 3 - 1


class ManyColours(torch.nn.Module):
    def forward(self, x, noise):
        return torch.tanh(x / 80)


class Loops(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        about = {"sample": {"modality": "video", "shape": [4, 3, 5, 6], "frame_rate": 8}}
        about["network"] = {"noise_input": {"kind": "sigma"}, "prediction": {"kind": "denoised"}}
        write(self.folder / "few.pt", FewColours(), **about)
        about["sample"]["shape"] = [4, 3, 40, 40]
        write(self.folder / "many.pt", ManyColours(), **about)

    def run_onestep(self, *arguments, code=0):
        result = subprocess.run([ONESTEP, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def drawn(self, model: str, *arguments) -> numpy.ndarray:
        """Bytes [N, T, H, W, 4]."""
        self.run_onestep("generate", model, *arguments, "-o", "all.npy")
        values = numpy.load(self.folder / "all.npy").clip(-1, 1)
        return numpy.round((values + 1) * 127.5).astype(numpy.uint8).transpose(0, 2, 3, 4, 1)

    def frames(self, file: str) -> tuple[numpy.ndarray, list[float]]:
        with Image.open(self.folder / file) as image:
            self.assertEqual(image.info.get("loop"), 0)
            found = [(numpy.asarray(f.convert("RGBA")), f.info["duration"]) for f in ImageSequence.Iterator(image)]
        return numpy.stack([frame for frame, _ in found]), [duration for _, duration in found]

    def test_moving_files_hold_what_was_drawn(self):
        wanted = self.drawn("few.pt", "--seeds", 5)[0]
        seen = wanted[..., 3] >= 128
        for kind in ("apng", "webp", "gif"):
            self.run_onestep("generate", "few.pt", "--seeds", 5, "-o", f"a.{kind}")
            found, durations = self.frames(f"a.{kind}")
            # 125 ms each; a GIF counts hundredths of a second, and ends where the clip does.
            self.assertEqual([round(d) for d in durations], [130, 120, 130] if kind == "gif" else [125] * 3)
            if kind == "gif":
                numpy.testing.assert_array_equal(found[..., 3], 255 * seen)
                numpy.testing.assert_array_equal(found[seen][:, :3], wanted[seen][:, :3])  # 64 colours
            elif kind == "apng":
                numpy.testing.assert_array_equal(found, wanted)
            else:  # a WebP may forget colours that can't be seen
                numpy.testing.assert_array_equal(found[..., 3], wanted[..., 3])
                numpy.testing.assert_array_equal(found[wanted[..., 3] > 0], wanted[wanted[..., 3] > 0])

    def test_many_colours_become_255(self):
        wanted = self.drawn("many.pt", "--seeds", 1)[0]
        self.run_onestep("generate", "many.pt", "--seeds", 1, "-o", "a.gif")
        found, _ = self.frames("a.gif")
        seen = wanted[..., 3] >= 128
        numpy.testing.assert_array_equal(found[..., 3] == 255, seen)
        self.assertLessEqual(len(numpy.unique(found[seen], axis=0)), 255)
        # Noise fills the cube of colours: 255 boxes are some 40 wide each way, which errs by 10 or so.
        self.assertLess(numpy.abs(found[seen][:, :3].astype(int) - wanted[seen][:, :3].astype(int)).mean(), 15)

    def test_moving_grid(self):
        wanted = self.drawn("few.pt", "--seeds", "3-5")
        for kind in ("apng", "webp", "gif"):
            self.run_onestep("generate", "few.pt", "--seeds", "3-5", "--grid", 2, "-o", f"a.{kind}")
            found, _ = self.frames(f"a.{kind}")
            self.assertEqual(found.shape, (3, 2 + 2 * 7, 2 + 2 * 8, 4))
            self.assertFalse(found[:, :2, :, 3].any())  # the gap
            self.assertFalse(found[:, 9:, 10:, 3].any())  # the place that is left
            for i, clip in enumerate(wanted):
                row, column = divmod(i, 2)
                cell = found[:, 2 + 7 * row:7 + 7 * row, 2 + 8 * column:8 + 8 * column]
                opacity = 255 * (clip[..., 3] >= 128) if kind == "gif" else clip[..., 3]
                numpy.testing.assert_array_equal(cell[..., 3], opacity)
                numpy.testing.assert_array_equal(cell[opacity > 0][:, :3], clip[opacity > 0][:, :3])

    def test_enlarged(self):
        for output, more in (("a.webp", ()), ("sheet.png", ("--sheet",)), ("clips/", ())):
            self.run_onestep("generate", "few.pt", "--seeds", 3, "-o", output, *more)
            self.run_onestep("generate", "few.pt", "--seeds", 3, "--enlarge", 3, "-o", f"large-{output}", *more)
        for name in ("a.webp", "clips/000003.webp"):
            small, large = self.frames(name)[0], self.frames(f"large-{name}")[0]
            numpy.testing.assert_array_equal(large, small.repeat(3, axis=1).repeat(3, axis=2))
        sheet = json.loads((self.folder / "large-sheet.json").read_text())
        self.assertEqual(sheet["frames"][1]["frame"], {"x": 18, "y": 0, "w": 18, "h": 15})
        # Files of two sizes would be one run's.
        result = self.run_onestep("generate", "few.pt", "--seeds", "3,4", "-o", "large-clips/", "--resume", code=2)
        self.assertIn("3 times as large", result.stderr)

    def test_compare(self):
        wanted = self.drawn("few.pt", "--seeds", 3)[0]
        self.run_onestep("compare", "few.pt", "few.pt", "--seeds", 3, "-o", "a.png")
        with Image.open(self.folder / "a.png") as image:
            sheet = numpy.asarray(image)
        scale = 17  # of a tile about 84 pixels high
        frame = wanted[0].repeat(scale, axis=0).repeat(scale, axis=1)
        rows, columns = sheet.shape[0] - frame.shape[0] + 1, sheet.shape[1] - frame.shape[1] + 1
        starts = [(y, x) for y in range(rows) for x in range(columns) if (sheet[y, x] == frame[0, 0]).all()]
        found = [1 for y, x in starts if (sheet[y:y + len(frame):scale, x:x + frame.shape[1]:scale] == wanted[0]).all()]
        self.assertGreaterEqual(len(found), 2, "the first frame stands in both rows")

    def test_sheet(self):
        wanted = self.drawn("few.pt", "--seeds", "3,9")
        self.run_onestep("generate", "few.pt", "--seeds", "3,9", "--sheet", "-o", "sheet.png")
        rows = numpy.concatenate([numpy.concatenate(list(clip), axis=1) for clip in wanted])
        with Image.open(self.folder / "sheet.png") as image:
            numpy.testing.assert_array_equal(numpy.asarray(image), rows)
        sheet = json.loads((self.folder / "sheet.json").read_text())
        self.assertEqual(sheet["meta"]["image"], "sheet.png")
        self.assertEqual(sheet["meta"]["size"], {"w": 18, "h": 10})
        self.assertEqual([(t["name"], t["from"], t["to"]) for t in sheet["meta"]["frameTags"]], [("3", 0, 2), ("9", 3, 5)])
        for i, frame in enumerate(sheet["frames"]):
            place = frame["frame"]
            cut = rows[place["y"]:place["y"] + place["h"], place["x"]:place["x"] + place["w"]]
            numpy.testing.assert_array_equal(cut, wanted[i // 3, i % 3])
            self.assertEqual(frame["duration"], 125)

    def test_refusals_leave_nothing(self):
        before = sorted(self.folder.iterdir())
        for arguments, message in ((["-o", "a.webp", "--sheet"], "--sheet is for clips in one .png"),
                                   (["-o", "a.jpg"], "these do: .png, .webp, .apng, .gif, .npy, .npz"),
                                   (["--enlarge", 2, "-o", "a.npy"], "--enlarge is for pictures; a.npy holds none"),
                                   (["--enlarge", 0, "-o", "a.gif"], "--enlarge: Value 0 not in range 1 to 64")):
            result = self.run_onestep("generate", "few.pt", *arguments, code=2)
            self.assertIn(message, result.stderr)
        (self.folder / "sheet.json").mkdir()
        self.run_onestep("generate", "few.pt", "--sheet", "-o", "sheet.png", code=4)
        (self.folder / "sheet.json").rmdir()
        self.assertEqual(sorted(self.folder.iterdir()), before)


if __name__ == "__main__":
    unittest.main()
