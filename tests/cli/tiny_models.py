"""Model files of a few bytes for the tests beside this one."""

import json
import warnings
from pathlib import Path

import torch
from torch import nn

# Other tests run at the same time, and threads that wait for each other's cores take many times as long.
torch.set_num_threads(1)


def metadata(**changes) -> dict:
    return {"format": 1, "name": "tiny", "role": "consistency", "sample": {"modality": "image", "shape": [1, 8, 8]},
            "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                        "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
            "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}, **changes}


class Half(nn.Module):
    def forward(self, x, noise):
        return 0.5 * x


class HalfOfALabel(nn.Module):
    def forward(self, x, noise, label):
        return 0.5 * x


def write(file: Path, network: nn.Module, /, **changes) -> None:
    """changes: of the metadata's fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), str(file), _extra_files={"onestep.json": json.dumps(metadata(**changes))})
