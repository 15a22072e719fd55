"""The forward process, the four targets, the loss weights and the learned variance."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from core.diffusion.variance import log_variance_bounds, variational_bound
from core.errors import UserError
from core.names import OBJECTIVES
from tests.core.arithmetic import betas, to_epsilon

SCHEDULES = {name: NoiseSchedule(name, 1000) for name in ("linear", "cosine", "sigmoid", "flow", "learned")}
VP = st.sampled_from(["linear", "cosine", "sigmoid"])


def pair(seed: int, n: int = 2) -> tuple[Tensor, Tensor]:
    """(x0 in [-1, 1], noise), float64 so that round trips are exact to rounding."""
    g = torch.Generator().manual_seed(seed)
    shape = (n, 1, 4, 4)
    return torch.rand(shape, generator=g, dtype=torch.float64) * 2 - 1, torch.randn(shape, generator=g, dtype=torch.float64)


def test_q_sample_stays_float32_under_bf16_autocast() -> None:
    diffusion = Diffusion(SCHEDULES["linear"])
    x0, noise = (x.float() for x in pair(0, 10))
    t = torch.arange(10)
    plain = diffusion.q_sample(x0, t, noise)
    with torch.autocast("cpu", torch.bfloat16):
        cast = diffusion.q_sample(x0, t, noise)
    assert cast.dtype == torch.float32
    assert torch.equal(plain, cast)
    assert (cast - x0).flatten(1).norm(dim=1).min() > 0.01  # every one of the first ten steps adds noise


def test_q_sample_is_the_closed_form() -> None:
    schedule = SCHEDULES["linear"]
    x0, noise = pair(1)
    t = torch.tensor([130, 999])
    ab = schedule.alpha_bar[t].reshape(2, 1, 1, 1)
    expected = ab.sqrt() * x0 + (1 - ab).sqrt() * noise
    assert torch.allclose(Diffusion(schedule).q_sample(x0, t, noise), expected, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    target=st.sampled_from(sorted(OBJECTIVES)),
    t=st.integers(0, 900),
    seed=st.integers(0, 1000),
)
def test_every_target_gives_back_x0_and_epsilon(name: str, target: str, t: int, seed: int) -> None:
    if name == "flow" and target == "epsilon":
        return  # refused: epsilon says nothing of x0 at the end of the path
    diffusion = Diffusion(SCHEDULES[name], target)
    x0, noise = pair(seed)
    steps = torch.full((2,), t)
    x_t, output = diffusion.q_sample(x0, steps, noise), diffusion.target(x0, steps, noise)
    a, s = SCHEDULES[name].point(t)
    assert torch.allclose(diffusion.to_x0(output, x_t, steps), x0, atol=1e-5 / a)
    assert torch.allclose(to_epsilon(diffusion, output, x_t, steps), noise, atol=1e-5 / s)


@settings(deadline=None, max_examples=40)
@given(name=VP, t=st.integers(0, 999), seed=st.integers(0, 1000))
def test_the_formulas_of_v(name: str, t: int, seed: int) -> None:
    diffusion = Diffusion(SCHEDULES[name], "v")
    x0, eps = pair(seed)
    steps = torch.full((2,), t)
    ab = SCHEDULES[name].alpha_bar[t].item()
    v = math.sqrt(ab) * eps - math.sqrt(1 - ab) * x0
    x_t = diffusion.q_sample(x0, steps, eps)
    assert torch.allclose(diffusion.target(x0, steps, eps), v, atol=1e-6)
    assert torch.allclose(diffusion.to_x0(v, x_t, steps), math.sqrt(ab) * x_t - math.sqrt(1 - ab) * v, atol=1e-5)
    assert torch.allclose(to_epsilon(diffusion, v, x_t, steps), math.sqrt(ab) * v + math.sqrt(1 - ab) * x_t, atol=1e-5)


def test_the_target_of_flow_is_noise_minus_image() -> None:
    x0, noise = pair(3)
    assert torch.allclose(Diffusion(SCHEDULES["flow"], "flow").target(x0, torch.tensor([0, 500]), noise), noise - x0)


@settings(deadline=None, max_examples=40)
@given(name=VP, t=st.integers(0, 990), gamma=st.sampled_from([1.0, 5.0, 20.0]))
def test_min_snr_weights(name: str, t: int, gamma: float) -> None:
    snr = SCHEDULES[name].snr[t].item()
    closed = {"epsilon": min(snr, gamma) / snr, "x0": min(snr, gamma), "v": min(snr, gamma) / (snr + 1)}
    for target, expected in closed.items():
        diffusion = Diffusion(SCHEDULES[name], target, "min_snr", min_snr_gamma=gamma)
        weight = diffusion.weight(torch.tensor([t]), torch.zeros(1, 1, 2, 2))
        assert weight.shape == (1,)
        assert weight.item() == pytest.approx(expected, rel=1e-3)


def test_the_weight_of_v_with_zero_terminal_snr_is_finite() -> None:
    diffusion = Diffusion(NoiseSchedule("cosine", zero_terminal_snr=True), "v", "min_snr")
    assert diffusion.weight(torch.tensor([999]), torch.zeros(1, 1, 2, 2)).tolist() == [0.0]


@settings(deadline=None, max_examples=40)
@given(name=VP, t=st.integers(5, 900), seed=st.integers(0, 1000))
def test_errors_of_the_targets_differ_by_the_snr(name: str, t: int, seed: int) -> None:
    schedule = SCHEDULES[name]
    x0, eps = pair(seed)
    guess = torch.roll(x0, 1, dims=-1)  # any wrong answer
    steps = torch.full((2,), t)
    a, s = schedule.point(t)
    x_t = a * x0 + s * eps
    snr = (a / s) ** 2
    mse = {}
    for target in ("epsilon", "x0", "v"):
        diffusion = Diffusion(schedule, target)
        wrong = diffusion.target(guess, steps, (x_t - a * guess) / s)
        mse[target] = (wrong - diffusion.target(x0, steps, eps)).square().mean().item()
    assert mse["epsilon"] == pytest.approx(snr * mse["x0"], rel=1e-3)
    assert mse["epsilon"] == pytest.approx(snr / (snr + 1) * mse["v"], rel=1e-3)


@pytest.mark.parametrize("sampling", ["uniform", "logit_normal"])
def test_draw_t_covers_all_of_the_schedule(sampling: str) -> None:
    diffusion = Diffusion(NoiseSchedule("cosine", 10), "v", t_sampling=sampling)
    t = diffusion.draw_t(50_000, torch.Generator().manual_seed(0))
    assert t.dtype == torch.int64
    counts = torch.bincount(t, minlength=10)
    assert counts.shape == (10,)
    assert counts.min() > 0
    if sampling == "uniform":
        assert (counts - 5000).abs().max() < 400  # about 6 standard deviations
    else:
        assert counts.argmax() in (4, 5)  # the middle is favoured


class Answer(nn.Module):
    """A network that answers what it is told to."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.output


