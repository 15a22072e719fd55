"""Muon for the kernels, AdamW for the rest, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a weight matrix by the nearest orthogonal one, so that every direction of the
matrix moves alike. A convolution kernel (out, in, h, w) counts as the matrix (out, in h w). The update is scaled to the size of
AdamW's (Liu et al. 2025, equation 4), so that one learning rate serves both.
"""

import math
from collections.abc import Callable, Iterable, Sequence
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
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = [p.grad for p in parameters]
            updates = (self._muon if group["kernels"] else self._adam)(parameters, gradients)
            torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _muon(self, parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        states = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state["momentum"] = torch.zeros_like(p)
        momenta = [state["momentum"] for state in states]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        # The columns of a matrix may stand in any order: with the inputs last, no channels_last kernel is copied.
        moved = [m.movedim(1, -1) for m in torch._foreach_lerp(gradients, momenta, MOMENTUM)]
        updates = orthogonalized([m.flatten(1) for m in moved])
        torch._foreach_mul_(updates, [0.2 * math.sqrt(max(update.shape)) for update in updates])
        return [update.reshape(m.shape).movedim(-1, 1) for update, m in zip(updates, moved, strict=True)]

    def _adam(self, parameters: list[Tensor], gradients: list[Tensor]) -> list[Tensor]:
        states: list[dict[str, Any]] = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state |= {"step": 0, "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
            state["step"] += 1
        means, squares = [state["mean"] for state in states], [state["square"] for state in states]
        torch._foreach_lerp_(means, gradients, 1 - BETAS[0])
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - BETAS[1])
        roots = torch._foreach_sqrt(torch._foreach_div(squares, [1 - BETAS[1] ** state["step"] for state in states]))
        torch._foreach_add_(roots, EPS)
        updates = torch._foreach_div(means, [1 - BETAS[0] ** state["step"] for state in states])
        torch._foreach_div_(updates, roots)
        return list(updates)


def orthogonalized(matrices: Sequence[Tensor], steps: int = 5) -> list[Tensor]:
    """Matrices with the singular vectors of the given ones and singular values near 1 (between about 0.7 and 1.2).

    matrices: (rows, columns) each, any float type; so are the results. An iteration of Jordan et al. multiplies x by a polynomial
    of its Gram matrix from the left; the product of these polynomials is gathered on the short side alone, for all matrices of
    one short side together.
    """
    a, b, c = _COEFFICIENTS
    wide = [m if m.shape[0] <= m.shape[1] else m.T for m in matrices]
    norms = [norm + 1e-7 for norm in torch._foreach_norm(wide)]
    unit = torch._foreach_div(wide, norms)
    products: list[Tensor] = list(unit)
    for side in dict.fromkeys(len(x) for x in unit):
        members = [index for index, x in enumerate(unit) if len(x) == side]
        gram = torch.stack([unit[index] @ unit[index].T for index in members])
        product = torch.eye(side, dtype=gram.dtype, device=gram.device)
        for _ in range(steps):
            factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            factor.diagonal(dim1=-2, dim2=-1).add_(a)
            gram = factor @ gram @ factor  # all are polynomials of one symmetric matrix: symmetric, and they commute
            product = factor @ product
        for index, gathered in zip(members, product, strict=True):
            products[index] = gathered @ unit[index]
    return [x if m.shape[0] <= m.shape[1] else x.T for x, m in zip(products, matrices, strict=True)]
