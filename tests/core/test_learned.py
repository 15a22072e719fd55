"""The learned schedule: what it is for a known error, its ends, and a run that carries it along."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.compute.device import choose_compute
from core.config import SampleConfig, TrainConfig
from core.diffusion import learned
from core.diffusion.generate import generate
from core.diffusion.learned import BINS, EVEN, START, LearnedSchedule, is_spread, spread_of
from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from core.errors import UserError
from core.runs.checkpoint import export_safetensors, load_model
from core.runs.folder import RunDir, read_run
from core.training.events import Step
from core.training.trainer import Trainer

from .compare import assert_same_run

Config = Callable[..., TrainConfig]
CPU = choose_compute("cpu", "fp32", 1)
SPREADS = arrays(np.float64, (2, BINS), elements=st.floats(0, 1e12))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, small_glyphs: None) -> None:
    """A table every four steps, in runs of twelve."""
    monkeypatch.setattr(learned, "EVERY", 4)


def test_until_it_is_measured_it_is_the_cosine_schedule_to_the_bit() -> None:
    for zero in (False, True):
        start, cosine = LearnedSchedule(1000, zero_terminal_snr=zero), NoiseSchedule("cosine", zero_terminal_snr=zero)
        assert torch.equal(start.a, cosine.a) and torch.equal(start.s, cosine.s)
        assert start.zero_terminal_snr == zero


@pytest.mark.parametrize("power", [1.0, 2.0, 4.0])
def test_the_fixed_point_of_a_known_error(power: float) -> None:
    """D = u^power over the time u of the cosine schedule: step t lies where START u + (1 - START) u^power = t / T."""
    middle = (np.arange(BINS) + 0.5) / BINS
    schedule = LearnedSchedule(1000)
    schedule.take(spread_of(np.stack([5 * middle**power, np.full(BINS, 5.0)])))
    u = np.linspace(0, 1, 1000)
    rank = np.interp(START * u + (1 - START) * u**power, np.linspace(0, 1, 1000), np.arange(1000))
    assert np.interp(rank, np.arange(1000), schedule.alpha_bar.numpy()) == pytest.approx(
        NoiseSchedule("cosine").alpha_bar.numpy(), abs=5e-3
    )


@given(errors=SPREADS, timesteps=st.integers(2, 1500))
def test_whatever_is_measured_it_falls_between_the_same_ends(errors: np.ndarray, timesteps: int) -> None:
    schedule, start = LearnedSchedule(timesteps), NoiseSchedule("cosine", timesteps)
    spread = spread_of(errors)
    assert is_spread(list(spread))
    schedule.take(spread)
    NoiseSchedule.of_table("learned", schedule.alpha_bar)  # raises for one that does not fall
    assert schedule.alpha_bar[[0, -1]].tolist() == pytest.approx(start.alpha_bar[[0, -1]].tolist(), rel=1e-9)


def test_an_image_counts_in_the_bin_of_its_noise_level() -> None:
    schedule = LearnedSchedule(1000, spread=spread_of(np.stack([np.arange(BINS) ** 3.0, np.ones(BINS)])))
    t = torch.tensor([0, 500, 500, 999])
    sums, counts = schedule.measured(torch.tensor([1.0, 2.0, 3.0, 4.0]), t)
    assert counts.sum() == 4 and sums[0] == 1 and sums[-1] == 4
    place = int(sums[1:-1].argmax()) + 1
    assert (sums[place], counts[place]) == (5, 2)
    times = NoiseSchedule("cosine").alpha_bar
    nearest = int((times - schedule.alpha_bar[500]).abs().argmin())
    assert abs(nearest / 999 * BINS - place - 0.5) <= 0.6


@pytest.mark.parametrize("target", ["epsilon", "v", "x0", "flow"])
def test_the_error_of_x0_is_read_from_the_loss(target: str) -> None:
    diffusion = Diffusion(NoiseSchedule("cosine"), target)
    generator = torch.Generator().manual_seed(0)
    x0, noise, said = (torch.randn(3, 1, 4, 4, generator=generator) for _ in range(3))
    t = torch.tensor([100, 300, 500])
    output = diffusion.target(x0, t, noise) + 0.1 * said
    losses = (output - diffusion.target(x0, t, noise)).square().flatten(1).mean(1)
    off = diffusion.to_x0(output, diffusion.q_sample(x0, t, noise), t) - x0
    assert diffusion.x0_error(losses, x0, t) == pytest.approx(off.square().flatten(1).mean(1).numpy(), rel=1e-3)
    capped = diffusion.x0_error(losses * 1e9, x0, t)
    assert torch.equal(capped, x0.square().flatten(1).mean(1)), "never worse than mid-grey"


@pytest.mark.usefixtures("quick")
def test_a_run_learns_it_and_resumes_to_the_bit(tiny_config: Config, tmp_path: Path) -> None:
    made: dict[str, Any] = {"objective": "v", "schedule": "learned", "t_sampling": "uniform", "sample_interval": 0}
    list(Trainer(tiny_config(tmp_path / "whole", **made)))
    config = tiny_config(tmp_path / "cut", **made)
    events = iter(Trainer(config))
    for event in events:
        if isinstance(event, Step) and event.step == 6:
            break
    events.close()
    list(Trainer(config, resume=True))
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    one, two = (torch.load(RunDir(tmp_path / name).final, weights_only=True) for name in ("whole", "cut"))
    assert one["spread"] == two["spread"] != list(EVEN)
    assert torch.equal(one["errors"], two["errors"]) and one["errors"][1].sum() > 0
    assert read_run(tmp_path / "whole").spread == tuple(one["spread"])
    _sampling_uses_it(tmp_path / "whole", one, tmp_path)


def _sampling_uses_it(run: Path, content: dict[str, Any], folder: Path) -> None:
    """Samples of a checkpoint come by its own table, from an export too; one without it, or with a foreign one, is refused."""
    final = RunDir(run).final
    export_safetensors(final, folder / "model.safetensors")
    models = [load_model(final), load_model(folder / "model.safetensors")]
    table = LearnedSchedule(100, spread=tuple(content["spread"])).alpha_bar
    assert not torch.equal(table, NoiseSchedule("cosine", 100).alpha_bar)
    assert all(torch.equal(model.diffusion.schedule.alpha_bar, table) for model in models)
    torch.save(content | {"spread": list(EVEN)}, folder / "even.pt")
    drawn = []
    for model in (*models, load_model(folder / "even.pt")):
        *_, last = generate(model, SampleConfig(num_images=2, sampler="ddim", steps=5), CPU)
        drawn.append(last.frame.x)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])
    for hostile in (None, 5, [], [1.0], [0.0] * BINS, [float("nan")] * BINS, [1.0] * BINS, [True] * BINS, ["a"] * BINS):
        torch.save(content | {"spread": hostile}, folder / "hostile.pt")
        with pytest.raises(UserError, match="is damaged: what its schedule has learned makes no sense"):
            load_model(folder / "hostile.pt")


@pytest.mark.parametrize(
    "changes",
    [{"objective": "flow"}, {"objective": "v", "weighting": "min_snr"}, {"model": "reference", "learn_variance": True}],
)
def test_what_it_cannot_be_learned_with_is_one_sentence(changes: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="chooses the noise levels by the plain loss"):
        TrainConfig.of(schedule="learned", **changes)
    assert TrainConfig.of(schedule="learned", objective="flow", t_sampling="uniform")
