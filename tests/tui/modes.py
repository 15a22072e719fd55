"""The real app, opened at a mode, for tests."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from textual._wait import wait_for_idle
from textual.app import App
from textual.pilot import Pilot

from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.widgets.train_form import TrainForm

PATIENCE = 240.0  # a loaded machine with two cores; below the timeout of a test, so that the wait is what is reported
SHORT = {
    "model": "tiny", "batch_size": "16", "epochs": "2", "precision": "fp32", "device": "cpu", "timesteps": "100",
    "sample_interval": "0",
}  # fmt: skip
ENDLESS = "100000"
"""Epochs of a run that a test stops: no machine gets to their end meanwhile."""
Pilot._wait_for_screen.__defaults__ = (PATIENCE,)  # its own 30 s for a key were once too few on a loaded machine
wait_for_idle.__defaults__ = (0.02, 0.2)  # a process that trains is never idle, and a key would take its 2 s every time


async def until(pilot: Pilot[Any], condition: Callable[[], bool]) -> None:
    """Let the app work until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        assert pilot.app._exception is None, "the app has stopped"
        await asyncio.sleep(0.01)
    await pilot.pause()


async def left(app: App[Any]) -> None:
    """Wait until the app wants to exit; the pilot cannot, since it asks for a screen that may be gone."""
    end = time.monotonic() + PATIENCE
    while not app._exit:
        assert time.monotonic() < end, "the app did not leave"
        await asyncio.sleep(0.01)


def three_pictures(folder: Path) -> str:
    """A data set of three grey pictures in a new folder."""
    folder.mkdir()
    for k in range(3):
        Image.new("L", (16, 16), 50 * k).save(folder / f"{k}.png")
    return f"folder:{folder}"


def train_screen(pilot: Pilot[Any]) -> TrainScreen:
    """The Train mode, under whatever panel."""
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, TrainScreen)
    return screen


async def fill(pilot: Pilot[Any], **values: str) -> TrainForm:
    """Write SHORT and what is given into the form."""
    form = train_screen(pilot).query_one(TrainForm)
    for name, value in (SHORT | values).items():
        form.row(name).write(value)
    await pilot.pause()
    return form


async def start(pilot: Pilot[Any], **values: str) -> TrainScreen:
    """Start a run from the form."""
    await fill(pilot, **values)
    await pilot.press("ctrl+s")
    return train_screen(pilot)


@asynccontextmanager
async def at_mode(mode: str, folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
    """The app in a working directory, at a mode, with the engine loaded; data sets lie in folder/data."""
    app = TinydiffApp(data_dir=folder / "data", cwd=folder, start=mode)
    try:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: isinstance(app.screen, ModeScreen) and app.engine_ready)
            yield pilot
    finally:
        await asyncio.to_thread(app.jobs.stop_all)  # as an app that is left does
