"""Every mode as SVG, layout, colours and texts, at 80x24 and 120x40. After a change that is meant: pytest --snapshot-update this.

What is shown is made here from fixed numbers, with names relative to the working directory: no clock, no path, no noise; what a
machine measures or draws in its own way is replaced by fixed numbers before the picture is taken.
"""

import dataclasses
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import OptionList

from core.config import TrainConfig
from tests.tui.modes import until
from tests.tui.test_train import view_of
from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.jobs.plan import Plan
from tinydiff_tui.screens.panels import Explain
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.dashboard import Dashboard, Standing
from tinydiff_tui.widgets.film import PictureBox
from tinydiff_tui.widgets.key_bar import KeyBar
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.plan_box import PlanBox
from tinydiff_tui.widgets.train_form import TrainForm

Compare = Callable[..., bool]
every_size = pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=lambda size: f"{size[0]}x{size[1]}")
GREY = np.linspace(0, 255, 28 * 28).astype(np.uint8).reshape(1, 28, 28, 1)


@pytest.fixture(autouse=True)
def plain_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYDIFF_DATA_DIR", "data")


def opened(start: str) -> Any:
    """The app at a mode, in the working directory."""
    return TinydiffApp(data_dir=Path("data"), cwd=Path(), start=start)


def when(condition: Callable[[Any], object], *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Wait for what the screenshot is to show, then press keys."""

    async def wait(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await until(pilot, lambda: app.engine_ready and bool(condition(app.screen)))
        await pilot.press(*keys)
        await at_rest(pilot)

    return wait


async def at_rest(pilot: Pilot[Any]) -> None:
    """Wait until the screen looks twice in succession as it did: what is laid out late is there."""
    looks = [""]

    def same() -> bool:
        looks.append(pilot.app.export_screenshot(simplify=True))
        return looks[-1] == looks[-2]

    for _ in range(2):
        await until(pilot, same)


def shapes() -> str:
    """A folder of twelve pictures in two classes, and its name as a data set."""
    for number in range(12):
        folder = Path("shapes", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((28, 28), np.uint8)
        picture[number : number + 8, 4:24] = 20 * (number + 1)
        Image.fromarray(picture).save(folder / f"{number}.png")
    return "folder:shapes"


@every_size
def test_data(snap_compare: Compare, size: tuple[int, int]) -> None:
    app = opened("data")
    app.dataset = shapes()
    assert snap_compare(app, terminal_size=size, run_before=when(lambda screen: screen.opened is not None))


@every_size
def test_noise(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def replace(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await when(lambda screen: not app.jobs.running("noise") and len(screen.query_one("#x_t", PixelGrid).images))(pilot)
        for grid in app.screen.query(PixelGrid):
            grid.show(GREY.repeat(len(grid.images), axis=0), [str(k) for k in range(len(grid.images))])
        for chart in app.screen.query(Chart):
            chart.show(())
        await pilot.pause()

    app = opened("noise")
    app.dataset = shapes()
    assert snap_compare(app, terminal_size=size, run_before=replace)


@every_size
def test_train_form(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def fill_in(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        form = app.screen.query_one(TrainForm)
        form.fill({"dataset": "glyphs", "model": "tiny", "epochs": 3, "budget": "5m", "batch_size": 64, "lr": 7.0,
                   "objective": "v", "output_dir": "mine", "device": "cpu", "precision": "fp32", "threads": 2})  # fmt: skip
        box = app.screen.query_one(PlanBox)
        await when(lambda _: len(box.query_one("#lines").render().plain) > 20 and not app.jobs.running("plan"))(pilot)
        box.show(plan(), measuring=False)
        await pilot.pause()

    assert snap_compare(opened("train"), terminal_size=size, run_before=fill_in)


def plan() -> Plan:
    return Plan(
        shape=(28, 28, 1), images=20_000, classes=10, batch_size=64, steps_per_epoch=312, folder="new", free_bytes=72 * 10**9,
        recipe=TrainConfig.of(model="tiny", epochs=3),
        parameters=123_456, steps=936, epochs=3.0, seconds=300.0, images_per_second=200.0, checkpoints=3, disk_bytes=9 * 10**6,
        device="cpu", precision="fp32", threads=2,
    )  # fmt: skip


@every_size
def test_dashboard(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def show(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await when(lambda _: not app.jobs.running("plan"))(pilot)
        app.screen.add_class("-running")
        await pilot.pause()
        app.screen.query_one(Dashboard).show(view_of(6, 10), Standing("running"), whole=True)
        await pilot.pause()

    assert snap_compare(opened("train"), terminal_size=size, run_before=show)


@every_size
def test_sample(snap_compare: Compare, size: tuple[int, int]) -> None:
    ready = when(lambda screen: screen.facts is not None)
    assert snap_compare(opened("sample"), terminal_size=size, run_before=ready)


@every_size
def test_runs(snap_compare: Compare, size: tuple[int, int]) -> None:
    for number, status in enumerate(("finished", "stopped")):
        folder = Path(f"run-{number}")
        folder.mkdir()
        config = TrainConfig.of(model="tiny", epochs=2, output_dir=str(folder)).to_dict()
        hours = 3600 * (number + 2.5)
        info = {"config": config, "status": status, "started": time.time() - hours, "step": 400 - 100 * number}
        (folder / "run.json").write_text(json.dumps(info | {"total_steps": 400, "device": "cpu, fp32, 2 threads"}))
        losses = (2 / step**0.3 + 0.1 * number for step in range(10, 400 - 100 * number, 10))
        lines = (json.dumps({"step": 10 * n, "loss": round(loss, 4)}) for n, loss in enumerate(losses, start=1))
        (folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    listed = when(lambda screen: len(screen.rows) == 2, "m", "down", "m")
    assert snap_compare(opened("runs"), terminal_size=size, run_before=listed)


@every_size
def test_learn(snap_compare: Compare, size: tuple[int, int]) -> None:
    async def replace(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await when(lambda screen: screen.wanted is None and not screen.has_class("-empty"), "right", "enter")(pilot)
        await until(pilot, lambda: app.screen.outcome is not None and len(app.screen.query("#text Markdown > *")) > 2)
        screen = app.screen
        grey = GREY.repeat(2 * 4, axis=0).reshape(2, 4, 28, 28, 1)
        scene = dataclasses.replace(screen.outcome.scene, pictures=grey, curves=())
        screen.outcome = dataclasses.replace(screen.outcome, scene=scene, said="so it is.")
        screen._show_scene(scene)
        screen._ask()
        await pilot.pause()

    assert snap_compare(opened("learn"), terminal_size=size, run_before=replace)


@every_size
@pytest.mark.parametrize("part", ["steer", "draw", "race"])
def test_play(snap_compare: Compare, size: tuple[int, int], part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def replace(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await when(lambda screen: screen.facts is not None)(pilot)
        app.screen.action_show_part(part)
        await until(pilot, lambda: not app.jobs.running("steer"))
        for box in app.screen.part.query(PictureBox):
            count = len(box.grid.images) or 4
            box.show(GREY.repeat(count, axis=0), [str(k) for k in range(count)])
            box.figures = "0.12 s" if box.figures else ""
        await at_rest(pilot)

    monkeypatch.setattr("tinydiff_tui.screens.play_part.Part.in_sight", False)  # what a machine draws is its own
    assert snap_compare(opened("play"), terminal_size=size, run_before=replace)


def test_explanation(snap_compare: Compare) -> None:
    async def explain(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await when(lambda screen: screen.list is not None and not app.jobs.running("runs"))(pilot)
        app.screen.query_one(KeyBar).display = False  # below the panel it may still be that of before the list was read
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Explain) and len(app.screen.query("Markdown > *")) > 3)
        await until(pilot, lambda: app.screen.query_one(OptionList).has_focus)
        await at_rest(pilot)

    assert snap_compare(opened("runs"), terminal_size=(80, 24), run_before=explain)
