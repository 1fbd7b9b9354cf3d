"""What the program says of a model file and of samples: draws them, and measures them against real ones in the features of a classifier."""

import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import classifier

BUILT = Path(__file__).resolve().parents[2] / "build/src/onestep"


def onestep() -> str:
    """The program: $ONESTEP, the one that was built here, or the one on the PATH."""
    found = os.environ.get("ONESTEP") or (str(BUILT) if BUILT.exists() else shutil.which("onestep"))
    if not found:
        raise SystemExit("there is no onestep to measure with: build it (scripts/test), or name it in $ONESTEP")
    return found


def is_model(file: Path) -> bool:
    """A model file, as models/export.py writes it, rather than a checkpoint of training."""
    with zipfile.ZipFile(file) as archive:
        return any(name.endswith("/onestep.json") for name in archive.namelist())


def describe(model: Path) -> dict:
    """What `onestep inspect --json` says of it."""
    return json.loads(subprocess.run([onestep(), "inspect", str(model), "--json"], check=True, stdout=subprocess.PIPE).stdout)


def draw(model: Path, count: int, *options: str) -> tuple[Tensor, Tensor]:
    """`count` samples of a model file, float32 [N, ...], every label as often, and their labels."""
    labels = [word for label in range(describe(model)["labels"]) for word in ("--label", str(label))]
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "samples.npz")
        subprocess.run([onestep(), "generate", str(model), "-n", str(count), *labels, *options, "--quiet", "-o", file], check=True)
        with np.load(file, allow_pickle=False) as arrays:
            return torch.from_numpy(arrays["samples"]), torch.from_numpy(arrays["labels"])


class Measure:
    """Sets of samples, of pictures bytes [N, C, H, W], of others float32 [N, ...], and the labels that were asked for, against one real
    set. network: what has features(x) and out(features), as a Classifier has."""

    def __init__(self, network: torch.nn.Module, real: Tensor, labels: Tensor):
        self.folder = tempfile.TemporaryDirectory()
        self.features, self.real = (str(Path(self.folder.name) / name) for name in ("features.pt", "real.npz"))
        classifier.write_features(Path(self.features), network, real.shape[1:])
        self.save(self.real, real, labels)

    @staticmethod
    def save(file: str, samples: Tensor, labels: Tensor) -> None:
        if samples.dtype == torch.uint8:
            np.savez(file, arr_0=samples.permute(0, 2, 3, 1).numpy(), arr_1=labels.numpy())
        else:
            np.savez(file, samples=samples.numpy(), labels=labels.numpy())

    def __call__(self, drawn: Tensor, labels: Tensor) -> dict[str, float]:
        samples = str(Path(self.folder.name) / "samples.npz")
        self.save(samples, drawn, labels)
        said = subprocess.run([onestep(), "evaluate", samples, "--reference", self.real, "--features", self.features, "--json"],
                              check=True, stdout=subprocess.PIPE).stdout
        return {name: float(f"{measure['value']:.4g}") for name, measure in json.loads(said)["measures"].items()}
