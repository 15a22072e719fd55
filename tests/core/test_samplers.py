"""The samplers: spacings, published golden values, identities between them, and what `generate` promises."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from core.compute.device import Compute
from core.compute.seeds import SampleNoise
from core.config import SampleConfig, TrainConfig
from core.diffusion.generate import BatchFrame, generate
from core.diffusion.process import Denoise, Diffusion, Prediction
from core.diffusion.samplers import Frame, ddim, euler, heun, spaced_timesteps
from core.diffusion.schedule import NoiseSchedule
from core.diffusion.variance import posterior
from core.errors import UserError
from core.names import SAMPLERS
from core.runs.checkpoint import load_model
from tests.core.arithmetic import to_epsilon

CPU = Compute(torch.device("cpu"), "fp32", 2, "as asked")


def dummy_input() -> Tensor:
    """The input of diffusers' published scheduler tests."""
    return (torch.arange(768, dtype=torch.float64) / 768).reshape(3, 8, 8, 4).permute(3, 0, 1, 2)


def dummy_denoise(schedule: NoiseSchedule, target: str = "epsilon", clip: bool = True) -> Denoise:
    """diffusers' dummy network x * t / (t + 1), as a denoiser."""
    diffusion = Diffusion(schedule, target)

    def denoise(x: Tensor, t: int) -> Prediction:
        x0 = diffusion.to_x0(x * t / (t + 1), x, torch.full((len(x),), t))
        return Prediction(x0.clamp(-1, 1) if clip else x0)

    return denoise


def no_noise() -> Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def run(
    sampler: str, denoise: Denoise, x: Tensor, schedule: NoiseSchedule, timesteps: list[int], **options: object
) -> list[Frame]:
    return list(SAMPLERS[sampler].load()(denoise, x, schedule, timesteps, options.pop("noise", no_noise), **options))


def test_leading_spacing_starts_at_900() -> None:
    assert spaced_timesteps(1000, 10, "leading") == list(range(900, -1, -100))


