"""The schedules against published constants and closed forms."""

import subprocess
import sys

import pytest
import torch

from core.config import TrainConfig
from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from core.diffusion.variance import posterior
from core.errors import UserError
from tests.core.arithmetic import betas

DDPM = ("linear", "cosine", "sigmoid")


def test_linear_ends_near_noise() -> None:
    schedule = NoiseSchedule("linear")
    assert schedule.alpha_bar[999].item() == pytest.approx(4.0358e-5, rel=1e-4)
    assert schedule.a[999].item() == pytest.approx(0.006353, rel=1e-4)
    assert betas(schedule)[0].item() == pytest.approx(1e-4)
    assert betas(schedule)[999].item() == pytest.approx(0.02)


def test_cosine_clips_exactly_one_beta_and_recomputes_alpha_bar() -> None:
    schedule = NoiseSchedule("cosine")
    assert betas(schedule)[0].item() == pytest.approx(4.1284e-5, rel=1e-4)
    assert int((betas(schedule) > 0.999 - 1e-9).sum()) == 1
    assert betas(schedule)[999].item() == pytest.approx(0.999, abs=1e-9)
    assert schedule.alpha_bar[999].item() == pytest.approx(2.429e-9, rel=1e-3)


@pytest.mark.parametrize(("t", "variance"), [(0, 0.0), (487, 0.00979), (999, 0.02)])
def test_posterior_variance_of_linear(t: int, variance: float) -> None:
    small = posterior(NoiseSchedule("linear"), t, t - 1)[2]
    assert small == pytest.approx(variance, rel=1e-3, abs=1e-15)


def test_posterior_of_a_skipped_step_uses_the_beta_of_the_skip() -> None:
    schedule = NoiseSchedule("linear")
    t, previous = 900, 800
    ab, ab_prev = schedule.alpha_bar[t].item(), schedule.alpha_bar[previous].item()
    beta = 1 - ab / ab_prev
    c_0, c_t, small, large = posterior(schedule, t, previous)
    assert large == pytest.approx(beta)
    assert small == pytest.approx(beta * (1 - ab_prev) / (1 - ab))
    assert c_0 == pytest.approx(ab_prev**0.5 * beta / (1 - ab))  # Ho et al. 2020, equation 7
    assert c_t == pytest.approx((1 - beta) ** 0.5 * (1 - ab_prev) / (1 - ab))


@pytest.mark.parametrize(("name", "crossing"), [("linear", 130), ("cosine", 261)])
def test_snr_falls_below_five_at(name: str, crossing: int) -> None:
    snr = NoiseSchedule(name).snr
    assert int((snr >= 5).sum()) == crossing
    assert (snr[1:] < snr[:-1]).all()


@pytest.mark.parametrize("timesteps", [20, 10])
def test_too_few_steps_for_linear_are_refused_in_one_sentence(timesteps: int) -> None:
    for refuse in (
        lambda: NoiseSchedule("linear", timesteps),
        lambda: TrainConfig.of(schedule="linear", objective="v", timesteps=timesteps),
    ):
        with pytest.raises(UserError) as error:
            refuse()
        message = str(error.value)
        assert f"got {timesteps}" in message
        assert "21 timesteps" in message
        assert "--schedule cosine" in message
        assert "\n" not in message


def test_the_step_count_that_the_refusal_names_works() -> None:
    assert betas(NoiseSchedule("linear", 21)).max() < 1


@pytest.mark.parametrize("timesteps", [50, 250])
def test_short_linear_is_scaled_to_end_near_noise(timesteps: int) -> None:
    # Unscaled, alpha_bar_T would be 0.603 and 0.080.
    unscaled = torch.cumprod(1 - torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64), 0)[-1].item()
    assert unscaled == pytest.approx({50: 0.603, 250: 0.080}[timesteps], abs=5e-4)
    assert NoiseSchedule("linear", timesteps).alpha_bar[-1].item() < 1e-4


@pytest.mark.parametrize("name", DDPM)
def test_zero_terminal_snr_ends_in_pure_noise_and_starts_where_it_did(name: str) -> None:
    plain, rescaled = NoiseSchedule(name), NoiseSchedule(name, zero_terminal_snr=True)
    assert rescaled.alpha_bar[-1].item() == 0
    assert rescaled.snr[-1].item() == 0
    assert rescaled.a[0].item() == pytest.approx(plain.a[0].item())
    assert betas(rescaled)[-1].item() == 1


def test_zero_terminal_snr_refuses_epsilon_and_takes_v() -> None:
    schedule = NoiseSchedule("cosine", zero_terminal_snr=True)
    Diffusion(schedule, "v")
    with pytest.raises(UserError, match="--objective v"):
        Diffusion(schedule, "epsilon")
    with pytest.raises(UserError, match="--objective v"):
        TrainConfig.of(objective="epsilon", zero_terminal_snr=True)


def test_flow_is_the_straight_line_to_pure_noise() -> None:
    schedule = NoiseSchedule("flow", 8)
    assert schedule.s.tolist() == [(t + 1) / 8 for t in range(8)]
    assert torch.equal(schedule.a, 1 - schedule.s)
    assert schedule.point(7) == (0.0, 1.0)
    assert schedule.point(-1) == (1.0, 0.0)


@pytest.mark.parametrize("name", DDPM)
@pytest.mark.parametrize("timesteps", [50, 1000])
def test_variance_preserving_schedules_fall_in_float64(name: str, timesteps: int) -> None:
    schedule = NoiseSchedule(name, timesteps)
    assert schedule.a.dtype == torch.float64
    assert torch.allclose(schedule.a**2 + schedule.s**2, torch.ones(timesteps, dtype=torch.float64), atol=1e-12)
    assert (schedule.a[1:] < schedule.a[:-1]).all()
    assert betas(schedule).min() > 0
    assert betas(schedule).max() < 1


def test_coefficients_are_float32_and_shaped_to_multiply() -> None:
    a, s = NoiseSchedule("linear").coefficients(torch.tensor([0, 999]), torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16))
    assert a.dtype == s.dtype == torch.float32
    assert a.shape == (2, 1, 1, 1)
    assert s[0].item() == pytest.approx(0.01, rel=1e-5)


@pytest.mark.parametrize(("name", "timesteps"), [("quadratic", 1000), ("cosine", 1), ("cosine", 0)])
def test_unknown_schedules_are_refused(name: str, timesteps: int) -> None:
    with pytest.raises(UserError):
        NoiseSchedule(name, timesteps)


@pytest.mark.parametrize(
    "module", ["core.config", "core.names", "core.runs.folder", "core.data.datasets", "core.files", "core.plots"]
)
def test_torch_free_modules(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
