"""The reverse variance: posterior bounds, and learning it between them (Nichol & Dhariwal 2021, section 3.1)."""

import math
from functools import lru_cache

import torch
from torch import Tensor

from core.diffusion.schedule import NoiseSchedule


def split_variance(output: Tensor, learned: bool) -> tuple[Tensor, Tensor | None]:
    """(prediction, v): the network's output, and when it learns the variance the second half of its channels."""
    if not learned:
        return output, None
    prediction, variance = output.chunk(2, dim=1)
    return prediction, variance


def posterior(schedule: NoiseSchedule, t: int, previous: int) -> tuple[float, float, float, float]:
    """q(x_previous | x_t, x_0) for previous < t: (weight of x_0, weight of x_t, small variance, large variance).

    Ho et al. 2020, equations 6 and 7, for any path and any skip: the step has a = a_t / a_prev and
    variance = s_t^2 - a^2 s_prev^2 (beta_t for DDPM). The small variance is the posterior's own, the large one that of the step.
    """
    a_t, s_t = schedule.point(t)
    a_prev, s_prev = schedule.point(previous)
    a = a_t / a_prev
    variance = s_t**2 - (a * s_prev) ** 2
    return a_prev * variance / s_t**2, a * s_prev**2 / s_t**2, variance * s_prev**2 / s_t**2, variance


def log_variance_bounds(schedule: NoiseSchedule, t: int, previous: int) -> tuple[float, float]:
    """Smallest and largest log-variance of a reverse step; at the last step the small one (zero) is that of the step before."""
    small, large = posterior(schedule, t, previous)[2:]
    if previous < 0:
        small = posterior(schedule, 1, 0)[2]
    return math.log(small), math.log(large)


@lru_cache(maxsize=4)
def _posterior_table(schedule: NoiseSchedule) -> Tensor:
    rows = [[*posterior(schedule, t, t - 1)[:2], *log_variance_bounds(schedule, t, t - 1)] for t in range(schedule.timesteps)]
    return torch.tensor(rows, dtype=torch.float32).T


def variational_bound(schedule: NoiseSchedule, x0: Tensor, x_t: Tensor, t: Tensor, x0_mean: Tensor, variance: Tensor) -> Tensor:
    """L_vlb of each image in bits per dimension, shape (N,): KL(q(x_(t-1) | x_t, x_0) || p_theta), and -log p at t = 0.

    x0_mean is the network's x_0 and variance its interpolation v in [-1, 1] (both (N, C, H, W)).
    """
    c_0, c_t, small, large = _posterior_table(schedule).to(x0.device)[:, t].reshape(4, -1, 1, 1, 1)
    mean_q, mean_p = c_0 * x0 + c_t * x_t, c_0 * x0_mean + c_t * x_t
    log_p = small + (variance + 1) / 2 * (large - small)
    kl = 0.5 * (log_p - small + torch.exp(small - log_p) + (mean_q - mean_p).square() * torch.exp(-log_p) - 1)
    bits = torch.where((t == 0).reshape(-1, 1, 1, 1), -_discrete_log_likelihood(x0, mean_p, log_p / 2), kl)
    return bits.flatten(1).mean(1) / math.log(2)


def _discrete_log_likelihood(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log of the Gaussian mass in the bin of width 2/255 around x (Ho et al. 2020, equation 13), in nats."""
    inverse = torch.exp(-log_scale)
    upper = torch.special.ndtr(inverse * (x - mean + 1 / 255))
    lower = torch.special.ndtr(inverse * (x - mean - 1 / 255))
    mass = torch.where(x < -0.999, upper, torch.where(x > 0.999, 1 - lower, upper - lower))
    return mass.clamp(min=1e-12).log()
