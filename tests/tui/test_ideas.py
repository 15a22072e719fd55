"""A person's own file in the app: in every list, read again at a key while it is edited beside it, and kept for a training."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from textual.pilot import Pilot
from textual.widgets import Select

from core.extend import files
from core.names import SCHEDULES
from core.runs.folder import RunDir, read_run
from tests.core.test_extend import EXAMPLE
from tests.tui.modes import ENDLESS, at_mode, start, train_screen, until
from tinydiff_tui.screens.noise import NoiseScreen
from tinydiff_tui.screens.panels import Explain, references, source_of
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.data_side import SetList
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber
from tinydiff_tui.widgets.train_form import TrainForm

TEXT = "from core.extend import schedule\n\n@schedule('bent', formula='1 - u^{0}')\ndef bent(u):\n    return 1 - u ** {0}\n"

pytestmark = [pytest.mark.usefixtures("own_names", "small_glyphs")]


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A file with one schedule, read."""
    path = tmp_path / "mine.py"
    path.write_text(TEXT.format(2))
    files.load([str(path)])
    return path


def said(pilot: Pilot[Any]) -> str:
    return " ".join(note.message for note in pilot.app._notifications)


async def test_the_curve_changes_while_the_file_is_edited_beside_it(mine: Path, tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = cast(NoiseScreen, pilot.app.screen)
        await until(pilot, lambda: screen.noising is not None)
        while screen.schedule != "bent":
            await pilot.press("s")

        def curve() -> float:
            from tinydiff_tui.jobs.noising import tables

            return float(tables("bent")[0][500])

        screen.query_one(Scrubber).value = 500
        await pilot.pause()
        pictured = screen.query_one("#x_t", PixelGrid).images.copy()
        before = curve()
        mine.write_text(TEXT.format(5))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "read again" in said(pilot))
        assert before == pytest.approx(1 - 0.501**2, abs=1e-3)
        assert curve() == pytest.approx(1 - 0.501**5, abs=1e-3)
        assert "1 - u^5" in str(screen.query_one("#slider-box", Box).title)
        assert not np.array_equal(screen.query_one("#x_t", PixelGrid).images, pictured)
        mine.write_text("oh no")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "mine.py, line 1: SyntaxError" in said(pilot))
        assert screen.schedule == "bent" and curve() == pytest.approx(1 - 0.501**5, abs=1e-3)


async def test_new_names_come_into_the_lists(mine: Path, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        await pilot.press("escape", "1", "4", "3")
        form = train_screen(pilot).query_one(TrainForm)
        form.row("schedule").write("bent")
        text = EXAMPLE.read_text() + TEXT.format(2)
        mine.write_text(text)
        await pilot.press("escape", "ctrl+r")
        await until(pilot, lambda: "read again" in said(pilot))
        assert form.row("schedule").read() == "bent"
        for name, there in (("schedule", "steep"), ("model", "patches")):
            options = form.query_one(f"#field-{name}", Select)
            assert there in [value for _, value in options._options]
        await pilot.press("4")
        await pilot.pause()
        assert "restart" in [value for _, value in pilot.app.screen.query_one("#sampler", Select)._options]
        await pilot.press("escape", "e")
        await pilot.pause()
        assert isinstance(pilot.app.screen, Explain)
        (place,) = [place for place in references(pilot.app.screen.text) if place[1] == "restart"]
        assert "Consistency models sample like this" in source_of(*place)
        await pilot.press("escape", "1")
        await pilot.pause()
        assert "spirals" in pilot.app.screen.query_one(SetList).names


async def test_a_training_keeps_what_it_is_made_of(mine: Path, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, schedule="bent", objective="v", epochs=ENDLESS, output_dir="run")
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        used = SCHEDULES["bent"]
        mine.write_text(TEXT.format(4).replace("'bent'", "'other'"))
        await pilot.press("ctrl+r")
        await until(pilot, lambda: "stay as they were" in said(pilot))
        assert SCHEDULES["bent"] is used and "other" in SCHEDULES
        await pilot.press("X")
        await until(pilot, lambda: not pilot.app.jobs.running("train"))  # type: ignore[attr-defined]
        assert read_run(tmp_path / "run").status == "stopped"
        assert RunDir(tmp_path / "run").last.exists()


async def test_without_a_file_there_is_nothing_to_read_again(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        assert "ctrl+r" not in pilot.app.screen.active_bindings
        await pilot.press("ctrl+r")
        assert "read again" not in said(pilot)
