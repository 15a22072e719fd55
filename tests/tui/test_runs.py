"""Runs: the list, live runs, curves over one another, opening, resuming and deleting."""

import dataclasses
import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from core.config import TrainConfig
from core.runs.folder import RunDir, RunInfo, read_run
from core.runs.remarks import keep_verdict, read_note, write_note
from core.training.distil import as_taught, with_teacher
from tests.core.test_runs import VERDICT
from tests.tui.modes import at_mode, until
from tinydiff_tui.commands.flags import make_parser
from tinydiff_tui.commands.options import given
from tinydiff_tui.jobs.runs import RunList, RunRow, Told, arranged, differences, pulse, short_names
from tinydiff_tui.jobs.sheets import cut, newest_samples, read_samples
from tinydiff_tui.jobs.starting import train_flags
from tinydiff_tui.screens.note import Note
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.text import cut as head
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.run_table import RunTable, tail
from tinydiff_tui.widgets.sheet import Labels, SheetGrid, row_tile
from tinydiff_tui.widgets.train_form import TrainForm


@pytest.fixture
def folder(tmp_path: Path, tiny_run: Path) -> Path:
    """A working directory with two good runs and an unreadable one among them."""
    shutil.copytree(tiny_run, tmp_path / "one")
    shutil.copytree(tiny_run, tmp_path / "deeper" / "[b]two\x1b[31m")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    return tmp_path


def runs_screen(pilot: Pilot[Any]) -> RunsScreen:
    screen = pilot.app.screen_stack[0]
    assert isinstance(screen, RunsScreen)
    return screen


async def sent_to_train(pilot: Pilot[Any], part: str, key: str) -> TrainScreen:
    """Press a key on a run of three that leads to Train; the screen there."""
    point_at(await listed(pilot, 3), part)
    await pilot.press(key)
    await until(pilot, lambda: pilot.app.current_mode == "train")
    train = pilot.app.screen
    assert isinstance(train, TrainScreen)
    return train


def about(screen: RunsScreen) -> str:
    """What the panel of facts says."""
    console = Console(width=100, file=io.StringIO())
    with console.capture() as capture:
        console.print(screen.query_one("#about", Static).content)
    return " ".join(capture.get().split())


async def listed(pilot: Pilot[Any], count: int) -> RunsScreen:
    screen = runs_screen(pilot)
    await until(pilot, lambda: len(screen.rows) == count and screen.query_one(DataTable).row_count == count)
    return screen


def point_at(screen: RunsScreen, part: str) -> None:
    place = next(i for i, row in enumerate(screen.rows) if part in row.key)
    screen.query_one(DataTable).move_cursor(row=place)


async def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        screen = runs_screen(pilot)
        nothing = screen.query_one("#runs Empty", Empty)
        await until(pilot, lambda: "n trains one" in nothing.text)
        assert nothing.size.height > 10 and not screen.views.display and str(tmp_path) in nothing.text
        await pilot.press(*"morxdlgjNwz[]R><X", "space", "slash", "escape")
        assert pilot.app.screen is screen
        await pilot.press("n")
        await until(pilot, lambda: pilot.app.current_mode == "train")


async def test_the_first_run_that_comes_is_under_the_keys(tmp_path: Path, tiny_run: Path) -> None:
    async with at_mode("runs", tmp_path, size=(120, 40)) as pilot:
        screen = runs_screen(pilot)
        await until(pilot, lambda: not screen.views.display and pilot.app.focused is None)
        shutil.copytree(tiny_run, tmp_path / "one")
        await pilot.press("R")
        await listed(pilot, 1)
        await until(
            pilot, lambda: pilot.app.focused is screen.table and screen.query_one("#runs", Box).has_pseudo_class("focus-within")
        )


