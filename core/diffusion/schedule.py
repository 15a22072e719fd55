"""Noise schedules: the path x_t = a_t x_0 + s_t epsilon from a clean image to pure noise.

Every schedule is read as that path. DDPM's are variance preserving, a_t = sqrt(alpha_bar_t), s_t = sqrt(1 - alpha_bar_t);
rectified flow is the straight line a = 1 - s. The rest of the engine knows only a and s.
"""

import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from core.config import LAST_BETA, SCHEDULES, check_linear
from core.errors import UserError

MAX_BETA = 0.999  # Nichol & Dhariwal 2021, section 3.2: clip, or the last step divides by nearly zero


class NoiseSchedule:
    """The coefficients of the forward process at t = 0 .. timesteps - 1.

    `a` and `s` (float64, shape (timesteps,)) are the weights of image and noise. Tables are built in float64; `coefficients`
    hands out float32. `zero_terminal_snr` rescales a variance-preserving schedule so that the last step is pure noise (Lin et
    al. 2023, algorithm 1).

    Raises UserError for an unknown name, fewer than 2 timesteps, or timesteps so few that a beta reaches 1.
    """

    def __init__(self, name: str, timesteps: int = 1000, *, zero_terminal_snr: bool = False) -> None:
        if name not in SCHEDULES:
            raise UserError(f"unknown schedule '{name}'; choose one of {', '.join(SCHEDULES)}")
        if timesteps < 2:
            raise UserError(f"a schedule needs at least 2 timesteps, got {timesteps}")
        self.name = name
        self.timesteps = timesteps
        self.zero_terminal_snr = zero_terminal_snr or name == "flow"
        if name == "flow":
            # Liu et al. 2022: x_t = (1 - s) x_0 + s epsilon. Index t stands for s = (t + 1) / T, so that t = T - 1 is pure noise.
            self.s = torch.arange(1, timesteps + 1, dtype=torch.float64) / timesteps
            self.a = 1 - self.s
            return
        betas = _linear_betas(timesteps) if name == "linear" else _betas_of(_cosine if name == "cosine" else _sigmoid, timesteps)
        alpha_bar = torch.cumprod(1 - betas, dim=0)
        if zero_terminal_snr:
            alpha_bar = _rescale_to_zero_terminal_snr(alpha_bar)
        self.a = alpha_bar.sqrt()
        self.s = (1 - alpha_bar).sqrt()

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


def _linear_betas(timesteps: int) -> Tensor:
    # Ho et al. 2020 give the betas for T = 1000; other lengths scale them so that alpha_bar_T stays near zero.
    check_linear(timesteps)
    scale = 1000 / timesteps
    return torch.linspace(scale * 1e-4, scale * LAST_BETA, timesteps, dtype=torch.float64)


def _cosine(u: float) -> float:
    """Nichol & Dhariwal 2021, equation 17, at u = t / T (not normalised: only ratios are used)."""
    return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2


def _sigmoid(u: float, start: float = -3.0, end: float = 3.0) -> float:
    """Jabri et al. 2022 (and Chen 2023, algorithm 2), tau = 1."""

    def logistic(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    return (logistic(end) - logistic(u * (end - start) + start)) / (logistic(end) - logistic(start))


def _betas_of(alpha_bar: Callable[[float], float], timesteps: int) -> Tensor:
    steps = range(timesteps)
    betas = [1 - alpha_bar((i + 1) / timesteps) / alpha_bar(i / timesteps) for i in steps]
    return torch.tensor(betas, dtype=torch.float64).clamp(max=MAX_BETA)


def _rescale_to_zero_terminal_snr(alpha_bar: Tensor) -> Tensor:
    """Lin et al. 2023, algorithm 1: shift sqrt(alpha_bar) to end at 0, scale it to start where it started."""
    root = alpha_bar.sqrt()
    first, last = root[0].clone(), root[-1].clone()
    return ((root - last) * first / (first - last)).square()
