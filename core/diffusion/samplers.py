"""Samplers: from noise to images, one short function each, all of one signature, each a generator of frames.

A sampler calls denoise(x_t, t) -> Prediction and moves along `timesteps`, a falling list of t that ends at the clean image
(t = -1). It yields after every network evaluation, so whoever pulls can stop or show the picture between any two.
Coefficients are Python floats in double precision: all images of a batch are at the same t.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from core.config import SPACINGS
from core.diffusion.process import Denoise
from core.diffusion.schedule import NoiseSchedule
from core.diffusion.variance import log_variance_bounds, posterior
from core.errors import UserError

Noise = Callable[[], Tensor]
"""A source of standard normal tensors of the shape of x_T; called only where a sampler really adds noise."""


@dataclass(frozen=True)
class Frame:
    """One network evaluation: its input x_t and the x_0 predicted from it (both (N, C, H, W) on the model's device).

    `index` counts evaluations from 0; the closing frame has index == total, t == -1 and x the finished images.
    """

    index: int
    total: int
    t: int
    x: Tensor
    x0: Tensor


def spaced_timesteps(timesteps: int, points: int, spacing: str = "trailing") -> list[int]:
    """`points` values of t, falling, for a schedule of `timesteps` (Lin et al. 2023, table 2).

    trailing: round(T, T - T/n, ...) - 1, starts at T - 1; leading: multiples of T // n, ends at 0; linspace: both ends.
    Raises UserError when points is not in 1 .. timesteps.
    """
    if not 1 <= points <= timesteps:
        raise UserError(f"steps must be between 1 and the schedule's {timesteps} timesteps, got {points}")
    if spacing == "trailing":
        return [round(timesteps - i * timesteps / points) - 1 for i in range(points)]
    if spacing == "leading":
        return [i * (timesteps // points) for i in reversed(range(points))]
    if spacing == "linspace":
        return [round(i * (timesteps - 1) / max(points - 1, 1)) for i in reversed(range(points))]
    raise UserError(f"unknown spacing '{spacing}'; choose one of {', '.join(SPACINGS)}")


def ddpm(
    denoise: Denoise,
    x: Tensor,
    schedule: NoiseSchedule,
    timesteps: Sequence[int],
    noise: Noise,
    *,
    variance: str = "small",
) -> Iterator[Frame]:
    """Ancestral sampling, Ho et al. 2020, algorithm 2; skipped steps are respaced (Nichol & Dhariwal 2021, section 4).

    x_prev ~ N(c_0 x_0 + c_t x_t, sigma^2), sigma^2 the posterior variance (small), that of the step (large), or the network's.
    """
    for i, (t, previous) in enumerate(pairwise([*timesteps, -1])):
        prediction = denoise(x, t)
        yield Frame(i, len(timesteps), t, x, prediction.x0)
        c_0, c_t, small, large = posterior(schedule, t, previous)
        x = c_0 * prediction.x0 + c_t * x
        if previous >= 0:
            x = x + _deviation(schedule, t, previous, variance, prediction.variance, small, large) * noise()
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


def _deviation(
    schedule: NoiseSchedule, t: int, previous: int, kind: str, learned: Tensor | None, small: float, large: float
) -> float | Tensor:
    if kind != "learned":
        return math.sqrt(small if kind == "small" else large)
    if learned is None:
        raise UserError("this model did not learn its variance; use small or large, or train with --learn-variance")
    low, high = log_variance_bounds(schedule, t, previous)
    return torch.exp((low + (learned + 1) / 2 * (high - low)) / 2)


def ddim(
    denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int], noise: Noise, *, eta: float = 0.0
) -> Iterator[Frame]:
    """Song et al. 2020 (DDIM), equation 12: x_prev = a_prev x_0 + sqrt(s_prev^2 - sigma^2) epsilon + sigma z.

    sigma^2 = eta^2 x the posterior variance of the step: eta = 0 is deterministic, eta = 1 has the DDPM's marginals.
    """
    if not 0 <= eta <= 1:
        raise UserError(f"eta must be between 0 (deterministic) and 1 (as noisy as DDPM), got {eta:g}")
    for i, (t, previous) in enumerate(pairwise([*timesteps, -1])):
        (a, s), (a_prev, s_prev) = schedule.point(t), schedule.point(previous)
        x0 = denoise(x, t).x0
        yield Frame(i, len(timesteps), t, x, x0)
        epsilon = (x - a * x0) / s
        sigma = eta * math.sqrt(posterior(schedule, t, previous)[2])
        x = a_prev * x0 + math.sqrt(s_prev**2 - sigma**2) * epsilon
        if sigma > 0:
            x = x + sigma * noise()
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


def euler(denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int], noise: Noise) -> Iterator[Frame]:
    """Euler's method on the probability-flow ODE, straightened: y = x / (a + s), w = s / (a + s), dy/dw = epsilon - x_0.

    On the rectified-flow path this is Liu et al. 2022, algorithm 1; on any other it is DDIM with eta = 0.
    """
    for i, (t, following) in enumerate(pairwise([*timesteps, -1])):
        x0 = denoise(x, t).x0
        yield Frame(i, len(timesteps), t, x, x0)
        (scale, w), (scale_next, w_next) = _straight(schedule, t), _straight(schedule, following)
        velocity = (x / scale - x0) / w
        x = scale_next * (x / scale + (w_next - w) * velocity)
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


def heun(denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int], noise: Noise) -> Iterator[Frame]:
    """Heun's second-order method (Karras et al. 2022, algorithm 1) on the straightened ODE of `euler`.

    Spends two evaluations a step and one on the last, which is Euler's: 2 n - 1 in all.
    """
    total = 2 * len(timesteps) - 1
    for i, (t, following) in enumerate(pairwise([*timesteps, -1])):
        x0 = denoise(x, t).x0
        yield Frame(2 * i, total, t, x, x0)
        (scale, w), (scale_next, w_next) = _straight(schedule, t), _straight(schedule, following)
        velocity = (x / scale - x0) / w
        predicted = scale_next * (x / scale + (w_next - w) * velocity)
        if following < 0:
            x = predicted
            break
        x0 = denoise(predicted, following).x0
        yield Frame(2 * i + 1, total, following, predicted, x0)
        corrected = (velocity + (predicted / scale_next - x0) / w_next) / 2
        x = scale_next * (x / scale + (w_next - w) * corrected)
    yield Frame(total, total, -1, x, x)


def _straight(schedule: NoiseSchedule, t: int) -> tuple[float, float]:
    """(scale, w): x / scale = (1 - w) x_0 + w epsilon is a straight line in w, whatever the path."""
    a, s = schedule.point(t)
    return a + s, s / (a + s)


def dpmpp_2m(denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int], noise: Noise) -> Iterator[Frame]:
    """DPM-Solver++(2M), Lu et al. 2022b, algorithm 2: x_0 extrapolated in lambda = log(a / s), first order on the last step."""
    last: tuple[Tensor, float] | None = None  # the previous x_0 and its step h in lambda
    for i, (t, following) in enumerate(pairwise([*timesteps, -1])):
        (a, s), (a_next, s_next) = schedule.point(t), schedule.point(following)
        x0 = denoise(x, t).x0
        yield Frame(i, len(timesteps), t, x, x0)
        h = _lambda(a_next, s_next) - _lambda(a, s)
        estimate = x0
        if last is not None and s_next > 0 and math.isfinite(last[1]):
            estimate = x0 + (h / last[1]) / 2 * (x0 - last[0])
        x = s_next / s * x - a_next * math.expm1(-h) * estimate
        last = (x0, h)
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


def unipc(denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: Sequence[int], noise: Noise) -> Iterator[Frame]:
    """UniPC, Zhao et al. 2023, algorithms 5 to 8: predictor and corrector of order 2, B(h) = e^h - 1, x_0 prediction.

    The corrector reuses the evaluation that the next predictor needs, so it costs none of its own.
    """
    history: list[tuple[float, Tensor]] = []  # (lambda, x_0) of finished evaluations, newest first
    before = x
    for i, t in enumerate(timesteps):
        x0 = denoise(x, t).x0
        yield Frame(i, len(timesteps), t, x, x0)
        if history:
            x = _unipc_step(before, schedule, timesteps[i - 1], t, history, x0)
        history = [(_lambda(*schedule.point(t)), x0), *history][:2]
        before = x
        following = [*timesteps, -1][i + 1]
        known = history[:1] if following < 0 else history  # first order on the last step
        x = _unipc_step(x, schedule, t, following, known, None)
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


def _unipc_step(
    x: Tensor,
    schedule: NoiseSchedule,
    t: int,
    following: int,
    history: Sequence[tuple[float, Tensor]],
    x0_next: Tensor | None,
) -> Tensor:
    """One UniP step (x0_next None) or UniC step from x_t to `following`; equations 3 and 9 of the paper with hh = -h."""
    s, (a_next, s_next) = schedule.point(t)[1], schedule.point(following)
    (lam, x0), *older = history
    h = _lambda(a_next, s_next) - lam
    phi_1 = math.expm1(-h)
    ratios = [(older_lam - lam) / h for older_lam, _ in older if math.isfinite(older_lam) and math.isfinite(h)]
    differences = [(older_x0 - x0) / ratio for ratio, (_, older_x0) in zip(ratios, older, strict=False)]
    if x0_next is not None:
        ratios, differences = [*ratios, 1.0], [*differences, x0_next - x0]
    result = s_next / s * x - a_next * phi_1 * x0
    if differences:
        for rho, difference in zip(_unipc_weights(ratios, h, phi_1), differences, strict=True):
            result = result - a_next * phi_1 * rho * difference
    return result


def _unipc_weights(ratios: Sequence[float], h: float, phi_1: float) -> list[float]:
    # One unknown has the closed form 1/2 that the paper uses for its second-order predictor and first-order corrector.
    if len(ratios) == 1:
        return [0.5]
    phi_2 = phi_1 / -h - 1
    phi_3 = phi_2 / -h - 1 / 2
    matrix = torch.tensor([[1.0] * 2, list(ratios)], dtype=torch.float64)
    right = torch.tensor([phi_2 / phi_1, 2 * phi_3 / phi_1], dtype=torch.float64)
    return torch.linalg.solve(matrix, right).tolist()  # type: ignore[no-any-return]


def _lambda(a: float, s: float) -> float:
    """Half the log-SNR, log(a / s): minus infinity at pure noise, plus infinity at the clean image."""
    if a == 0:
        return -math.inf
    return math.inf if s == 0 else math.log(a / s)
