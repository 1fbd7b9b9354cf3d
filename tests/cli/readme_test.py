"""README.md's commands and tables, run: a row or a command that this test does not know how to run fails it. Usage:
readme_test.py ONESTEP"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import nn

import tiny_models

ONESTEP = sys.argv.pop(1)
ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
os.environ["OMP_NUM_THREADS"] = "1"

# Less of what takes long.
SHORTER = {"compare": ["-n", "1"], "bench": ["--batch", "1", "--seconds", "0.01"],
           "tune": ["-n", "2", "--evaluations", "2"]}


class Takes(nn.Module):
    """A network that is called with all that a family's metadata asks for, and depends on each."""

    def __init__(self, conditions: int):
        super().__init__()
        self.conditions = conditions

    def forward(self, x, noise, a: torch.Tensor | None = None, b: torch.Tensor | None = None):
        y = 0.5 * x * torch.cos(noise)[:, None, None, None]
        assert (a is not None) + (b is not None) == self.conditions
        if a is not None:
            y = y + 0.1 * a[:, None, None, None]
        if b is not None:
            y = y + 0.1 * b[:, None, None, None]
        return y


def network(noise_input: dict, prediction: dict, **more) -> dict:
    return {"network": {"noise_input": noise_input, "prediction": prediction, **more}}


LOG_SIGMA = {"kind": "log_sigma", "scale": 0.25}
FLOW_TIME = {"kind": "flow_time"}
TIMESTEP = {"kind": "timestep", "schedule": {"kind": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "count": 1000}}
TIMESTEPS = {"noise": {"sigma_min": 0.03, "sigma_max": 14.5, "rho": 7.0}}  # within those of that schedule

