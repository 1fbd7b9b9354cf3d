"""What the command line shows of models and files that call themselves, say and hold what they like. Usage:
untrusted_test.py ONESTEP"""

import json
import os
import subprocess
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn

import tiny_models
from tiny_models import Half, HalfOfALabel

ONESTEP = sys.argv.pop(1)
os.environ["OMP_NUM_THREADS"] = "1"

# Every control character of ASCII but NUL, which no name has, those of Latin-1, and marks that turn the order of text.
CONTROLS = "".join(map(chr, [*range(1, 32), *range(0x7f, 0xa0), 0x200f, *range(0x2028, 0x202f), *range(0x2066, 0x206a)]))
FORGED = "\nonestep: all is well\r"


class Raises(nn.Module):
    def forward(self, x, noise):
        if bool((noise > 0.5).any()):
            raise RuntimeError("\x1b[2J\nonestep: all is well")
        return 0.5 * x


class Says(nn.Module):
    def forward(self, x, noise):
        print("rows", x.shape[0])
        print("\x1b[31mone line\nonestep: another line")
        warnings.warn("out of date")
        return 0.5 * x


class Flattens(nn.Module):
    """A network of features."""

    def forward(self, x):
        print("features")
        return x.flatten(1)[:, :4] + torch.rand(x.shape[0], 4)