async def test_good_and_unreadable_runs_are_listed_without_what_could_break_the_screen(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        cells = [str(c) for y in range(3) for c in screen.query_one(DataTable).get_row_at(y)]
        assert "\N{BALLOT X} unreadable" in cells and "broken" in cells
        assert any("[b]two" in cell for cell in cells)
        assert not any("\x1b" in cell for cell in cells)
        point_at(screen, "broken")
        await until(pilot, lambda: "cannot be read" in about(screen))
        await pilot.press(*"mordgjNT")
        assert pilot.app.screen is screen


async def test_marked_runs_are_drawn_over_one_another(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        chart = screen.query_one(Chart)
        for part in ("one", "two"):
            point_at(screen, part)
            await pilot.press("m")
        assert [curve.name for curve in chart.curves] == ["one", "[b]two\N{REPLACEMENT CHARACTER}[31m"]
        assert [curve.style for curve in chart.curves] == list(screen.marked.values()) == ["x0", "loss"]
        assert all(len(curve.y) for curve in chart.curves)
        dots = {str(row[1]): row[0] for row in map(screen.table.get_row_at, range(3))}
        assert str(dots["one"].style) == pilot.app.theme_variables["x0"]
        await pilot.press("l")
        assert chart.frame.log
        await pilot.press("m")
        assert [curve.name for curve in chart.curves] == ["", "loss"]  # one alone shows its raw losses too


async def test_a_live_run_is_followed_and_not_deleted(folder: Path) -> None:
    lock = RunDir(folder / "one").lock()
    try:
        info = json.loads((folder / "one" / "run.json").read_text())
        (folder / "one" / "run.json").write_text(json.dumps(info | {"status": "running"}))
        async with at_mode("runs", folder) as pilot:
            screen = await listed(pilot, 3)
            point_at(screen, "one")
            chart = screen.query_one(Chart)
            await until(pilot, lambda: screen.views.box("facts").figures == "one" and len(chart.curves) == 2)
            before = len(chart.curves[0].y)
            with (folder / "one" / "metrics.jsonl").open("a") as metrics:
                metrics.write(json.dumps({"step": 20, "loss": 0.25}) + "\n" + '{"step": 30, "lo')
            await pilot.press("R")
            await until(pilot, lambda: len(chart.curves[0].y) == before + 1)
            assert "loss by quarter" not in about(screen)  # this line does not tell
            await pilot.press("d")
            await pilot.pause()
            assert pilot.app.screen is screen
            await pilot.press("r")
            await pilot.pause()
            assert pilot.app.current_mode == "runs"
    finally:
        lock.release()


@pytest.mark.usefixtures("small_glyphs")
async def test_a_run_is_distilled_in_train(folder: Path) -> None:
    """Its checkpoint stands in the form, the plan is the teacher's, and what starts is a student."""
    async with at_mode("runs", folder, (120, 40)) as pilot:
        train = await sent_to_train(pilot, "one", "T")
        form = train.query_one(TrainForm)
        assert form.row("teacher").read() == "one/model_final.pt"
        assert form.row("budget").default_text == "5m" and form.row("dataset").default_text == "the teacher's"
        lines = train.query_one("#lines", Static)
        await until(pilot, lambda: "teacher" in str(lines.content) and "tiny" in str(lines.content))
        form.row("dataset").write("mnist")
        await until(pilot, lambda: "dataset is the teacher's" in str(form.query_one("#problem", Static).content))
        form.fill({"teacher": "one/model_final.pt", "epochs": 1, "batch_size": 16, "output_dir": "student"})
        await pilot.press("ctrl+s")
        await until(pilot, lambda: train.outcome == "finished")
        assert train.view is not None and train.view.recipe.endswith("distilled")
        assert read_run(folder / "student").config.teacher == str(folder / "one" / "model_final.pt")
        await pilot.press("T")
        await until(pilot, lambda: "is distilled itself" in str(lines.content))
        train.resume_run(folder / "student")
        form.row("epochs").write(2)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")
        await until(pilot, lambda: train.view is not None and train.view.step == 12 and train.outcome == "finished")


def test_the_flags_of_a_detached_student_leave_out_what_is_its_teachers(folder: Path) -> None:
    """Or the command that they start would take them for asked for, and refuse."""
    teacher = str(folder / "one" / "model_final.pt")
    ways: list[dict[str, Any]] = [{}, {"epochs": 3}, {"budget": ""}]
    for asked in ways:
        config = TrainConfig.of(teacher=teacher, output_dir=str(folder / "student"), **asked)
        options = make_parser().parse_args(["train", *train_flags(config)])
        assert as_taught(given(options, TrainConfig)) == with_teacher(config)[0]


def deleting(pilot: Pilot[None], run: Path) -> bool:
    """Its run.json goes first, so that it may be listed no more before the rest has gone."""
    return bool(pilot.app.jobs.running(f"delete {run}"))  # type: ignore[attr-defined]


async def test_delete_asks_first_and_takes_only_the_run(folder: Path) -> None:
    (folder / "one" / "notes.txt").write_text("mine")
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")  # keep it
        await until(pilot, lambda: pilot.app.screen is screen)
        assert (folder / "one" / "run.json").exists()
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.rows) == 2 and not deleting(pilot, folder / "one"))
        assert [p.name for p in (folder / "one").iterdir()] == ["notes.txt"]
        point_at(screen, "two")
        await pilot.press("d")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(screen.rows) == 1 and not deleting(pilot, folder / "deeper" / "two"))
        assert not list((folder / "deeper").iterdir())