@pytest.mark.parametrize("target", sorted(OBJECTIVES))
def test_the_loss_of_a_perfect_network_is_zero(target: str) -> None:
    diffusion = Diffusion(SCHEDULES["flow" if target == "flow" else "cosine"], target)
    x0, noise = pair(4)
    t = torch.tensor([10, 700])
    assert diffusion.loss(Answer(diffusion.target(x0, t, noise)), x0, t, noise).abs().max() < 1e-10
    off = diffusion.loss(Answer(diffusion.target(x0, t, noise) + 0.5), x0, t, noise)
    assert off.tolist() == pytest.approx([0.25, 0.25], rel=1e-5)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("v", [-1.0, 0.0, 1.0])
def test_the_loss_with_learned_variance_is_finite_at_every_t(name: str, v: float) -> None:
    diffusion = Diffusion(NoiseSchedule(name, 1000), "epsilon", learn_variance=True)
    t = torch.arange(1000)
    x0, noise = (x.float() for x in pair(5, 1000))
    output = torch.cat([torch.zeros_like(x0), torch.full_like(x0, v)], dim=1)
    assert diffusion.loss(Answer(output), x0, t, noise).isfinite().all()


def test_the_bound_is_zero_when_the_prediction_is_the_truth() -> None:
    schedule = SCHEDULES["linear"]
    x0, noise = (x.float() for x in pair(6, 999))
    t = torch.arange(1, 1000)
    x_t = Diffusion(schedule).q_sample(x0, t, noise)
    truth = variational_bound(schedule, x0, x_t, t, x0, torch.full_like(x0, -1.0))
    assert truth.abs().max() < 1e-6
    wrong = variational_bound(schedule, x0, x_t, t, x0 + 0.1, torch.full_like(x0, -1.0))
    assert (wrong[:500] > 0).all()  # later the network's x0 hardly matters, and rounds to nothing