@pytest.mark.parametrize("steps", [1, 5, 10, 13, 20, 50, 999, 1000])
def test_spacings_are_the_published_ones(steps: int) -> None:
    import numpy as np

    published = {
        "leading": (np.arange(steps) * (1000 // steps))[::-1],
        "trailing": np.round(np.arange(1000, 0, -1000 / steps))[:steps] - 1,
        "linspace": np.round(np.linspace(0, 999, steps))[::-1],
    }
    for spacing, expected in published.items():
        assert spaced_timesteps(1000, steps, spacing) == expected.astype(int).tolist()


@given(timesteps=st.integers(2, 1500), share=st.floats(0, 1), spacing=st.sampled_from(["leading", "trailing", "linspace"]))
def test_spacings_fall_within_the_schedule(timesteps: int, share: float, spacing: str) -> None:
    points = max(1, int(share * timesteps))
    chosen = spaced_timesteps(timesteps, points, spacing)
    assert len(chosen) == points
    assert all(a > b for a, b in pairwise(chosen))
    assert chosen[-1] >= 0
    assert chosen[0] <= timesteps - 1
    if spacing == "trailing":
        assert chosen[0] == timesteps - 1


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_outside_the_schedule_are_refused(steps: int) -> None:
    with pytest.raises(UserError, match="between 1 and"):
        spaced_timesteps(1000, steps)
    with pytest.raises(UserError, match="unknown spacing"):
        spaced_timesteps(1000, 10, "quadratic")


@pytest.mark.parametrize(
    ("target", "beta_start", "golden"), [("epsilon", 1e-4, 172.0067), ("v", 1e-4, 52.5302), ("epsilon", 0.01, 149.8295)]
)
def test_golden_values_of_ddim(target: str, beta_start: float, golden: float) -> None:
    schedule = NoiseSchedule("linear")
    alpha_bar = torch.cumprod(1 - torch.linspace(beta_start, 0.02, 1000, dtype=torch.float64), 0)
    schedule.a, schedule.s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    # Published with the network's own epsilon in the step, and x0 clipped: not derived again.
    diffusion, x = Diffusion(schedule, target), dummy_input()
    for t in range(900, -1, -100):
        steps = torch.full((len(x),), t)
        output = x * t / (t + 1)
        x0 = diffusion.to_x0(output, x, steps).clamp(-1, 1)
        a, s = schedule.point(t - 100)
        x = a * x0 + s * to_epsilon(diffusion, output, x, steps)
    published = x.abs().sum().item()
    assert published == pytest.approx(golden, abs=1e-2)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddim_with_eta_1_over_all_t_has_the_mean_of_ddpm(name: str) -> None:
    schedule = NoiseSchedule(name, 100)
    steps, x = spaced_timesteps(100, 100), dummy_input()
    denoise = dummy_denoise(schedule, clip=False)
    draws = [torch.randn(x.shape, generator=torch.Generator().manual_seed(i), dtype=x.dtype) for i in range(100)]
    ours = [f.x for f in run("ddim", denoise, x, schedule, steps, eta=1.0, noise=iter(draws).__next__)]
    theirs = [f.x for f in run("ddpm", denoise, x, schedule, steps, noise=iter(draws).__next__)]
    for a, b in zip(ours, theirs, strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-8)


@settings(deadline=None, max_examples=30)
@given(name=st.sampled_from(["linear", "cosine", "flow"]), steps=st.integers(1, 40), clip=st.booleans())
def test_ddim_with_eta_0_is_euler(name: str, steps: int, clip: bool) -> None:
    schedule = NoiseSchedule(name)
    timesteps = spaced_timesteps(1000, steps, "leading")
    denoise = dummy_denoise(schedule, "v" if name != "flow" else "flow", clip)
    for a, b in zip(
        run("ddim", denoise, dummy_input(), schedule, timesteps),
        run("euler", denoise, dummy_input(), schedule, timesteps),
        strict=True,
    ):
        assert torch.allclose(a.x, b.x, atol=1e-9)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_ddim_is_first_order_dpm_solver(name: str) -> None:
    schedule = NoiseSchedule(name)
    timesteps = spaced_timesteps(1000, 10)
    denoise, x = dummy_denoise(schedule), dummy_input()
    frames = run("ddim", denoise, x, schedule, timesteps)
    for frame, t, following in zip(frames[1:], timesteps, [*timesteps[1:], -1], strict=True):
        (a, s), (a_next, s_next) = schedule.point(t), schedule.point(following)
        h = math.inf if s_next == 0 else math.log(a_next / s_next) - math.log(a / s)
        x = s_next / s * x - a_next * math.expm1(-h) * denoise(x, t).x0  # Lu et al. 2022b, equation 9 at k = 1
        assert torch.allclose(frame.x, x, atol=1e-9)
    two = [run("dpmpp_2m", denoise, dummy_input(), schedule, timesteps)[i].x for i in (0, 1)]
    assert torch.allclose(two[1], frames[1].x, atol=1e-9)  # its first step has no history, so it is of first order too


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
@pytest.mark.parametrize("name", ["linear", "flow"])
def test_the_last_step_is_the_predicted_image_without_noise(sampler: str, name: str) -> None:
    schedule = NoiseSchedule(name, 200)
    truth = torch.linspace(-1, 1, 64, dtype=torch.float64).reshape(1, 1, 8, 8)
    calls = 0

    def noise() -> Tensor:
        nonlocal calls
        calls += 1
        return torch.ones_like(truth)

    timesteps = spaced_timesteps(200, 10)
    options = {"eta": 1.0} if sampler == "ddim" else {}
    frames = run(sampler, lambda x, t: Prediction(truth), torch.ones_like(truth), schedule, timesteps, noise=noise, **options)
    assert torch.allclose(frames[-1].x, truth, atol=1e-9)
    assert frames[-1].t == -1
    assert frames[-1].index == frames[-1].total == len(frames) - 1
    assert [f.index for f in frames] == list(range(len(frames)))
    assert calls == (9 if sampler in ("ddpm", "ddim") else 0)


def test_ddpm_variances_are_those_of_the_posterior_and_the_step() -> None:
    schedule, x = NoiseSchedule("linear"), torch.zeros(1, 1, 2, 2, dtype=torch.float64)
    _, _, small, large = posterior(schedule, 800, 600)
    still = lambda x, t: Prediction(torch.zeros_like(x))  # noqa: E731
    for kind, variance in (("small", small), ("large", large)):
        frames = run("ddpm", still, x, schedule, [800, 600], variance=kind, noise=lambda: torch.ones_like(x))
        assert frames[1].x[0, 0, 0, 0].item() == pytest.approx(math.sqrt(variance))
    for v, variance in ((-1.0, small), (1.0, large), (0.0, math.sqrt(small * large))):
        learned = lambda x, t, v=v: Prediction(torch.zeros_like(x), torch.full_like(x, v))  # noqa: E731
        frames = run("ddpm", learned, x, schedule, [800, 600], variance="learned", noise=lambda: torch.ones_like(x))
        assert frames[1].x[0, 0, 0, 0].item() == pytest.approx(math.sqrt(variance))
    with pytest.raises(UserError, match="did not learn"):
        run("ddpm", still, x, schedule, [800, 600], variance="learned", noise=lambda: torch.ones_like(x))


def test_heun_spends_two_evaluations_on_all_points_but_the_last() -> None:
    evaluations: list[int] = []
    schedule = NoiseSchedule("flow")
    inner = dummy_denoise(schedule, "flow")

    def denoise(x: Tensor, t: int) -> Prediction:
        evaluations.append(t)
        return inner(x, t)

    frames = list(heun(denoise, dummy_input(), schedule, [999, 499, 199], no_noise))
    assert evaluations == [999, 499, 499, 199, 199]
    assert frames[-1].total == 5


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2)])
def test_the_error_falls_with_the_order_of_the_method(sampler: Callable[..., Iterator[Frame]], order: int) -> None:
    schedule = NoiseSchedule("flow", 4096)
    curved = lambda x, t: Prediction(0.5 * x * (1 - (t + 1) / 4096) ** 2)  # noqa: E731
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)

    def at_a_quarter(stride: int) -> float:
        frames = list(sampler(curved, x, schedule, list(range(4095, 1022, -stride)), no_noise))
        return float(next(f.x for f in reversed(frames[:-1]) if f.t == 1023))

    exact = at_a_quarter(1)
    ratio = (at_a_quarter(256) - exact) / (at_a_quarter(128) - exact)
    assert ratio == pytest.approx(2**order, rel=0.2)


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_eta_outside_its_range_is_refused(eta: float) -> None:
    schedule = NoiseSchedule("linear")
    with pytest.raises(UserError, match="between 0"):
        next(ddim(dummy_denoise(schedule), dummy_input(), schedule, [999], no_noise, eta=eta))


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_zero_terminal_snr_stays_finite(sampler: str) -> None:
    schedule = NoiseSchedule("cosine", zero_terminal_snr=True)
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frames = run(sampler, dummy_denoise(schedule, "v"), x, schedule, spaced_timesteps(1000, 12), noise=lambda: torch.ones_like(x))
    assert all(f.x.isfinite().all() for f in frames)


