"""The exponential moving average of the weights, from which all samples are drawn.

Not torch.optim.swa_utils.AveragedModel: its counter is a tensor that every update reads back, which stalls a GPU each step.
"""

import copy

import torch
from torch import Tensor

from core.network.own import AnyNetwork


class EMA:
    """Averaged copy of a network. The first update copies; then decay = min(cap, (1 + n) / (10 + n)) warms up with n updates.

    `early` is a copy of the average as it was when it was last kept.
    """

    def __init__(self, network: AnyNetwork, cap: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.early = copy.deepcopy(self.network)
        self.cap = cap
        self.updates = 0
        self._averages: list[Tensor] = list(self.network.parameters())
        self._weights: list[Tensor] = list(network.parameters())

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the network's present weights."""
        decay = min(self.cap, (1 + self.updates) / (10 + self.updates)) if self.updates else 0.0
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def keep(self) -> None:
        """Let the early copy be the average as it is now."""
        torch._foreach_copy_(list(self.early.parameters()), self._averages)
