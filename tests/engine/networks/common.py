"""What the tiny networks share: random weights that leave nothing degenerate, metadata, an embedding of the noise level."""

import math

import torch
from torch import Tensor, nn

EDM = {"role": "diffusion",
       "network": {"noise_input": {"kind": "log_sigma", "scale": 0.25},
                   "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0}},
       "noise": {"sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0}}
CONSISTENCY = {"role": "consistency",
               "network": {"noise_input": {"kind": "log_sigma", "scale": 250.0},
                           "prediction": {"kind": "edm", "sigma_data": 0.5, "boundary_sigma": 0.002}},
               "noise": EDM["noise"]}
# The linear schedule of Ho et al. 2020: sigma is 0.01 at its first step and 157.4 at its last.
TIMESTEPS = {"role": "diffusion",
             "network": {"noise_input": {"kind": "timestep", "lookup": "nearest", "schedule": {
                             "kind": "linear", "beta_start": 1e-4, "beta_end": 0.02, "count": 1000}},
                         "prediction": {"kind": "epsilon"}},
             "noise": {"sigma_min": 0.011, "sigma_max": 157.0, "rho": 7.0}}
FLOW = {"role": "diffusion", "network": {"noise_input": {"kind": "flow_time"}, "prediction": {"kind": "flow"}},
        "noise": EDM["noise"]}
FLOW_MAP = {**FLOW, "role": "flow_map"}


def metadata(shape: tuple[int, ...], family: dict = EDM, labels: int = 0, encoding: str = "index",
             guidance: float = 0) -> dict:
    """Of a network for samples of this shape: audio where it has two sizes, pictures where three, clips where four."""
    modality, *rate = {2: ("audio", ("sample_rate", 8000)), 3: ("image",), 4: ("video", ("frame_rate", 8))}[len(shape)]
    made = {"format": 1, **family, "sample": {"modality": modality, "shape": list(shape), **dict(rate)}}
    if labels:
        made["labels"] = {"count": labels, "encoding": encoding}
    if guidance:
        made["network"] = {**made["network"], "guidance_input": {"default": guidance}}
    return made


def randomise(network: nn.Module, seed: int) -> None:
    """Weights that keep the variance of what they are given, gains around 1, biases around 0: no layer is left at zero."""
    generator = torch.Generator().manual_seed(seed)

    def normal(like: Tensor) -> Tensor:
        return torch.randn(like.shape, generator=generator)

    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.dim() > 1:
                parameter.copy_(normal(parameter) / math.sqrt(parameter[0].numel()))
            else:
                parameter.copy_(0.3 * normal(parameter) + (1 if name.endswith("weight") or "gain" in name else 0))
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.3 * normal(buffer))
            elif name.endswith("running_var"):
                buffer.copy_(0.5 + normal(buffer).abs())
        for part in network.modules():
            if isinstance(part, nn.Embedding):
                part.weight.copy_(normal(part.weight))


class Embedding(nn.Module):
    """Sinusoids of the noise level and a row for the label, through two layers: [N] -> [N, width]."""

    def __init__(self, width: int, labels: int = 0):
        super().__init__()
        self.register_buffer("frequencies", torch.linspace(0, 3, width // 2).exp())
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        self.label = nn.Embedding(labels, width) if labels else None

    def forward(self, noise: Tensor, label: Tensor | None = None) -> Tensor:
        angles = noise[:, None] * self.frequencies
        embedding = self.first(torch.cat([angles.cos(), angles.sin()], dim=1))
        if self.label is not None:
            assert label is not None
            embedding = embedding + self.label(label)
        return self.second(torch.nn.functional.silu(embedding))