# --- drawing from a trained model


def finished(frames: list[BatchFrame]) -> Tensor:
    return torch.cat([b.frame.x for b in frames if b.frame.t == -1])


@pytest.mark.parametrize("sampler", ["euler", "ddpm"])
def test_image_k_hangs_on_its_seed_alone(tiny_run: Path, sampler: str) -> None:
    model = load_model(tiny_run / "model_final.pt")
    few = finished(list(generate(model, SampleConfig(num_images=64, sampler=sampler, steps=4), CPU)))
    many = finished(list(generate(model, SampleConfig(num_images=100, sampler=sampler, steps=4), CPU)))
    assert many.shape == (100, 1, 28, 28)
    assert torch.equal(few, many[:64])
    other = finished(list(generate(model, SampleConfig(num_images=64, sampler=sampler, steps=4, seed=1), CPU)))
    assert not torch.equal(few, other)
    part = finished(list(generate(model, SampleConfig(num_images=5, sampler=sampler, steps=4), CPU)))
    assert torch.allclose(part, few[:5], atol=1e-4)  # another batch size rounds differently, and that is all


def test_noise_of_an_image_does_not_know_its_batch() -> None:
    whole, part = SampleNoise(7, 0, 10, (1, 4, 4), CPU.device), SampleNoise(7, 6, 2, (1, 4, 4), CPU.device)
    for _ in range(3):
        assert torch.equal(whole()[6:8], part())


