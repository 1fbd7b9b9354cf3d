"""Modules that are TorchScript already, with their metadata in a JSON file."""

import json
import warnings
from pathlib import Path

import torch

from . import ExportError


def read(file: Path, metadata: Path) -> tuple[torch.jit.ScriptModule, dict]:
    try:
        about = json.loads(metadata.read_text())
    except (OSError, ValueError) as error:
        raise ExportError(f"{metadata}: is no JSON file ({error}); docs/design.md shows one") from error
    missing = [field for field in ("role", "sample", "network", "noise") if field not in about]
    if missing:
        raise ExportError(f"{metadata}: {', '.join(missing)} is missing; docs/design.md lists the fields")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
            return torch.jit.load(str(file), map_location="cpu").eval(), about
    except RuntimeError as error:
        raise ExportError(f"{file}: is no TorchScript file ({str(error).splitlines()[0]}); torch.jit.save writes one") from error
