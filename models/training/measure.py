"""What `onestep evaluate` says of samples against real ones, in the features of a classifier."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

import classifier

BUILT = Path(__file__).resolve().parents[2] / "build/src/onestep"


def onestep() -> str:
    """The program: $ONESTEP, the one that was built here, or the one on the PATH."""
    found = os.environ.get("ONESTEP") or (str(BUILT) if BUILT.exists() else shutil.which("onestep"))
    if not found:
        raise SystemExit("there is no onestep to measure with: build it (scripts/test), or name it in $ONESTEP")
    return found


class Measure:
    """Sets of pictures as bytes [N, C, H, W], and the labels that were asked for, against one real set."""

    def __init__(self, network: classifier.Classifier, real: Tensor, labels: Tensor):
        self.folder = tempfile.TemporaryDirectory()
        self.features, self.real = (str(Path(self.folder.name) / name) for name in ("features.pt", "real.npz"))
        classifier.write_features(Path(self.features), network, real.shape[1:])
        self.save(self.real, real, labels)

    @staticmethod
    def save(file: str, pixels: Tensor, labels: Tensor) -> None:
        np.savez(file, arr_0=pixels.permute(0, 2, 3, 1).numpy(), arr_1=labels.numpy())

    def __call__(self, pixels: Tensor, labels: Tensor) -> dict[str, float]:
        samples = str(Path(self.folder.name) / "samples.npz")
        self.save(samples, pixels, labels)
        said = subprocess.run([onestep(), "evaluate", samples, "--reference", self.real, "--features", self.features, "--json"],
                              check=True, stdout=subprocess.PIPE).stdout
        return {name: float(f"{measure['value']:.4g}") for name, measure in json.loads(said)["measures"].items()}
