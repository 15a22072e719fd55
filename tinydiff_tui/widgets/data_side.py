"""The side of the Data mode: the sets and where they stand, the classes of the open one, how its pixel values are spread."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from core.data.datasets import SetInfo, list_datasets
from tinydiff_tui.jobs.data import OpenedSet, PixelFigures
from tinydiff_tui.terminal.support import ascii_only
from tinydiff_tui.text import cut

STANDING = {"embedded": "built in", "own file": "your own", "on disk": "on disk", "can be downloaded": "↓ with D"}
"""Where a set stands, in as few letters."""


class SideList(OptionList, inherit_bindings=False):
    """A list of lines; left, right and the page keys stay with the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Up", show=False, tooltip="The line above"),
        Binding("down", "cursor_down", "Down", show=False, tooltip="The line below"),
        Binding("enter", "select", "Choose", tooltip="Open the data set, or show the class, that the list points at"),
    ]
    DEFAULT_CSS = """
    SideList, SideList:focus { height: auto; max-height: 100%; border: none; padding: 0; background: $background;
        background-tint: transparent; }
    SideList > .option-list--option { padding: 0; }
    SideList > .option-list--option-highlighted { background: $panel; color: $foreground; text-style: none; }
    SideList:focus > .option-list--option-highlighted { background: $primary 35%; color: $foreground; text-style: bold; }
    """

    def put(self, lines: Sequence[Content], at: int | None) -> None:
        """Other lines, with the cursor at one of them."""
        with self.prevent(OptionList.OptionHighlighted):
            self.clear_options()
            self.add_options([Option(line) for line in lines])
            self.highlighted = at


class SetList(SideList):
    """Data sets by name and where they stand."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.infos: list[SetInfo] = []
        self.folders: list[str] = []

    @property
    def names(self) -> list[str]:
        return [*(info.name for info in self.infos), *self.folders]

    @property
    def name_at_cursor(self) -> str:
        return self.names[self.highlighted or 0]

    def refill(self, root: Path | None, opened: str) -> None:
        """Look again where the sets stand; the cursor stays, or starts at the opened one."""
        before = self.highlighted
        self.infos = list_datasets(root)
        if opened.startswith("folder:") and opened not in self.folders:
            self.folders.append(opened)
        lines = [_set_line(info.name, STANDING[info.status], info.name == opened) for info in self.infos]
        lines += [_set_line(Path(name.removeprefix("folder:")).name, "folder", name == opened) for name in self.folders]
        at_opened = self.names.index(opened) if opened in self.names else 0
        self.put(lines, at_opened if before is None else before)

    def point_at(self, name: str) -> None:
        if name in self.names:
            self.highlighted = self.names.index(name)


def _set_line(name: str, standing: str, opened: bool) -> Content:
    mark = Content.styled("● ", "$success") if opened else Content("  ")
    return Content.assemble(mark, f"{cut(name, 14, fill=True)} ", (standing, "dim"))


class ClassList(SideList):
    """All images, then those of each class, with a bar a class; the line under the cursor is what is shown."""

    DEFAULT_CSS = "ClassList { min-height: 1; }"  # without height it would not be told its width, which the bars need

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._labels: Sequence[str] = ()
        self._counts: Sequence[int] = ()

    def fill(self, opened: OpenedSet) -> None:
        """The classes of another set, with the cursor on all."""
        self._labels, self._counts = opened.classes, opened.counts()
        self._draw(0)

    @property
    def label(self) -> int | None:
        """The class under the cursor; None for all."""
        return self.highlighted - 1 if self.highlighted else None

    def point_at(self, label: int | None) -> None:
        """The cursor to a class; it asks for nothing."""
        with self.prevent(OptionList.OptionHighlighted):
            self.highlighted = 0 if label is None else label + 1

    def on_resize(self, _: events.Resize) -> None:
        self._draw(self.highlighted or 0)

    def _draw(self, at: int) -> None:
        if not self._counts or not self.size.width:
            return
        names = ["all", *self._labels]
        counts = [sum(self._counts), *self._counts]
        digits = max(len(f"{count:,}") for count in counts)
        name_room = min(max(Content(cut(name, 99)).cell_length for name in names), self.size.width - digits - 8)
        room, top = self.size.width - name_room - digits - 4, max(self._counts) or 1
        lines = []
        for number, (name, count) in enumerate(zip(names, counts, strict=True)):
            long = max(1 if count else 0, round(count / top * room)) if number else 0
            bar = Content.styled(("=" if ascii_only() else "━") * long, "$x0")
            lines.append(Content.assemble(f" {cut(name, name_room, fill=True)} ", (f"{count:>{digits},}", "dim"), " ", bar))
        self.put(lines, at)


class Histogram(Widget):
    """How often each pixel value occurs, rare ones too: in columns of logarithmic height."""

    DEFAULT_CSS = "Histogram { height: 1fr; min-height: 2; color: $x0; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._figures: PixelFigures | None = None

    def show(self, figures: PixelFigures) -> None:
        """Draw these values from now on."""
        self._figures = figures
        self.refresh()

    def render(self) -> Content:
        """The columns, and below them the values from 0 to 255."""
        width, height = self.size
        if self._figures is None or width < 8 or height < 2:
            return Content("")
        middle = "log count".center(width - 4) if width >= 16 else " " * (width - 4)
        columns = bar_rows(self._figures.bins(min(width, 256)), height - 1)
        return Content("\n").join([*map(Content, columns), Content.styled(f"0{middle}255", "$axis")])


def bar_rows(values: Sequence[int], rows: int) -> list[str]:
    """Columns of logarithmic height in so many rows of block characters: the highest full, the lowest a tenth of it, 0 none."""
    logs = [log(value) if value else None for value in values]
    low, high = (end((value for value in logs if value is not None), default=0.0) for end in (min, max))
    span = high - low or 1.0
    eighths = [0 if value is None else round((1 - 0.9 * (high - value) / span) * rows * 8) for value in logs]
    blocks = " ▁▂▃▄▅▆▇█" if not ascii_only() else " ..::+++#"
    return ["".join(blocks[min(max(value - row * 8, 0), 8)] for value in eighths) for row in range(rows - 1, -1, -1)]
