"""Foreign text and files that lie, seen in the app: they are no markup and no commands, and nothing ends or freezes it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.segment import Segment
from textual.content import Content
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Select, Static

from core.runs.folder import read_run
from core.runs.metrics import MetricsReader
from tests.tui.modes import at_mode, fill, until
from tests.tui.test_runs import about, runs_screen
from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.jobs.runs import RunList
from tinydiff_tui.jobs.sheets import read_samples
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.panels import Ask, Explain, Help
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.sample import SampleScreen
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.widgets.axes import Curve, Frame, draw
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.key_bar import MODES, NUMBERS
from tinydiff_tui.widgets.pixel_grid import PixelGrid

EVIL = "[/]\x1b]0;owned\x07\x1b[6n[b]\u202e"
"""A name: markup that ends nothing, a title, a question to the terminal, and text from right to left."""
FORBIDDEN = {chr(c) for c in [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was parsed as markup meanwhile."""
    texts: list[str] = []
    own = Content.from_markup

    def parse(markup: str | Content, **variables: object) -> Content:
        texts.append(str(markup))
        return own(markup, **variables)

    monkeypatch.setattr(Content, "from_markup", parse)
    return texts


def drawn(app: TinydiffApp) -> str:
    """The text of the whole screen, as it would go to the line."""
    return "".join(segment.text for strip in app.screen._compositor.render_strips() for segment in strip)


async def answers(pilot: Pilot[Any]) -> None:
    """The screen still answers: help opens and closes, and every mode comes."""
    app = pilot.app
    for _ in range(6):
        if not isinstance(app.screen, ModeScreen):
            await pilot.press("escape")
    app.screen.set_focus(None)
    await pilot.press("question_mark")
    await until(pilot, lambda: isinstance(app.screen, Help))
    await pilot.press("escape")
    for key, mode in zip(NUMBERS, MODES, strict=True):
        app.screen.set_focus(None)
        await pilot.press(key)
        await until(pilot, lambda mode=mode: app.current_mode == mode)  # type: ignore[misc]


@pytest.fixture
def evil_folder(tmp_path: Path, tiny_run: Path) -> Path:
    """Runs whose names and files say such things."""
    for name in (f"a{EVIL}".replace("/", ""), "a[/b]"):
        shutil.copytree(tiny_run, tmp_path / name)
        info = json.loads((tmp_path / name / "run.json").read_text())
        info["config"]["dataset"] = "folder:[/][b]"  # one with controls is no run of ours
        (tmp_path / name / "run.json").write_text(json.dumps(info | {"device": EVIL}))
    return tmp_path


@pytest.mark.parametrize("mode", MODES)
async def test_names_are_no_markup_and_no_commands(mode: str, evil_folder: Path, parsed: list[str]) -> None:
    async with at_mode(mode, evil_folder, (150, 50)) as pilot:
        app = pilot.app
        assert isinstance(app, TinydiffApp)
        app.notify(EVIL)
        app.dataset = f"folder:{EVIL}"
        if mode == "runs":
            screen = app.screen
            await until(pilot, lambda: isinstance(screen, RunsScreen) and len(screen.rows) == 2)
            await pilot.press("m", "down", "m")
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.screen, Ask))
            assert not FORBIDDEN & set(drawn(app))
            await pilot.press("escape")
        elif mode == "sample":
            await until(pilot, lambda: app.screen.query_one("#checkpoint", Select).value is not Select.NULL)
            app.screen.query_one("#checkpoint", Select).expanded = True
        elif mode == "data":
            await pilot.press("f")
            await until(pilot, lambda: bool(app.screen.query("#folder")))
            app.screen.query_one("#folder", Input).value = EVIL
            await pilot.press("enter")
        await pilot.pause()
        assert not FORBIDDEN & set(drawn(app))
        app.screen.set_focus(None)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, Explain))
        assert not FORBIDDEN & set(drawn(app))
        await pilot.press("escape")
        assert not [text for text in parsed if "[/" in text or "\x1b" in text]
        await answers(pilot)


@pytest.mark.parametrize("mode", ["train", "sample"])
async def test_every_field_takes_what_looks_like_markup(mode: str, tmp_path: Path) -> None:
    async with at_mode(mode, tmp_path, (120, 60)) as pilot:
        if mode == "train":
            await pilot.press("a")
        for field in pilot.app.screen.query(Input):
            field.value = "[/]\x1b[31m"
            await pilot.pause()
        await pilot.press("g" if mode == "sample" else "ctrl+s")
        assert not FORBIDDEN & set(drawn(pilot.app))  # type: ignore[arg-type]
        await answers(pilot)


