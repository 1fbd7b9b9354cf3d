"""Writes tiny model files into the folder it is given: a good one, and one for each rule that loading checks."""

import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore", message=".*torch.jit.*deprecated.*")
folder = Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)

METADATA = {
    "format": 1, "name": "tiny", "role": "consistency",
    "sample": {"modality": "image", "shape": [1, 4, 4]},
    "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
    "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
}


class Good(nn.Module):
    def forward(self, x, noise):
        return 0.5 * x + noise[:, None, None, None]


class ThreeArguments(nn.Module):
    def forward(self, x, noise, label):
        return x


class WrongShape(nn.Module):
    def forward(self, x, noise):
        return x[:, :, :2]


class WrongType(nn.Module):
    def forward(self, x, noise):
        return x.double()


class NotANumber(nn.Module):
    def forward(self, x, noise):
        return x / 0.0 - x / 0.0


class MixesRows(nn.Module):
    def forward(self, x, noise):
        return x + x.mean()


class TakesTheFirstRow(nn.Module):
    def forward(self, x, noise):
        return x + x[:1]


class Throws(nn.Module):
    def forward(self, x, noise):
        return x.reshape(7, 7, 7)


class NoCondition(nn.Module):
    def forward(self, x, noise):
        return 3 * x


class NamesItsDevice(nn.Module):
    """As tracing on a GPU leaves it."""

    def forward(self, x, noise):
        y = x + torch.arange(4, device="cuda:0", dtype=torch.float32)
        return y.to("cuda:0") + noise[:, None, None, None]


for module in (Good, ThreeArguments, WrongShape, WrongType, NotANumber, MixesRows, TakesTheFirstRow, Throws,
               NamesItsDevice, NoCondition):
    scripted = torch.jit.script(module())
    torch.jit.save(scripted, str(folder / f"{module.__name__}.pt"), _extra_files={"onestep.json": json.dumps(METADATA)})

good = (folder / "Good.pt").read_bytes()
(folder / "Truncated.pt").write_bytes(good[: len(good) // 2])
(folder / "Empty.pt").write_bytes(b"")
(folder / "Text.pt").write_text("not a model\n" * 100)


class Promotes(nn.Module):
    """Traced, 0.3 is a tensor of double precision, and the result float32 all the same."""

    def forward(self, x, noise):
        return x * (torch.arange(4, device=x.device) * 0.3) + noise[:, None, None, None]


torch.jit.save(torch.jit.trace(Promotes(), (torch.zeros(2, 1, 4, 4), torch.zeros(2)), check_trace=False),
               str(folder / "Promotes.pt"), _extra_files={"onestep.json": json.dumps(METADATA)})
torch.save({"weight": torch.zeros(3)}, folder / "StateDict.pt")
torch.jit.save(torch.jit.script(Good()), str(folder / "NoMetadata.pt"))
