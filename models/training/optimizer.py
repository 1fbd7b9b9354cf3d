"""Muon for the matrices (Jordan et al. 2024), Adam for the rest (Kingma & Ba 2015)."""

import torch
from torch import Tensor, nn


def orthogonalize(matrix: Tensor) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: five quintic Newton-Schulz steps (Jordan et al. 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    # bf16 is enough (Jordan et al. 2024); a CPU without it takes ten times as long for it as for fp32.
    fast = matrix.is_cuda or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    x = matrix.bfloat16() if fast else matrix.float()
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if wide else x.T).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum; a convolution counts as the matrix [out, in * kernel]. lr: root mean square of a step."""

    def __init__(self, parameters, lr: float, momentum: float = 0.95):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                velocity = state.setdefault("velocity", torch.zeros_like(p))
                velocity.lerp_(p.grad, 1 - group["momentum"])
                nesterov = p.grad.lerp(velocity, group["momentum"])
                update = orthogonalize(nesterov.reshape(len(p), -1)).reshape(p.shape)
                # An orthogonal matrix's elements have a root mean square of 1 / sqrt(longer side).
                p.add_(update, alpha=-group["lr"] * max(len(p), p.numel() // len(p)) ** 0.5)


def optimizers(network: nn.Module, muon: float, adam: float) -> list[torch.optim.Optimizer]:
    """Muon for what maps features to features; Adam for the ends of the network, norms, biases and embeddings."""
    ends = {"stem.weight", "out.weight", "label.weight"}
    named = list(network.named_parameters())
    matrices = [p for n, p in named if p.dim() > 1 and n not in ends and not n.startswith("places.")]
    rest = [p for n, p in named if p.dim() <= 1 or n in ends or n.startswith("places.")]
    return [Muon(matrices, lr=muon), torch.optim.Adam(rest, lr=adam, betas=(0.9, 0.99), eps=1e-12)]