async def test_a_checkpoint_whose_classes_are_markup_is_shown(tmp_path: Path) -> None:
    async with at_mode("sample", tmp_path, (120, 40)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        from tinydiff_tui.widgets.sample_form import SampleForm

        await until(pilot, lambda: screen.facts is not None)
        form = screen.query_one(SampleForm)
        form.offer_classes((EVIL, "[/x]", "[b"), 3)
        select = screen.query_one("#label", Select)
        select.value = 1
        select.expanded = True
        await pilot.pause()
        assert "[/x]" in drawn(pilot.app)  # type: ignore[arg-type]
        assert not FORBIDDEN & set(drawn(pilot.app))  # type: ignore[arg-type]
        await answers(pilot)


async def test_a_thousand_classes_and_two_thousand_checkpoints_can_be_chosen_from(tmp_path: Path) -> None:
    async with at_mode("sample", tmp_path) as pilot:
        from tinydiff_tui.widgets.sample_form import SampleForm

        screen: Any = pilot.app.screen
        await until(pilot, lambda: screen.facts is not None)  # whose classes those of the test take the place of
        form = screen.query_one(SampleForm)
        form.offer_classes(tuple(f"class {k}" for k in range(1000)), 1000)
        form.offer(tuple((f"run {k}", tmp_path / f"{k}.pt") for k in range(2000)), None)
        select = form.query_one("#label", Select)
        select.focus()
        await pilot.press("enter", "end", "enter")
        assert select.value == 999


# --- what a crash says


@pytest.mark.parametrize("said", ["[/]", "closing [/b] nothing\x1b[2J"])
async def test_a_crash_is_one_plain_sentence_and_an_exit_code(said: str, tmp_path: Path) -> None:
    app = TinydiffApp(cwd=tmp_path, start="runs")
    printed: list[str] = []
    app._print_error_renderables = lambda: printed.extend(  # type: ignore[method-assign]
        segment.text for shown in app._exit_renderables for segment in app.console.render(shown) if isinstance(segment, Segment)
    )
    with pytest.raises(ValueError, match="/"):
        async with app.run_test() as pilot:
            app.call_later(lambda: (_ for _ in ()).throw(ValueError(said)))
            await pilot.pause()
            await pilot.pause()
    text = "".join(printed)
    assert "stopped by an error of its own: ValueError" in text and said.partition("\x1b")[0] in text.replace("\n", "")
    assert "\x1b" not in text
    assert app.return_code == 1


# --- panels


async def test_a_panel_closes_once_however_often_it_is_told_to(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        app: Any = pilot.app
        for panel in (Ask("?", {"a": "A", "": "B"}), Help([])):
            await app.push_screen(panel)
            panel.dismiss("a")
            panel.dismiss("a")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        app.action_command_palette()
        await pilot.pause()
        palette = app.screen
        palette.dismiss()
        palette.dismiss()
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await app.push_screen(under := Help([]))
        app.action_command_palette()
        await pilot.pause()
        palette = app.screen
        palette.dismiss()
        palette.dismiss()
        await until(pilot, lambda: app.screen is under)
        await answers(pilot)


# --- runs that change under the list


def lines(*entries: tuple[float, float]) -> str:
    return "".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in entries)


@pytest.mark.parametrize(
    "second",
    [
        lines((1, 9.0)),  # shorter
        lines(*((k, 9.0) for k in range(1, 40))),  # longer, and something else
        lines(*((k, 1.0) for k in range(1, 6)), *((k, 9.0) for k in range(6, 30))),  # cut back, and grown beyond
        lines((5, 9.0), (4, 9.0), (4, 9.0), (2**53, 9.0)),
        "",
    ],
)
@pytest.mark.parametrize("replaced", [True, False])
def test_a_run_that_was_overwritten_is_read_anew(second: str, replaced: bool, tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    file = tmp_path / "run" / "metrics.jsonl"
    file.write_text(lines(*((k, 1.0) for k in range(1, 20))))
    runs = RunList(tmp_path)
    runs.read()
    if replaced:
        (tmp_path / "other").write_text(second)
        (tmp_path / "other").replace(file)
    else:
        file.write_text(second)
    (row,) = runs.read()
    (fresh,) = RunList(tmp_path).read()
    assert np.array_equal(row.curve.x, fresh.curve.x)
    assert np.array_equal(row.curve.y, fresh.curve.y)
    assert [row.cells[:5], row.cells[6:]] == [fresh.cells[:5], fresh.cells[6:]]  # all but the age


def test_a_long_run_is_read_in_parts_and_once(tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinydiff_tui.jobs.runs.MOST_LINES", 10)
    shutil.copytree(tiny_run, tmp_path / "run")
    (tmp_path / "run" / "metrics.jsonl").write_text(lines(*((k, float(k)) for k in range(1, 36))))
    asked: list[int] = []
    own = MetricsReader.read

    def read(reader: MetricsReader) -> Iterator[dict[str, Any]]:
        asked.append(reader._offset)
        return own(reader)

    monkeypatch.setattr(MetricsReader, "read", read)
    runs = RunList(tmp_path)
    seen = [len(rows[0].curve.x) for rows in runs.reading()]
    assert seen == [10, 20, 30, 35]
    assert len(set(asked)) == len(asked)
    runs.read()
    assert asked[-1] == (tmp_path / "run" / "metrics.jsonl").stat().st_size


@pytest.mark.parametrize("loss", [1.7e308, -1.7e308, 0.0, -1.0, 5e-324])
@pytest.mark.parametrize("steps", [(1, 2, 3), (3, 2, 1), (2, 2, 2), (2**53, 2**53, 2**53), (0, 1, 2**53), (2**53 - 1, 2**53, 5)])
@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.filterwarnings("error")
def test_every_curve_can_be_drawn(loss: float, steps: tuple[int, ...], log_scale: bool) -> None:
    one = Curve(np.array(steps, dtype=float), np.array([loss, 1.0, np.nan]), "loss", "a")
    other = Curve(np.array(steps, dtype=float), np.array([loss] * 3), "held", "b", dots=True)
    for curves in ([one], [one, other], [other]):
        rows = draw(curves, 60, 12, Frame(log=log_scale))
        assert len(rows) == 12 or (not rows and curves[0] is other)
        assert all(sum(len(text) for text, _ in row) <= 60 for row in rows)


async def test_looking_again_at_a_run_that_was_overwritten_elsewhere(tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    file = tmp_path / "run" / "metrics.jsonl"
    file.write_text(lines(*((k, 1.0) for k in range(1, 200))))
    async with at_mode("runs", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        chart = screen.query_one(Chart)
        await until(pilot, lambda: bool(chart.curves) and len(chart.curves[0].x) == 199)
        newer = file.with_name("newer")
        newer.write_text(lines((7, 1.7e308), (3, 0.5), (2**53, -1.0)))
        newer.replace(file)
        await pilot.press("R", "l")
        await until(pilot, lambda: len(chart.curves[0].x) < 199)
        await answers(pilot)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
async def test_samples_that_cannot_be_read_are_looked_at_once(
    tmp_path: Path, tiny_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    for sheet in (tmp_path / "run" / "samples").iterdir():
        sheet.unlink()
    bomb = tmp_path / "run" / "samples" / "epoch_001.png"
    Image.new("L", (2000, 2000)).save(bomb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert read_samples(bomb) is None
    looked: list[Path] = []

    def read(path: Path) -> Pixels | None:
        looked.append(path)
        return read_samples(path)

    monkeypatch.setattr("tinydiff_tui.screens.runs.read_samples", read)
    monkeypatch.setattr("tinydiff_tui.screens.runs.REFRESH_SECONDS", 0.05)
    async with at_mode("runs", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        await until(pilot, lambda: len(looked) > 0)
        for _ in range(20):
            screen.look()
            await pilot.pause(0.05)
        assert looked == [bomb]


# --- keys


async def test_home_and_end_move_rows(tmp_path: Path, tiny_run: Path) -> None:
    for name in "abc":
        shutil.copytree(tiny_run, tmp_path / name)
    async with at_mode("runs", tmp_path) as pilot:
        table = pilot.app.screen.query_one(DataTable)
        await until(pilot, lambda: table.row_count == 3)
        await pilot.press("end")
        assert table.cursor_row == 2
        await pilot.press("home")
        assert table.cursor_row == 0
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.current_mode == "train")
        await pilot.press("home")
        assert pilot.app.focused is not None and pilot.app.focused.id == "field-dataset"
        pilot.app.screen.query_one("#start").focus()
        await pilot.press("shift+tab", "tab", "home")
        assert pilot.app.focused.id == "field-dataset"


async def test_tab_past_an_empty_field_is_no_error(tmp_path: Path) -> None:
    async with at_mode("sample", tmp_path, (120, 40)) as pilot:
        fields = list(pilot.app.screen.query(Input))
        for field in fields:
            field.value = ""
        for _ in range(16):
            await pilot.press("tab")
        assert not [field.id for field in fields if field.has_class("-invalid")]
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        await pilot.press("a", *["tab"] * 40)
        assert not pilot.app.screen.query(".-bad")
        assert str(pilot.app.screen.query_one("#problem", Static).content) == ""


@pytest.mark.parametrize("width", [70, 120, 200])
async def test_the_options_are_shown_and_folded_at_every_width(width: int, tmp_path: Path) -> None:
    from tinydiff_tui.widgets.sample_form import SampleForm

    async with at_mode("sample", tmp_path, (width, 40)) as pilot:
        form, at_first = pilot.app.screen.query_one(SampleForm), width >= 110
        for shown in (not at_first, at_first, not at_first):
            await pilot.press("a")
            await until(pilot, lambda shown=shown: bool(form.region) == shown)  # type: ignore[misc]


@pytest.mark.parametrize(("status", "says"), [("crashed", "its process ended"), ("diverged", "no number any more")])
async def test_a_run_that_failed_says_so(status: str, says: str, tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "run")
    info = json.loads((tmp_path / "run" / "run.json").read_text())
    info["status"] = "running" if status == "crashed" else status  # nobody holds its lock
    (tmp_path / "run" / "run.json").write_text(json.dumps(info))
    async with at_mode("runs", tmp_path, (120, 40)) as pilot:
        await until(pilot, lambda: says in about(runs_screen(pilot)))
        assert {"resume", "delete"} <= {active.binding.action for active in pilot.app.screen.active_bindings.values()}
        assert "ask('pause')" not in {active.binding.action for active in pilot.app.screen.active_bindings.values()}


async def test_a_training_that_fails_says_so_in_log_headline_and_keys(tmp_path: Path, small_glyphs: None) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        await fill(pilot, epochs="100000")
        await pilot.press("ctrl+s")
        screen: Any = pilot.app.screen
        await until(pilot, lambda: screen.view is not None and screen.view.step > 0)
        assert "space" in screen.active_bindings and screen.active_bindings["space"].binding.description == "Pause"
        await pilot.press("space")
        await until(pilot, lambda: screen.active_bindings["space"].binding.description == "Go on")
        await pilot.press("space")
        await until(pilot, lambda: screen.active_bindings["space"].binding.description == "Pause")
        await until(pilot, lambda: read_run(tmp_path / "outputs").status == "running")
        (tmp_path / "outputs").rename(tmp_path / "elsewhere")  # at once: what trains goes on writing meanwhile
        (tmp_path / "outputs").write_text("in the way")
        await pilot.press("c")
        await until(pilot, lambda: screen.outcome == "failed")
        assert "failed at step" in screen.view.log[-1]
        assert screen.query_one("#run", Box).state == "failed"
        actions = {active.binding.action for active in screen.active_bindings.values()}
        assert "new_run" in actions and not {"pause", "go_on", "stop", "checkpoint"} & actions


async def test_samples_do_not_stay_under_another_runs_name(tmp_path: Path, tiny_run: Path) -> None:
    for name in "ab":
        shutil.copytree(tiny_run, tmp_path / name)
    shutil.rmtree(tmp_path / "b" / "samples")
    async with at_mode("runs", tmp_path, (200, 60)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, RunsScreen)
        grid = screen.query_one("#samples", PixelGrid)
        table = screen.query_one(DataTable)
        await until(pilot, lambda: len(screen.rows) == 2)
        places = {row.name: place for place, row in enumerate(screen.rows)}
        table.move_cursor(row=places["a"])
        await until(pilot, lambda: len(grid.images) > 1)
        table.move_cursor(row=places["b"])
        screen._show()
        assert len(grid.images) == 0
        await until(pilot, lambda: not pilot.app.jobs.running("newest samples"))  # type: ignore[attr-defined]
        assert len(grid.images) == 0


async def test_pictures_of_one_checkpoint_go_when_another_is_chosen(tmp_path: Path, tiny_run: Path) -> None:
    for name in "ab":
        shutil.copytree(tiny_run, tmp_path / name)
    async with at_mode("sample", tmp_path, (120, 40)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        await until(pilot, lambda: screen.facts is not None)
        screen.query_one("#steps", Input).value = "2"
        await pilot.press("g")
        await until(pilot, lambda: screen.drawn is not None and not pilot.app.jobs.running("sample"))  # type: ignore[attr-defined]
        assert len(screen.trajectory.grid.images)
        other = next(p for p in (tmp_path / n / "model_final.pt" for n in "ab") if p != screen.drawn_from)
        screen.query_one("#checkpoint", Select).value = other
        await until(pilot, lambda: screen.drawn is None)
        assert not len(screen.trajectory.grid.images) and screen.trajectory.pictures is None
        await pilot.press("w", "W", "space", "x", "z", "left")
        assert not list(tmp_path.rglob("sampled*"))
