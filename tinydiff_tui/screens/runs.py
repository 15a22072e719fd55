"""Runs: every run folder below the working directory, live ones too, with their loss curves over one another."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Static

from core.errors import UserError
from core.runs.folder import RunDir
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.runs import RunList, RunRow, newest_samples, read_samples
from tinydiff_tui.jobs.starting import changes
from tinydiff_tui.jobs.training import LossCurve
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import for_app, printable
from tinydiff_tui.widgets.loss_chart import LossChart
from tinydiff_tui.widgets.pixel_grid import PixelGrid

REFRESH_SECONDS = 1.5
OF_A_RUN_AT_REST = frozenset(("resume", "delete"))
NEVER = -1
NOTHING = np.zeros((0, 1, 1, 1), dtype=np.uint8)
COLUMNS = ("", "run", "status", "data set", "model", "step", "loss", "age")


WHY = {
    "crashed": "its process ended without saving: r goes on from the last checkpoint",
    "diverged": "its loss was no number any more: r goes on from the last good checkpoint",
}
"""What became of a run that failed."""


class RunTable(DataTable[Text]):
    """Rows of runs; home and end go to the first and the last one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "First", show=False, tooltip="The first run"),
        Binding("end", "scroll_bottom", "Last", show=False, tooltip="The last run"),
    ]


