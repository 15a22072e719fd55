"""Runs: every run folder below the working directory, live ones too, compared by curves, settings and pictures."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.runs import COLUMNS, RunList, RunRow, arranged
from tinydiff_tui.jobs.sheets import newest_samples, read_samples
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.run_actions import RunActions
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import for_app, printable
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.run_table import COLOURS, RunTable
from tinydiff_tui.widgets.run_views import NOTHING, RunViews

if TYPE_CHECKING:
    from tinydiff_tui.jobs.comparing import Comparison

REFRESH_SECONDS = 1.5
NEVER = -1
Samples = tuple[str, int, "Pixels"]
"""The key of a run, when its newest sheet was written, and the pictures of it; none where there is no sheet that can be read."""
SORT, VIEW = Binding.Group("Sort"), Binding.Group("View")


class RunsScreen(RunActions):
    """The mode that compares runs, opens them in Sample, resumes and deletes them."""

    MODE = "runs"
    TITLE_TEXT = "Runs"
    AUTO_FOCUS = "RunTable"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("mark", "mark", "Mark or unmark a run: marked runs are compared by their curves, settings and pictures"),
        key("sort", "sort(1)", "Sort by the next column; a click on a heading does too, and turns it round", group=SORT),
        key("sort_back", "sort(-1)", "Sort by the column before", group=SORT),
        key("filter", "filter", "Show only runs in whose name, data set, model, note or status these words are"),
        key("log", "log_scale", "Logarithmic or linear scale of the chart"),
        key("before", "view(-1)", "The panel before", group=VIEW),
        key("next", "view(1)", "The next panel alone, or all of them where there is room", group=VIEW),
        key("zoom", "zoom", "Give the panels below the room of the table, or the table its room"),
        Binding("R", "refresh", "Refresh", tooltip="Look for runs again", show=False),
        key("leave", "leave", "Stop drawing, leave the filter, or show all runs again"),
    ]
    DEFAULT_CSS = """
    RunsScreen #runs { height: auto; max-height: 42%; }
    RunsScreen.-low #runs { max-height: 55%; }
    RunsScreen RunViews { height: 1fr; }
    RunsScreen #filter { display: none; }
    RunsScreen #runs Empty { display: none; height: 3; }
    RunsScreen.-none #runs Empty { display: block; }
    RunsScreen.-none RunTable { display: none; }
    RunsScreen.-no-runs #runs { height: 1fr; max-height: 100%; }
    RunsScreen.-no-runs #runs Empty { height: 1fr; }
    RunsScreen.-no-runs RunViews, RunsScreen.-zoomed #runs { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.rows: tuple[RunRow, ...] = ()
        self.shown: tuple[RunRow, ...] = ()
        """Those that the filter lets through, as they are sorted."""
        self.marked: dict[str, str] = {}
        """The colour of each marked run by its key, in the order in which they were marked."""
        self.sort = ("age", False)
        self.list: RunList | None = None
        self.wanted: Path | None = None
        self._samples: Samples = ("", NEVER, NOTHING)  # as read last, for the thread that reads
        self._sought = ""
        self._pictures = self._samples

    def compose_mode(self) -> ComposeResult:
        with Box(title="runs", id="runs"):
            yield Input(placeholder="words to find; enter keeps them, escape shows all runs", id="filter", compact=True)
            yield RunTable()
            yield Empty("looking for runs …")
        yield RunViews()

    @property
    def views(self) -> RunViews:
        return self.query_one(RunViews)

    @property
    def table(self) -> RunTable:
        return self.query_one(RunTable)

    def on_mount(self) -> None:
        self.list = RunList(self.app.cwd)
        self.app.theme_changed_signal.subscribe(self, lambda _: self._fill())
        self.set_interval(REFRESH_SECONDS, self.look)
        self.look()

    def on_screen_resume(self) -> None:
        self.look()

    # --- reading

    def look(self) -> None:
        """Read the runs again, in a thread."""
        if self.list is None or not self.is_current or self.app.jobs.running("runs"):
            return
        self.app.jobs.start("runs", self.list.reading, self)

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "runs":
            self._take(cast("tuple[RunRow, ...]", message.snapshot))
        elif message.name == "same noises":
            self._show_comparison(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "runs":
            if message.error:
                self.views.say(for_app(message.error))
            elif isinstance(message.snapshot, tuple) and message.snapshot is not self.rows:  # else they were an update
                self._take(message.snapshot)
        elif message.name == "newest samples":
            self._show_samples(cast("Samples | None", message.snapshot))
        elif message.error:
            self.notify(message.error, severity="error")
        elif message.name == "same noises":
            self._show_comparison(message.snapshot)
        elif message.name == "sheet":
            self.notify(f"saved {message.snapshot}")
        elif message.name.startswith("delete "):
            self.notify(f"deleted {printable(str(message.snapshot))}")
        if message.name.startswith(("delete ", "note ")):
            self.look()

    def _take(self, rows: tuple[RunRow, ...]) -> None:
        self.rows = rows
        self.marked = {name: colour for name, colour in self.marked.items() if name in {row.key for row in rows}}
        self._fill()
        if self.wanted is not None and self._point_at(self.wanted):
            self.wanted = None

    def _fill(self) -> None:
        """The rows that the filter lets through, in the order of the column, with the cursor where it was."""
        chosen, words = self.chosen, self.query_one("#filter", Input).value
        column, back = self.sort
        self.shown = arranged(self.rows, words, column, back=back)
        keys = [row.key for row in self.shown]
        pointed = (
            keys.index(chosen.key) if chosen is not None and chosen.key in keys else min(self.table.cursor_row, len(keys) - 1)
        )
        self.table.show(self.shown, self.marked, self.sort, max(pointed, 0))
        self.set_class(not self.shown, "-none")
        self.set_class(not self.rows, "-no-runs")
        if self.rows and self.focused is None:
            self.set_focus(self.table)  # which it lost when it was hidden, for want of rows
        nothing = f"no run has all of these words: {words}" if self.rows else self._how_to_begin()
        self.query_one("#runs Empty", Empty).say(nothing)
        box = self.query_one("#runs", Box)
        box.title = f"runs · “{words}”" if words else "runs"
        count = f"{len(self.shown)} of {len(self.rows)}" if words else f"{len(self.rows)}"
        marked = f" · {len(self.marked)} marked" if self.marked else ""
        box.figures = f"{count}{marked} · by {column}" if self.rows else ""
        self._show()

    def _how_to_begin(self) -> str:
        return f"There is no run below {printable(str(self.app.cwd))} yet: n trains one, which stands here at once."

    def point_at(self, folder: Path) -> None:
        """Put the cursor on the run in this folder, as soon as it is in the list."""
        self.wanted = None if self._point_at(folder) else folder

    def _point_at(self, folder: Path) -> bool:
        keys = [row.key for row in self.shown]
        here, there = str(folder), os.path.relpath(os.path.realpath(folder), os.path.realpath(self.app.cwd))
        place = next((keys.index(key) for key in (here, str(self.app.cwd / there)) if key in keys), None)
        if place is not None:
            self.table.move_cursor(row=place)
        return place is not None

    @property
    def chosen(self) -> RunRow | None:
        """The run under the cursor."""
        place = self.table.cursor_row
        return self.shown[place] if 0 <= place < len(self.shown) else None

    @property
    def compared(self) -> list[RunRow]:
        """The marked runs in the order in which they were marked, else the one under the cursor."""
        rows = {row.key: row for row in self.rows}
        row = self.chosen
        return [rows[name] for name in self.marked] or ([row] if row is not None and row.info is not None else [])

    # --- showing

    @on(RunTable.RowHighlighted)
    def _show(self) -> None:
        rows = self.compared
        self.views.show_curves(rows, self.marked)
        self.views.show_facts(rows if self.marked else [], self.chosen, self.marked)
        self._show_pictures()
        self._find_samples()
        self.refresh_bindings()

    def _show_pictures(self) -> None:
        """The same noises by the marked runs; with none marked the newest samples of the one under the cursor."""
        keys, found = [row.key for row in self.compared], self.comparison
        drawn = [row for row in found.rows if row.key in keys] if found is not None else []
        if found is not None and drawn and (self.marked or len(found.rows) == 1):
            found = dataclasses.replace(found, rows=tuple(drawn))
            self.views.show_comparison(found, self.compared, self.marked, going=self.drawing)
        elif self.marked:
            self.views.invite(f"g draws the same noises by {'each of these runs' if len(keys) > 1 else 'this run'}")
        else:
            pictures = self._pictures[2] if self._pictures[0] == self._key else NOTHING
            self.views.show_samples(self.chosen, pictures)

    def _show_comparison(self, comparison: object) -> None:
        if comparison is not None:
            self.comparison = cast("Comparison", comparison)
            self._show_pictures()
            self.refresh_bindings()

    @property
    def _key(self) -> str:
        """The run whose samples belong on the screen; empty for none."""
        row = self.chosen
        return row.key if row is not None and row.info is not None else ""

    def _find_samples(self) -> None:
        """Read the newest samples of the run under the cursor, in a thread, when they are not those on the screen."""
        name = self._key
        if self.app.jobs.running("newest samples"):
            return  # its end looks whether the cursor went on
        self._sought = name

        def read() -> Iterator[Samples]:
            path = newest_samples(Path(name)) if name else None
            modified = path.stat().st_mtime_ns if path is not None else 0
            if (name, modified) != self._samples[:2]:
                self._samples = (name, modified, NOTHING)  # whatever comes of it: failures are remembered too
                if path is not None and (pictures := read_samples(path)) is not None:
                    self._samples = (name, modified, pictures)
            yield self._samples

        self.app.jobs.start("newest samples", read, self)

    def _show_samples(self, found: "Samples | None") -> None:
        if found is not None and found is not self._pictures:
            self._pictures = found
            self._show_pictures()
        if self._sought != self._key:
            self._find_samples()  # the cursor went on meanwhile

    # --- keys

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys work now."""
        field = self.query_one("#filter", Input) if self.is_mounted else None
        if field is not None and action == "leave":
            return bool(field.value) or field.display or self.drawing
        if self.is_mounted and action in ("sort", "filter", "log_scale", "view", "zoom"):
            return bool(self.rows)
        if self.is_mounted and action == "mark":
            return self.chosen is not None and self.chosen.info is not None
        return super().check_action(action, parameters)

    def action_refresh(self) -> None:
        self.look()

    def action_log_scale(self) -> None:
        self.views.toggle_log()

    def action_view(self, step: int) -> None:
        self.views.turn(step)

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")

    def action_mark(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        if row.key in self.marked:
            del self.marked[row.key]
        else:
            free = [colour for colour in COLOURS if colour not in self.marked.values()]
            self.marked[row.key] = free[0] if free else COLOURS[len(self.marked) % len(COLOURS)]
        self._fill()

    @on(RunTable.Marked)
    def _mark_clicked(self, event: RunTable.Marked) -> None:
        self.table.move_cursor(row=event.place)
        self.action_mark()

    def action_sort(self, step: int) -> None:
        place = COLUMNS.index(self.sort[0])
        self.sort = (COLUMNS[(place + step) % len(COLUMNS)], False)
        self._fill()

    @on(RunTable.HeaderSelected)
    def _heading_clicked(self, event: RunTable.HeaderSelected) -> None:
        column = event.column_key.value
        if column in COLUMNS:
            self.sort = (column, column == self.sort[0] and not self.sort[1])
            self._fill()

    # --- the filter

    def action_filter(self) -> None:
        self.remove_class("-zoomed")
        field = self.query_one("#filter", Input)
        field.display = True
        self.set_focus(field)  # at once: the words come right behind the key

    @on(Input.Changed, "#filter")
    def _filter(self) -> None:
        self._fill()

    @on(Input.Submitted, "#filter")
    def _keep_filter(self) -> None:
        self.query_one("#filter", Input).display = False
        self.set_focus(self.table)
        self.refresh_bindings()

    def action_leave(self) -> None:
        """Stop drawing; else show all runs again."""
        if self.drawing and not self.query_one("#filter", Input).display:
            self.app.jobs.stop("same noises")
            return
        self.query_one("#filter", Input).value = ""
        self._keep_filter()

    def explain_values(self) -> dict[str, str]:
        """How many runs were found, and by what they are sorted."""
        return {"runs": str(len(self.rows)), "sort": self.sort[0], "marked": str(len(self.marked))}
