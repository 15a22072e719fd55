"""The judge's panel, from Train and from Sample: the figures of `evaluate`, and nothing left behind when it is closed."""

import dataclasses
import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import OptionList, Static

from core.judge.store import cache_files, half_of
from core.runs.folder import RunDir
from core.runs.remarks import read_verdicts
from tests.tui.modes import at_mode, start, until
from tests.tui.test_sample import ready
from tinydiff_tui.cli import run
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.verdict import IMAGES, Verdict

pytestmark = pytest.mark.usefixtures("hasty_judge")


def said(pilot: Pilot[Any]) -> str:
    """What the panel shows."""
    assert isinstance(pilot.app.screen, Verdict)
    console = Console(width=120, file=io.StringIO())
    with console.capture() as capture:
        console.print(pilot.app.screen.query_one("#verdict", Static).content)
    return capture.get()


async def test_sample_shows_what_evaluate_prints(tmp_path: Path, tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tiny_run, tmp_path / "outputs")
    async with at_mode("sample", tmp_path) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await until(pilot, lambda: "Inception" in said(pilot))
        shown = said(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Verdict))
    checkpoint = str(tmp_path / "outputs" / "model_final.pt")
    capsys.readouterr()
    assert run(["evaluate", "--checkpoint", checkpoint, "--num-images", str(IMAGES), "--plain"]) == 0
    app, command = read_verdicts(RunDir(tmp_path / "outputs"))
    assert app == dataclasses.replace(command, time=app.time, seconds=app.seconds)
    assert (app.checkpoint, app.step, app.count, app.judge) == ("model_final.pt", 12, IMAGES, "glyphs judge CNN v1")
    assert f"{app.distance:.3f}" in shown and f"{app.floor:.3f}" in shown and app.seconds > 0 and app.evaluations > 0
    table = shown[: shown.index("classes:")].rstrip()
    assert re.search(r"Frechet distance \(glyphs judge CNN v1\) +\d+\.\d{3} +\d+\.\d{3}", table)
    printed = capsys.readouterr().out
    assert table.split() == printed[printed.index("generated") :].partition("classes:")[0].split()


async def test_train_judges_its_newest_checkpoint_and_escape_stops_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which says first how long it learns, and keeps what it has learned."""
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 10**6)
    monkeypatch.setattr("core.judge.store.LEAST_STEPS", 22)
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot)
        await until(pilot, lambda: screen.outcome == "finished")
        await pilot.press("j")
        await until(pilot, lambda: "training one takes about" in said(pilot))
        assert isinstance(pilot.app.focused, OptionList)
        await pilot.press("enter")
        await until(pilot, lambda: "training one, once" in said(pilot) and "and what is learned is kept" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.jobs.running("judge"))  # type: ignore[attr-defined]
        assert pilot.app.screen is screen
        assert [half_of(path).exists() for path in cache_files("glyphs")] == [True]
        await pilot.press("j")
        await until(pilot, lambda: "the rest of its training takes about" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.jobs.running("judge"))  # type: ignore[attr-defined]
        assert not read_verdicts(RunDir(tmp_path / "outputs"))


async def test_what_the_judge_says_in_runs_stands_in_the_table(tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "outputs")
    async with at_mode("runs", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        await until(pilot, lambda: len(screen.shown) == 1)
        await pilot.press("j")
        await until(pilot, lambda: "Inception" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: screen.shown[0].verdict is not None)
        (kept,) = read_verdicts(RunDir(tmp_path / "outputs"))
        assert f"{kept.distance:.2f}" in [str(cell) for cell in screen.table.get_row_at(0)]


async def test_no_judge_is_trained_that_was_not_wanted(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 10**6)
    shutil.copytree(tiny_run, tmp_path / "outputs")
    async with at_mode("sample", tmp_path) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await until(pilot, lambda: "training one takes about" in said(pilot))
        await pilot.press("down", "enter")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Verdict))
        await until(pilot, lambda: not pilot.app.jobs.running("judge"))  # type: ignore[attr-defined]
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


async def test_figures_that_cannot_be_kept_are_shown_all_the_same(tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "outputs")
    (tmp_path / "outputs" / "verdicts.jsonl").mkdir()
    async with at_mode("sample", tmp_path) as pilot:
        await ready(pilot)
        await pilot.press("j")
        await until(pilot, lambda: "Inception" in said(pilot))
        await until(pilot, lambda: any("verdict is not kept" in toast.message for toast in pilot.app._notifications))
