"""Noise schedules: the path x_t = a_t x_0 + s_t epsilon from a clean image to pure noise.

Every schedule is read as that path. DDPM's are variance preserving, a_t = sqrt(alpha_bar_t), s_t = sqrt(1 - alpha_bar_t);
rectified flow is the straight line a = 1 - s. The rest of the engine knows only a and s.
"""

import math
from collections.abc import Callable
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from core.errors import UserError
from core.names import SCHEDULES, lookup

MAX_BETA = 0.999  # Nichol & Dhariwal 2021, section 3.2: clip, or the last step divides by nearly zero
MIN_BETA = 1e-8  # likewise for a person's own schedule that starts flat: samplers divide by s; none of ours comes near it


class NoiseSchedule:
    """The coefficients of the forward process at t = 0 .. timesteps - 1.

    `a` and `s` (float64, shape (timesteps,)) are the weights of image and noise. Tables are built in float64; `coefficients`
    hands out float32. `zero_terminal_snr` rescales a variance-preserving schedule so that the last step is pure noise (Lin et
    al. 2023, algorithm 1).

    Raises UserError for an unknown name, and for fewer timesteps than the schedule needs.
    """

    def __init__(self, name: str, timesteps: int = 1000, *, zero_terminal_snr: bool = False) -> None:
        self.name = name
        self.timesteps = timesteps
        self.a: Tensor
        self.s: Tensor
        entry = lookup(SCHEDULES, name, "schedule")
        entry.check_length(timesteps)
        self.a, self.s = entry.load()(timesteps)
        if zero_terminal_snr and self.a[-1] > 0:
            alpha_bar = _rescale_to_zero_terminal_snr(self.a)
            self.a, self.s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self.zero_terminal_snr = bool(self.a[-1] == 0)

    @classmethod
    def of_table(cls, name: str, alpha_bar: Tensor) -> Self:
        """A variance-preserving schedule that is known as its alpha_bar, float64 (timesteps,), and not by a formula of ours.

        Raises UserError for a table that does not fall from below 1 to 0 or above: samplers divide by its noise and its steps.
        """
        if not (alpha_bar[0] < 1 and bool((alpha_bar.diff() < 0).all()) and alpha_bar[-1] >= 0):
            raise UserError(f"the {name} schedule makes no sense: its alpha_bar does not fall from below 1 to 0 or above")
        schedule = cls.__new__(cls)
        schedule.name, schedule.timesteps = name, len(alpha_bar)
        schedule.a, schedule.s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        schedule.zero_terminal_snr = bool(alpha_bar[-1] == 0)
        return schedule

    @property
    def alpha_bar(self) -> Tensor:
        """a_t^2, the share of signal power left; float64, shape (timesteps,). For DDPM schedules, the cumulative product."""
        return self.a.square()

    @property
    def snr(self) -> Tensor:
        """Signal-to-noise ratio a_t^2 / s_t^2; float64, shape (timesteps,)."""
        return (self.a / self.s).square()

    def point(self, t: int) -> tuple[float, float]:
        """(a_t, s_t) as Python floats; t = -1 is the clean image, (1, 0)."""
        return (1.0, 0.0) if t < 0 else (float(self.a[t]), float(self.s[t]))

    def coefficients(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(a_t, s_t) in float32 for integer t of shape (N,), on the device of `like` and shaped to multiply it.

        Always float32, also under autocast: in bf16, t = 0 .. 9 would get no noise at all.
        """
        if like.device not in self._tables:
            self._tables[like.device] = torch.stack([self.a, self.s]).to(torch.float32).to(like.device)
        a, s = self._tables[like.device][:, t].reshape(2, -1, *[1] * (like.dim() - 1))
        return a, s

    @cached_property
    def _tables(self) -> dict[torch.device, Tensor]:
        return {}


def linear(timesteps: int) -> tuple[Tensor, Tensor]:
    """Ho et al. 2020, section 4: beta from 1e-4 to 0.02 at T = 1000; other lengths scale it: alpha_bar_T stays near 0."""
    scale = 1000 / timesteps
    return _of_betas(torch.linspace(scale * 1e-4, scale * 0.02, timesteps, dtype=torch.float64))


def cosine(timesteps: int) -> tuple[Tensor, Tensor]:
    """Nichol & Dhariwal 2021, equation 17."""
    return of_alpha_bar(lambda u: math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2, timesteps)


def sigmoid(timesteps: int, start: float = -3.0, end: float = 3.0) -> tuple[Tensor, Tensor]:
    """Jabri et al. 2022 (and Chen 2023, algorithm 2), tau = 1."""

    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    def alpha_bar(u: float) -> float:
        return (logistic(end) - logistic(u * (end - start) + start)) / (logistic(end) - logistic(start))

    return of_alpha_bar(alpha_bar, timesteps)


def flow(timesteps: int) -> tuple[Tensor, Tensor]:
    """Liu et al. 2022: x_t = (1 - s) x_0 + s epsilon. Index t stands for s = (t + 1) / T, so that t = T - 1 is pure noise."""
    s = torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps
    return 1 - s, s


def of_alpha_bar(alpha_bar: Callable[[float], float], timesteps: int) -> tuple[Tensor, Tensor]:
    """(a, s) of a variance-preserving schedule from its alpha_bar at u = t / T, which need not be normalised: ratios count."""
    betas = [1 - alpha_bar((i + 1) / timesteps) / alpha_bar(i / timesteps) for i in range(timesteps)]
    return _of_betas(torch.tensor(betas, dtype=torch.float64).clamp(MIN_BETA, MAX_BETA))


def _of_betas(betas: Tensor) -> tuple[Tensor, Tensor]:
    alpha_bar = torch.cumprod(1 - betas, dim=0)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def _rescale_to_zero_terminal_snr(root: Tensor) -> Tensor:
    """The alpha_bar of Lin et al. 2023, algorithm 1: shift its root to end at 0, scale it to start where it started."""
    first, last = root[0].clone(), root[-1].clone()
    return ((root - last) * first / (first - last)).square()
