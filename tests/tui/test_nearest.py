"""The nearest training images beside a sample: by pixels, by the features of a judge where there is one, planted copies first."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from core.data.datasets import open_dataset
from core.judge.store import load_judge
from tests.tui.modes import at_mode, until
from tests.tui.test_sample import generated, place  # noqa: F401
from tinydiff_tui.jobs import nearness
from tinydiff_tui.screens.nearest import Nearest
from tinydiff_tui.screens.sample import SampleScreen
from tinydiff_tui.widgets.sheet import SpreadGrid

pytestmark = pytest.mark.usefixtures("hasty_judge")


async def opened(pilot: Pilot[None]) -> Nearest:
    """The panel, with what it found."""
    await until(pilot, lambda: isinstance(pilot.app.screen, Nearest))
    panel = pilot.app.screen
    assert isinstance(panel, Nearest)
    await found(pilot, panel)
    return panel


async def found(pilot: Pilot[None], panel: Nearest) -> None:
    jobs = pilot.app.jobs  # type: ignore[attr-defined]
    await until(pilot, lambda: panel.shown is not None and not jobs.running("nearest"))
    await until(pilot, lambda: bool(panel.query_one(SpreadGrid).rows.size))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_sample_under_the_cursor_stands_beside_real_images(place: Path, size: tuple[int, int]) -> None:  # noqa: F811
    async with at_mode("sample", place, size) as pilot:
        screen = await generated(pilot)
        await pilot.press("down", "down", "i")
        panel = await opened(pilot)
        assert panel.index == 2 and panel.shown is not None and len(panel.shown.kin) == 1  # no judge was trained
        images = open_dataset("glyphs").images.numpy()
        assert screen.drawn is not None
        distances = np.sqrt(((images.astype(float) - screen.drawn.newest.x[2]) ** 2).mean((1, 2, 3)))
        (kin,) = panel.shown.kin
        assert list(kin.numbers) == np.argsort(distances)[:5].tolist()
        assert kin.distances == pytest.approx(np.sort(distances)[:5])
        rows = panel.query_one(SpreadGrid).rows
        assert np.array_equal(rows[0, 0], screen.drawn.newest.x[2]) and np.array_equal(rows[0, 1], images[kin.numbers[0]])
        assert f"#{kin.numbers[0]}" in str(panel.query_one("#about", Static).content)
        await pilot.press("right")
        await found(pilot, panel)
        assert panel.index == 3 and not np.array_equal(panel.query_one(SpreadGrid).rows[0, 0], rows[0, 0])
        await pilot.press("left", "left")
        await found(pilot, panel)
        assert panel.index == 1
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))


async def test_a_panel_that_is_opened_while_the_one_before_still_searches_finds_behind_it(
    place: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, held = nearness.looking, threading.Event()

    def looking(*arguments: Any) -> Iterator[nearness.Nearness]:
        held.wait(60)
        yield from real(*arguments)

    monkeypatch.setattr(nearness, "looking", looking)
    async with at_mode("sample", place) as pilot:
        await generated(pilot)
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, Nearest))
        monkeypatch.setattr(nearness, "looking", real)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, SampleScreen))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(pilot.app.screen, Nearest))
        assert pilot.app.screen.shown is None  # type: ignore[attr-defined]
        held.set()
        await opened(pilot)


async def test_a_planted_copy_is_found_by_pixels_and_by_features(place: Path) -> None:  # noqa: F811
    judge = load_judge("glyphs")
    assert judge is not None
    images = open_dataset("glyphs").images.numpy()
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        assert screen.facts is not None
        await pilot.app.push_screen(Nearest(images[[17, 41]], 1, screen.facts.config))
        panel = await opened(pilot)
        assert panel.shown is not None
        assert [kin.measure for kin in panel.shown.kin] == ["pixels", "features"]
        assert [(kin.numbers[0], kin.distances[0]) for kin in panel.shown.kin] == [(41, 0), (41, pytest.approx(0, abs=1e-4))]


async def test_without_pictures_there_is_nothing_to_compare(place: Path) -> None:  # noqa: F811
    async with at_mode("sample", place) as pilot:
        await pilot.press("i")
        assert isinstance(pilot.app.screen, SampleScreen)
