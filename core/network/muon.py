"""Muon for the kernels, AdamW for the rest: two optimizers side by side.

Muon (Jordan et al. 2024) replaces the momentum of a weight matrix by the nearest orthogonal one, so that every direction of the
matrix moves alike. A convolution kernel (out, in, h, w) counts as the matrix (out, in h w). The update is scaled to the size of
AdamW's (Liu et al. 2025, equation 4), so that one learning rate serves both.
"""

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

MOMENTUM = 0.95
BETAS, EPS = (0.9, 0.99), 1e-8
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic Newton-Schulz iteration, from Jordan et al.


class Muon(torch.optim.Optimizer):
    """Moves kernels: parameters of two or more dimensions."""

    def __init__(self, kernels: Iterable[Tensor], lr: float, weight_decay: float) -> None:
        super().__init__(kernels, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every kernel that has a gradient."""
        for group in self.param_groups:
            kernels = [p for p in group["params"] if p.grad is not None]
            if kernels:
                self._move(kernels, [p.grad for p in kernels], group["lr"], group["weight_decay"])

    def _move(self, kernels: list[Tensor], gradients: list[Tensor], lr: float, weight_decay: float) -> None:
        states = [self.state[p] for p in kernels]
        for p, state in zip(kernels, states, strict=True):
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
        torch._foreach_mul_(kernels, 1 - lr * weight_decay)
        torch._foreach_add_(kernels, updates, alpha=-lr)


def muon_and_adamw(
    parameters: Iterable[Tensor], plain: Iterable[Tensor], lr: float, weight_decay: float
) -> tuple[Muon, torch.optim.AdamW]:
    """Parameters of two or more dimensions go by Muon, vectors (biases and norms) and those in `plain` by AdamW."""
    by_adam = {id(p) for p in plain}
    all_parameters = list(parameters)
    kernels = [p for p in all_parameters if p.dim() >= 2 and id(p) not in by_adam]
    rest = [p for p in all_parameters if p.dim() < 2 or id(p) in by_adam]
    return Muon(kernels, lr, weight_decay), torch.optim.AdamW(rest, lr, BETAS, EPS, weight_decay, foreach=True)


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
