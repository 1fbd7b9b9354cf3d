"""onestep generate into a folder, whatever happens on the way. Usage: bulk_test.py ONESTEP"""

import hashlib
import json
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn

import tiny_models
from tiny_models import LABELS, Labelled, Local, NotANumberNowAndThen, content
from peak_memory import peak_memory

ONESTEP = sys.argv.pop(1)
os.environ["OMP_NUM_THREADS"] = "1"


class Huge(nn.Module):
    """Takes 2 GB a sample, but of the noise that a model is tried with as it is loaded."""

    def forward(self, x, noise):
        y = 0.5 * x
        if bool(noise[0] > 0):
            y = y + 0 * x.reshape(x.shape[0], 1, -1).repeat(1, 65536 * 128, 1).sum(1).reshape(x.shape)
        return y


class Large(nn.Module):
    """Takes 16 MB a sample."""

    def forward(self, x, noise):
        return 0.5 * x + 0 * x.reshape(x.shape[0], 1, -1).repeat(1, 65536, 1).sum(1).reshape(x.shape)


class Bulk(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.folder.chmod(0o755)
        tiny_models.write(self.folder / "tiny.pt", Labelled(), **LABELS)

    def command(self, *arguments):
        return [ONESTEP, "generate", "tiny.pt", *([] if "--batch" in arguments else ["--batch", "8"]), "--quiet", *arguments]

    def run_onestep(self, *arguments, code=0, **options):
        result = subprocess.run(self.command(*arguments), cwd=self.folder, capture_output=True, text=True, **options)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def start(self, *arguments, **options):
        process = subprocess.Popen(self.command(*arguments), cwd=self.folder, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.kill)
        return process

    def wait_for(self, what, process=None):
        deadline = time.monotonic() + 60
        while not what() and time.monotonic() < deadline and (process is None or process.poll() is None):
            time.sleep(0.005)

    def drawn(self, count: int) -> dict[str, bytes]:
        """What a run that nothing happens to leaves behind."""
        self.run_onestep("-n", str(count), "-o", "whole/")
        return content(self.folder / "whole")

    def test_a_folder_says_what_it_holds(self):
        files = self.drawn(20)
        lines = [json.loads(line) for line in files["manifest.jsonl"].decode().splitlines()]
        self.assertEqual([line["seed"] for line in lines], list(range(20)))
        self.assertEqual(sorted(files), sorted(["manifest.jsonl", "run.json", *(line["file"] for line in lines)]))
        for line in lines:
            self.assertEqual(hashlib.sha256(files[line["file"]]).hexdigest(), line["sha256"])
            with Image.open(self.folder / "whole" / line["file"]) as picture:
                self.assertEqual(json.loads(picture.info["onestep"])["labels"], [line["label"]])
        about = json.loads(files["run.json"])
        self.assertEqual((about["model"], about["seeds"], about["levels"], about["batch"]), ("tiny", "0-19", [80.0], 8))
        self.assertEqual(about["model_sha256"], hashlib.sha256((self.folder / "tiny.pt").read_bytes()).hexdigest())
        # Its labels are found again.
        report = json.loads(subprocess.run([ONESTEP, "evaluate", "whole", "--reference", "whole", "--by-label", "--json"],
                                           cwd=self.folder, capture_output=True).stdout)
        self.assertEqual(sorted(report["labels"]), sorted({str(line["label"]) for line in lines}))

    def test_killed_at_forty_moments_it_loses_nothing(self):
        count = 4000
        whole = self.drawn(count)
        out, manifest = self.folder / "out", self.folder / "out/manifest.jsonl"
        moments, kills, end = random.Random(0), 0, time.monotonic() + 45
        while kills < 40 and time.monotonic() < end:
            before = manifest.stat().st_size if manifest.exists() else 0
            if before == len(whole["manifest.jsonl"]):  # done: begin anew
                shutil.rmtree(out)
                before = 0
            process = self.start("-n", str(count), "-o", "out/", "--resume")
            if moments.random() < 0.8:  # else while it loads or looks at what is there
                self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > before, process)
            time.sleep(moments.uniform(0, 0.1))
            process.kill()
            process.communicate()
            kills += 1
            if not out.exists():
                continue
            for name, data in content(out).items():
                if name == "manifest.jsonl":
                    self.assertTrue(whole[name].startswith(data))
                elif not name.startswith(".unfinished/"):
                    self.assertEqual(data, whole[name], name)  # nothing half-written has its name
        self.assertGreater(kills, 10)
        self.run_onestep("-n", str(count), "-o", "out/", "--resume")
        self.assertEqual(content(out), whole)
        self.assertEqual([path for path in out.iterdir() if path.is_dir()], [])

    def test_what_is_missing_or_damaged_is_drawn_again(self):
        whole = self.drawn(50)
        out = self.folder / "out"
        shutil.copytree(self.folder / "whole", out)
        (out / "000003.png").unlink()
        damaged = bytearray(whole["000017.png"])
        damaged[-20] ^= 1
        (out / "000017.png").write_bytes(damaged)
        (out / "000041.png").write_bytes(b"")
        lines = whole["manifest.jsonl"].splitlines(keepends=True)
        (out / "manifest.jsonl").write_bytes(b"".join(lines[:45]) + lines[45][:30])  # a line that was cut off
        (out / ".unfinished").mkdir()
        (out / ".unfinished/.onestep-1-1.tmp").write_bytes(b"half")
        self.run_onestep("-n", "50", "-o", "out/", "--resume")
        self.assertEqual(content(out), whole)
        self.run_onestep("-n", "50", "-o", "out/", "--resume")  # nothing to be done
        self.assertEqual(content(out), whole)

    def test_another_run_is_refused_with_the_difference(self):
        self.run_onestep("-n", "20", "-o", "whole/", "--precision", "fp32")
        whole = content(self.folder / "whole")
        tiny_models.write(self.folder / "other.pt", Labelled(), **LABELS, name="other")
        for change, words in ((["--levels", "80,2"], "levels is [80.0] there, [80.0,2.0] here"),
                              (["--label", "coat"], 'labels is null there, ["coat"] here'),
                              (["--precision", "bf16"], 'precision is "fp32" there, "bf16" here'),
                              (["--no-engine"], "compiled is true there, false here"),
                              (["--batch", "4"], "batch is 8 there, 4 here"),
                              (["-n", "21"], 'seeds is "0-19" there, "0-20" here'),
                              (["--seeds", "5-24"], 'seeds is "0-19" there, "5-24" here')):
            with self.subTest(change=change):
                count = [] if "-n" in change or "--seeds" in change else ["-n", "20"]
                precision = [] if "--precision" in change else ["--precision", "fp32"]
                self.assertIn(words, self.run_onestep(*count, "-o", "whole/", "--resume", *precision, *change, code=2))
                self.assertEqual(content(self.folder / "whole"), whole)
        result = subprocess.run([ONESTEP, "generate", "other.pt", "--batch", "8", "-n", "20", "-o", "whole/", "--resume",
                                 "--precision", "fp32"],
                                cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(result.returncode, 2)
        self.assertIn('model is "tiny" there, "other" here', result.stderr)
        self.assertIn("model_sha256 is", result.stderr)
        self.assertIn("go on with it by --resume", self.run_onestep("-n", "20", "-o", "whole/", code=2))
        self.assertEqual(content(self.folder / "whole"), whole)

    def test_options_of_folders_are_for_folders(self):
        for option in (["--resume"], ["--keep-going"], ["--shard", "0/2"]):
            self.assertIn(f"{option[0]} is for a folder of samples; a.png is none",
                          self.run_onestep("-o", "a.png", *option, code=2))
        for shard in ("2/2", "1", "0/0", "-1/2", "a/b"):
            self.assertIn("must be I/N with I in [0, N-1]", self.run_onestep("-o", "out/", f"--shard={shard}", code=2))
        self.assertIn("seed 3 is asked for twice", self.run_onestep("--seeds", "1-5,3", "-o", "out/", code=2))
        self.assertFalse((self.folder / "out").exists())

    def test_a_second_process_is_refused(self):
        first = self.start("-n", "100000", "-o", "out/")
        self.wait_for((self.folder / "out/manifest.jsonl").exists, first)
        self.wait_for(lambda: (self.folder / "out/manifest.jsonl").stat().st_size > 0, first)
        self.assertIn("another process is drawing into it", self.run_onestep("-n", "100000", "-o", "out/", "--resume", code=4))
        self.assertIsNone(first.poll())

    def test_a_stop_says_how_to_go_on(self):
        process = self.start("-n", "4000", "-o", "out/")
        manifest = self.folder / "out/manifest.jsonl"
        self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > 0, process)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130)
        done = len(manifest.read_text().splitlines())
        self.assertIn(f"stopped; {done} of 4000 samples are done and kept: out/; the same command with --resume goes on", said)
        self.assertEqual(done, len(list((self.folder / "out").glob("*.png"))))
        self.run_onestep("-n", "4000", "-o", "out/", "--resume")
        self.assertEqual(content(self.folder / "out"), self.drawn(4000))

    def test_shards_make_the_files_of_one_run(self):
        whole = self.drawn(70)
        for shard in (2, 0, 1):
            self.assertFalse((self.folder / "out/manifest.jsonl").exists())
            self.run_onestep("-n", "70", "-o", "out/", "--shard", f"{shard}/3")
        found = content(self.folder / "out")
        parts = [found.pop(f"manifest.{i}-of-3.jsonl") for i in range(3)]
        self.assertEqual(found, whole)
        self.assertEqual([len(part.splitlines()) for part in parts], [8 + 8 + 8, 8 + 8 + 8, 8 + 8 + 6])
        # A shard is resumed by itself.
        (self.folder / "out/000009.png").unlink()
        self.run_onestep("-n", "70", "-o", "out/", "--shard", "1/3", "--resume")
        self.assertEqual((self.folder / "out/000009.png").read_bytes(), whole["000009.png"])

    def test_what_other_shards_made_is_taken_over(self):
        whole = self.drawn(70)
        for shard in (0, 2):  # of 3; the second one did not come far
            self.run_onestep("-n", "70", "-o", "out/", "--shard", f"{shard}/3")
        self.run_onestep("-n", "70", "-o", "out/", "--shard", "1/3")
        manifest = self.folder / "out/manifest.1-of-3.jsonl"
        (self.folder / "out/manifest.jsonl").unlink()
        manifest.write_text("".join(manifest.read_text().splitlines(keepends=True)[:8]))
        times = {path.name: path.stat().st_mtime_ns for path in (self.folder / "out").glob("*.png")}
        self.assertIn("go on with it by --resume", self.run_onestep("-n", "70", "-o", "out/", "--shard", "0/2", code=2))
        for shard in (0, 1):
            self.run_onestep("-n", "70", "-o", "out/", "--shard", f"{shard}/2", "--resume")
        found = content(self.folder / "out")
        self.assertEqual({name: data for name, data in found.items() if "-of-" not in name}, whole)
        # Batch 4 of 9 is the first that nobody is known to have made: what stands before it was not made again.
        kept = [name for name in times if (self.folder / "out" / name).stat().st_mtime_ns == times[name]]
        self.assertGreaterEqual(len(kept), 4 * 8)
        self.run_onestep("-n", "70", "-o", "out/", "--resume")
        self.assertEqual(content(self.folder / "out")["manifest.jsonl"], whole["manifest.jsonl"])

    def test_one_archive_is_gone_on_with(self):
        tiny_models.write(self.folder / "tiny.pt", NotANumberNowAndThen())
        for option in (["--bytes"], []):
            common = ["-n", "4000", *option, "--keep-going", "-o"]
            self.assertIn("samples, which are left out: whole.npz", self.run_onestep(*common, "whole.npz"))
            whole = (self.folder / "whole.npz").read_bytes()
            parts, kills, moments = self.folder / "out.npz.unfinished", 0, random.Random(1)
            while kills < 10 and not (self.folder / "out.npz").exists():
                before = len(list(parts.glob("*.part")))
                process = self.start(*common, "out.npz", "--resume")
                self.wait_for(lambda: len(list(parts.glob("*.part"))) > before, process)
                time.sleep(moments.random() * 0.05)
                if process.poll() is None:
                    process.kill()
                    kills += 1
                process.communicate()
            self.assertGreater(kills, 3)
            if parts.exists():
                part = sorted(parts.glob("*.part"))[1]
                part.write_bytes(part.read_bytes()[:-9] + b"012345678")  # and damaged
                self.assertIn("go on with it by --resume", self.run_onestep(*common, "out.npz", code=2))
                self.assertIn("batch is 8 there, 16 here", self.run_onestep(*common, "out.npz", "--resume", "--batch", "16",
                                                                           code=2))
                self.run_onestep(*common, "out.npz", "--resume")
            self.assertEqual((self.folder / "out.npz").read_bytes(), whole)
            self.assertFalse(parts.exists())
            # What is finished is left as it is; another run is refused.
            time_of = (self.folder / "out.npz").stat().st_mtime_ns
            self.run_onestep(*common, "out.npz", "--resume")
            self.assertEqual((self.folder / "out.npz").stat().st_mtime_ns, time_of)
            self.assertIn("levels is [80.0] there, [80.0,2.0] here",
                          self.run_onestep(*common, "out.npz", "--resume", "--levels", "80,2", code=2))
            self.assertEqual((self.folder / "out.npz").read_bytes(), whole)
            (self.folder / "out.npz").unlink()
        numpy.savez(self.folder / "mine.npz", samples=numpy.zeros((2, 1, 8, 8), numpy.float32))
        self.assertIn("mine.npz does not say what was drawn", self.run_onestep("-n", "9", "-o", "mine.npz", "--resume", code=2))
        self.assertIn("--shard is for a folder", self.run_onestep("-n", "9", "-o", "a.npz", "--shard", "0/2", code=2))

    def test_an_archive_that_is_stopped_keeps_its_parts(self):
        self.run_onestep("-n", "4000", "-o", "whole.npz")
        process = self.start("-n", "4000", "-o", "out.npz")
        manifest = self.folder / "out.npz.unfinished/manifest.jsonl"
        self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > 0, process)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130)
        done = 8 * len(manifest.read_text().splitlines())
        self.assertIn(f"stopped; {done} of 4000 samples are done and kept: out.npz.unfinished; the same command with "
                      "--resume goes on", said)
        self.run_onestep("-n", "4000", "-o", "out.npz", "--resume")
        self.assertEqual((self.folder / "out.npz").read_bytes(), (self.folder / "whole.npz").read_bytes())

    def test_a_large_picture_is_gone_on_with(self):
        sample = {"shape": [3, "H", "W"], "default": {"H": 32, "W": 32}, "halo": 1, "modality": "image", "range": [-1, 1]}
        tiny_models.write(self.folder / "tiny.pt", Local(), format=2, sample=sample)
        common = ["--size", "1500x6000", "--seeds", "3", "-o"]
        self.run_onestep(*common, "whole.npy")
        process = self.start(*common, "out.npy", "--resume")
        parts = self.folder / "out.npy.unfinished"
        self.wait_for(lambda: (parts / "0000001.part").exists(), process)
        process.kill()
        process.communicate()
        before = {path.name: path.stat().st_mtime_ns for path in parts.glob("*.part")}
        self.assertIn("canvas is", self.run_onestep(*common, "out.npy", "--resume", "--at", "5,5", code=2))
        self.assertGreater(len(before), 1)
        self.run_onestep(*common, "out.npy", "--resume")
        self.assertEqual((self.folder / "out.npy").read_bytes(), (self.folder / "whole.npy").read_bytes())
        self.assertEqual(sorted(os.listdir(self.folder)), ["out.npy", "tiny.pt", "whole.npy"])

    def test_without_mpi_the_ranks_of_mpirun_are_refused(self):
        result = subprocess.run(self.command("-n", "9", "-o", "out/"), cwd=self.folder, capture_output=True, text=True,
                                env=os.environ | {"OMPI_COMM_WORLD_SIZE": "2"})
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("2 processes of this command were started", result.stderr)
        self.assertFalse((self.folder / "out").exists())

    def test_a_bad_seed_is_noted_and_the_rest_goes_on(self):
        tiny_models.write(self.folder / "tiny.pt", NotANumberNowAndThen())
        said = self.run_onestep("-n", "100", "-o", "out/", code=5)
        self.assertIn("--keep-going notes such seeds and goes on", said)
        kept = len((self.folder / "out/manifest.jsonl").read_text().splitlines())
        self.assertEqual(kept, len(list((self.folder / "out").glob("*.png"))))
        self.assertIn("NaN or infinity in", self.run_onestep("-n", "100", "-o", "out/", "--keep-going", "--resume"))
        lines = [json.loads(line) for line in (self.folder / "out/manifest.jsonl").read_text().splitlines()]
        self.assertEqual([line["seed"] for line in lines], list(range(100)))
        bad = [line for line in lines if line["file"] is None]
        self.assertTrue(0 < len(bad) < 30)
        self.assertEqual(bad[0]["seed"], kept)  # where it had ended
        self.assertTrue(all(line["error"] == "NaN or infinity" for line in bad))
        self.assertEqual(len(list((self.folder / "out").glob("*.png"))), 100 - len(bad))

    def test_many_samples_lie_a_thousand_a_folder(self):
        self.run_onestep("-n", "10050", "--batch", "512", "-o", "out/")
        folders = sorted(path for path in (self.folder / "out").iterdir() if path.is_dir())
        self.assertEqual([folder.name for folder in folders], [f"{i:03d}" for i in range(11)])
        self.assertEqual([len(list(folder.iterdir())) for folder in folders], [1000] * 10 + [50])
        self.assertTrue((self.folder / "out/010/010049.png").exists())
        self.assertEqual(len((self.folder / "out/manifest.jsonl").read_text().splitlines()), 10050)

    def test_noise_is_dealt_with_its_seeds(self):
        noise = numpy.random.default_rng(0).normal(size=(2, 21, 1, 8, 8)).astype(numpy.float32)
        numpy.save(self.folder / "noise.npy", noise)
        common = ["--noise", "noise.npy", "--levels", "80,2", "--label", "coat", "--label", "hat"]
        self.run_onestep(*common, "-o", "out/")
        (self.folder / "one").mkdir()
        self.run_onestep(*common, "--batch", "21", "-o", "one/{seed:06d}.png")
        for seed in range(21):
            pictures = [numpy.asarray(Image.open(self.folder / f"{folder}/{seed:06d}.png")) for folder in ("out", "one")]
            self.assertTrue((pictures[0] == pictures[1]).all())

    def test_one_archive_is_written_as_it_is_drawn(self):
        self.run_onestep("-n", "300", "-o", "set.npz")
        self.run_onestep("-n", "300", "-o", "bytes.npz", "--bytes")
        self.run_onestep("-n", "300", "-o", "one.npy")
        floats, pixels = numpy.load(self.folder / "set.npz"), numpy.load(self.folder / "bytes.npz")
        self.assertEqual(floats.files, ["samples", "seeds", "labels"])
        self.assertEqual(pixels.files, ["arr_0", "arr_1"])
        self.assertTrue((floats["samples"] == numpy.load(self.folder / "one.npy")).all())
        self.assertEqual(floats["seeds"].tolist(), list(range(300)))
        self.assertTrue((pixels["arr_1"] == floats["labels"]).all())
        self.assertEqual((pixels["arr_0"].shape, pixels["arr_0"].dtype), ((300, 8, 8, 1), numpy.uint8))
        self.drawn(300)
        for seed in (0, 7, 299):
            picture = numpy.asarray(Image.open(self.folder / f"whole/{seed:06d}.png"))
            self.assertTrue((pixels["arr_0"][seed, :, :, 0] == picture).all())
        for output in ("a.png", "out/", "{seed}.npz.png"):
            self.assertIn("--bytes is for pictures in a .npz", self.run_onestep("-o", output, "--bytes", code=2))

    def test_of_an_archive_memory_does_not_grow(self):
        def peak(count):
            return peak_memory(self.command("-n", str(count), "-o", "set.npz", "--threads", "1", "--batch", "500"), self.folder)

        few, many = 2000, 42000
        # A sample is 256 bytes; its seed and its label take 24 on the way, a vector twice that as it grows.
        self.assertLess(peak(many) - peak(few), 48 * (many - few) + 2_000_000)

    def test_a_full_disk_loses_nothing(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", disk], capture_output=True).returncode != 0:
            self.skipTest("a file system can't be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], capture_output=True)
        said = self.run_onestep("-n", "500", "-o", "disk/out/", code=4)
        self.assertIn("No space left on device", said)
        self.assertIn("--resume goes on", said)
        whole = self.drawn(500)
        left = content(disk / "out")
        self.assertTrue(whole["manifest.jsonl"].startswith(left.pop("manifest.jsonl")))
        self.assertEqual(left, {name: whole[name] for name in left})
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        self.run_onestep("-n", "500", "-o", "disk/out/", "--resume")
        self.assertEqual(content(disk / "out"), whole)

    def test_a_full_disk_is_gone_on_with_in_one_archive(self):
        disk = self.folder / "disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160k", "tmpfs", disk], capture_output=True).returncode != 0:
            self.skipTest("a file system can't be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], capture_output=True)
        self.run_onestep("-n", "500", "-o", "whole.npz")
        for size in ("160k", "320k"):  # too little for the parts, and for the file beside them
            subprocess.run(["mount", "-o", f"remount,size={size}", disk], check=True)
            said = self.run_onestep("-n", "500", "-o", "disk/set.npz", *(["--resume"] if size == "320k" else []), code=4)
            self.assertIn("No space left on device", said)
            self.assertEqual(os.listdir(disk), ["set.npz.unfinished"])
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        self.run_onestep("-n", "500", "-o", "disk/set.npz", "--resume")
        self.assertEqual((disk / "set.npz").read_bytes(), (self.folder / "whole.npz").read_bytes())
        self.assertEqual(os.listdir(disk), ["set.npz"])

    def test_a_folder_that_cant_be_written_is_refused(self):
        (self.folder / "out").mkdir(mode=0o555)
        as_somebody = {"user": 65534} if os.geteuid() == 0 else {}
        said = self.run_onestep("-n", "9", "-o", "out/", code=4, **as_somebody)
        self.assertIn("Permission denied; give a folder that you may write to", said)
        self.assertEqual(content(self.folder / "out"), {})
        self.assertIn("its own folder must exist", self.run_onestep("-n", "9", "-o", "nowhere/out/", code=4))
        (self.folder / "file").write_text("mine")
        self.run_onestep("-n", "9", "-o", "file/", code=4)
        self.assertEqual((self.folder / "file").read_text(), "mine")

    def test_a_folder_that_is_removed_ends_the_run(self):
        process = self.start("-n", "100000", "-o", "out/")
        manifest = self.folder / "out/manifest.jsonl"
        self.wait_for(lambda: manifest.exists() and manifest.stat().st_size > 0, process)
        os.rename(self.folder / "out", self.folder / "gone")
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 4, said)
        self.assertIn("No such file or directory", said)
        self.assertFalse((self.folder / "out").exists())

    def test_the_commands_of_the_document_run(self):
        root = Path(__file__).parents[2]
        commands = re.findall(r"^    onestep (.*)$", (root / "docs/bulk.md").read_text(), re.MULTILINE)
        self.assertGreater(len(commands), 4)
        for command in commands:
            result = subprocess.run([ONESTEP, *shlex.split(command.replace("1000000", "70")), "--quiet"], cwd=self.folder,
                                    capture_output=True, text=True)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(len(list((self.folder / "garments").glob("*.png"))), 70)
        program = self.folder / "bin/onestep"
        program.parent.mkdir()
        program.symlink_to(Path(ONESTEP).resolve())
        for i in range(8):
            subprocess.run([root / "examples/slurm_array.sh"], check=True, cwd=self.folder, capture_output=True, env=os.environ | {
                "PATH": f"{program.parent}:{os.environ['PATH']}", "SAMPLES": "70", "OUTPUT": "array",
                "SLURM_ARRAY_TASK_ID": str(i), "SLURM_ARRAY_TASK_COUNT": "8"})
        self.assertEqual(len((self.folder / "array/manifest.jsonl").read_text().splitlines()), 70)

    def test_little_memory_halves_the_batch(self):
        tiny_models.write(self.folder / "tiny.pt", Large())

        def peak(*arguments):
            process = subprocess.Popen([ONESTEP, "generate", "tiny.pt", "--no-engine", "--threads", "1", "--quiet", *arguments],
                                       cwd=self.folder, stderr=subprocess.PIPE, text=True)
            most = 0
            while process.poll() is None:
                try:
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    most = max([most, *(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmPeak"))])
                except (OSError, IndexError):
                    pass
                time.sleep(0.002)
            self.assertEqual(process.returncode, 0, process.stderr.read())
            process.stderr.close()
            return most

        before = peak("-n", "16", "--batch", "8", "-o", "eight/")
        # Room for 20 samples more or somewhat more than that, and a call of 64 needs 56 more.
        limit = before + (20 << 24)
        said = self.run_onestep("--no-engine", "--threads", "1", "-n", "64", "--batch", "64", "-o", "out/",
                                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        self.assertIn("going on with 32 samples a network call", said)
        self.assertEqual(len(list((self.folder / "out").glob("*.png"))), 64)

    def test_too_little_memory_for_one_sample_is_an_error(self):
        tiny_models.write(self.folder / "tiny.pt", Huge())
        limit = 2 << 30  # libtorch takes some hundreds of MB of addresses
        for output in ("out/", "set.npz"):
            said = self.run_onestep("--no-engine", "--threads", "1", "-n", "4", "--batch", "2", "-o", output, code=6,
                                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
            self.assertIn("going on with 1 samples a network call", said)
            self.assertIn("one sample a network call needs more memory than there is", said)
        self.assertEqual(os.listdir(self.folder), ["tiny.pt"])


if __name__ == "__main__":
    unittest.main()