# Of each family, by the words with which its row begins: metadata, conditions of the network, network calls a sample
# with the options shown.
FAMILIES = {
    "consistency models": ({}, 0, 2),
    "easy consistency tuning": (network(LOG_SIGMA, {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.0})
                                | {"sampling": {"renoise": "level"}}, 0, 2),
    "TrigFlow": (network({"kind": "angle"}, {"kind": "trigflow", "sigma_data": 0.5}), 0, 2),
    "latent consistency": (network(TIMESTEP, {"kind": "epsilon", "timestep_scaling": 10.0, "sigma_data": 0.5})
                           | TIMESTEPS | {"guided": True}, 2, 4),
    "adversarial distillation": (network(TIMESTEP, {"kind": "epsilon"}) | TIMESTEPS
                                 | {"guided": False, "role": "diffusion", "sampling": {"start": "level"}}, 1, 1),
    "consistency trajectories": (network(TIMESTEP, {"kind": "epsilon"}) | {"role": "flow_map"} | TIMESTEPS, 1, 4),
    "flow maps": (network(FLOW_TIME, {"kind": "flow"}) | {"role": "flow_map"}, 1, 4),
    "progressive distillation": (network(TIMESTEP, {"kind": "v"}) | {"role": "diffusion"} | TIMESTEPS, 0, 4),
    "diffusion": (network(TIMESTEP, {"kind": "epsilon"}) | {"role": "diffusion"} | TIMESTEPS, 0, 18),
    "rectified flow": (network(FLOW_TIME, {"kind": "flow"}) | {"role": "diffusion"}, 0, 8),
}


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without their own."""
    lines = README.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def blocks() -> list[str]:
    """The commands that stand indented, without their comments."""
    return [line.split("#")[0].strip() for line in README.splitlines() if line.startswith("    ") and line.split("#")[0].strip()]


class Readme(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def run_onestep(self, *arguments):
        result = subprocess.run([ONESTEP, *arguments], cwd=self.folder, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, f"onestep {shlex.join(arguments)}: {result.stderr}")
        return result.stdout

    def test_every_command_runs(self):
        pixels = numpy.random.default_rng(0).integers(0, 256, (8, 28, 28)).astype(numpy.uint8)
        Image.fromarray(pixels[0]).save(self.folder / "shirt.png")
        Image.fromarray(numpy.where(pixels[1] < 128, 0, 255).astype(numpy.uint8)).save(self.folder / "mask.png")
        (self.folder / "REAL").mkdir()
        for i, picture in enumerate(pixels):
            Image.fromarray(picture).save(self.folder / f"REAL/{i}.png")
        (self.folder / "model.pt").write_bytes((ROOT / "models/fashion.pt").read_bytes())
        shown = [command.removeprefix("build/src/") for command in blocks() if command.startswith("build/src/")]
        # In the text: the program, a command and more.
        shown += re.findall(r"`(onestep [a-z]+ [^`]*)`", README.replace("\n", " "))
        self.assertGreater(len(shown), 8)
        for command in shown:
            _, name, *arguments = shlex.split(command)
            # A thousand samples are as good as four.
            arguments = ["4" if before == "-n" else word for before, word in zip(["", *arguments], arguments)]
            if name == "serve":
                continue  # has no end: tests/server starts it
            with self.subTest(command=command):
                self.run_onestep(name, *arguments, *SHORTER.get(name, []))
                if "-o" in arguments:
                    self.assertTrue((self.folder / arguments[arguments.index("-o") + 1]).exists())

    def test_other_commands_are_there(self):
        for command in blocks():
            if command.startswith("cmake"):
                continue  # tests/CMakeLists.txt: the consumer's tests install
            program, *arguments = shlex.split(command)
            if program.startswith("build/src/"):
                continue  # run above
            script = ROOT / (arguments[0] if program == ".venv/bin/python" else program)
            self.assertTrue(script.exists(), command)
            known = script.read_text()
            for option in (word for word in arguments if word.startswith("--")):
                self.assertIn(f'"{option}"', known, command)

    def test_what_one_step_saves_is_counted_right(self):
        rows = table("What one step saves")
        runs = [row[0] for row in rows]
        report = json.loads(self.run_onestep("compare", *runs, "-n", "1", "--json"))
        self.assertEqual([[run["run"], str(run["nfe"])] for run in report["runs"]], [row[:2] for row in rows])
        default = json.loads(self.run_onestep("compare", "fashion", "-n", "1", "--json"))
        self.assertEqual([run["run"] for run in default["runs"]], runs)  # as the text above it says

    def test_every_family_runs_as_its_row_says(self):
        export = (ROOT / "models/export.py").read_text()
        rows = table("Families of models")
        self.assertEqual(len(rows), len(FAMILIES))
        for family, source, options in rows:
            with self.subTest(family=family):
                for kind in re.findall(r"`(?:export\.py )?([a-z]+)", source):
                    self.assertIn(f'add("{kind}"', export)
                for option in re.findall(r"--[a-z]+", source):
                    self.assertIn(f'"{option}"', export)
                [(changes, conditions, calls)] = [FAMILIES[name] for name in FAMILIES if family.startswith(name)]
                model = "model.pt"
                if "--tokens" in options:
                    model = family.split()[0]
                    tiny_models.write_latent(self.folder / model, **changes)
                    (self.folder / "ids.txt").write_text("8 1 2 9\n8 3 9\n")
                else:
                    tiny_models.write(self.folder / model, Takes(conditions), **changes)
                self.run_onestep("generate", model, "-o", "a.png")
                report = json.loads(self.run_onestep("generate", model, *shlex.split(options.strip("`")), "-n", "2", "-o",
                                                     "a.npy", "--json"))
                self.assertEqual(report["nfe"], calls)
                self.assertTrue(numpy.isfinite(numpy.load(self.folder / "a.npy")).all())

    def test_ten_lines_of_c_are_the_example(self):
        shown = README.split("```cpp\n")[1].split("```")[0]
        self.assertEqual(shown, (ROOT / "examples/minimal.cpp").read_text().split("\n", 1)[1])

    def test_every_link_leads_somewhere(self):
        for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*.md"), *ROOT.glob("benchmarks/**/*.md")]:
            prose = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
            for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose):
                if not link.startswith("http"):
                    self.assertTrue((document.parent / link).exists(), f"{document.name}: {link}")


if __name__ == "__main__":
    unittest.main()
