"""The forward process, what the network is trained to predict, and the loss.

On the path x_t = a x_0 + s epsilon every prediction target is one more linear combination c_x x_0 + c_e epsilon of the same two
unknowns. Two equations, two unknowns: any network output can be turned into x_0 and epsilon by one formula, whichever
target it was trained on.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.diffusion.schedule import NoiseSchedule
from core.diffusion.variance import split_variance, variational_bound
from core.errors import UserError
from core.names import OBJECTIVES, SCHEDULES, lookup

Weights = tuple[Tensor, Tensor]
"""(c_x, c_e): what a network predicts is c_x x_0 + c_e epsilon."""


def epsilon(a: Tensor, s: Tensor) -> Weights:
    """Ho et al. 2020: the noise."""
    return torch.zeros_like(a), torch.ones_like(a)


def x0(a: Tensor, s: Tensor) -> Weights:
    """The clean image (Salimans & Ho 2022, section 4)."""
    return torch.ones_like(a), torch.zeros_like(a)


def v(a: Tensor, s: Tensor) -> Weights:
    """Salimans & Ho 2022: v = a epsilon - s x_0."""
    return -s, a


def flow(a: Tensor, s: Tensor) -> Weights:
    """Liu et al. 2022: the velocity epsilon - x_0."""
    return -torch.ones_like(a), torch.ones_like(a)


VLB_WEIGHT = 1e-3  # Nichol & Dhariwal 2021, equation 16: lambda of L_hybrid


class Prediction(NamedTuple):
    """What the network says at one timestep: the clean image, and where it learns it the reverse variance.

    `variance` is the interpolation v in [-1, 1] between the smallest and the largest posterior log-variance, or None.
    """

    x0: Tensor
    variance: Tensor | None = None


Denoise = Callable[[Tensor, int], Prediction]
"""denoise(x_t, t) -> Prediction. What every sampler calls, once a network evaluation."""


@dataclass(frozen=True)
class Diffusion:
    """The forward process over a schedule together with a prediction target and its training loss.

    Raises UserError for an unknown target, and for epsilon prediction on a schedule that ends in pure noise
    (there epsilon says nothing of x_0). A predicted x_0 is clamped to [-limit, limit] in sampling.
    """

    schedule: NoiseSchedule
    prediction: str = "epsilon"
    weighting: str = "simple"
    t_sampling: str = "uniform"
    learn_variance: bool = False
    min_snr_gamma: float = 5.0
    limit: float = 1.0

    def __post_init__(self) -> None:
        lookup(OBJECTIVES, self.prediction, "objective")
        if self.prediction == "epsilon" and self.schedule.zero_terminal_snr:
            raise UserError(
                "epsilon prediction cannot start from a schedule that ends in pure noise (zero terminal SNR); "
                "use --objective v, or leave zero terminal SNR out"
            )
        if self.learn_variance and not SCHEDULES[self.schedule.name].preserves_variance:
            raise UserError("a learned variance needs a DDPM schedule; leave --learn-variance out with --objective flow")

    @cached_property
    def weights(self) -> Callable[[Tensor, Tensor], Weights]:
        """(a_t, s_t) -> (c_x, c_e) of the prediction target."""
        function: Callable[[Tensor, Tensor], Weights] = lookup(OBJECTIVES, self.prediction, "objective").load()
        return function

    def q_sample(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t = a_t x_0 + s_t epsilon (Ho et al. 2020, equation 4), in float32.

        x0, noise: (N, C, H, W) in [-1, 1] and standard normal; t: (N,) integers in 0 .. T-1.
        """
        a, s = self.schedule.coefficients(t, x0)
        return a * x0 + s * noise

    def target(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """What the network should answer at x_t: c_x x_0 + c_e epsilon, shape of x0."""
        c_x, c_e = self.weights(*self.schedule.coefficients(t, x0))
        return c_x * x0 + c_e * noise

    def to_x0(self, output: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """Solve {x_t = a x_0 + s eps, output = c_x x_0 + c_e eps} for x_0."""
        a, s = self.schedule.coefficients(t, x_t)
        c_x, c_e = self.weights(a, s)
        return (c_e * x_t - s * output) / (a * c_e - s * c_x)

    def draw_t(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` training timesteps, int64 in 0 .. T-1 inclusive, on the device of the generator.

        Uniform (Ho et al. 2020), or logit-normal(0, 1) in t/T, which favours the middle (Esser et al. 2024, equation 19).
        """
        timesteps, device = self.schedule.timesteps, generator.device
        if self.t_sampling == "uniform":
            return torch.randint(timesteps, (count,), generator=generator, device=device)
        u = torch.sigmoid(torch.randn(count, generator=generator, device=device))
        return (u * timesteps).long().clamp(max=timesteps - 1)

    def weight(self, t: Tensor, like: Tensor) -> Tensor:
        """Loss weight for each t, shape (N,): 1, or min-SNR-gamma of Hang et al. 2023.

        Hang et al. weigh the x_0 error by min(SNR, gamma); an error of the target is |dx_0/doutput|^2 of it, which gives
        min(SNR, gamma)/SNR for epsilon and min(SNR, gamma)/(SNR + 1) for v.
        """
        if self.weighting == "simple":
            return torch.ones(t.shape[0], device=like.device)
        a, s = self.schedule.coefficients(t, like.reshape(-1))
        c_x, c_e = self.weights(a, s)
        return (a / s).square().clamp(max=self.min_snr_gamma) * (s / (a * c_e - s * c_x)).square()

    def loss(self, model: nn.Module, x0: Tensor, t: Tensor, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        """Weighted mean squared error of each image, shape (N,), float32 (Ho et al. 2020, equation 14).

        With `learn_variance` the variational bound of Nichol & Dhariwal 2021 is added with weight 0.001 x T (L_hybrid; the
        network's mean is held fixed in it).
        """
        x_t = self.q_sample(x0, t, noise)
        inputs = (x_t, t) if labels is None else (x_t, t, labels)  # a CUDA graph takes tensors alone
        output, variance = split_variance(model(*inputs).float(), self.learn_variance)
        error = (output - self.target(x0, t, noise)).square().flatten(1).mean(1)
        loss = self.weight(t, x0) * error
        if variance is not None:
            x0_mean = self.to_x0(output.detach(), x_t, t)
            loss = loss + VLB_WEIGHT * self.schedule.timesteps * variational_bound(self.schedule, x0, x_t, t, x0_mean, variance)
        return loss

    def x0_error(self, losses: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """|x_0 - x̂_0|^2 of each image, mean over its pixels, from its unweighted loss: float32 (N,).

        An error of the target is (s / (a c_e - s c_x))^2 of it; never more than that of who says mid-grey whatever comes.
        """
        a, s = self.schedule.coefficients(t, losses)
        c_x, c_e = self.weights(a, s)
        return torch.minimum(losses * (s / (a * c_e - s * c_x)).square(), x0.square().flatten(1).mean(1))

    def denoiser(
        self,
        model: nn.Module,
        *,
        labels: Tensor | None = None,
        guidance_scale: float = 1.0,
        guidance_interval: tuple[float, float] = (0.0, math.inf),
        early: nn.Module | None = None,
    ) -> Denoise:
        """Wrap `model` as denoise(x_t, t) -> x_0, clamped to [-limit, limit].

        With guidance_scale s other than 1: u + s (c - u), where c is what the model says and u what is worse: what it says
        without the labels (N,) (Ho & Salimans 2022, with s = 1 + w), or what `early` says without them, an earlier state of the
        model, of models without classes too (autoguidance, Karras et al. 2024). Guided is only where the noise level
        sigma = s_t / a_t lies within guidance_interval (Kynkaanniemi et al. 2024); s = 0 is the model without labels at all
        levels.
        """
        untold = None if labels is None else torch.full_like(labels, getattr(model, "null_label", 0))
        if guidance_scale == 0:
            labels, guidance_scale = untold, 1.0
        worse = model if early is None else early
        guides = guidance_scale != 1.0 and (labels is not None or early is not None)

        def denoise(x: Tensor, t: int) -> Prediction:
            steps = torch.full((x.shape[0],), t, device=x.device)
            low, high = guidance_interval
            output, variance = split_variance(model(x, steps, labels).float(), self.learn_variance)
            if guides and low <= float(self.schedule.s[t] / self.schedule.a[t]) <= high:
                wrong, _ = split_variance(worse(x, steps, untold).float(), self.learn_variance)
                output = wrong + guidance_scale * (output - wrong)
            return Prediction(self.to_x0(output, x, steps).clamp(-self.limit, self.limit), variance)

        return denoise