def test_the_bounds_of_the_learned_variance_are_beta_and_its_posterior() -> None:
    schedule = SCHEDULES["linear"]
    low, high = log_variance_bounds(schedule, 500, 499)
    beta = betas(schedule)[500].item()
    assert math.exp(high) == pytest.approx(beta)
    assert math.exp(low) == pytest.approx(beta * (1 - schedule.alpha_bar[499].item()) / (1 - schedule.alpha_bar[500].item()))
    assert log_variance_bounds(schedule, 0, -1)[0] == log_variance_bounds(schedule, 1, 0)[0]


def test_guidance_is_unconditional_plus_s_times_the_difference() -> None:
    class ByLabel(nn.Module):
        null_label = 10

        def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
            return (labels / 100).reshape(-1, 1, 1, 1).expand_as(x)

    diffusion = Diffusion(SCHEDULES["cosine"], "x0")
    x, labels = torch.zeros(2, 1, 4, 4), torch.tensor([3, 7])
    for scale in (1.0, 2.5, 0.0):
        x0 = diffusion.denoiser(ByLabel(), labels=labels, guidance_scale=scale)(x, 500).x0
        expected = (10 + scale * (labels - 10)) / 100
        assert torch.allclose(x0[:, 0, 0, 0], expected.float(), atol=1e-6)
    sigma = diffusion.schedule.s / diffusion.schedule.a
    denoise = diffusion.denoiser(ByLabel(), labels=labels, guidance_scale=2.5, guidance_interval=(1.0, 4.0))
    for t in range(0, 1000, 7):
        scale = 2.5 if 1 <= sigma[t] <= 4 else 1.0
        expected = (10 + scale * (labels - 10)) / 100
        assert torch.allclose(denoise(x, t).x0[:, 0, 0, 0], expected.float(), atol=1e-6), t


def test_without_classes_guidance_leads_away_from_the_early_model() -> None:
    """u + s (c - u) by Karras et al. 2024, within the interval alone; without an early model nothing is led away from."""

    class Says(nn.Module):
        def __init__(self, value: float) -> None:
            super().__init__()
            self.value = value

        def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
            assert labels is None
            return torch.full_like(x, self.value)

    diffusion = Diffusion(SCHEDULES["cosine"], "x0")
    x, sigma = torch.zeros(2, 1, 4, 4), diffusion.schedule.s / diffusion.schedule.a
    for scale in (1.0, 2.5, 0.0):
        denoise = diffusion.denoiser(Says(0.3), guidance_scale=scale, guidance_interval=(1.0, 4.0), early=Says(0.2))
        for t in range(0, 1000, 53):
            guided = 0.2 + scale * (0.3 - 0.2) if 1 <= sigma[t] <= 4 and scale else 0.3
            assert torch.allclose(denoise(x, t).x0, torch.full_like(x, guided), atol=1e-6), (scale, t)
    assert torch.allclose(diffusion.denoiser(Says(0.3), guidance_scale=2.5)(x, 500).x0, torch.full_like(x, 0.3))


@pytest.mark.parametrize(
    "wrong",
    [{"prediction": "score"}, {"schedule": "flow"}],
    ids=lambda w: next(iter(w)),
)
def test_combinations_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    schedule = SCHEDULES[wrong.pop("schedule", "cosine")]
    with pytest.raises(UserError):
        Diffusion(schedule, **wrong)