async def test_a_run_opens_in_sample(folder: Path) -> None:
    async with at_mode("runs", folder) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("o")
        await until(pilot, lambda: pilot.app.current_mode == "sample")


@pytest.mark.usefixtures("small_glyphs")
async def test_an_unfinished_run_resumes_in_train(folder: Path) -> None:
    info = json.loads((folder / "one" / "run.json").read_text())
    (folder / "one" / "run.json").write_text(json.dumps(info | {"status": "stopped"}))
    async with at_mode("runs", folder) as pilot:
        train = await sent_to_train(pilot, "one", "r")
        await until(pilot, lambda: train.outcome == "finished")
        assert train.view is not None
        assert train.view.step == 12


def test_the_list_reads_again_a_run_that_was_cut_back(folder: Path) -> None:
    runs = RunList(folder)
    first = next(row for row in runs.read() if row.name == "one")
    assert len(first.curve.y) > 1
    lines = (folder / "one" / "metrics.jsonl").read_text().splitlines()
    (folder / "one" / "metrics.jsonl").write_text(lines[0] + "\n")
    second = next(row for row in runs.read() if row.name == "one")
    assert len(second.curve.y) == 1


def test_a_live_run_says_how_it_gets_on(tmp_path: Path) -> None:
    config = TrainConfig.of(model="tiny", epochs=4, batch_size=50)
    run = RunInfo(tmp_path, config, "running", 0.0, 0, 400, "cpu")
    lines = [{"step": s, "loss": 1.0, "epoch": 2, "seconds": 100 + s / 2, "quartiles": [0.1, None, 0.3, 0.4]} for s in (100, 200)]
    assert pulse(run, lines) == "epoch 2 of 4 · 100 images/s · 1:40 left · loss by quarter of t 0.100 \N{EN DASH} 0.300 0.400"
    assert "paused" in pulse(dataclasses.replace(run, status="paused"), lines)
    assert pulse(run, []) == "no step is logged yet"
    assert pulse(run, [{"step": 10, "loss": 1.0, "seconds": "soon", "quartiles": 7}]) == ""


async def test_the_newest_samples_of_the_run_under_the_cursor_are_shown(folder: Path) -> None:
    """And newer ones as soon as they are there; of an unreadable run none."""
    from core import images

    async with at_mode("runs", folder, size=(200, 60)) as pilot:
        screen = await listed(pilot, 3)
        grid = screen.query_one("#samples", PixelGrid)
        point_at(screen, "one")
        await until(pilot, lambda: len(grid.images) == 64)
        sheet = newest_samples(folder / "one")
        assert sheet is not None
        assert np.array_equal(images.grid(grid.images).repeat(3, 0).repeat(3, 1)[:, :, 0], np.asarray(Image.open(sheet)))
        newer = np.random.default_rng(0).integers(40, 256, (6, 28, 28, 1), dtype=np.uint8)
        images.save_png(sheet.with_name("epoch_999.png"), images.grid(newer))
        await pilot.press("R")
        await until(pilot, lambda: len(grid.images) == 6)
        assert np.array_equal(grid.images, newer)
        point_at(screen, "broken")
        await until(pilot, lambda: len(grid.images) == 0)


