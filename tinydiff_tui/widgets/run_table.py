"""The table of runs: a dot in the colour of its curve before each run that is drawn, its state as a badge, sorted by a column."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.message import Message
from textual.widgets import DataTable

from tinydiff_tui.jobs.runs import COLUMNS, FALLING, RunRow
from tinydiff_tui.text import cut
from tinydiff_tui.widgets.box import BADGES

COLOURS = ("x0", "loss", "x0-hat", "epsilon", "x-t", "held")
"""Of the theme, for the curves of the marked runs in the order in which they were marked."""
FAILED = ("crashed", "diverged")
_NUMBERS = ("loss", "distance", "step", "trained", "age")
_MOST = {"run": 28, "note": 60, "data set": 24}
_NARROW_NAME = 14


class RunTable(DataTable[Text]):
    """`show` rows; home and end go to the first and the last one, a click on the first column marks, one on a heading sorts."""

    class Marked(Message):
        """The first cell of a row was clicked."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    DEFAULT_CSS = """
    RunTable { height: auto; max-height: 100%; background: $background; scrollbar-size-horizontal: 0; }
    RunTable:focus, RunTable:focus > .datatable--header { background-tint: $foreground 0%; }
    RunTable > .datatable--header { background: $background; color: $axis; text-style: bold; }
    RunTable > .datatable--header-hover { background: $frame; color: $foreground; }
    RunTable > .datatable--fixed { background: $background; color: $foreground; }
    RunTable > .datatable--hover { background: $surface; }
    RunTable > .datatable--cursor, RunTable > .datatable--fixed-cursor { background: $frame; color: $foreground; }
    RunTable:focus > .datatable--cursor, RunTable:focus > .datatable--fixed-cursor { background: $primary 30%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "scroll_top", "First", show=False, tooltip="The first run"),
        Binding("end", "scroll_bottom", "Last", show=False, tooltip="The last run"),
    ]

    def __init__(self) -> None:
        super().__init__(cursor_type="row", cursor_foreground_priority="renderable")
        self.fixed_columns = 2
        self._shown: list[list[Text]] = []
        self._heads: list[str] = []

    def show(self, rows: Sequence[RunRow], colours: Mapping[str, str], sort: tuple[str, bool], pointed: int) -> None:
        """These rows, with dots in `colours` by their keys, sorted by a column (and whether backwards); the cursor at a row."""
        heads = ["", *(_head(column, sort) for column in COLUMNS)]
        cells = [self._cells(row, colours.get(row.key)) for row in rows]
        if heads != self._heads or [row[1] for row in cells] != [row[1] for row in self._shown]:
            self.clear(columns=True)
            for head, column in zip(heads, ("", *COLUMNS), strict=True):
                self.add_column(Text(head, justify="right" if column in _NUMBERS else "left"), key=column)
            for row in cells:
                self.add_row(*row)
            self.move_cursor(row=pointed, animate=False)
        else:
            self._change(cells)
        self._heads, self._shown = heads, cells

    def _change(self, cells: list[list[Text]]) -> None:
        """Write what is new into rows that stand there already."""
        widths = [column.content_width for column in self.ordered_columns]  # growing is quick, shrinking looks at all rows
        for y, (row, old) in enumerate(zip(cells, self._shown, strict=True)):
            for x, (cell, was) in enumerate(zip(row, old, strict=True)):
                if (cell.plain, cell.style) != (was.plain, was.style):
                    self.update_cell_at(Coordinate(y, x), cell, update_width=cell.cell_len > widths[x])

    def _cells(self, row: RunRow, colour: str | None) -> list[Text]:
        themed = self.app.theme_variables
        mark = Text("●" if colour else " ", themed.get(colour or "", ""))
        if row.info is None:
            return [mark, Text(tail(row.name, self._most("run"))), Text("✗ unreadable", themed["error"])] + [
                Text("") for _ in COLUMNS[2:]
            ]
        state = "failed" if row.status in FAILED else row.status
        sign, tint = BADGES[state]
        status = Text(f"{sign} {row.status}", themed.get(tint.lstrip("$"), ""))
        rest = (
            Text(cut(value, self._most(name)), justify="right" if name in _NUMBERS else "left")
            for name, value in zip(COLUMNS[2:], row.cells[1:], strict=True)
        )
        return [mark, Text(tail(row.name, self._most("run"))), status, *rest]

    def _most(self, column: str) -> int:
        """Cells that a column may take."""
        return _NARROW_NAME if column == "run" and self.screen.has_class("-narrow") else _MOST.get(column, 24)

    def on_click(self, event: events.Click) -> None:
        meta = event.style.meta
        if meta.get("column") == 0 and 0 <= meta.get("row", -1) < self.row_count:
            self.post_message(self.Marked(meta["row"]))


def _head(column: str, sort: tuple[str, bool]) -> str:
    """The heading of a column; where it is the one that sorts, an arrow that says whether its values rise or fall."""
    rises = sort[1] == (column in FALLING)
    return f"{column} {'▲' if rises else '▼'}" if column == sort[0] else column


def tail(text: str, most: int) -> str:
    """The end of a text, cut by cells: what tells a run from its neighbours stands there."""
    if cell_len(text) <= most:
        return text
    while cell_len(text) > most - 1:
        text = text[1:]
    return f"…{text}"
