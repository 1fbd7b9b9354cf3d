"""Network snapshots of NVlabs/edm and locuslab/ect: pickles, unpickled with the user's checkout."""

import pickle
import sys
from pathlib import Path

import torch

from . import ExportError


class Network(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x, noise, label=None):
        return self.model(x, noise, class_labels=label)


class Attention:
    """The weights of attention, in place of their autograd function, which has no TorchScript."""

    @staticmethod
    def apply(q, k):
        return (q.transpose(1, 2) @ (k / k.shape[1]**0.5)).softmax(2)


def read(snapshot: Path, code: Path, role: str | None) -> tuple[torch.nn.Module, dict]:
    if not (code / "torch_utils/persistence.py").exists() or not (code / "dnnlib").is_dir():
        raise ExportError(f"--code {code}: holds no torch_utils/persistence.py and dnnlib; give the folder of a checkout of "
                          "NVlabs/edm or locuslab/ect")
    denoiser = load(snapshot, code)
    kind = type(denoiser).__name__
    if kind not in ("EDMPrecond", "ECMPrecond"):
        raise ExportError(f"{snapshot}: ema is a {kind}; only EDMPrecond and ECMPrecond have a preconditioning that this "
                          "exporter writes")
    tuned = kind == "ECMPrecond"
    role = role or ("consistency" if tuned else "diffusion")
    module = sys.modules[type(denoiser.model).__module__]
    if hasattr(module, "AttentionOp"):
        module.AttentionOp = Attention
    # The ends that their samplers use, as far as the network supports them.
    sigma_min, sigma_max = max(0.002, denoiser.sigma_min), min(80.0, denoiser.sigma_max)
    metadata = {
        "role": role,
        "sample": {"modality": "image", "range": [-1, 1],
                   "shape": [denoiser.img_channels, denoiser.img_resolution, denoiser.img_resolution]},
        "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                    "prediction": {"kind": "edm", "sigma_data": denoiser.sigma_data,
                                   # ECMPrecond is the identity at its sigma_min, but in training.
                                   "boundary_sigma": denoiser.sigma_min if tuned else 0}},
        "noise": {"sigma_min": sigma_min, "sigma_max": sigma_max, "rho": 7.0},
    }
    if denoiser.label_dim:
        # Without labels their preconditioning gives the network zeros.
        metadata["labels"] = {"count": denoiser.label_dim, "encoding": "one_hot", "null": denoiser.label_dim}
    if role == "consistency":
        # 0.821 is the default second level of their ct_eval.py.
        metadata["sampling"] = {"levels": {"1": [sigma_max], "2": [sigma_max, 0.821]}, "renoise": "level",
                                "clip_denoised": False}
    return Network(denoiser.model.float()), metadata


def load(snapshot: Path, code: Path) -> torch.nn.Module:
    print(f"export.py: warning: {snapshot} is a pickle, which is a program, and is now run; export only what you trust",
          file=sys.stderr)
    sys.path.insert(0, str(code))
    try:
        with open(snapshot, "rb") as file:
            data = pickle.load(file)
    except OSError as error:
        raise ExportError(f"{snapshot}: can't be read: {error.strerror}") from error
    except ImportError as error:
        raise ExportError(f"{snapshot}: {error}, which its code imports; install it, or give the checkout that it was "
                          "trained with") from error
    except Exception as error:  # a program raises what it likes
        raise ExportError(f"{snapshot}: can't be unpickled ({type(error).__name__}: {error}); give a "
                          "network-snapshot-*.pkl") from error
    if not isinstance(data, dict) or not isinstance(data.get("ema"), torch.nn.Module):
        raise ExportError(f"{snapshot}: holds no network named ema; give a network-snapshot-*.pkl, not a training state")
    return data["ema"]
