"""Checkpoints of models/training."""

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))
from checkpoint import config_of, load  # noqa: E402
from data import IMAGE  # noqa: E402
from diffusion import RHO, SIGMA_MAX, SIGMA_MIN  # noqa: E402
from equivariant import EquivariantConfig  # noqa: E402

from . import ExportError  # noqa: E402


class OfFrames(torch.nn.Module):
    """A network of pictures, whose channels are the channels and frames of clips [N, C, T, H, W]."""

    def __init__(self, network: torch.nn.Module):
        super().__init__()
        self.network = network

    def forward(self, x, noise, label):
        return self.network(x.flatten(1, 2), noise, label).unflatten(1, (x.shape[1], x.shape[2]))


def read(checkpoint: Path, levels: list[list[float]], metrics: dict) -> tuple[torch.nn.Module, dict]:
    try:
        about, average = load(checkpoint)
    except Exception as error:
        raise ExportError(f"{checkpoint}: is no checkpoint of models/training ({type(error).__name__})") from error
    config = config_of(about)
    sample = {"shape": about["shape"], **about.get("sample", IMAGE)}
    if isinstance(config, EquivariantConfig):
        network = config.build(wrap=False)  # what wraps in training has a margin in use
        channels, height, width = about["shape"]
        sample |= {"shape": [channels, "H", "W"], "multiple": config.multiple, "default": {"H": height, "W": width},
                   "halo": config.halo()}
    else:
        network = config.build()
    network.load_state_dict(average)
    if sample["modality"] == "video":
        network = OfFrames(network)
    consistency = about["boundary"] > 0
    metadata = {
        "role": "consistency" if consistency else "diffusion",
        "sample": sample,
        "network": {
            "noise_input": {"kind": "log_sigma", "scale": 0.25},
            "prediction": {"kind": "edm", "sigma_data": about["sigma_data"], "boundary_sigma": about["boundary"]},
        },
        "noise": {"sigma_min": SIGMA_MIN, "sigma_max": SIGMA_MAX, "rho": RHO},
        "card": {"data": about["data"], "trained_by": "models/training/train.py", "images": about["images"],
                 "metrics": metrics},
    }
    labels = {"count": config.labels, "names": about["names"], "encoding": "index", "null": config.labels}
    if "halo" in sample:
        metadata |= {"format": 2, "conditions": [{"name": "label", "kind": "class", **labels, "map": True}]}
    elif sample["modality"] == "music":
        metadata |= {"format": 2, "conditions": [{"name": "label", "kind": "class", **labels}]}
    elif config.labels:
        metadata["labels"] = labels
    if consistency:
        # The pictures were in the range; a sample that leaves it is nearer to them when clamped before more noise is added.
        metadata["sampling"] = {"levels": {str(len(given)): given for given in levels or [[SIGMA_MAX]]},
                                "renoise": "boundary", "clip_denoised": True}
    return network, metadata
