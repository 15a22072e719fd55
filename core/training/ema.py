"""The exponential moving average of the weights, from which all samples are drawn.

Not torch.optim.swa_utils.AveragedModel: its counter is a tensor that every update reads back, which stalls a GPU each step.
"""

import copy

import torch
from torch import Tensor

from core.network.own import AnyNetwork

_NEVER, _ELSEWHERE = -1, -2
"""In place of the number of updates after which the average was kept."""


class EMA:
    """Averaged copy of a network. The first update copies; then decay = min(cap, (1 + n) / (10 + n)) warms up with n updates."""

    def __init__(self, network: AnyNetwork, cap: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._kept, self._kept_at = copy.deepcopy(self.network), _NEVER
        self.cap = cap
        self.updates = 0
        self._averages: list[Tensor] = list(self.network.parameters())
        self._weights: list[Tensor] = list(network.parameters())
        self._kept_averages: list[Tensor] = list(self._kept.parameters())

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's present weights."""
        decay = min(self.cap, (1 + self.updates) / (10 + self.updates)) if self.updates else 0.0
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        self.updates += 1

    @property
    def early(self) -> AnyNetwork | None:
        """The average as it was when it was last kept; None where it never was, and until it has moved on."""
        return None if self._kept_at in (_NEVER, self.updates) else self._kept

    @torch.no_grad()
    def keep(self) -> None:
        """Let the early average be that of now."""
        torch._foreach_copy_(self._kept_averages, self._averages)
        self._kept_at = self.updates

    def take_early(self, weights: dict[str, Tensor] | None) -> None:
        """Let the early average be one that was kept elsewhere, or none."""
        if weights is not None:
            self._kept.load_state_dict(weights)
        self._kept_at = _NEVER if weights is None else _ELSEWHERE
