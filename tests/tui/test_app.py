"""The shell: modes, help, explanation, palette, themes, leaving, and what the texts promise."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from tests.tui.modes import at_mode, left, until
from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.app.settings import load_settings, settings_file
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.jump import Jump
from tinydiff_tui.screens.panels import Code, Explain, Help, explanation, key_groups, references, source_of
from tinydiff_tui.widgets.key_bar import MODES, NUMBERS, KeyBar


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_mode_opens_and_shows_all_its_keys(mode: str, size: tuple[int, int], tmp_path: Path) -> None:
    async with at_mode(mode, tmp_path, size) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, ModeScreen)
        assert mode == screen.MODE
        bar = screen.query_one(KeyBar)
        await until(pilot, lambda: bar.size.height >= bar.get_content_height(screen.size, screen.size, size[0]) > 0)
        assert screen.max_scroll_x == screen.max_scroll_y == 0


async def test_number_keys_switch_modes_and_each_explains_itself(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        app = pilot.app
        for key, mode in zip(NUMBERS, MODES, strict=True):
            app.screen.set_focus(None)
            await pilot.press(key)
            await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]
            app.screen.set_focus(None)
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, Explain))
            assert "{" not in app.screen.text  # type: ignore[attr-defined]
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, ModeScreen))


@pytest.mark.parametrize("mode", MODES)
def test_every_function_that_a_text_names_exists(mode: str) -> None:
    named = references(explanation(mode, {}))
    assert named
    for module, name in named:
        assert name.split(".")[-1] in source_of(module, name)


async def test_explain_opens_the_code_of_the_function(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, Explain) and isinstance(pilot.app.focused, OptionList))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Code))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModeScreen))


async def test_help_lists_every_binding_with_an_explanation(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        groups = dict(key_groups(pilot.app.screen))
        assert {text for _, text in groups["Everywhere"]} >= {"Look at data sets", "All keys that work now"}
        assert any("Look for runs" in text for _, text in groups["Runs"])
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, Help))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, ModeScreen))


@pytest.mark.parametrize("mode", MODES)
async def test_every_binding_has_a_description_and_a_tooltip(mode: str, tmp_path: Path) -> None:
    async with at_mode(mode, tmp_path) as pilot:
        own: Any = type(pilot.app.screen).BINDINGS
        for binding in own:
            assert binding.description, binding
            assert binding.tooltip, binding


def first_found(pilot: Pilot[None]) -> str:
    """What the palette would run first."""
    lists = pilot.app.screen.query(OptionList)
    return str(lists.first().get_option_at_index(0).prompt) if lists and lists.first().option_count else ""


async def test_the_palette_runs_a_binding(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        await pilot.press("ctrl+p")
        await pilot.press(*"explain")
        await until(pilot, lambda: first_found(pilot).startswith("Explain"))
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Explain))


async def test_enter_held_on_a_command_runs_it_once(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        await pilot.press("ctrl+p", *"choose a theme")
        await until(pilot, lambda: first_found(pilot).startswith("Choose"))
        for _ in range(30):
            pilot.app.post_message(Key("enter", "\r"))
        await until(pilot, lambda: first_found(pilot).startswith("ansi-dark"))
        assert len(pilot.app.screen_stack) == 2


async def test_the_jump_says_when_there_is_nothing_to_jump_to(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        await pilot.press("ctrl+o")
        await until(pilot, lambda: isinstance(pilot.app.screen, Jump))
        how = pilot.app.screen.query_one("#how", Static)
        assert "nothing here takes the focus" in str(how.content)


async def test_the_keys_take_the_colours_of_another_theme(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        bar, before = pilot.app.screen.query_one(KeyBar), pilot.app.theme_variables["accent"].lower()
        assert before in repr(bar.content)
        await pilot.press("t")
        accent = pilot.app.theme_variables["accent"].lower()
        await until(pilot, lambda: accent in repr(bar.content))


async def test_the_theme_is_remembered(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        before = pilot.app.theme
        await pilot.press("t")
        await until(pilot, lambda: load_settings().theme == pilot.app.theme != before)
        await pilot.press("t")
        await until(pilot, lambda: load_settings().theme == pilot.app.theme == before)
    assert json.loads(settings_file().read_text())["theme"] == before
    settings_file().write_text("{")
    assert load_settings().theme == "tinydiff-dark"


async def test_a_small_terminal_shows_a_notice(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, (50, 12)) as pilot:
        notice = pilot.app.screen.query_one("#small", Static)
        assert notice.display and "50 x 12 cells" in str(notice.content)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: not notice.display)


async def test_q_leaves_at_once_when_nothing_trains(tmp_path: Path) -> None:
    app = TinydiffApp(cwd=tmp_path, start="runs")
    async with app.run_test() as pilot:
        await pilot.press("q")
        await left(app)
    assert app.return_code == 0
    assert app.summary() == []


def test_the_app_draws_before_torch_and_numpy_are_imported(tmp_path: Path) -> None:
    """Each of them takes as long as a third of the first screen or more."""
    code = f"""
import asyncio, sys
from pathlib import Path
from tinydiff_tui.app.app import TinydiffApp

def ready(app):  # right after the first paint, in place of loading the engine
    late = ("torch", "numpy", "rich.progress", "filelock", "argparse", "core.config", "core.extend", "zipfile")
    app.exit(return_code=sum(name in sys.modules for name in late))

TinydiffApp.on_ready = ready

async def main():
    app = TinydiffApp(cwd=Path({str(tmp_path)!r}))
    await app.run_async(headless=True, size=(120, 40))
    sys.exit(app.return_code)

asyncio.run(main())
"""
    run = subprocess.run([sys.executable, "-c", code], timeout=240, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_deferred_numpy_is_numpy_and_leaves_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    code = """
import os
from tinydiff_tui.terminal.deferred import np
assert np.arange(3).tolist() == [0, 1, 2]
import numpy
assert np.ndarray is numpy.ndarray
print(os.environ.get("OPENBLAS_NUM_THREADS"))
"""
    for asked in ("3", ""):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", asked) if asked else monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
        run = subprocess.run([sys.executable, "-c", code], timeout=240, capture_output=True, text=True, check=True)
        assert run.stdout.strip() == (asked or "None")


def test_a_dumb_terminal_is_refused_in_one_sentence() -> None:
    run = subprocess.run([sys.executable, "-m", "tinydiff_tui"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert run.returncode == 2
    assert "tinydiff-tui train --plain" in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1