def test_sheets_are_cut_as_they_were_tiled_and_foreign_files_are_none(tmp_path: Path) -> None:
    from core import images

    pictures = np.random.default_rng(0).integers(0, 256, (10, 5, 7, 3), dtype=np.uint8)
    images.save_png(tmp_path / "sheet.png", images.grid(pictures, 5))
    found = read_samples(tmp_path / "sheet.png")
    assert found is not None and np.array_equal(found, pictures)
    assert cut(np.full((4, 6, 1), 32, dtype=np.uint8)).shape == (1, 4, 6, 1)
    assert cut(np.zeros((4, 6, 1), dtype=np.uint8)).shape == (1, 4, 6, 1)
    (tmp_path / "torn.png").write_bytes((tmp_path / "sheet.png").read_bytes()[:60])
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (5000, 5000)).save(tmp_path / "huge.png")
    Image.fromarray(images.grid(pictures, 5)).save(tmp_path / "plain.png")  # of another program, or of an older version
    found = read_samples(tmp_path / "plain.png")
    assert found is not None and np.array_equal(found, pictures)
    doubled = images.grid(pictures, 5).repeat(2, 0).repeat(2, 1)
    Image.fromarray(doubled).save(tmp_path / "before.png")  # as files were written that do not say so
    found = read_samples(tmp_path / "before.png")
    assert found is not None and np.array_equal(found, pictures)
    for name in ("torn", "text", "huge"):
        assert read_samples(tmp_path / f"{name}.png") is None
    assert newest_samples(tmp_path) is None
    (tmp_path / "samples").mkdir()
    (tmp_path / "samples" / "epoch_0001.png").symlink_to(tmp_path / "sheet.png")
    assert newest_samples(tmp_path) is None


# --- sorting, filtering, differing


def row_of(name: str, **changes: Any) -> RunRow:
    """A row of a run with these changes of its config, or of the row itself."""
    own = {key: changes.pop(key) for key in list(changes) if key in ("loss", "seconds", "step", "verdict", "note")}
    status, started = changes.pop("status", "finished"), changes.pop("started", 0.0)
    config = TrainConfig.of(**{"model": "tiny", "epochs": 4} | changes)
    return RunRow(name, name, RunInfo(Path(name), config, status, started, 0, 400, "cpu"), **own)


ROWS = (
    row_of("b", loss=0.3, step=100, seconds=9.0, started=3.0, verdict=VERDICT, dataset="mnist"),
    row_of("A", loss=0.2, step=400, seconds=3.0, started=2.0, status="running", note="with a warm-up"),
    row_of("c", step=7, started=1.0, verdict=dataclasses.replace(VERDICT, distance=1.0), model="fast"),
    RunRow("broken", "broken", error="broken cannot be read"),
)


@pytest.mark.parametrize(
    ("column", "order"),
    [("run", "Abc"), ("status", "Abc"), ("loss", "Abc"), ("distance", "cbA"), ("step", "Abc"), ("trained", "bAc"),
     ("data set", "Acb"), ("model", "cbA"), ("note", "Abc"), ("age", "bAc")],
)  # fmt: skip
def test_runs_are_sorted_the_best_first_and_those_without_a_value_last(column: str, order: str) -> None:
    assert [row.name for row in arranged(ROWS, "", column, back=False)] == [*order, "broken"]
    back = [row.name for row in arranged(ROWS, "", column, back=True)]
    assert back[-1] == "broken" and sorted(back) == sorted([*order, "broken"])
    missing = {"loss": "c", "distance": "A", "trained": "c"}.get(column)
    assert missing is None or back[2] == missing