def test_generate_counts_evaluations_and_stops_between_two(tiny_run: Path) -> None:
    model = load_model(tiny_run / "model_final.pt")
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    model.network.register_forward_hook(count)
    frames = list(generate(model, SampleConfig(num_images=70, steps=3), CPU))
    assert calls == 6
    assert [f.done for f in frames] == [0, 1, 2, 3, 3, 4, 5, 6]
    assert {f.evaluations for f in frames} == {6}
    calls = 0
    stream = generate(model, SampleConfig(num_images=64, steps=20), CPU)
    next(stream)
    next(stream)
    stream.close()
    assert calls == 2


def test_heun_spends_no_more_than_it_was_given(tiny_run: Path) -> None:
    model = load_model(tiny_run / "model_final.pt")
    for steps in (1, 2, 7, 20):
        last = list(generate(model, SampleConfig(num_images=1, sampler="heun", steps=steps), CPU))[-1]
        assert steps - 1 <= last.evaluations <= steps


def test_a_model_is_guided_unless_it_is_asked_not_to_be_or_cannot() -> None:
    config = TrainConfig.of(model="tiny", conditional=True)
    assert SampleConfig().resolve(config, 10).guidance_scale == 1.75
    assert SampleConfig().resolve(config, 0).guidance_scale == 1.0  # a folder without classes, in the first half of a run
    assert SampleConfig().resolve(config, 0, early=True).guidance_scale == 1.75
    assert SampleConfig().resolve(TrainConfig.of(objective="v"), 0, early=True).guidance_scale == 1.0, "it was not measured"
    SampleConfig(guidance_scale=2.0).check(TrainConfig.of(objective="v"), 0, early=True)
    with pytest.raises(UserError, match="knows no classes and comes without an early self"):
        SampleConfig(guidance_scale=2.0).check(config, 0)
    always = TrainConfig.of(model="tiny", conditional=True, label_dropout=0.0)
    assert SampleConfig().resolve(always, 10, early=True).guidance_scale == 1.0
    assert SampleConfig().resolve(TrainConfig.of(teacher="a.pt"), 0, early=True).guidance_scale == 1.0
    assert SampleConfig(guidance_scale=1.0).resolve(config, 10).guidance_scale == 1.0
    assert SampleConfig(guidance_scale=0.0).resolve(config, 10).guidance_scale == 0.0
    assert SampleConfig(guidance_scale=0.0).resolve(config, 10).guidance_interval == "middle"
    with pytest.raises(UserError, match="--class must be between 0 and 9 for this model, got 10"):
        SampleConfig(label=10).check(config, 10)


def test_the_sampler_that_suits_a_model() -> None:
    flow, epsilon = TrainConfig.of(model="tiny"), TrainConfig.of(model="reference")

    def chosen(config: TrainConfig, classes: int = 0, **options: object) -> tuple[str, int]:
        resolved = SampleConfig(**options).resolve(config, classes)  # type: ignore[arg-type]
        return resolved.sampler, resolved.steps

    assert chosen(flow) == chosen(flow, 10, guidance_scale=1.0) == ("ddpm", 20)
    assert chosen(flow, 10) == chosen(flow, 10, guidance_scale=3.0) == ("unipc", 6)
    early = SampleConfig().resolve(flow, 0, early=True)
    assert (early.sampler, early.steps) == ("unipc", 6)
    assert chosen(epsilon, 10) == ("ddpm", 20)
    assert chosen(flow, steps=7) == ("ddpm", 7)
    assert chosen(flow, steps=1) == ("euler", 1), "ddpm needs two"
    assert chosen(flow, start="interpolate") == ("euler", 20), "fresh noise would tear the images apart"
    assert chosen(epsilon) == ("ddpm", 20)
    assert chosen(epsilon, start="interpolate") == ("dpmpp_2m", 20)
    assert chosen(flow, sampler="ddpm") == chosen(epsilon, sampler="ddpm") == ("ddpm", 1000), "asked for by name, the paper's"


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 101},
        {"steps": -1},
        {"eta": 1.5},
        {"label": 3},
        {"variance": "learned"},
        {"sampler": "plms"},
        {"num_images": 0},
        {"sampler": "ddpm", "steps": 1},
    ],
    ids=str,
)
def test_options_that_do_not_fit_the_model_are_refused(tiny_run: Path, wrong: dict[str, Any]) -> None:
    model = load_model(tiny_run / "model_final.pt")
    with pytest.raises(UserError) as error:
        next(generate(model, SampleConfig(**wrong), CPU))
    assert "\n" not in str(error.value)
