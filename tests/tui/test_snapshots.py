"""Whole screens as SVG: layout, colours and texts at 80x24. After a change that is meant: pytest --snapshot-update this file.

What is shown is made here from fixed numbers, with names relative to the working directory: no clock, no path, no noise.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Static

from core.config import TrainConfig
from tests.tui.modes import until
from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.widgets.train_form import TrainForm

Compare = Callable[..., bool]


@pytest.fixture(autouse=True)
def plain_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def opened(start: str) -> Any:
    """The app at a mode, in the working directory."""
    return TinydiffApp(data_dir=Path("data"), cwd=Path(), start=start)


def when(condition: Callable[[Any], object], *keys: str) -> Callable[[Pilot[Any]], Any]:
    """Wait for what the screenshot is to show, then press keys."""

    async def wait(pilot: Pilot[Any]) -> None:
        app: Any = pilot.app
        await until(pilot, lambda: app.engine_ready and bool(condition(app.screen)))
        await pilot.press(*keys)
        await pilot.pause()

    return wait


def test_data(snap_compare: Compare) -> None:
    for number in range(12):
        folder = Path("shapes", "ab"[number % 2])
        folder.mkdir(parents=True, exist_ok=True)
        picture = np.zeros((28, 28), np.uint8)
        picture[number : number + 8, 4:24] = 20 * (number + 1)
        Image.fromarray(picture).save(folder / f"{number}.png")
    app = opened("data")
    app.dataset = "folder:shapes"
    assert snap_compare(app, terminal_size=(80, 24), run_before=when(lambda screen: screen.opened is not None))


def test_train_form(snap_compare: Compare) -> None:
    async def fill_in(pilot: Pilot[Any]) -> None:
        await when(lambda screen: screen.query_one("#start").has_focus)(pilot)
        form = pilot.app.screen.query_one(TrainForm)  # every default is filled in: recipes and the number of fields may change
        form.fill({"dataset": "mnist", "model": "tiny", "epochs": 3, "budget": "5m", "batch_size": 64, "lr": 7.0,
                   "objective": "v", "output_dir": "mine"})  # fmt: skip
        form.query_one("#folded", Static).update("more fields")
        await pilot.pause()

    assert snap_compare(opened("train"), terminal_size=(80, 24), run_before=fill_in)


def test_runs(snap_compare: Compare) -> None:
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
    listed = when(lambda screen: len(screen.rows) == 2, "space", "down", "space")
    assert snap_compare(opened("runs"), terminal_size=(80, 24), run_before=listed)


def test_explanation(snap_compare: Compare) -> None:
    assert snap_compare(opened("runs"), terminal_size=(80, 24), run_before=when(lambda screen: screen.list is not None, "e"))
