"""Muon for the kernels, AdamW for the rest, as one optimizer.

Muon (Jordan et al. 2024) replaces the momentum of a weight matrix by the nearest orthogonal one, so that every direction of the
matrix moves alike. A convolution kernel (out, in, h, w) counts as the matrix (out, in h w). The update is scaled to the size of
AdamW's (Liu et al. 2025, equation 4), so that one learning rate serves both.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

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
            if parameters:
                move = self._muon if group["kernels"] else self._adamw
                move(parameters, [p.grad for p in parameters], group["lr"], group["weight_decay"])

    def _muon(self, parameters: list[Tensor], gradients: list[Tensor], lr: float, weight_decay: float) -> None:
        states = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state["momentum"] = torch.zeros_like(p)
        momenta = [state["momentum"] for state in states]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        # The columns of a matrix may stand in any order: with the inputs last, no channels_last kernel is copied.
        moved = [m.movedim(1, -1) for m in torch._foreach_lerp(gradients, momenta, MOMENTUM)]
        updates = [
            update.mul_(0.2 * math.sqrt(max(update.shape))).reshape(m.shape).movedim(-1, 1)
            for update, m in zip(orthogonalized([m.flatten(1) for m in moved]), moved, strict=True)
        ]
        torch._foreach_mul_(parameters, 1 - lr * weight_decay)
        torch._foreach_add_(parameters, updates, alpha=-lr)

    def _adamw(self, parameters: list[Tensor], gradients: list[Tensor], lr: float, weight_decay: float) -> None:
        states: list[dict[str, Tensor]] = [self.state[p] for p in parameters]
        for p, state in zip(parameters, states, strict=True):
            if not state:
                state |= {"step": torch.zeros(()), "mean": torch.zeros_like(p), "square": torch.zeros_like(p)}
        means, squares, steps = ([state[key] for state in states] for key in ("mean", "square", "step"))
        adamw(
            parameters, gradients, means, squares, [], steps, foreach=True, amsgrad=False, beta1=BETAS[0], beta2=BETAS[1],
            lr=lr, weight_decay=weight_decay, eps=EPS, maximize=False,
        )  # fmt: skip


def orthogonalized(matrices: Sequence[Tensor], steps: int = 5) -> list[Tensor]:
    """Matrices with the singular vectors of the given ones and singular values near 1 (between about 0.7 and 1.2).

    matrices: (rows, columns) each, any float type; so are the results. An iteration of Jordan et al. multiplies x by a polynomial
    of its Gram matrix from the left; the product of these polynomials is gathered on the short side alone, for all matrices of
    one short side together.
    """
    a, b, c = _COEFFICIENTS
    wide = [m if m.shape[0] <= m.shape[1] else m.T for m in matrices]
    products: list[Tensor] = list(wide)
    for side in dict.fromkeys(len(x) for x in wide):
        members = [index for index, x in enumerate(wide) if len(x) == side]
        gram = torch.stack([wide[index] @ wide[index].T for index in members])
        squares = gram.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None] + 1e-14  # of the norms: x / |x| is what is iterated
        gram /= squares
        product = squares.rsqrt() * torch.eye(side, dtype=gram.dtype, device=gram.device)
        for step in range(steps):
            factor = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
            factor.diagonal(dim1=-2, dim2=-1).add_(a)
            product = factor @ product
            if step < steps - 1:
                gram = factor @ gram @ factor  # all are polynomials of one symmetric matrix: symmetric, and they commute
        for index, gathered in zip(members, product, strict=True):
            products[index] = gathered @ wide[index]
    return [x if m.shape[0] <= m.shape[1] else x.T for x, m in zip(products, matrices, strict=True)]
