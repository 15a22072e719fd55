"""All keys at random, pastes, clicks, and resizes at every moment: no exception, and afterwards the screen still answers."""

import asyncio
import random
from pathlib import Path

import pytest
from textual import events

from core.runs.folder import RunDir
from tests.tui.modes import at_mode, until
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.panels import Help
from tinydiff_tui.widgets.key_bar import MODES, NUMBERS

KEYS = [
    *"abcdefghijklmnoprstuvwxyz1234567RDCGMuW",
    *("plus", "minus", "space", "enter", "escape", "tab", "shift+tab", "up", "down", "left", "right", "home", "end"),
    *("pageup", "pagedown", "question_mark", "left_square_bracket", "right_square_bracket", "ctrl+s", "ctrl+p"),
    *("slash", "tilde", "colon", "dollar_sign", "backspace", "delete"),
]
"""All but those that leave the app, and B, which starts processes; the palette may start one all the same."""
PASTES = [
    "[/]",
    "[/b] $x",
    "~nobody/[",
    "folder:~/[/]",
    "a\x1b[31mb",
    "9" * 400,
    "1e999",
    "-1",
    "∞",
    "x" * 5000,
    "two\nlines",
    "",
]
DEEDS = 150


@pytest.mark.slow
@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("mode", MODES)
async def test_keys_at_random_do_no_harm(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(mode)
    async with at_mode(mode, tmp_path) as pilot:
        app = pilot.app
        for _ in range(DEEDS):
            deed = chance.random()
            if deed < 0.03:
                await pilot.resize_terminal(chance.randint(5, 210), chance.randint(3, 65))
            elif deed < 0.08:
                app.post_message(events.Paste(chance.choice(PASTES)))
            elif deed < 0.13 and app.size:
                await pilot.click(offset=(chance.randrange(app.size.width), chance.randrange(app.size.height)))
            elif deed < 0.2:
                await pilot.press(*chance.choices(KEYS, k=2))  # in one packet
            else:
                await pilot.press(chance.choice(KEYS))
        await asyncio.to_thread(app.jobs.stop_all)  # type: ignore[attr-defined]  # nothing asks for the judge later on
        await pilot.resize_terminal(100, 30)
        while not isinstance(app.screen, ModeScreen):
            before = app.screen
            await pilot.press("escape")
            await until(pilot, lambda before=before: app.screen is not before)  # type: ignore[misc]
        for key, shown in zip(NUMBERS, MODES, strict=True):
            app.screen.set_focus(None)
            await pilot.press(key)
            await until(pilot, lambda shown=shown: app.current_mode == shown)  # type: ignore[misc]
            app.screen.set_focus(None)
            await pilot.press("question_mark")
            await until(pilot, lambda: isinstance(app.screen, Help))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, ModeScreen))
        await asyncio.to_thread(app.jobs.stop_all)  # type: ignore[attr-defined]
    for lock in tmp_path.rglob(".lock"):
        while (run := RunDir(lock.parent)).is_live():
            run.ask("stop")