class Untrusted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name: str, network: nn.Module, /, **changes):
        tiny_models.write(self.folder / name, network, **changes)

    def run_onestep(self, *arguments, **options):
        return subprocess.run([ONESTEP, *arguments], cwd=self.folder, capture_output=True, **options)

    def test_no_control_character_and_no_forged_line_is_shown(self):
        self.write("controls.pt", HalfOfALabel(), name=CONTROLS + FORGED, license=CONTROLS + FORGED,
                   labels={"count": 2, "names": ["a" + CONTROLS, "b" + FORGED]},
                   card={"key" + CONTROLS: CONTROLS + FORGED, "list": [CONTROLS, {FORGED: 1}]})
        self.write("raises.pt", Raises())
        self.write("broken.pt", Half(), role=CONTROLS)
        named = "m" + CONTROLS + FORGED
        os.rename(self.folder / "broken.pt", self.folder / named)
        two = "controls.pt", "controls.pt:consistency:2"
        for code, *arguments in ((0, "inspect", "controls.pt"), (0, "inspect", "controls.pt", "--json"),
                                 (0, "inspect", "controls.pt", "--check", "--engine"),
                                 (0, "generate", "controls.pt", "-o", "a.npy"),
                                 (0, "generate", "controls.pt", "-o", "a.npy", "--json"),
                                 (2, "generate", "controls.pt", "--label", "c" + FORGED, "-o", "a.npy"),
                                 (2, "generate", "controls.pt", "--sampler", CONTROLS, "-o", "a.npy"),
                                 (2, "generate", "controls.pt", "--steps", CONTROLS, "-o", "a.npy"),
                                 (4, "generate", "controls.pt", "-o", named + "/a.npy"),
                                 (3, "generate", "raises.pt", "-o", "a.npy"),
                                 (0, "compare", *two, "-n", "1"), (0, "compare", *two, "-n", "1", "--json"),
                                 (2, "compare", "controls.pt", named + ":" + FORGED), (3, "inspect", named),
                                 (0, "bench", "controls.pt", "--batch", "1", "--seconds", "0.01", "--json"),
                                 (3, "tune", named, "--reference", "a.npy"), (2, named), (2, "inspect", "--" + named)):
            with self.subTest(arguments=arguments):
                result = self.run_onestep(*arguments)
                self.assertEqual(result.returncode, code, result.stderr)
                for said in result.stdout.decode(), result.stderr.decode():  # UTF-8, or this fails
                    self.assertEqual(set(said) & set(CONTROLS) - {"\n"}, set())
                    self.assertNotIn("\nonestep: all is well", said)
                self.assertEqual(result.stderr.count(b"\n"), int(code != 0), result.stderr)
                if "--json" in arguments:
                    json.loads(result.stdout)
        self.assertEqual(json.loads(self.run_onestep("inspect", "controls.pt", "--json").stdout)["name"],
                         CONTROLS + FORGED)
        self.write("plain.pt", HalfOfALabel(), name='"Müll" \\ 雪', labels={"count": 1})
        self.assertIn('name         "Müll" \\ 雪\n', self.run_onestep("inspect", "plain.pt").stdout.decode())

    def test_what_a_network_says_goes_to_standard_error(self):
        self.write("says.pt", Says())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.jit.save(torch.jit.script(Flattens()), str(self.folder / "features.pt"))
        numpy.save(self.folder / "real.npy", numpy.random.default_rng(0).normal(size=(8, 1, 8, 8)).astype(numpy.float32))
        said = {b"onestep: says.pt says: rows 2", b"onestep: says.pt says: \\u001b[31mone line",
                b"onestep: says.pt says: onestep: another line", b"onestep: says.pt says: out of date"}
        generate = "generate", "says.pt", "-n", "4", "--batch", "2", "-o", "a.npy"
        tune = ("tune", "says.pt", "--reference", "real.npy", "--features", "features.pt", "-n", "8", "--evaluations", "2")
        for command in (generate, (*generate, "--no-engine"), ("inspect", "says.pt", "--check", "--engine"), tune):
            with self.subTest(command=command):
                result = self.run_onestep(*command, "--json")
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertTrue(json.loads(result.stdout))
                lines = set(result.stderr.splitlines())
                self.assertLessEqual(said, lines)
                self.assertTrue(all(line.startswith((b"onestep: says.pt says: ", b"onestep: features.pt says: "))
                                    for line in lines), lines)
                self.assertEqual(b"onestep: features.pt says: features" in lines, command == tune)
                if "inspect" not in command:
                    result = self.run_onestep(*command, "--quiet", "--json")
                    self.assertTrue(json.loads(result.stdout))
                    self.assertEqual(result.stderr, b"")

    def test_a_name_that_is_no_utf_8_is_a_name_all_the_same(self):
        self.write("tiny.pt", Half())
        Image.new("L", (8, 8), 90).save(self.folder / "grey.png")
        numpy.save(self.folder / "real.npy", numpy.zeros((4, 1, 8, 8), numpy.float32))
        folder = os.fsencode(self.folder)
        latin, shown = b"Stra\xdfe", "Stra\ufffde"
        for source, name in ((b"tiny.pt", b".pt"), (b"grey.png", b".png"), (b"real.npy", b".npy")):
            (self.folder / os.fsdecode(source)).replace(os.fsdecode(os.path.join(folder, latin + name)))
        model, picture = latin + b".pt", latin + b".png"
        for place, *arguments in (("file", "inspect", model), ("files", "generate", model, "-o", latin + b".npz"),
                                  ("files", "generate", model, "-o", latin + b"/"),
                                  ("file", "edit", "stroke", model, picture, "-o", latin + b".jpg"),
                                  ("input", "edit", "stroke", model, picture, "-o", "a.png"),
                                  ("between", "edit", "interpolate", model, picture, picture, "-o", "a.png"),
                                  ("file", "compare", model, model + b":consistency:2", "-n", "1", "-o", picture),
                                  ("model", "bench", model, "--batch", "1", "--seconds", "0.01"),
                                  ("model", "tune", model, "--reference", latin + b".npy", "-n", "2", "--evaluations", "2")):
            with self.subTest(arguments=arguments):
                result = self.run_onestep(*arguments, "--json")
                self.assertEqual(result.returncode, 0, result.stderr)
                report = json.loads(result.stdout.decode())
                self.assertIn("tiny" if place == "model" else shown, json.dumps(report[place], ensure_ascii=False))
                again = ["--resume"] if arguments[-1] == latin + b"/" else []  # a folder holds one run
                self.assertEqual(self.run_onestep(*arguments, *again).returncode, 0)

    def test_a_file_of_another_kind_is_told(self):
        header = json.dumps({"weight": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        numpy.savez(self.folder / "arrays.npz", x=numpy.zeros(3))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(Half(), (torch.zeros(1, 1, 8, 8), torch.zeros(1)))
            torch.export.save(exported, self.folder / "half.pt2")
        torch.save({"weight": torch.zeros(3)}, self.folder / "new.pth")
        torch.save({"weight": torch.zeros(3)}, self.folder / "old.pth", _use_new_zipfile_serialization=False)
        for name, content, words in (
                ("model.safetensors", len(header).to_bytes(8, "little") + header + bytes(4), "a safetensors file"),
                ("lfs.pt", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "git lfs pull"),
                ("page.pt", b"\n <HTML><body>Please sign in</body></HTML>", "a web page"),
                # An ONNX model of version 9 by the producer "pytorch".
                ("model.onnx", b"\x08\x09\x12\x07pytorch\x1a\x052.1.0", "an ONNX file"),
                ("packed.pt", b"\x1f\x8b\x08\x00" + bytes(40), "compressed by gzip"),
                ("model.gguf", b"GGUF\x03\0\0\0", "a GGUF file"),
                ("arrays.npz", None, "a NumPy archive"), ("half.pt2", None, "a program of torch.export"),
                ("new.pth", None, "a Python state dict"), ("old.pth", None, "a Python pickle"),
                ("noise.pt", bytes(range(256)), "no TorchScript file, or is damaged")):
            if content is not None:
                (self.folder / name).write_bytes(content)
            with self.subTest(name=name):
                result = self.run_onestep("inspect", name)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertTrue(result.stderr.decode().startswith(f"onestep: {name}: is "), result.stderr)
                self.assertIn(words, result.stderr.decode())
        piped = self.run_onestep("inspect", "/dev/stdin", input=b"PK")
        self.assertEqual(piped.returncode, 3)
        self.assertIn(b"is a pipe or a device", piped.stderr)


if __name__ == "__main__":
    unittest.main()
