"""The real app, opened at a mode, for tests."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from textual.pilot import Pilot

from tinydiff_tui.app import TinydiffApp
from tinydiff_tui.screens.base import ModeScreen

PATIENCE = 60.0


async def until(pilot: Pilot[int], condition: Callable[[], bool]) -> None:
    """Let the app work until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await pilot.pause()


@asynccontextmanager
async def at_mode(mode: str, folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[int]]:
    """The app in a working directory, at a mode, with the engine loaded; data sets lie in folder/data."""
    app = TinydiffApp(data_dir=folder / "data", cwd=folder, start=mode)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, ModeScreen) and app.engine_ready)
        yield pilot
