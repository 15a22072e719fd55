"""What the papers name and the engine need not: betas, and the epsilon of a network's output."""

import torch
from torch import Tensor

from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule


def betas(schedule: NoiseSchedule) -> Tensor:
    """beta_t = 1 - alpha_bar_t / alpha_bar_(t-1), with alpha_bar_(-1) = 1; float64, shape (timesteps,)."""
    previous = torch.cat([torch.ones(1, dtype=torch.float64), schedule.alpha_bar[:-1]])
    return 1 - schedule.alpha_bar / previous


def to_epsilon(diffusion: Diffusion, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """Solve {x_t = a x_0 + s eps, output = c_x x_0 + c_e eps} for epsilon."""
    a, s = diffusion.schedule.coefficients(t, x_t)
    c_x, c_e = diffusion.weights(a, s)
    return (a * output - c_x * x_t) / (a * c_e - s * c_x)
