"""Model files of a few bytes, and folders, for the tests beside this one."""

import json
import warnings
from pathlib import Path

import torch
from torch import nn

# Other tests run at the same time, and threads that wait for each other's cores take many times as long.
torch.set_num_threads(1)

LABELS = {"labels": {"count": 3, "names": ["boot", "coat", "hat"], "encoding": "index"}}


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


class Labelled(nn.Module):
    def forward(self, x, noise, label):
        return 0.5 * x + 0.1 * label.to(x.dtype)[:, None, None, None]


class Local(nn.Module):
    """Sees one pixel around each."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.convolution = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x, noise):
        return torch.tanh(self.convolution(x))


class NotANumberNowAndThen(nn.Module):
    """Where the first pixel is above a level that one seed in twenty reaches."""

    def forward(self, x, noise):
        return torch.where(x[:, :1, :1, :1] > 1.9, torch.full_like(x, float("nan")), 0.5 * x)


class OfAText(nn.Module):
    """A network on latents that depends on all that it is given."""

    def __init__(self, guided: bool):
        super().__init__()
        self.guided = guided

    def forward(self, x, noise, text, guidance: torch.Tensor | None = None):
        y = 0.5 * x * torch.cos(noise)[:, None, None, None] + 0.1 * text.mean(2).mean(1)[:, None, None, None]
        assert (guidance is not None) == self.guided
        return y if guidance is None else y + 0.01 * guidance[:, None, None, None]


class Embedding(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(10, 3)

    def forward(self, ids):
        return self.table(ids)


class Decoder(nn.Module):
    def forward(self, z):
        return torch.nn.functional.interpolate(z[:, :3], scale_factor=2.0)


def write_latent(folder: Path, guided: bool, **changes) -> None:
    """A model folder: pictures of texts of 4 tokens, on latents."""
    networks = {"denoiser": OfAText(guided), "decoder": Decoder(), "text_encoder": Embedding()}
    conditions = [{"name": "prompt", "kind": "tokens", "shape": [4, 3], "count": 10, "null": [8, 9, 9, 9], "pad": 9}]
    if guided:
        conditions.append({"name": "guidance", "kind": "scalar", "default": 7.5, "range": [0, 100]})
    folder.mkdir()
    about = metadata(**{"format": 2, "components": {name: f"{name}.pt" for name in networks},
                        "sample": {"shape": [4, "H", "W"], "default": {"H": 4, "W": 4}},
                        "data": {"modality": "image", "shape": [3, "2H", "2W"], "range": [-1, 1]}, "conditions": conditions}
                     | changes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, network in networks.items():
            torch.jit.save(torch.jit.script(network), str(folder / f"{name}.pt"))
    (folder / "onestep.json").write_text(json.dumps(about))


def write(file: Path, network: nn.Module, /, **changes) -> None:
    """changes: of the metadata's fields."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(network), str(file), _extra_files={"onestep.json": json.dumps(metadata(**changes))})


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
