"""Pipelines saved by diffusers: a UNet2DModel, and a scheduler that says what its output means."""

import json
from pathlib import Path

import torch

from . import ExportError, schedulers


class UNet(torch.nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.unet = unet

    def forward(self, x, noise, label=None):
        return self.unet(x, noise, class_labels=label, return_dict=False)[0]


def read(folder: Path) -> tuple[torch.nn.Module, dict]:
    index = folder / "model_index.json"
    if not index.exists():
        raise ExportError(f"{index}: no such file; give the folder that save_pretrained wrote")
    try:
        import diffusers
    except ImportError as error:
        raise ExportError("diffusers is needed to read its pipelines: pip install diffusers") from error
    kind = json.loads(index.read_text()).get("unet", [None, None])[1]
    if kind != "UNet2DModel":
        raise ExportError(f"{index}: unet is a {kind}; only UNet2DModel has no input that onestep can't give")
    unet = diffusers.UNet2DModel.from_pretrained(folder / "unet", local_files_only=True)
    size = unet.config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    metadata = {"sample": {"modality": "image", "shape": [unet.config.in_channels, height, width], "range": [-1, 1]},
                **schedulers.meaning(schedulers.read(folder))}
    if unet.config.num_class_embeds:
        metadata["labels"] = {"count": unet.config.num_class_embeds, "encoding": "index"}
    return UNet(unet), metadata
