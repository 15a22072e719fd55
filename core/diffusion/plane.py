"""A plane of noises: every way to leave one noise in two directions, on the sphere that noises live on.

In many dimensions standard normal vectors have nearly one length. A step straight on would leave it, and the network was trained
on nothing there; a step along a great circle does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from core.compute.seeds import SampleNoise, generator_for


@dataclass(frozen=True)
class Plane:
    """The noise in the middle and two directions, (C, H, W) each, all of one length and at right angles to each other."""

    centre: Tensor
    across: Tensor
    down: Tensor

    def at(self, points: Sequence[tuple[float, float]]) -> Tensor:
        """The noises (N, C, H, W) at these points: angles in radians across and down from the middle.

        The exponential map of the sphere: cos r centre + sin r (x across + y down) / r with r = |(x, y)|.
        """
        noises = []
        for x, y in points:
            r = math.hypot(x, y)
            aside = math.sin(r) / r if r else 1.0
            noises.append(math.cos(r) * self.centre + aside * (x * self.across + y * self.down))
        return torch.stack(noises)


def plane_through(centre: Tensor, *purpose: int | str) -> Plane:
    """The plane through a noise (C, H, W), in two random directions that depend on the purpose alone (as in generator_for)."""
    length = centre.norm()
    basis = [centre / length]
    for name in ("across", "down"):
        direction = torch.randn(centre.shape, generator=generator_for("cpu", *purpose, name)).to(centre.device)
        for known in basis:  # Gram and Schmidt
            direction = direction - (direction * known).sum() * known
        basis.append(direction / direction.norm())
    return Plane(centre, length * basis[1], length * basis[2])


def noise_of(seed: int, image: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """The noise (C, H, W) that image k of a seed is drawn from."""
    noise: Tensor = SampleNoise(seed, image, 1, shape, device)()[0]
    return noise
