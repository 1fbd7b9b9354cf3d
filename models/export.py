#!/usr/bin/env python3
"""Writes a format-1 model file from a checkpoint of models/training: python models/export.py CHECKPOINT MODEL.pt"""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent / "training"))
from diffusion import RHO, SIGMA_MAX, SIGMA_MIN  # noqa: E402
from network import UNet, UNetConfig  # noqa: E402


def export(checkpoint: Path, output: Path, name: str, levels: list[list[float]], metrics: dict,
           license: str) -> None:
    state = torch.load(checkpoint, weights_only=True)
    about = state["about"]
    config = UNetConfig.from_dict(about["network"])
    network = UNet(config)
    network.load_state_dict(state["average"])
    network.eval().requires_grad_(False)
    consistency = about["boundary"] > 0
    metadata = {
        "format": 1,
        "name": name,
        "license": license,
        "role": "consistency" if consistency else "diffusion",
        "sample": {"modality": "image", "shape": about["shape"], "range": [-1, 1]},
        "network": {
            "noise_input": {"kind": "log_sigma", "scale": 0.25},
            "prediction": {"kind": "edm", "sigma_data": about["sigma_data"], "boundary_sigma": about["boundary"]},
        },
        "noise": {"sigma_min": SIGMA_MIN, "sigma_max": SIGMA_MAX, "rho": RHO},
        "card": {"data": about["data"], "trained_by": "models/training/train.py", "images": about["images"],
                 "metrics": metrics},
    }
    if config.labels:
        metadata["labels"] = {"count": config.labels, "names": about["names"], "encoding": "index", "null": config.labels}
    if consistency:
        # The pictures were in the range; a sample that leaves it is nearer to them when clamped before more noise is added.
        metadata["sampling"] = {"levels": {str(len(given)): given for given in levels or [[SIGMA_MAX]]},
                                "renoise": "boundary", "clip_denoised": True}
    example = (torch.randn(2, *about["shape"]), torch.zeros(2), torch.tensor([0, config.labels]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.trace.*deprecated.*")
        module = torch.jit.trace(network, example)
    # Another batch size, so that a size baked in by tracing can't go unseen. 1e-5: float32 sums in another order.
    other = (torch.randn(5, *about["shape"]), torch.linspace(-1.5, 1, 5), torch.arange(5) % (config.labels + 1))
    with torch.no_grad():
        difference = float((module(*other) - network(*other)).abs().max())
    if difference > 1e-5:
        raise SystemExit(f"{output}: the traced network differs from the module by {difference:g}, allowed is 1e-5")
    partial = output.with_suffix(".partial")
    torch.jit.save(module, str(partial), _extra_files={"onestep.json": json.dumps(metadata, indent=1)})
    os.replace(partial, output)
    print(f"{output}: {metadata['role']}, {output.stat().st_size / 1e6:.1f} MB, traced to within {difference:.1g}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--name", help="the model's name (default: the output's)")
    parser.add_argument("--levels", action="append", default=[], metavar="80,0.8",
                        help="recommended levels of a consistency model, once for each number of steps")
    parser.add_argument("--metrics", type=json.loads, default={}, metavar="JSON", help="measured quality, for the card")
    parser.add_argument("--license", default="MIT", help="of the model (default %(default)s)")
    options = parser.parse_args()
    export(options.checkpoint, options.output, options.name or options.output.stem,
           [[float(level) for level in given.split(",")] for given in options.levels], options.metrics,
           options.license)