@pytest.mark.parametrize(
    ("words", "found"),
    [("", "bAc"), ("b mnist", "b"), ("MNIST", "b"), ("finished", "bc"), ("warm", "A"), ("tiny  flow", "bA"), ("fast", "c"),
     ("zzz", "")],
)  # fmt: skip
def test_the_filter_looks_at_name_data_set_model_note_and_status(words: str, found: str) -> None:
    assert [row.name for row in arranged(ROWS, words, "age", back=False) if row.info] == list(found)


def test_only_the_fields_that_differ_are_named_as_in_the_form(tmp_path: Path) -> None:
    rows = [row_of("a", lr=0.01), row_of("b", lr=0.002, output_dir=str(tmp_path), zero_terminal_snr=True, objective="v")]
    found = dict(differences(rows))
    assert (
        found["lr"] == ("0.01", "0.002") and found["zero terminal snr"] == ("no", "yes") and found["objective"] == ("flow", "v")
    )
    assert "output dir" not in found and "model" not in found
    assert differences([rows[0], ROWS[-1]]) == differences([]) == []


def test_short_names_still_tell_runs_apart() -> None:
    assert short_names([row_of("x/a"), row_of("y/b")]) == {"x/a": "a", "y/b": "b"}
    assert short_names([row_of("x/a"), row_of("y/a")]) == {"x/a": "x/a", "y/a": "y/a"}


@pytest.mark.parametrize("text", ["plain", "\u4e16" * 200, "a" * 200, "\u05d0" * 50, ""])
@pytest.mark.parametrize("most", [1, 2, 7, 24])
def test_texts_are_cut_by_cells(text: str, most: int) -> None:
    for cut_text in (head(text, most), tail(text, most)):
        assert cell_len(cut_text) <= most
        assert cut_text == text or "\N{HORIZONTAL ELLIPSIS}" in cut_text


async def test_keys_and_headings_sort_and_say_so(folder: Path) -> None:
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        assert "age \N{BLACK UP-POINTING TRIANGLE}" in headings(screen)
        await pilot.press("greater_than_sign")
        assert screen.sort == ("data set", False)
        point_at(screen, "one")
        x = next(i for i in range(100) if screen.table.render_line(0).crop(i, i + 4).text == "loss")
        for back in (False, True):
            await pilot.click(RunTable, offset=(x, 0))
            await pilot.pause()
            assert screen.sort == ("loss", back)
            assert screen.chosen is not None and screen.chosen.name == "one"  # the cursor stays with its run
        assert "loss \N{BLACK DOWN-POINTING TRIANGLE}" in headings(screen)


def headings(screen: RunsScreen) -> str:
    return screen.table.render_line(0).text


async def test_a_click_marks_and_points(folder: Path) -> None:
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        place = next(i for i, row in enumerate(screen.shown) if row.name == "one")
        await pilot.click(RunTable, offset=(1, 1 + place))
        await until(pilot, lambda: [Path(name).name for name in screen.marked] == ["one"])
        assert screen.table.cursor_row == place
        await pilot.click(RunTable, offset=(8, 1 + (place + 1) % 3))
        assert screen.table.cursor_row == (place + 1) % 3 and len(screen.marked) == 1


async def test_the_filter_takes_words_that_come_with_its_key(folder: Path) -> None:
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        await pilot.press("slash", *"two")
        assert [row.name for row in screen.shown] == ["deeper/[b]two\N{REPLACEMENT CHARACTER}[31m"]
        assert screen.query_one("#runs", Box).title == "runs \N{MIDDLE DOT} \u201ctwo\u201d"
        await pilot.press("enter")
        assert pilot.app.focused is screen.table and len(screen.shown) == 1
        await pilot.press("slash", *"zzz")
        assert not screen.shown and "no run has all of these words: zzz" in screen.query_one("#runs Empty", Empty).text
        await pilot.press("escape")
        assert pilot.app.focused is screen.table and len(screen.shown) == 3 and not screen.query_one("#filter", Input).display


