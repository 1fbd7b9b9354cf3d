"""A training run that was killed and started again ends with the same weights, bit for bit, as an unbroken one."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

recipe = Path(__file__).resolve().parents[2] / "models" / "training" / "train.py"
temporary = tempfile.TemporaryDirectory()  # removed when the test ends
folder = Path(temporary.name)
rng = np.random.default_rng(0)
np.savez(folder / "pictures.npz", images=rng.integers(0, 256, (64, 8, 8, 3), np.uint8), labels=np.arange(64) % 3)


def start(output: str) -> subprocess.Popen:
    # One checkpoint every 4 of 24 steps; one thread, so that sums are added in the same order.
    return subprocess.Popen([sys.executable, recipe, "--data", folder / "pictures.npz", "--output", folder / output,
                             "--teacher-images", "384", "--batch", "16", "--sheet-every", "64", "--threads", "1",
                             "--device", "cpu", "--no-compile"], stdout=subprocess.DEVNULL)


assert start("whole").wait() == 0
broken = start("broken")
checkpoint = folder / "broken" / "teacher.checkpoint"
while not checkpoint.exists():
    assert broken.poll() is None, "the run ended without a checkpoint"
    time.sleep(0.005)
broken.kill()
broken.wait()
step = torch.load(checkpoint, weights_only=True)["step"]
assert 0 < step < 24, f"the kill came too late to test anything: step {step} of 24"
assert start("broken").wait() == 0

whole = torch.load(folder / "whole" / "teacher.checkpoint", weights_only=True)
resumed = torch.load(checkpoint, weights_only=True)
assert whole["step"] == resumed["step"] == 24
for part in ("network", "average"):
    different = [name for name, value in whole[part].items() if not torch.equal(value, resumed[part][name])]
    assert not different, f"{part}: {len(different)} tensors differ after the resume at step {step}: {different[:3]}"
print(f"killed at step {step} of 24; the same weights after the resume")
