"""The command line as its user meets it: what it draws, what it says, what it leaves behind. Usage: cli_test.py ONESTEP"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import numpy
from PIL import Image
from torch import nn

import tiny_models
from peak_memory import peak_memory
from tiny_models import Half, HalfOfALabel

ONESTEP = sys.argv.pop(1)

# Arguments after `generate`, exit code (docs/design.md), what the message has to say.
REFUSED = [
    (["fashion", "--label", "Hat", "-o", "a.png"], 2, "Ankle boot"),
    (["fashion", "--label", "11", "-o", "a.png"], 2, "has 0 to 9"),
    (["fashion", "--seeds", "5-2", "-o", "a.png"], 2, "write 2-5"),
    (["fashion", "--seeds", "x", "-o", "a.png"], 2, "neither a seed nor a range"),
    (["fashion", "--count", "0", "-o", "a.png"], 2, "[1, 10000000]"),
    (["fashion", "--count", "1000000000", "-o", "a.png"], 2, "[1, 10000000]"),
    (["fashion", "--steps", "0", "-o", "a.png"], 2, "steps = 0 must lie in [1, 10000]"),
    (["fashion", "--levels", "1,80", "-o", "a.png"], 2, "must be below"),
    (["fashion", "--levels", "nan", "-o", "a.png"], 2, "finite"),
    (["fashion", "--levels", "100", "-o", "a.png"], 2, "sigma_max = 80"),
    (["fashion", "--sampler", "foo", "-o", "a.png"], 2, "none of consistency, gamma, heun, euler, ddim, euler_ancestral, dpm2, dpmpp_2m"),
    (["fashion", "--schedule", "trailing", "-o", "a.png"], 2, "karras, exponential, linear"),
    (["fashion", "--eta", "0.5", "-o", "a.png"], 2, "eta is for the sampler ddim"),
    (["fashion", "--sampler", "gamma", "--gamma", "2", "-o", "a.png"], 2, "lie in [0, 1]"),
    (["fashion", "--precision", "fp8", "-o", "a.png"], 2, "unknown precision fp8; give auto, fp32, bf16 or fp16"),
    (["fashion", "--precision", "fp16", "-o", "a.png"], 2, "on a CPU give auto, fp32 or bf16"),
    (["fashion", "--guidance", "-1", "-o", "a.png"], 2, "guidance = -1"),
    (["fashion-teacher", "--sampler", "consistency", "-o", "a.png"], 2, "use heun, euler, ddim"),
    (["fashion", "-o", "a.xyz"], 2, ".png"),
    (["fashion", "-o", "nowhere/a.png"], 4, "make the folder nowhere first"),
    (["fashion", "--noise", "wrong.npy", "-o", "a.png"], 4, "[2,3,28,28]"),
    (["fashon", "-o", "a.png"], 3, "fashion-teacher"),
    (["missing.pt", "-o", "a.png"], 3, "no such file"),
    (["empty.pt", "-o", "a.png"], 3, "is empty"),
    (["cut.pt", "-o", "a.png"], 3, "damaged"),
    (["fashion", "--noise", "infinite.npy", "-o", "a.png"], 4, "infinite.npy: draw 1: sample 0 holds infinity"),
    (["fashion", "-o", f"{'n' * 300}.png"], 4, "give a shorter name"),
    (["fashion", "-o", "wrong.npy/a.png"], 4, "Not a directory"),
    (["fashion"], 2, "--output or --tiles"),
    (["fashion", "--size", "40", "-o", "a.png"], 2, "--size 40 must be WIDTHxHEIGHT"),
    (["fashion", "--size", "0x40", "-o", "a.png"], 2, "each in [1, 2147483647]"),
    (["fashion", "--size", "99999999999999999999x40", "-o", "a.png"], 2, "each in [1, 2147483647]"),
    (["fashion", "--size", "70000x40", "-o", "a.jpg"], 2, "a JPEG's sides must be at most 65500; write .png"),
    (["fashion", "--size", "40x17000", "-o", "a.webp"], 2, "a WebP's sides must be at most 16383; write .png"),
    (["fashion", "--size", "40x40", "-o", "a.npz"], 2, "saved to .png, .jpg, .webp or .npy"),
    (["fashion", "--size", "40x40", "-n", "2", "-o", "a.png"], 2, "holds one picture of that size, not 2"),
    (["fashion", "--size", "40x40", "--grid", "-o", "a.png"], 2, "--grid is for samples"),
    (["fashion", "--size", "40x40", "-n", "2", "--tiles", "a"], 2, "--tiles holds the plane of one seed, not of 2"),
    (["fashion", "--size", "101x56", "--seamless", "-o", "a.png"], 2, "such as 98 or 112"),
    (["fashion", "--seamless", "-o", "a.png"], 2, "need --size WIDTHxHEIGHT"),
    (["fashion", "--size", "40x40", "--seamless", "--noise", "wrong.npy", "-o", "a.png"], 2, "--noise is for samples"),
    (["fashion", "--size", "40x40", "--at", "5", "-o", "a.png"], 2, "--at 5 must be X,Y"),
    (["fashion", "--size", "40x40", "--label-map", "x.png", "--label-map-place", "1,2", "-o", "a.png"], 2, "must be X,Y,WIDTHxHEIGHT"),
    (["fashion", "--size", "40x40", "--label-map", "x.png", "--label-map-place", "1,2,3", "-o", "a.png"], 2, "place 3 must be WIDTHxHEIGHT"),
    (["fashion", "--size", "40x40", "--label-map-place", "1,2,3x4", "-o", "a.png"], 2, "a --label-map, which is missing"),
    (["fashion", "--size", "40x40", "--at", "2147483640,0", "-o", "a.png"], 2, "must be at most 2^31"),
    (["fashion-teacher", "--size", "40x40", "-o", "a.png"], 2, "at most 8, or a period"),
]


class CommandLine(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_onestep(self, *arguments, **options):
        return subprocess.run([ONESTEP, *arguments], cwd=self.folder, capture_output=True, text=True, **options)

    def drawn(self, *arguments, model="fashion"):
        result = self.run_onestep("generate", model, *arguments, "-o", "a.npy")
        self.assertEqual(result.returncode, 0, result.stderr)
        return numpy.load(self.folder / "a.npy")

    def test_refuses_with_a_reason_and_leaves_nothing(self):
        numpy.save(self.folder / "wrong.npy", numpy.zeros((2, 3, 28, 28), numpy.float32))
        noise = numpy.zeros((2, 3, 1, 28, 28), numpy.float32)
        noise[1, 0, 0, 9, 9] = -numpy.inf
        numpy.save(self.folder / "infinite.npy", noise)
        (self.folder / "empty.pt").write_bytes(b"")
        (self.folder / "cut.pt").write_bytes(b"PK\3\4" + bytes(3000))
        before = sorted(os.listdir(self.folder))
        for arguments, code, words in REFUSED:
            with self.subTest(arguments=arguments):
                result = self.run_onestep("generate", *arguments)
                self.assertEqual(result.returncode, code, result.stderr)
                self.assertIn(words, result.stderr)
                self.assertEqual(result.stdout, "")
                self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_a_disk_that_fills_up_leaves_nothing(self):
        def no_room():  # as `ulimit -f` does it
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        result = self.run_onestep("generate", "fashion", "--grid", "-o", "a.png", preexec_fn=no_room)
        self.assertEqual(result.returncode, 4, result.stderr)
        self.assertIn("a.png: can't be written", result.stderr)
        self.assertIn("ulimit -f", result.stderr)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_failed_run_keeps_the_file_that_was_there(self):
        (self.folder / "a.png").write_text("mine")
        self.run_onestep("generate", "fashion", "--levels", "nan", "-o", "a.png")
        self.assertEqual((self.folder / "a.png").read_text(), "mine")

    def test_a_link_is_followed_and_a_mode_is_kept(self):
        (self.folder / "link.png").symlink_to("a.png")
        (self.folder / "a.png").write_text("older")
        (self.folder / "a.png").chmod(0o640)
        self.assertEqual(self.run_onestep("generate", "fashion", "-o", "link.png").returncode, 0)
        self.assertTrue((self.folder / "link.png").is_symlink())
        self.assertEqual((self.folder / "a.png").stat().st_mode & 0o777, 0o640)
        self.assertTrue((self.folder / "a.png").read_bytes().startswith(b"\x89PNG"))

    def test_a_seed_is_the_same_sample_in_any_company(self):
        together = self.drawn("--seeds", "0-6", "--label", "Bag")
        for order, batch in (("6,5,4,3,2,1,0", "2"), ("6,5,4,3,2,1,0", "7")):
            other = self.drawn("--seeds", order, "--label", "Bag", "--batch", batch)
            self.assertEqual(abs(together - other[::-1]).max(), 0)  # bit for bit

    def test_the_engine_draws_what_libtorch_draws(self):
        # float32 sums in another order, in a range of 2.
        exact = self.drawn("-n", "4", "--precision", "fp32")
        self.assertLess(abs(exact - self.drawn("-n", "4", "--no-engine")).max(), 1e-4)

    def test_bf16_draws_nearly_what_fp32_draws(self):
        for engine in [], ["--no-engine"]:
            for model, options in ("fashion", []), ("fashion-teacher", ["--steps", "6"]):
                exact, rounded = (self.drawn("-n", "4", "--precision", precision, *options, *engine, model=model)
                                  for precision in ("fp32", "bf16"))
                # In 8-bit levels, of which there are 255 in a range of 2; one is what `auto` allows.
                difference = abs(exact - rounded).mean() * 255 / 2
                self.assertGreater(difference, 0.01)
                self.assertLess(difference, 1)

    def test_reports_say_which_precision_and_why(self):
        for asked in "auto", "fp32", "bf16":
            shown = json.loads(self.run_onestep("inspect", "fashion", "--check", "--precision", asked, "--json").stdout)
            used, why = shown["precision"]["used"], shown["precision"]["why"]
            if asked == "auto":  # bf16 where the processor has it: the shipped student bears it
                self.assertRegex(why, {"bf16": "0.[0-9]+ of an 8-bit level", "fp32": "neither AMX nor AVX512-BF16"}[used])
                self.assertIn(f"precision: {used}, {why}\n", self.run_onestep("inspect", "fashion", "--check").stdout)
            else:
                self.assertEqual([used, why], [asked, "as asked for"])
            self.assertTrue(all(check["holds"] for check in shown["checks"]))
            report = self.run_onestep("generate", "fashion", "--precision", asked, "--json", "-o", "a.npy")
            self.assertEqual(json.loads(report.stdout)["precision"], used)

    def test_inspect_shows_what_a_network_was_compiled_to(self):
        shown = json.loads(self.run_onestep("inspect", "fashion", "--engine", "--batch", "2", "--json").stdout)["engine"]
        self.assertTrue(shown["compiled"])
        kinds = [kind["what"] for kind in shown["kinds"]]
        self.assertIn("group normalization + scale, shift + SiLU", kinds)
        self.assertFalse([kind for kind in kinds if kind.endswith("as it is")])
        shown = json.loads(self.run_onestep("inspect", "fashion", "--engine", "--no-engine", "--json").stdout)["engine"]
        self.assertEqual([shown["compiled"], shown["why_not"]], [False, "it was asked to run as it is"])
        refused = self.run_onestep("inspect", "fashion", "--engine", "--batch", "0")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("batch = 0 must lie in [1, 65536]", refused.stderr)

    def test_inspect_has_the_keys_that_are_documented(self):
        design = (Path(__file__).parents[2] / "docs/design.md").read_text()
        table = design[design.index("`onestep inspect MODEL --json`"):design.index("## Budgets")]
        rows = [row.split(" | ") for row in table.splitlines() if row.startswith("| `")]
        documented = {key for row in rows for key in re.findall("`([a-z_]+)`", row[0])}
        shown = json.loads(self.run_onestep("inspect", "fashion", "--engine", "--check", "--json").stdout)
        self.assertEqual(documented - set(shown), {"rate", "lowest_pitch", "thresholds"}, "of sound and music alone")
        self.assertLessEqual(set(shown), documented)
        engine = set(re.findall("`([a-z_]+)`", next(row[1] for row in rows if row[0] == "| `engine`")))
        self.assertLessEqual(set(shown["engine"]) | set(shown["engine"]["kinds"][0]), engine)

    def test_the_same_command_is_the_same_file(self):
        self.assertEqual(self.drawn("-n", "4").tobytes(), self.drawn("-n", "4").tobytes())

    def test_json_is_all_there_is_on_standard_output(self):
        result = self.run_onestep("generate", "fashion", "-n", "3", "--json", "-o", "a.png", "--grid")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(json.loads(result.stdout))
        self.assertEqual((self.folder / "a.png").read_bytes()[:8], b"\x89PNG\r\n\x1a\n")

    def test_every_sampler_and_schedule_that_help_lists_runs(self):
        text = self.run_onestep("generate", "--sampler", "help")
        self.assertEqual(text.returncode, 0)
        listed = {title: [line.split()[0] for line in part.splitlines() if line.startswith("  ") and line[2] != " "]
                  for title, part in zip(("sampler", "schedule"), text.stdout.split("--schedule"))}
        self.assertIn("euler_ancestral", listed["sampler"])
        for sampler in listed["sampler"]:
            model = "fashion" if sampler in ("consistency", "gamma") else "fashion-teacher"
            for guidance, calls in ((), 1), (("--guidance", "2"), 2):
                result = self.run_onestep("generate", model, "--sampler", sampler, "--steps", "2", "-n", "2", "--json", "-o",
                                          "a.npy", *guidance)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(json.loads(result.stdout)["nfe"], calls * (3 if sampler in ("heun", "dpm2") else 2))
        result = self.run_onestep("generate", "fashion-teacher", "--churn", "3", "--churn-noise", "1.01", "--steps", "2", "--json",
                                  "-o", "a.npy")
        self.assertEqual(json.loads(result.stdout)["options"], {"churn": 3, "churn_noise": 1.01})
        for schedule in ("karras", "exponential", "linear"):
            self.assertIn(schedule, listed["schedule"])
            result = self.run_onestep("generate", "fashion-teacher", "--schedule", schedule, "--steps", "3", "-o", "a.png")
            self.assertEqual(result.returncode, 0, result.stderr)

    def test_tune_finds_levels_and_writes_them_into_a_copy(self):
        result = self.run_onestep("generate", "fashion-teacher", "-n", "64", "-o", "real.npz")
        self.assertEqual(result.returncode, 0, result.stderr)
        result = self.run_onestep("tune", "fashion", "--reference", "real.npz", "--steps", "2..3", "-n", "32",
                                  "--evaluations", "3", "--plot", "plot.svg", "--write", "tuned.pt", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        tuned = json.loads(result.stdout)
        self.assertEqual(len(tuned["trials"]), 6)
        for step in tuned["steps"]:
            tried = [trial for trial in tuned["trials"] if trial["steps"] == step["steps"]]
            self.assertEqual(step["distance"], min(trial["distance"] for trial in tried))
        about = json.loads(self.run_onestep("inspect", "tuned.pt", "--check", "--json").stdout)
        self.assertEqual(about["levels"]["1"], [80])  # kept
        for step in tuned["steps"]:
            self.assertEqual(about["levels"][str(step["steps"])], step["levels"])
        self.assertIn("</svg>", (self.folder / "plot.svg").read_text())
        numpy.save(self.folder / "wrong.npy", numpy.zeros((4, 1, 14, 14), numpy.float32))
        for arguments, code, words in ((["--reference", "wrong.npy"], 4, "[4, 1, 14, 14]"),
                                       (["--reference", "nowhere"], 4, "no such file"),
                                       (["--reference", "real.npz", "--steps", "4..2"], 2, "2..4"),
                                       (["--reference", "real.npz", "--features", "real.npz"], 4, "TorchScript")):
            result = self.run_onestep("tune", "fashion", *arguments)
            self.assertEqual(result.returncode, code, result.stderr)
            self.assertIn(words, result.stderr)
        self.assertEqual(self.run_onestep("tune", "fashion-teacher", "--reference", "real.npz").returncode, 2)

    def test_compare_tells_the_calls(self):
        result = self.run_onestep("compare", "fashion:consistency:1", "fashion-teacher:heun:2", "-n", "2", "-o", "a.png",
                                  "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn('"nfe": 3', result.stdout)
        self.assertTrue((self.folder / "a.png").exists())

    def test_inspect_check_holds_for_the_shipped_models(self):
        for model in ("fashion", "fashion-teacher", "materials"):
            result = self.run_onestep("inspect", model, "--check")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
            self.assertNotIn("fails", result.stdout)

    def test_an_interrupt_keeps_whole_pictures_only(self):
        process = subprocess.Popen([ONESTEP, "generate", "fashion-teacher", "-n", "5000", "--batch", "1", "--steps", "2",
                                    "-o", f"{self.folder}/"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not list(self.folder.glob("*.png")) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, words)
        names = os.listdir(self.folder)
        self.assertTrue(0 < len(names) < 5000)
        for name in names:
            if name in ("manifest.jsonl", "run.json"):
                continue
            self.assertTrue(name.endswith(".png"), name)
            self.assertTrue((self.folder / name).read_bytes().endswith(b"IEND\xaeB`\x82"), name)

    def test_a_hang_up_keeps_the_samples_of_one_file(self):
        class Says(nn.Module):
            def forward(self, x, noise):
                print("called")
                return 0.5 * x

        tiny_models.write(self.folder / "says.pt", Says())
        command = [ONESTEP, "generate", "says.pt", "--no-engine", "--batch", "1", "-o", "a.npy", "-n"]

        def start(count, **options):
            process = subprocess.Popen([*command, str(count)], cwd=self.folder, text=True, stderr=subprocess.PIPE,
                                       stdout=subprocess.DEVNULL, **options)
            for _ in range(100):  # loading makes less than 20 calls
                process.stderr.readline()
            process.send_signal(signal.SIGHUP)
            return process.communicate(timeout=60)[1].splitlines()[-1], process.returncode

        said, code = start(1_000_000)
        self.assertEqual(code, 130, said)
        samples = numpy.load(self.folder / "a.npy")
        self.assertIn(f"stopped; {len(samples)} of 1000000 samples are done and kept: a.npy", said)
        self.assertTrue(0 < len(samples) < 1_000_000)
        self.assertEqual(sorted(os.listdir(self.folder)), ["a.npy", "says.pt"])
        # nohup has it go on.
        said, code = start(300, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertEqual(code, 0, said)
        self.assertEqual(len(numpy.load(self.folder / "a.npy")), 300)

    def test_a_folder_of_samples_takes_no_more_memory_the_more_there_are(self):
        tiny_models.write(self.folder / "tiny.pt", Half())

        def most_memory(count):
            most = peak_memory([ONESTEP, "generate", "tiny.pt", "-n", str(count), "--batch", "500", "--threads", "1",
                                "-o", "many/{seed}.npy", "--quiet"], self.folder)
            self.assertEqual(len(os.listdir(self.folder / "many")), count)
            return most

        (self.folder / "many").mkdir()
        few, many = 2000, 22000
        # 8 bytes are the seed's. A megabyte is what the same command's memory differs by from run to run.
        before = most_memory(few)
        self.assertLess(most_memory(many) - before, 8 * (many - few) + 1_000_000)

    def test_a_plane_is_the_same_wherever_it_is_cut(self):
        def plane(size, at, *more):
            return self.drawn("--label", "Bag", "--size", size, "--at", at, *more)

        whole = plane("90x50", "-40,-20")
        self.assertEqual(whole.shape, (1, 1, 50, 90))
        self.assertTrue(numpy.array_equal(plane("31x17", "-25,-3"), whole[:, :, 17:34, 15:46]))
        self.assertTrue(numpy.array_equal(plane("31x17", "-25,-3", "--threads", "1"), whole[:, :, 17:34, 15:46]))
        tile = plane("56x42", "0,0", "--seamless")
        self.assertTrue(numpy.array_equal(plane("56x42", "28,21", "--seamless"), numpy.roll(tile, (-21, -28), (2, 3))))

    def test_planes_of_several_seeds_go_into_a_folder(self):
        result = self.run_onestep("generate", "fashion", "-n", "2", "--size", "60x40", "-o", "walls/", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["canvas"]["way"], "windows")
        self.assertEqual(report["canvas"]["size"], [60, 40])
        self.assertEqual(report["count"], 2)
        self.assertEqual(sorted(os.listdir(self.folder / "walls")), ["000000.png", "000001.png"])
        for seed, file in enumerate(report["files"]):
            image = Image.open(self.folder / file)
            self.assertEqual(image.size, (60, 40))
            made = json.loads(image.text["onestep"])
            self.assertEqual((made["canvas"]["at"], made["request"]["seeds"]), ([0, 0], [seed]))

    def test_compare_shows_planes(self):
        result = self.run_onestep("compare", "fashion", "fashion-teacher:euler:9", "--size", "56x56", "-n", "1", "-o", "a.png",
                                  "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([run["nfe"] for run in json.loads(result.stdout)["runs"]], [1, 9])

    def test_too_little_memory_is_told_beforehand(self):
        tiny_models.write(self.folder / "long.pt", Half(),
                          sample={"modality": "audio", "shape": [1, 1 << 20], "sample_rate": 8000})
        result = self.run_onestep("generate", "long.pt", "-n", "10000000", "-o", "a.npy")
        self.assertEqual(result.returncode, 6, result.stderr)
        self.assertIn("83886.1 GB of memory", result.stderr)
        self.assertEqual(os.listdir(self.folder), ["long.pt"])

    def test_a_label_is_the_one_of_its_exact_name(self):
        names = ["drake", "Drake", "kite", "kite", "KITE", "5"]
        tiny_models.write(self.folder / "birds.pt", HalfOfALabel(), labels={"count": 6, "names": names})
        for label, index in (("drake", 0), ("Drake", 1), ("KITE", 4), ("4", 4), ("5", 5)):
            result = self.run_onestep("generate", "birds.pt", "--label", label, "-o", "a.npy", "--json")
            self.assertEqual(json.loads(result.stdout)["labels"], [index], label)
        for label, indices in (("DRAKE", "0, 1"), ("kite", "2, 3"), ("Kite", "2, 3, 4")):
            result = self.run_onestep("generate", "birds.pt", "--label", label, "-o", "a.npy")
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"label {label} is the name of several labels of tiny: {indices}; give the index", result.stderr)

    def test_the_model_is_found_wherever_it_stands(self):
        for arguments in (["--label", "Bag", "fashion"], ["--levels", "80,2.5", "fashion"], ["--grid", "fashion"],
                          ["--grid", "2", "fashion"], ["--label", "1", "--label", "2", "fashion"],
                          ["fashion", "--label", "1", "--levels", "80", "--levels", "2.5"]):
            result = self.run_onestep("generate", *arguments, "-n", "2", "-o", "a.png")
            self.assertEqual(result.returncode, 0, (arguments, result.stderr))
        for arguments in (["bench", "--batch", "1,2", "fashion", "--seconds", "0.01"],
                          ["compare", "--label", "Bag", "fashion:consistency:1", "fashion", "-n", "1"],
                          ["edit", "stroke", "--levels", "5,1", "--label", "Bag", "fashion", "a.png", "--fit", "crop", "-o",
                           "b.png"]):
            result = self.run_onestep(*arguments)
            self.assertEqual(result.returncode, 0, (arguments, result.stderr))
        result = self.run_onestep("generate", "fashion", "--label", "Bag", "Coat", "-o", "a.png")
        self.assertEqual(result.returncode, 2)
        self.assertIn("Coat", result.stderr)

    def test_a_path_may_have_colons(self):
        folder = self.folder / "12:30:heun"
        folder.mkdir()
        for name in ("a.pt", "a.pt:consistency:2"):
            tiny_models.write(folder / name, Half())
        runs = {"a.pt": ("consistency", 1), "a.pt:consistency": ("consistency", 1), "a.pt:gamma:3": ("gamma", 3),
                "a.pt:consistency:2": ("consistency", 1), "a.pt:consistency:2:consistency:4": ("consistency", 4)}
        result = self.run_onestep("compare", *(f"{folder.name}/{run}" for run in runs), "-n", "1", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual([(run["sampler"], run["nfe"]) for run in json.loads(result.stdout)["runs"]], list(runs.values()))
        for run in ("a.pt:heum:5", "a.pt:heun:x", "a.pt:5", "b:"):
            result = self.run_onestep("compare", f"{folder.name}/a.pt", f"{folder.name}/{run}")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(f"{run}: is no file, and no MODEL:SAMPLER", result.stderr)

    def test_threads_have_a_bound(self):
        for threads in "0", "-1", "1025", "2000000000":
            result = self.run_onestep("generate", "fashion", "--threads", threads, "-o", "a.png")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(f"threads = {threads} must lie in [1, 1024]", result.stderr)

    def test_an_unknown_command_is_named(self):
        result = self.run_onestep("frobnicate")
        self.assertEqual(result.returncode, 2)
        self.assertIn("unknown command frobnicate; there are generate, compare", result.stderr)

    def test_help_shows_two_examples_a_command(self):
        for command in ("generate", "compare", "inspect", "bench", "tune", "edit", "evaluate"):
            examples = self.run_onestep(command, "--help").stdout.split("Examples:")[1]
            self.assertEqual(examples.count(f"onestep {command}"), 2)


if __name__ == "__main__":
    unittest.main()