async def test_a_note_is_written_kept_and_found(folder: Path) -> None:
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        await pilot.press("N")
        await until(pilot, lambda: isinstance(pilot.app.screen, Note))
        await pilot.press(*"try [b]", "enter")
        await until(pilot, lambda: any(row.note == "try [b]" for row in screen.rows))
        assert read_note(RunDir(folder / "one")) == "try [b]" and "try [b]" in about(screen)
        assert "try [b]" in [str(cell) for cell in screen.table.get_row_at(screen.table.cursor_row)]
        await pilot.press("N")
        await until(pilot, lambda: isinstance(pilot.app.screen, Note))
        await pilot.press("x", "escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert read_note(RunDir(folder / "one")) == "try [b]"


async def test_the_best_verdict_and_the_note_of_another_process_appear(folder: Path) -> None:
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        point_at(screen, "one")
        run = RunDir(folder / "one")
        for distance in (3.5, 2.25, 9.0):
            keep_verdict(run.final, dataclasses.replace(VERDICT, distance=distance))
        write_note(run, "from elsewhere")
        await pilot.press("R")
        await until(pilot, lambda: any(row.note == "from elsewhere" for row in screen.rows))
        assert "2.25" in [str(cell) for cell in screen.table.get_row_at(screen.table.cursor_row)]
        assert "distance 2.25, where real images have 0.5: 256 images, unipc 6, step 12" in about(screen)


async def test_the_distance_that_was_told_in_training_stands_in_till_a_judge_is_asked(folder: Path) -> None:
    with (folder / "one" / "metrics.jsonl").open("a") as metrics:
        for step, distance in ((20, 8.5), (30, 4.25), (40, 6.0)):
            told = {"distance": distance, "floor": 0.5, "judge": "glyphs judge CNN v1"}
            metrics.write(json.dumps({"step": step, "loss": 0.25} | told) + "\n")
    runs = RunList(folder)
    row = next(row for row in runs.read() if row.name == "one")
    assert row.distance == 4.25 and row.cells[2] == "4.25" and row.nearest == Told(4.25, 0.5, "glyphs judge CNN v1")
    keep_verdict(RunDir(folder / "one").final, dataclasses.replace(VERDICT, distance=5.0))
    assert next(row for row in runs.read() if row.name == "one").distance == 5.0


# --- the same noises


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_the_same_noises_are_drawn_by_every_marked_run(folder: Path, size: tuple[int, int]) -> None:
    async with at_mode("runs", folder, size=size) as pilot:
        screen = await listed(pilot, 3)
        for part in ("one", "two"):
            point_at(screen, part)
            await pilot.press("m")
        assert screen.views.query_one("#nothing").has_class("-shown")
        await pilot.press("left_square_bracket")  # the pictures alone
        assert screen.views.view == "pictures" and screen.views.box("pictures").display
        await pilot.press("g")
        await until(pilot, lambda: screen.comparison is not None and not screen.drawing)
        found = screen.comparison
        assert found is not None and [row.name for row in found.rows] == [row.name for row in screen.compared]
        assert found.pictures.shape == (2, 10, 28, 28, 1) and found.headings[0] == "noise 1"
        assert np.array_equal(found.pictures[0], found.pictures[1])  # two copies of one run
        grid = screen.query_one(SheetGrid)
        await until(pilot, lambda: grid.tiling.down == 2)
        assert np.array_equal(grid.images[0], found.pictures[0, 0])
        labels = screen.query_one(Labels)
        rows = [labels.render_line(1 + k * grid.tiling.tile.rows).text.strip() for k in range(2)]
        assert rows[0] == "\N{BLACK CIRCLE} one"
        await pilot.press("w")
        await until(pilot, lambda: bool(list(folder.glob("same_noises_seed_0.png"))))
        await pilot.press("g")
        await until(pilot, lambda: screen.comparison is not found and not screen.drawing)
        assert screen.comparison is not None and screen.comparison.seed == 1
        assert not np.array_equal(screen.comparison.pictures, found.pictures)


async def test_drawing_the_same_noises_can_be_stopped_and_goes_on(folder: Path) -> None:
    info = json.loads((folder / "one" / "run.json").read_text())
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        for part in ("one", "two"):
            point_at(screen, part)
            await pilot.press("m")
        await pilot.press("g", "escape")
        await until(pilot, lambda: not screen.drawing)
        assert len(screen.marked) == 2
        whole = screen.comparison is not None and screen.comparison.done == 2  # a fast machine was through before it was told
        await pilot.press("g")
        await until(pilot, lambda: screen.comparison is not None and screen.comparison.done == 2 and not screen.drawing)
        assert screen.comparison is not None and screen.comparison.seed == int(whole)
        assert info == json.loads((folder / "one" / "run.json").read_text())


async def test_a_run_that_cannot_draw_says_why_in_its_row(folder: Path) -> None:
    (folder / "one" / "model_final.pt").write_bytes(b"torn")
    async with at_mode("runs", folder, size=(120, 40)) as pilot:
        screen = await listed(pilot, 3)
        for part in ("one", "two"):
            point_at(screen, part)
            await pilot.press("m")
        await pilot.press("g")
        await until(pilot, lambda: screen.comparison is not None and screen.comparison.done == 2)
        assert screen.comparison is not None
        torn, whole = screen.comparison.rows
        assert "cannot be read as a checkpoint" in torn.problem and torn.pictures is None and whole.pictures is not None
        assert (screen.comparison.pictures[0] == 32).all()


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("size", [(50, 9), (90, 16), (170, 40)])
@pytest.mark.parametrize("looks", [("half",), ("half", "quadrant", "sextant", "octant")])
def test_rows_come_before_fidelity_and_fidelity_before_columns(rows: int, size: tuple[int, int], looks: tuple[str, ...]) -> None:
    tile = row_tile(rows, 10, (28, 28), size, looks, 0)
    assert 1 + rows * tile.rows <= size[1] or tile.rows == 3
    below = tile.dots[1] < 28
    assert not below or 1 + rows * row_tile(1, 10, (28, 28), (999, 30), looks, 0).rows > size[1]
    if tile.dots[1] > 28:
        assert 10 * (tile.columns + 1) <= size[0] + 1  # larger than it is only where all ten are there
    denser = row_tile(rows, 10, (28, 28), size, looks, 1)
    assert denser.rows <= tile.rows


# --- sizes and states


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_panel_is_there_and_none_is_cut_off(folder: Path, size: tuple[int, int]) -> None:
    async with at_mode("runs", folder, size=size) as pilot:
        screen = await listed(pilot, 3)
        await pilot.pause()
        panels = [screen.query_one("#runs", Box), *(screen.views.box(name) for name in ("loss", "facts", "pictures"))]
        visible = [box for box in panels if box.size and box.region.bottom <= size[1] - 1 and box.region.right <= size[0]]
        assert len(visible) == (2 if size[1] == 24 else 4)
        seen = set()
        for _ in range(4):
            seen.add(screen.views.view)
            await pilot.press("right_square_bracket")
        assert seen >= {"loss", "facts", "pictures"}
        await pilot.press("z")
        assert not panels[0].display or not panels[0].size


async def test_many_runs_with_names_of_all_kinds(tmp_path: Path, tiny_run: Path) -> None:
    info = (tiny_run / "run.json").read_text()
    for k in range(60):
        folder = tmp_path / {0: "a" * 200, 1: "\u4e16\u754c" * 30, 2: "\u05d0\u05d1" * 20}.get(k, f"run{k:02}")
        folder.mkdir()
        (folder / "run.json").write_text(info)
    async with at_mode("runs", tmp_path) as pilot:
        screen = await listed(pilot, 60)
        assert screen.query_one("#runs").size.height < 14 and screen.table.max_scroll_y > 0
        await until(pilot, lambda: pilot.app.focused is screen.table)
        await pilot.press("end")
        assert screen.table.cursor_row == 59
        for _ in range(8):
            await pilot.press("m", "up")
        assert len(screen.marked) == 8 and set(screen.marked.values()) == {"x0", "loss", "x0-hat", "epsilon", "x-t", "held"}
        assert all(line.cell_length == screen.table.size.width for line in map(screen.table.render_line, range(5)))


def test_a_run_in_the_working_folder_has_the_name_of_its_folder(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tiny_run)
    assert [row.name for row in RunList(Path()).read()] == [tiny_run.name]
