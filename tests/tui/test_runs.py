"""Runs: the list, live runs, curves over one another, opening, resuming and deleting."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import DataTable, Static

from core.config import TrainConfig
from core.runs.folder import RunDir, RunInfo
from tests.tui.modes import at_mode, until
from tinydiff_tui.jobs.runs import RunList, pulse
from tinydiff_tui.jobs.sheets import cut, newest_samples, read_samples
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.widgets.loss_chart import LossChart
from tinydiff_tui.widgets.pixel_grid import PixelGrid


@pytest.fixture
def folder(tmp_path: Path, tiny_run: Path) -> Path:
    """A working directory with two good runs and an unreadable one among them."""
    shutil.copytree(tiny_run, tmp_path / "one")
    shutil.copytree(tiny_run, tmp_path / "deeper" / "[b]two\x1b[31m")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


def runs_screen(pilot: Pilot[Any]) -> RunsScreen:
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, RunsScreen)
    return screen


async def listed(pilot: Pilot[Any], count: int) -> RunsScreen:
    screen = runs_screen(pilot)
    await until(pilot, lambda: len(screen.rows) == count and screen.query_one(DataTable).row_count == count)
    return screen


def point_at(screen: RunsScreen, part: str) -> None:
    place = next(i for i, row in enumerate(screen.rows) if part in row.key)
    screen.query_one(DataTable).move_cursor(row=place)


async def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        about = runs_screen(pilot).query_one("#about", Static)
        await until(pilot, lambda: "train one (3)" in str(about.content))
        await pilot.press("space", "o", "r", "d", "l", "R")
        assert isinstance(pilot.app.screen, RunsScreen)


async def test_good_and_unreadable_runs_are_listed_without_what_could_break_the_screen(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        cells = [str(c) for y in range(3) for c in screen.query_one(DataTable).get_row_at(y)]
        assert "unreadable" in cells
        assert any("[b]two" in cell for cell in cells)
        assert not any("\x1b" in cell for cell in cells)
        point_at(screen, "broken")
        await until(pilot, lambda: "cannot be read" in str(screen.query_one("#about", Static).content))
        await pilot.press("space", "o", "r", "d")
        assert pilot.app.screen is screen


async def test_marked_runs_are_drawn_over_one_another(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        chart = screen.query_one(LossChart)
        for part in ("one", "two"):
            point_at(screen, part)
            await pilot.press("space")
        assert len(chart.curves) == 2
        assert all(len(curve.losses) for curve in chart.curves)
        await pilot.press("l")
        assert chart.log_scale
        await pilot.press("space")
        assert len(chart.curves) == 1


async def test_a_live_run_is_followed_and_not_deleted(folder: Path) -> None:
    lock = RunDir(folder / "one").lock()
    try:
        info = json.loads((folder / "one" / "run.json").read_text())
        (folder / "one" / "run.json").write_text(json.dumps(info | {"status": "running"}))
        async with at_mode("runs", folder) as pilot:
            screen = await listed(pilot, 3)
            point_at(screen, "one")
            chart = screen.query_one(LossChart)
            await until(pilot, lambda: [curve.name for curve in chart.curves] == ["one"])
            before = len(chart.curves[0].losses)
            with (folder / "one" / "metrics.jsonl").open("a") as metrics:
                metrics.write(json.dumps({"step": 20, "loss": 0.25}) + "\n" + '{"step": 30, "lo')
            await pilot.press("R")
            await until(pilot, lambda: len(chart.curves[0].losses) == before + 1)
            assert "loss by quarter" not in str(screen.query_one("#about", Static).content)  # this line does not tell
            await pilot.press("d")
            await pilot.pause()
            assert pilot.app.screen is screen
            await pilot.press("r")
            await pilot.pause()
            assert pilot.app.current_mode == "runs"
    finally:
        lock.release()


async def test_delete_asks_first_and_takes_only_the_run(folder: Path) -> None:
    (folder / "one" / "notes.txt").write_text("mine")
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")  # keep it
        await until(pilot, lambda: pilot.app.screen is screen)
        assert (folder / "one" / "run.json").exists()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.rows) == 2)
        assert [p.name for p in (folder / "one").iterdir()] == ["notes.txt"]
        point_at(screen, "two")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.rows) == 1)
        assert not list((folder / "deeper").iterdir())


async def test_a_run_opens_in_sample(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("o")
        await until(pilot, lambda: pilot.app.current_mode == "sample")


@pytest.mark.usefixtures("small_glyphs")
async def test_an_unfinished_run_resumes_in_train(folder: Path) -> None:
    info = json.loads((folder / "one" / "run.json").read_text())
    (folder / "one" / "run.json").write_text(json.dumps(info | {"status": "stopped"}))
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("r")
        await until(pilot, lambda: pilot.app.current_mode == "train")
        train = pilot.app.screen
        assert isinstance(train, TrainScreen)
        await until(pilot, lambda: train.outcome == "finished")
        assert train.view is not None
        assert train.view.step == 12


def test_the_list_reads_again_a_run_that_was_cut_back(folder: Path) -> None:
    runs = RunList(folder)
    first = next(row for row in runs.read() if row.name == "one")
    assert first.curve is not None
    lines = (folder / "one" / "metrics.jsonl").read_text().splitlines()
    (folder / "one" / "metrics.jsonl").write_text(lines[0] + "\n")
    second = next(row for row in runs.read() if row.name == "one")
    assert second.curve is not None
    assert len(second.curve.losses) == 1


def test_a_live_run_says_how_it_gets_on(tmp_path: Path) -> None:
    config = TrainConfig.of(model="tiny", epochs=4, batch_size=50)
    run = RunInfo(tmp_path, config, "running", 0.0, 0, 400, "cpu")
    lines = [{"step": s, "loss": 1.0, "epoch": 2, "seconds": 100 + s / 2, "quartiles": [0.1, None, 0.3, 0.4]} for s in (100, 200)]
    assert pulse(run, lines) == "epoch 2 of 4 · 100 images/s · 1:40 left · loss by quarter of t 0.100 \N{EN DASH} 0.300 0.400"
    assert "paused" in pulse(dataclasses.replace(run, status="paused"), lines)
    assert pulse(run, []) == "no step is logged yet"
    assert pulse(run, [{"step": 10, "loss": 1.0, "seconds": "soon", "quartiles": 7}]) == ""


async def test_the_newest_samples_of_the_run_under_the_cursor_are_shown(folder: Path) -> None:
    """And newer ones as soon as they are there; of an unreadable run none."""
    from core import images

    async with at_mode("runs", folder, size=(200, 60)) as pilot:
        screen = await listed(pilot, 3)
        grid = screen.query_one(PixelGrid)
        point_at(screen, "one")
        await until(pilot, lambda: len(grid.images) == 64)
        sheet = newest_samples(folder / "one")
        assert sheet is not None
        assert np.array_equal(images.grid(grid.images).repeat(2, 0).repeat(2, 1)[:, :, 0], np.asarray(Image.open(sheet)))
        newer = np.random.default_rng(0).integers(40, 256, (6, 28, 28, 1), dtype=np.uint8)
        images.save_png(sheet.with_name("epoch_999.png"), images.grid(newer))
        await pilot.press("R")
        await until(pilot, lambda: len(grid.images) == 6)
        assert np.array_equal(grid.images, newer)
        point_at(screen, "broken")
        await until(pilot, lambda: len(grid.images) == 0)


def test_sheets_are_cut_as_they_were_tiled_and_foreign_files_are_none(tmp_path: Path) -> None:
    from core import images

    pictures = np.random.default_rng(0).integers(0, 256, (10, 5, 7, 3), dtype=np.uint8)
    images.save_png(tmp_path / "sheet.png", images.grid(pictures, 5))
    found = read_samples(tmp_path / "sheet.png")
    assert found is not None and np.array_equal(found, pictures)
    assert cut(np.full((4, 6, 1), 32, dtype=np.uint8)).shape == (1, 4, 6, 1)
    assert cut(np.zeros((4, 6, 1), dtype=np.uint8)).shape == (1, 4, 6, 1)
    (tmp_path / "torn.png").write_bytes((tmp_path / "sheet.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (5000, 5000)).save(tmp_path / "huge.png")
    for name in ("torn", "text", "huge"):
        assert read_samples(tmp_path / f"{name}.png") is None
    assert newest_samples(tmp_path) is None
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "epoch_0001.png").symlink_to(tmp_path / "sheet.png")
    assert newest_samples(tmp_path) is None