class RunsScreen(ModeScreen):
    """The mode that compares runs, opens them in Sample, resumes and deletes them."""

    MODE = "runs"
    TITLE_TEXT = "Runs"
    AUTO_FOCUS = "RunTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", tooltip="Mark or unmark a run: the curves of marked runs are drawn over one another"),
        Binding("o", "open", "Open in Sample", tooltip="Draw images from this run"),
        Binding("r", "resume", "Resume", tooltip="Continue this run in Train"),
        Binding("d", "delete", "Delete", tooltip="Delete this run's folder, after a question; never a live one"),
        Binding("p", "ask('pause')", "Pause", tooltip="Have a live run pause"),
        Binding("p", "ask('resume')", "Go on", tooltip="Have a paused run go on"),
        Binding("c", "ask('checkpoint')", "Checkpoint", tooltip="Have a live run write its resume point"),
        Binding("s", "ask('sample')", "Sample now", tooltip="Have a live run draw samples of its averaged weights"),
        Binding("x", "ask('stop')", "Stop+save", tooltip="Have a live run stop and save"),
        Binding("l", "log_scale", "Log", tooltip="Logarithmic or linear scale of the chart"),
        Binding("R", "refresh", "Refresh", tooltip="Look for runs again"),
    ]
    DEFAULT_CSS = """
    RunsScreen DataTable { height: auto; max-height: 45%; }
    RunsScreen #about { height: 3; padding: 0 1; text-wrap: nowrap; text-overflow: ellipsis; }
    RunsScreen LossChart { width: 1fr; margin: 0 1; }
    RunsScreen PixelGrid { display: none; width: 45%; margin: 0 1 0 0; }
    RunsScreen.-narrow PixelGrid { width: 26; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[RunRow, ...] = ()
        self.marked: set[str] = set()
        self.list: RunList | None = None
        self.wanted: Path | None = None
        self._samples = ("", NEVER)  # whose samples were read, and of when they are
        self._sought = ""

    def compose_mode(self) -> ComposeResult:
        yield RunTable(cursor_type="row", zebra_stripes=True)
        yield Static("looking for runs …", id="about", markup=False)
        with Horizontal():
            yield LossChart(id="curves")
            yield PixelGrid(id="samples")

    def on_mount(self) -> None:
        self.list = RunList(self.app.cwd)
        table = self.query_one(DataTable)
        for column in COLUMNS:
            table.add_column(column, key=column)
        self.set_interval(REFRESH_SECONDS, self.look)
        self.look()

    def on_screen_resume(self) -> None:
        self.look()

    def look(self) -> None:
        """Read the runs again, in a thread."""
        if self.list is None or not self.is_current or self.app.jobs.running("runs"):
            return
        self.app.jobs.start("runs", self.list.reading, self, lambda rows: rows)

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "runs":
            self._take(cast("tuple[RunRow, ...]", message.snapshot))

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "delete":
            self.notify(message.error or "deleted", severity="error" if message.error else "information")
            self.look()
        elif message.name == "runs":
            if message.error:
                self.query_one("#about", Static).update(for_app(message.error))
            elif isinstance(message.snapshot, tuple):
                self._take(message.snapshot)
        elif message.name == "newest samples":
            self._show_samples(cast("tuple[str, Pixels | None] | None", message.snapshot))

    def _take(self, rows: tuple[RunRow, ...]) -> None:
        before, chosen, table = self.rows, self.chosen, self.query_one(RunTable)
        self.rows = rows
        self.marked &= {row.key for row in rows}
        if [row.key for row in rows] != [row.key for row in before]:
            table.clear()
            for row in rows:
                table.add_row(*self._cells(row))
            keys = [row.key for row in rows]
            if chosen is not None and chosen.key in keys:
                table.move_cursor(row=keys.index(chosen.key))
        else:
            widths = [column.content_width for column in table.ordered_columns]  # growing is quick, shrinking looks at all rows
            for y, (row, old) in enumerate(zip(rows, before, strict=True)):
                if row.cells != old.cells:
                    for x, (cell, was) in enumerate(zip(self._cells(row), self._cells(old), strict=True)):
                        if cell != was:
                            table.update_cell_at(Coordinate(y, x), cell, update_width=cell.cell_len > widths[x])
        if self.wanted is not None and self._point_at(self.wanted):
            self.wanted = None
        self._show()

    def point_at(self, folder: Path) -> None:
        """Put the cursor on the run in this folder, as soon as it is in the list."""
        self.wanted = None if self._point_at(folder) else folder

    def _point_at(self, folder: Path) -> bool:
        keys = [row.key for row in self.rows]
        here, there = str(folder), os.path.relpath(os.path.realpath(folder), os.path.realpath(self.app.cwd))
        place = next((keys.index(key) for key in (here, str(self.app.cwd / there)) if key in keys), None)
        if place is not None:
            self.query_one(RunTable).move_cursor(row=place)
        return place is not None

    def _cells(self, row: RunRow) -> list[Text]:
        mark = "●" if row.key in self.marked else " "
        style = {"running": "green", "paused": "yellow", "diverged": "red", "crashed": "red"}.get(row.cells[0], "")
        if row.info is None:
            return [Text(mark), Text(row.name[-60:], "red"), Text("unreadable", "red"), *[Text("")] * 5]
        name = row.name if len(row.name) <= 24 else f"…{row.name[-23:]}"
        return [Text(mark), Text(name), Text(row.cells[0], style), *(Text(cell) for cell in row.cells[1:])]

    @property
    def chosen(self) -> RunRow | None:
        """The run under the cursor."""
        place = self.query_one(RunTable).cursor_row
        return self.rows[place] if 0 <= place < len(self.rows) else None

    @on(RunTable.RowHighlighted)
    def _show(self) -> None:
        row, about = self.chosen, self.query_one("#about", Static)
        if row is None:
            about.update(f"no run below {printable(str(self.app.cwd))}: train one (3)")
        elif row.info is None:
            about.update(for_app(row.error))
        else:
            changed = [
                f"{name.replace('_', ' ')} {value}"
                for name, value in changes(row.info.config).items()
                if name not in ("output_dir", "data_dir", "dataset")
            ]
            settings = ", ".join(changed) or "everything as by default"
            # A live run says how it gets on, in place of where it runs; one that failed what became of it.
            status = row.info.status
            failed = f"{status}: {WHY[status]}" if status in WHY else ""
            lines = (row.key, row.pulse if row.live else failed or row.info.device, settings)
            about.update("\n".join(printable(line) for line in lines))
        drawn = [r for r in self.rows if r.key in self.marked] or ([row] if row is not None else [])
        self.query_one(LossChart).show([r.curve for r in drawn if isinstance(r.curve, LossCurve)])
        self._find_samples()
        self.refresh_bindings()

    @property
    def _key(self) -> str:
        """The run whose samples belong on the screen; empty for none."""
        row = self.chosen
        return row.key if row is not None and row.info is not None else ""

    def _find_samples(self) -> None:
        """Read the newest samples of the run under the cursor, in a thread, when they are not those on the screen."""
        key = self._key
        if self._samples[0] != key:
            self.query_one(PixelGrid).show(NOTHING)  # until its own are there: none stay under another run's name
            self._samples = (key, NEVER)
        if self.app.jobs.running("newest samples"):
            return  # its end looks whether the cursor went on
        self._sought = key

        def read() -> Iterator[tuple[str, Pixels | None]]:
            path = newest_samples(Path(key)) if key else None
            modified = path.stat().st_mtime_ns if path is not None else 0
            if (key, modified) != self._samples:
                self._samples = (key, modified)  # whatever comes of it: failures are remembered too
                yield key, read_samples(path) if path is not None else None

        self.app.jobs.start("newest samples", read, self, lambda found: found)

    def _show_samples(self, found: "tuple[str, Pixels | None] | None") -> None:
        if found is not None and found[0] == self._key:
            grid, pictures = self.query_one(PixelGrid), found[1]
            grid.display = pictures is not None  # the curves take its room
            grid.show(NOTHING if pictures is None else pictures)
        if self._sought != self._key:
            self._find_samples()  # the cursor went on meanwhile

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys work now: requests for a live run, resuming and deleting for one that nobody trains."""
        if not self.is_mounted or action not in OF_A_RUN_AT_REST | {"ask"}:
            return True
        row = self.chosen
        if row is None or row.info is None or row.live != (action == "ask"):
            return False
        return parameters != (("pause" if row.info.status == "paused" else "resume"),)

    def action_refresh(self) -> None:
        self.look()

    def action_log_scale(self) -> None:
        self.query_one(LossChart).toggle_log()

    def action_mark(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        self.marked ^= {row.key}
        table = self.query_one(DataTable)
        table.update_cell_at(Coordinate(table.cursor_row, 0), Text("●" if row.key in self.marked else " "))
        self._show()

    async def action_open(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        if row.info.checkpoint is None:
            self.notify("this run has no checkpoint yet", severity="warning")
        else:
            await self.app.open_in_sample(row.info.checkpoint)

    async def action_resume(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        await self.app.resume_in_train(row.info.path)

    def action_ask(self, request: str) -> None:
        """Leave a request for the process that trains the run under the cursor, which may be this one."""
        row = self.chosen
        if row is None or row.info is None:
            return
        try:
            RunDir(row.info.path).ask(request)
        except UserError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(f"asked {row.name} to {'go on' if request == 'resume' else request}", timeout=2)

    def action_delete(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        folder = row.info.path
        if RunDir(folder).is_live():
            self.notify("this run is being trained now; stop it before deleting it", severity="warning")
            return
        question = f"Delete {printable(str(folder))}?\nIts checkpoints and samples are lost."
        answers = {"": "Keep it", "delete": "Delete the run"}
        self.app.push_screen(Ask(question, answers), lambda answer: self._delete(folder) if answer == "delete" else None)

    def _delete(self, folder: Path) -> None:
        root = self.app.cwd

        def remove() -> Iterator[Path]:
            run = RunDir(folder)
            if run.is_live():
                raise UserError("this run is being trained now; stop it before deleting it")
            delete_run(run, root)
            yield folder

        self.app.jobs.start("delete", remove, self, lambda path: path)

    def explain_values(self) -> dict[str, str]:
        """How many runs were found."""
        return {"runs": str(len(self.rows))}


def delete_run(run: RunDir, keep: Path) -> None:
    """Delete what a run wrote; its folder too when nothing else is in it, but never `keep`."""
    try:
        run.clear()
        for leftover in (run.path / ".lock", run.path / "train.log"):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(run.path / "control", ignore_errors=True)
        for folder in (run.path / "samples", run.path / "checkpoints", run.path):
            if folder.is_dir() and folder != keep and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise UserError(f"{run.path} could not be deleted whole: {error.strerror}") from error
