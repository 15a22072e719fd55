"""The same inputs through diffusers: schedules, q_sample, one DDPM step, and whole trajectories, step by step.

diffusers multiplies its tables up in float32 and ours come from float64, so 1e-4 is asked for, on values of about 1.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.diffusion.process import Denoise, Diffusion, Prediction
from core.diffusion.samplers import ddim, ddpm, dpmpp_2m, spaced_timesteps, unipc
from core.diffusion.schedule import NoiseSchedule
from core.network.unet import tiny
from tests.core.arithmetic import betas

diffusers = pytest.importorskip("diffusers")
pytestmark = pytest.mark.peer

TOLERANCE = 1e-4
STEPS = (5, 10, 13, 20, 50)
Network = Callable[[Tensor, Tensor], Tensor]
PREDICTION = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}


def dummy(x: Tensor, t: Tensor) -> Tensor:
    return x * t[0] / (t[0] + 1)


@pytest.fixture(scope="module")
def trained() -> Callable[[str, str], Network]:
    """trained(schedule, target): the tiny U-Net after a few steps on glyphs, made once for each pair."""
    from core.data.glyphs import make_glyphs
    from core.images import to_float

    images = to_float(make_glyphs(16, seed=0)[0])
    made: dict[tuple[str, str], Network] = {}

    def get(name: str, target: str) -> Network:
        if (name, target) not in made:
            torch.manual_seed(0)
            network, diffusion = tiny(28, 1), Diffusion(NoiseSchedule(name), target)
            optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
            for step in range(20):
                g = torch.Generator().manual_seed(step)
                noise = torch.randn(images.shape, generator=g)
                diffusion.loss(network, images, diffusion.draw_t(16, g), noise).mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            made[name, target] = network.eval().requires_grad_(False)
        return made[name, target]

    return get


@pytest.fixture(params=["dummy", pytest.param("trained", marks=pytest.mark.slow)])
def network(request: pytest.FixtureRequest, trained: Callable[[str, str], Network], name: str, target: str) -> Network:
    return dummy if request.param == "dummy" else trained(name, target)


def common(schedule: NoiseSchedule, target: str) -> dict[str, Any]:
    return {"trained_betas": betas(schedule).tolist(), "prediction_type": PREDICTION[target]}


def start() -> Tensor:
    return torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))


def compare(ours: Iterator[Any], scheduler: Any, network: Network, **step: Any) -> None:
    """Every x_t of ours against the one that diffusers makes of its own last one."""
    x = start()
    frames = list(ours)
    assert frames[0].x.equal(x)
    for frame, t in zip(frames[1:], scheduler.timesteps, strict=True):
        x = scheduler.step(network(x, t.expand(2)), t, x, **step).prev_sample
        assert (frame.x - x).abs().max() < TOLERANCE, f"after t = {t}"


def denoiser(schedule: NoiseSchedule, target: str, network: Network) -> Denoise:
    diffusion = Diffusion(schedule, target)
    if isinstance(network, nn.Module):
        return diffusion.denoiser(network)

    def denoise(x: Tensor, t: int) -> Prediction:
        steps = torch.full((len(x),), t)
        return Prediction(diffusion.to_x0(dummy(x, steps), x, steps).clamp(-1, 1))

    return denoise


@pytest.mark.parametrize(("name", "theirs"), [("linear", "linear"), ("cosine", "squaredcos_cap_v2")])
def test_schedules(name: str, theirs: str) -> None:
    scheduler = diffusers.DDPMScheduler(beta_schedule=theirs, beta_start=1e-4, beta_end=0.02)
    schedule = NoiseSchedule(name)
    assert (betas(schedule) - scheduler.betas).abs().max() < 1e-6
    assert (schedule.alpha_bar - scheduler.alphas_cumprod).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_zero_terminal_snr(name: str) -> None:
    scheduler = diffusers.DDIMScheduler(
        trained_betas=betas(NoiseSchedule(name)).tolist(), rescale_betas_zero_snr=True, prediction_type="v_prediction"
    )
    assert (NoiseSchedule(name, zero_terminal_snr=True).alpha_bar - scheduler.alphas_cumprod).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_q_sample_and_v(name: str) -> None:
    schedule = NoiseSchedule(name)
    scheduler = diffusers.DDPMScheduler(**common(schedule, "v"))
    x0, t = start().clamp(-1, 1), torch.tensor([3, 997])
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(2))
    diffusion = Diffusion(schedule, "v")
    assert (diffusion.q_sample(x0, t, noise) - scheduler.add_noise(x0, noise, t)).abs().max() < TOLERANCE
    assert (diffusion.target(x0, t, noise) - scheduler.get_velocity(x0, noise, t)).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("target", ["epsilon", "v", "x0"])
@pytest.mark.parametrize("t", [999, 500, 1, 0])
def test_one_ddpm_step_with_given_noise(name: str, target: str, t: int) -> None:
    schedule = NoiseSchedule(name)
    scheduler = diffusers.DDPMScheduler(variance_type="fixed_small", clip_sample=True, **common(schedule, target))
    # In float32, 1 - alpha_bar of cosine at t = 1 is off by 5e-4 of itself; with the table in float64 only the formulas differ.
    scheduler.alphas_cumprod = schedule.alpha_bar
    theirs = scheduler.step(dummy(start(), torch.tensor([t])), t, start(), generator=torch.Generator().manual_seed(3)).prev_sample
    noise = torch.randn(start().shape, generator=torch.Generator().manual_seed(3))
    steps = [t, t - 1] if t else [0]
    ours = list(ddpm(denoiser(schedule, target, dummy), start(), schedule, steps, lambda: noise))[1].x
    assert (ours - theirs).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("target", ["epsilon", "v"])
@pytest.mark.parametrize("steps", STEPS)
def test_ddim(name: str, target: str, steps: int, network: Network) -> None:
    schedule = NoiseSchedule(name)
    scheduler = diffusers.DDIMScheduler(
        set_alpha_to_one=True, clip_sample=True, steps_offset=0, timestep_spacing="leading", **common(schedule, target)
    )
    scheduler.set_timesteps(steps)
    timesteps = spaced_timesteps(1000, steps, "leading")
    assert timesteps == scheduler.timesteps.tolist()
    denoise = denoiser(schedule, target, network)
    if 1000 % steps == 0:
        compare(ddim(denoise, start(), schedule, timesteps, start), scheduler, network, use_clipped_model_output=True)
        return
    # diffusers takes the previous t as t - T // N, which leaves the list of timesteps; compare with equation 12 instead.
    frames = list(ddim(denoise, start(), schedule, timesteps, start))
    for before, after in pairwise(frames):
        (a, s), (a_prev, s_prev) = schedule.point(before.t), schedule.point(after.t)
        expected = a_prev * before.x0 + s_prev * (before.x - a * before.x0) / s
        assert (after.x - expected).abs().max() < TOLERANCE


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("target", ["epsilon", "v"])
@pytest.mark.parametrize("steps", [10, 50])
def test_ddim_trailing_where_the_steps_divide_the_schedule(name: str, target: str, steps: int, network: Network) -> None:
    schedule = NoiseSchedule(name)
    scheduler = diffusers.DDIMScheduler(
        set_alpha_to_one=True, clip_sample=True, timestep_spacing="trailing", **common(schedule, target)
    )
    scheduler.set_timesteps(steps)
    timesteps = spaced_timesteps(1000, steps, "trailing")
    assert timesteps == scheduler.timesteps.tolist()
    ours = ddim(denoiser(schedule, target, network), start(), schedule, timesteps, start)
    compare(ours, scheduler, network, use_clipped_model_output=True)


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize("target", ["epsilon", "v"])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("sampler", [dpmpp_2m, unipc], ids=["dpmpp_2m", "unipc"])
def test_multistep_solvers(sampler: Any, name: str, target: str, steps: int, network: Network) -> None:
    schedule = NoiseSchedule(name)
    settings: dict[str, Any] = {
        "solver_order": 2,
        "lower_order_final": True,
        "final_sigmas_type": "zero",
        "timestep_spacing": "linspace",
        "thresholding": True,  # with a largest value of 1 the threshold is always 1: a clamp
        "sample_max_value": 1.0,
        **common(schedule, target),
    }
    if sampler is dpmpp_2m:
        scheduler = diffusers.DPMSolverMultistepScheduler(algorithm_type="dpmsolver++", solver_type="midpoint", **settings)
    else:
        scheduler = diffusers.UniPCMultistepScheduler(solver_type="bh2", predict_x0=True, **settings)
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    compare(sampler(denoiser(schedule, target, network), start(), schedule, timesteps, start), scheduler, network)
