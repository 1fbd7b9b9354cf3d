"""The loop that every stage shares: steps, averaging, checkpoints, sheets. A killed run resumes to the same result."""

import copy
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from checkpoint import save_atomically, save_average


def learning_rate(progress: float) -> float:
    """Warm-up over the first 2 %, constant, then down in a straight line over the last half; progress in [0, 1]."""
    return min(progress / 0.02, 1.0) * min((1 - progress) / 0.5, 1.0)


SAVE_EVERY = 240.0  # seconds between checkpoints, at most


class OutOfTime(Exception):
    """The time given is over; the checkpoint is written."""


def train(name: str, network: nn.Module, optimizers: list[torch.optim.Optimizer], loss: Callable[[int, int], Tensor], *,
          images: int, batch: int, folder: Path, seed: int, sheet: Callable[[nn.Module, Path], dict | None],
          about: dict, every: int = 100_000, beside: nn.Module | None = None,
          deadline: float = math.inf) -> nn.Module:
    """Trains `network` in place by `loss(step, steps)` and returns its average over the steps.

    Every step draws from a generator seeded by (seed, step) alone, so that a run that was killed and resumed draws what
    an unbroken one does. `about` goes into the checkpoint, with the number of images. What `sheet` returns goes into the log.
    At the deadline, a time of time.monotonic(), it writes its checkpoint and raises OutOfTime.
    The average is exponential with a length of a tenth of the run so far (Karras et al. 2024).
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint, log = folder / f"{name}.checkpoint", folder / f"{name}.log"
    average = copy.deepcopy(network).eval()
    steps, start = max(images // batch, 1), 0
    base_rates = [group["lr"] for o in optimizers for group in o.param_groups]
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        network.load_state_dict(state["network"])
        average.load_state_dict(state["average"])
        if beside is not None:
            beside.load_state_dict(state["beside"])
        for optimizer, saved in zip(optimizers, state["optimizers"]):
            optimizer.load_state_dict(saved)
        print(f"{name}: resuming at {start * batch:,} of {steps * batch:,} images")

    def note(line: dict) -> None:
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")

    network.train()
    started = last_save = time.monotonic()
    window = []
    for step in range(start, steps):
        torch.manual_seed(seed * 1_000_003 + step)
        scale = learning_rate((step + 1) / (steps + 1))
        groups = [group for o in optimizers for group in o.param_groups]
        for group, rate in zip(groups, base_rates):
            group["lr"] = rate * scale
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        value = loss(step, steps)
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            decay = 1 - min(10 / (step + 1), 1.0)
            for mean, now in zip(average.parameters(), network.parameters()):
                mean.lerp_(now, 1 - decay)

        window.append(float(value.detach()))
        done = step + 1
        over = time.monotonic() >= deadline
        if done % max(every // batch, 1) == 0 or time.monotonic() > last_save + SAVE_EVERY or done == steps or over:
            speed = (done - start) * batch / (time.monotonic() - started)
            line = {"images": done * batch, "loss": round(sum(window) / len(window), 5), "images_per_second": round(speed)}
            window.clear()
            print(f"{name}: {json.dumps(line)[1:-1]}, {(steps - done) * batch / speed / 60:.0f} min left", flush=True)
            note(line)
            described = {**about, "images": about.get("images", 0) + done * batch}
            save_atomically({"about": described, "step": done,
                             "network": network.state_dict(), "average": average.state_dict(),
                             "beside": beside.state_dict() if beside is not None else {},
                             "optimizers": [o.state_dict() for o in optimizers]}, checkpoint)
            save_average(described, average, folder / f"{name}.average")
            last_save = time.monotonic()
        if done % max(every // batch, 1) == 0 or done == steps or over:
            figures = sheet(average, folder / f"{name}-{done * batch:08d}.png")
            if figures:
                print(f"{name}: {json.dumps(figures)[1:-1]}", flush=True)
                note({"images": done * batch, **figures})
        if over and done < steps:
            raise OutOfTime
    return average
