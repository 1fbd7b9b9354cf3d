"""A training run that was killed and started again ends with the same weights, bit for bit, as an unbroken one."""

import json
import lzma
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

recipe = Path(__file__).resolve().parents[2] / "models" / "training" / "train.py"
temporary = tempfile.TemporaryDirectory()  # removed when the test ends
folder = Path(temporary.name)
model = sys.argv[1]  # as train.py has them
stages = {"materials": ("perceptual", "student", "teacher"), "drums": ("student",)}.get(model, ("teacher", "perceptual", "student"))
pictures = folder / {"garments": "pictures.npz", "songs": "songs.xz"}.get(model, "pictures")
rng = np.random.default_rng(0)
noise, labels = rng.integers(0, 256, (64, 8, 8, 3), np.uint8), np.arange(64) % 3
if model == "garments":
    np.savez(pictures, images=noise, labels=labels)
elif model == "songs":
    with lzma.open(pictures, "wt") as packed:
        for i in range(40):  # of which some are held out
            notes = [[beat / 2, 0.5, int(pitch)] for beat, pitch in enumerate(rng.integers(40, 80, 64))]
            packed.write(json.dumps({"path": f"{i}/song", "measures": [[4.0 * bar, 4.0, 4, 4, 0] for bar in range(8)],
                                     "parts": [{"notes": [[*n, staff] for n in notes]} for staff in (1, 2)]}) + "\n")
elif model == "drums":
    import soundfile

    pictures.mkdir()
    for label in range(3):
        soundfile.write(pictures / f"{label}.ogg", rng.normal(0, 0.1, 20 * 22_050), 22_050, format="OGG", subtype="VORBIS")
elif model == "loops":
    for i in range(40):
        (pictures / str(i % 3)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 256, 4), np.uint8)).save(pictures / str(i % 3) / f"{i}.png")
else:
    for i, (picture, label) in enumerate(zip(noise, labels)):
        (pictures / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(pictures / str(label) / f"{i}.png")


def start(output: str) -> subprocess.Popen:
    # Every stage saves each 4 of 24 steps; one thread, so that sums are added in the same order.
    return subprocess.Popen([sys.executable, recipe, "--model", model, "--data", pictures, "--output", folder / output,
                             "--smoke", "--threads", "1", "--device", "cpu"], stdout=subprocess.DEVNULL)


assert start("whole").wait() == 0
for stage in stages:
    if stage == "perceptual":
        continue  # over too soon to be killed in
    broken = start("broken")
    checkpoint = folder / "broken" / f"{stage}.checkpoint"
    while not checkpoint.exists():
        assert broken.poll() is None, f"the run ended without a checkpoint of the {stage}"
        time.sleep(0.005)
    broken.kill()
    broken.wait()
    step = torch.load(checkpoint, weights_only=True)["step"]
    assert 0 < step < 24, f"the kill came too late to test anything: step {step} of 24"
    print(f"{stage}: killed at step {step} of 24")
assert start("broken").wait() == 0

for stage in stages:
    whole, resumed = (torch.load(folder / run / f"{stage}.checkpoint", weights_only=True) for run in ("whole", "broken"))
    assert whole["step"] == resumed["step"] == 24
    for part in ("network", "average", "beside"):
        different = [name for name, value in whole[part].items() if not torch.equal(value, resumed[part][name])]
        assert not different, f"{stage}'s {part}: {len(different)} tensors differ after the resume: {different[:3]}"
print("the same weights after the resume")
