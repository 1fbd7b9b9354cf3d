"""Files of training: which network they are of, and its weights."""

import os
from dataclasses import asdict
from pathlib import Path

import torch
from torch import nn

from equivariant import EquivariantConfig
from network import UNetConfig
from spectral import SpectralConfig

Config = UNetConfig | EquivariantConfig | SpectralConfig
CONFIGS = {"unet": UNetConfig, "equivariant": EquivariantConfig, "spectral": SpectralConfig}


def save_atomically(content: dict, path: Path) -> None:
    """A kill while writing leaves the old file whole."""
    partial = path.with_suffix(path.suffix + ".partial")
    torch.save(content, partial)
    os.replace(partial, path)


def describe(config: Config) -> dict:
    """What has to be known to build the network again, in plain types."""
    kind = next(name for name, of in CONFIGS.items() if isinstance(config, of))
    return {"kind": kind, **{name: list(v) if isinstance(v, tuple) else v for name, v in asdict(config).items()}}


def config_of(about: dict) -> Config:
    fields = {name: tuple(v) if isinstance(v, list) else v for name, v in about["network"].items()}
    return CONFIGS[fields.pop("kind", "unet")](**fields)


def load(path: Path) -> tuple[dict, dict]:
    """What a checkpoint says of itself, and the averaged weights in float32."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    return state["about"], {name: value.float() for name, value in state["average"].items()}


def save_average(about: dict, average: nn.Module, path: Path) -> None:
    """What load() reads and no more, in half precision: small enough to carry about, not to resume from."""
    save_atomically({"about": about, "average": {name: value.half() for name, value in average.state_dict().items()}}, path)
