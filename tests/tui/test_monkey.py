"""All keys at random, and resizes at every moment: no exception."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from core.runs.folder import RunDir
from tests.tui.modes import at_mode
from tinydiff_tui.widgets.key_bar import MODES

KEYS = [
    *"abcdefghijklmnoprstuvwxyz12345RDCG",
    *("plus", "minus", "space", "enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "question_mark", "left_square_bracket", "right_square_bracket", "ctrl+s", "ctrl+p"),
]
"""All but those that leave the app, and B, which starts processes; the palette may start one all the same."""
SECONDS = 60


@pytest.mark.slow
@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("mode", MODES)
async def test_keys_at_random_do_no_harm(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(mode)
    async with at_mode(mode, tmp_path) as pilot:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            if chance.random() < 0.03:
                await pilot.resize_terminal(chance.randint(5, 210), chance.randint(3, 65))
            await pilot.press(chance.choice(KEYS))
        await asyncio.to_thread(pilot.app.jobs.stop_all)  # type: ignore[attr-defined]
    for lock in tmp_path.rglob(".lock"):
        while (run := RunDir(lock.parent)).is_live():
            run.ask("stop")
