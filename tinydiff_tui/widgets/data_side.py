"""The side of the Data mode: the list of sets with where they stand, and what the open one holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core.data.datasets import SetInfo, list_datasets
from tinydiff_tui.jobs.data import OpenedSet, bars, pixel_histogram
from tinydiff_tui.text import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class SetList(OptionList, inherit_bindings=False):
    """Data sets by name; the arrows left and right and the page keys stay with the screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "cursor_up", "Up", show=False, tooltip="The data set above"),
        Binding("down", "cursor_down", "Down", show=False, tooltip="The data set below"),
        Binding("enter", "select", "Open", tooltip="Open the data set that the list points at"),
    ]
    DEFAULT_CSS = "SetList, SetList:focus { height: auto; max-height: 8; border: none; padding: 0; }"

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
        self.clear_options()
        lines = [(info.name, info.status) for info in self.infos] + [(name, "") for name in self.folders]
        self.add_options([Option(_line(name, status, name == opened)) for name, status in lines])
        at_opened = self.names.index(opened) if opened in self.names else 0
        self.highlighted = at_opened if before is None else before

    def point_at(self, name: str) -> None:
        if name in self.names:
            self.highlighted = self.names.index(name)


def _line(name: str, status: str, opened: bool) -> Text:
    mark = "●" if opened else " "
    return Text.assemble(f"{mark} {printable(name):<14}", (status, "dim"), no_wrap=True, overflow="ellipsis")


class SetAbout(Static):
    """Size, counts of the classes and a histogram of pixel values."""

    DEFAULT_CSS = "SetAbout { height: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }"

    def describe(self, opened: OpenedSet, label: int | None, chosen: NDArray[np.intp]) -> None:
        """`chosen` are the indices of the images of class `label`, of all classes for None."""
        width, room = self.size.width, self.size.height
        height, across, channels = opened.images.shape[1:]
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(f"{len(opened):,} images {across}×{height}×{channels}\n", "bold")
        counts = opened.counts()
        lines = max(room - 3, 1)
        first = max(0, min((label or 0) - lines // 2, len(counts) - lines))
        top = max([*counts, 1])
        for k in range(first, min(first + lines, len(counts))):
            bar = "━" * max(1 if counts[k] else 0, round(counts[k] / top * max(width - 22, 3)))
            style, mark = ("bold", "▸") if k == label else ("", " ")
            text.append(f"{mark}{printable(opened.classes[k][:11]):<11} {counts[k]:>6,} ", style)
            text.append(f"{bar}\n", style or "dim")
        bins = max(8, min(64, width - 2))
        text.append("pixel values, 0 to 255, log scale\n", "bold")
        text.append(bars(pixel_histogram(opened.images, chosen, bins)))
        self.update(text)
