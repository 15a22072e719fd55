"""The one table of names: every entry's code is there, and a new entry is found wherever names are offered."""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from core.config import SampleConfig, TrainConfig
from core.diffusion.samplers import Frame
from core.diffusion.schedule import NoiseSchedule, of_alpha_bar
from core.errors import UserError
from core.names import DATASETS, NETWORKS, OBJECTIVES, SAMPLERS, SCHEDULES, STARTS, Entry, Sampler, Schedule
from tests.conftest import TINY
from tests.tui.modes import at_mode, until
from tinydiff_tui import cli

TABLES: tuple[dict[str, Any], ...] = (SCHEDULES, OBJECTIVES, NETWORKS, SAMPLERS, STARTS, DATASETS)


def steep(timesteps: int) -> tuple[Tensor, Tensor]:
    """A schedule of this test."""
    return of_alpha_bar(lambda u: math.cos(u * 1.5) ** 4, timesteps)


def leap(denoise: Any, x: Tensor, schedule: NoiseSchedule, timesteps: list[int], noise: Any) -> Iterator[Frame]:
    """A sampler of this test: DDIM with eta = 0."""
    for i, (t, following) in enumerate(pairwise([*timesteps, -1])):
        (a, s), (a_next, s_next) = schedule.point(t), schedule.point(following)
        x0 = denoise(x, t).x0
        yield Frame(i, len(timesteps), t, x, x0)
        x = a_next * x0 + s_next * (x - a * x0) / s
    yield Frame(len(timesteps), len(timesteps), -1, x, x)


@pytest.mark.parametrize("entry", [entry for table in TABLES for entry in table.values()], ids=lambda entry: entry.code)
def test_every_entry_leads_to_its_code(entry: Entry) -> None:
    assert callable(entry.load())
    assert entry.help
    assert Path(entry.place.partition(":")[0]).is_file() or (Path(__file__).parents[2] / entry.place.partition(":")[0]).is_file()


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sampler and one schedule more: a function and an entry each."""
    monkeypatch.setitem(SCHEDULES, "steep", Schedule(name="steep", help="falls late", code=f"{__name__}:steep", formula="cos⁴"))
    sampler = Sampler(name="leap", help="leaps", code=f"{__name__}:leap", formula="x′ = leap", evaluations=7)
    monkeypatch.setitem(SAMPLERS, "leap", sampler)


def test_a_new_entry_trains_and_samples(added: None, small_glyphs: None, tmp_path: Path) -> None:
    from core.compute.device import choose_compute
    from core.diffusion.generate import generate
    from core.runs.checkpoint import load_model
    from core.training import Trainer

    config = TrainConfig.of(**(TINY | {"output_dir": str(tmp_path / "run"), "objective": "v", "schedule": "steep", "epochs": 1}))
    for _ in Trainer(config):
        pass
    model = load_model(tmp_path / "run" / "model_final.pt")
    assert model.config.schedule == "steep"
    drawn = {}
    for sampler in ("leap", "ddim"):
        wanted = SampleConfig(num_images=2, sampler=sampler, steps=5 if sampler == "ddim" else 0)
        spent = wanted.resolve(model.config, model.label_count).steps
        assert spent == (5 if sampler == "ddim" else 7)
        options = SampleConfig(num_images=2, sampler=sampler, steps=5)
        *_, last = generate(model, options, choose_compute("cpu", "fp32", 2))
        drawn[sampler] = last.frame.x
    assert torch.allclose(drawn["leap"], drawn["ddim"], atol=1e-5)


def test_a_new_entry_is_on_the_command_line(added: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.run(["train", "--help"])
    assert "steep falls late" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        cli.run(["sample", "--help"])
    assert "leap leaps" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(UserError, match="leap"):
        SampleConfig.asked(sampler="magic")
    with pytest.raises(UserError, match="steep"):
        TrainConfig.of(schedule="magic", objective="v")


async def test_a_new_entry_is_in_the_app(added: None, small_glyphs: None, tmp_path: Path) -> None:
    from textual.widgets import Select

    from tinydiff_tui.screens.noise import NoiseScreen
    from tinydiff_tui.screens.panels import Explain, references, source_of

    async with at_mode("noise", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, NoiseScreen)
        await until(pilot, lambda: screen.noising is not None)
        seen = []
        for _ in SCHEDULES:
            seen.append(screen.schedule)
            await pilot.press("s")
        assert seen == list(SCHEDULES)
        assert seen[-1] == "steep"
        await pilot.press("e")
        explain = pilot.app.screen
        assert isinstance(explain, Explain)
        assert "steep" in explain.text
        (place,) = [place for place in references(explain.text) if place[1] == "steep"]
        assert "A schedule of this test" in source_of(*place)
        await pilot.press("escape", "3")
        await pilot.pause()
        schedules = pilot.app.screen.query_one("#field-schedule", Select)
        assert "steep" in [value for _, value in schedules._options]
        await pilot.press("4")
        await pilot.pause()
        samplers = pilot.app.screen.query_one("#sampler", Select)
        assert "leap" in [value for _, value in samplers._options]
        assert "x′ = leap" in pilot.app.screen.explain_values()["samplers"]  # type: ignore[attr-defined]
