"""Two branches of a way out of noise: the untouched one stays what it was, to the bit."""

import pytest
import torch

from core.compute.device import choose_compute
from core.config import SampleConfig
from core.diffusion.branch import branches, painted
from core.diffusion.generate import generate
from core.diffusion.model import Model
from core.runs.checkpoint import load_model
from core.runs.embedded import embedded_model

COMPUTE = choose_compute(device="cpu", precision="fp32", threads=2)


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(embedded_model())


def options(sampler: str, **more: float) -> SampleConfig:
    return SampleConfig(num_images=2, seed=3, sampler=sampler, steps=4, label=3, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler", "heun", "dpmpp_2m", "unipc"])
def test_the_untouched_branch_is_bit_for_bit_what_it_was(model: Model, sampler: str) -> None:
    alone = [item.frame for item in generate(model, options(sampler), COMPUTE)]
    at = 2
    pairs = list(branches(model, options(sampler), COMPUTE, at, lambda frame: torch.zeros_like(frame.x)))
    untouched, other = zip(*pairs, strict=True)
    for before, now in zip(alone, untouched, strict=False):
        assert torch.equal(before.x, now.x) and torch.equal(before.x0, now.x0) and before.t == now.t
    assert untouched[-1].t == other[-1].t == -1
    assert all(torch.equal(first.x, second.x) for first, second in pairs[:at])
    assert not other[at].x.any() and not torch.equal(untouched[-1].x, other[-1].x)


@pytest.mark.parametrize(("sampler", "more"), [("ddpm", {}), ("ddim", {}), ("ddim", {"eta": 0.7}), ("euler", {})])
def test_a_branch_that_nobody_painted_is_the_same_way(model: Model, sampler: str, more: dict[str, float]) -> None:
    *_, (first, second) = branches(model, options(sampler, **more), COMPUTE, 2, lambda frame: frame.x)
    assert torch.equal(first.x, second.x)


@pytest.mark.parametrize("at", [0, 3])
def test_it_can_be_left_at_the_first_and_at_the_last_evaluation(model: Model, at: int) -> None:
    pairs = list(branches(model, options("unipc"), COMPUTE, at, lambda frame: -frame.x))
    assert len(pairs) == 5
    assert torch.equal(pairs[at][1].x, -pairs[at][0].x)


def test_paint_lies_under_the_noise_that_was_there(model: Model) -> None:
    frame = [item.frame for item in generate(model, options("ddim"), COMPUTE)][2]
    where = torch.zeros(28, 28)
    where[:, 10:20] = 1
    paint = torch.ones(1, 28, 28)
    x = painted(frame, model.diffusion.schedule, paint, where)
    a, s = model.diffusion.schedule.point(frame.t)
    epsilon = (frame.x - a * frame.x0) / s
    assert torch.equal(x[..., :10], frame.x[..., :10]) and torch.equal(x[..., 20:], frame.x[..., 20:])
    assert torch.allclose(x[..., 10:20], a + s * epsilon[..., 10:20], atol=1e-4)
