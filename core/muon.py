"""Muon for the kernels, AdamW for the rest, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a weight matrix by the nearest orthogonal one, so that every direction of the
matrix moves alike. A convolution kernel (out, in, h, w) counts as the matrix (out, in h w). The update is scaled to the size of
AdamW's (Liu et al. 2025, equation 4), so that one learning rate serves both.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.99), 1e-8
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic Newton-Schulz iteration, from Jordan et al.


class Muon(torch.optim.Optimizer):
    """Parameters of two or more dimensions go by Muon, vectors (biases and norms) and those in `plain` by AdamW."""

    def __init__(self, parameters: Iterable[Tensor], plain: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        by_adam = {id(p) for p in plain}
        all_parameters = list(parameters)
        kernels = [p for p in all_parameters if p.dim() >= 2 and id(p) not in by_adam]
        rest = [p for p in all_parameters if p.dim() < 2 or id(p) in by_adam]
        groups = [{"params": kernels, "kernels": True}, {"params": rest, "kernels": False}]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    update = self._muon(p, p.grad) if group["kernels"] else self._adam(p, p.grad)
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"])

    def _muon(self, p: Tensor, gradient: Tensor) -> Tensor:
        state: dict[str, Tensor] = self.state[p]
        if not state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        matrix = torch.lerp(gradient, state["momentum"], MOMENTUM).flatten(1)
        scale = 0.2 * math.sqrt(max(matrix.shape))
        update: Tensor = orthogonalized(matrix) * scale
        return update.reshape(p.shape)

    def _adam(self, p: Tensor, gradient: Tensor) -> Tensor:
        state: dict[str, Any] = self.state[p]
        if not state:
            state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        state["step"] += 1
        state["mean"].lerp_(gradient, 1 - BETAS[0])
        state["square"].lerp_(gradient.square(), 1 - BETAS[1])
        mean = state["mean"] / (1 - BETAS[0] ** state["step"])
        root = (state["square"] / (1 - BETAS[1] ** state["step"])).sqrt()
        update: Tensor = mean / (root + EPS)
        return update


def orthogonalized(matrix: Tensor, steps: int = 5) -> Tensor:
    """A matrix with the singular vectors of the given one and singular values near 1 (between about 0.7 and 1.2).

    matrix: (rows, columns), any float type; so is the result.
    """
    a, b, c = _COEFFICIENTS
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else matrix.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x if wide else x.T
    return result
