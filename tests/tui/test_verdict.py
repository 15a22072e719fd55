"""The judge's panel, from Train and from Sample: the figures of `evaluate`, and nothing left behind when it is closed."""

import io
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Static

from core.judge.store import cache_files
from tests.tui.modes import at_mode, start, until
from tests.tui.test_sample import ready
from tinydiff_tui.cli import run
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
    table = shown[: shown.index("classes:")].rstrip()
    assert re.search(r"Frechet distance \(glyphs judge CNN v1\) +\d+\.\d{3} +\d+\.\d{3}", table)
    assert table.split() == capsys.readouterr().out.partition("looks at them")[2].partition("classes:")[0].split()


async def test_train_judges_its_newest_checkpoint_and_escape_stops_the_judge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 10**9)
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot)
        await until(pilot, lambda: screen.outcome == "finished")
        await pilot.press("j")
        await until(pilot, lambda: "training one, once" in said(pilot) and "left; escape stops" in said(pilot))
        await pilot.press("escape")
        await until(pilot, lambda: not pilot.app.jobs.running("judge"))  # type: ignore[attr-defined]
        assert pilot.app.screen is screen
        assert not any(path.exists() for path in cache_files("glyphs"))
