"""Pages of a data set, with a cursor over all of its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len
from textual import events
from textual.message import Message

from tinydiff_tui.jobs.data import OpenedSet
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import fit
from tinydiff_tui.text import cut
from tinydiff_tui.widgets.pixel_grid import PixelGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_IMAGES = 1024  # of a page


class Gallery(PixelGrid, can_focus=True):
    """The page of chosen pictures on which the cursor stands; `at` counts among the chosen, `index` in the data set."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.opened: OpenedSet | None = None
        self.chosen: NDArray[np.intp] | None = None
        self.at = self.first = 0

    @dataclass
    class Moved(Message):
        """Another page, or the cursor on another picture."""

    @dataclass
    class Taken(Message):
        """The mouse asked for what enter does."""

    def browse(self, opened: OpenedSet, chosen: NDArray[np.intp], at: int) -> None:
        """Show other pictures, the images `chosen` of a set, with the cursor at one of them."""
        self.opened, self.chosen = opened, chosen
        self.go(at)

    @property
    def count(self) -> int:
        return 0 if self.chosen is None else len(self.chosen)

    @property
    def index(self) -> int | None:
        """Which image of the set the cursor is on."""
        return int(self.chosen[self.at]) if self.chosen is not None and self.count else None

    # --- moving

    def go(self, at: int) -> None:
        """The cursor to one of the pictures; they go round."""
        self.at = at % self.count if self.count else 0
        self.show_page()
        self.post_message(self.Moved())

    def step(self, dx: int, dy: int) -> None:
        """The cursor to the picture beside, above or below; over the edge of the page to the next one."""
        at = self.at + dx + dy * max(1, self.tiling.across)
        if dx or 0 <= at < self.count:
            self.go(at)

    def turn(self, pages: int) -> None:
        """The page before or after, which go round; the cursor keeps its place there."""
        size = self._page_size()
        number = -(-self.count // size) or 1
        first = (self.first // size + pages) % number * size
        self.go(min(first + self.at - self.first, self.count - 1))

    def on_click(self, event: events.Click) -> None:
        place = self.image_at(event.x, event.y)
        if place is not None and self.first + place < self.count:
            self.go(self.first + place)
            if event.chain == 2:
                self.post_message(self.Taken())

    # --- showing

    def show_page(self) -> None:
        """The page that holds the cursor, with class and index under every picture."""
        if self.opened is None or self.chosen is None or not self.size:
            return
        self.first = self.at // self._page_size() * self._page_size()
        page = self.chosen[self.first : self.first + self._page_size()]
        room = self._tile_width()
        self.show(self.opened.images[page], [self._caption(int(index), room) for index in page], cursor=self.at - self.first)

    def _caption(self, index: int, room: int) -> str:
        """Class and index in so many cells; one is left to the mark of the cursor."""
        assert self.opened is not None
        return f"{cut(self.opened.class_name(index), room - 2 - cell_len(str(index)))} {index}".strip()

    def _page_size(self) -> int:
        return 1 if self.opened is None else max(1, self.capacity(self.opened.side, min(MOST_IMAGES, max(self.count, 1))))

    def _tile_width(self) -> int:
        assert self.opened is not None
        size = (self.size.width, self.size.height)
        return fit(self._page_size(), self.opened.side, size, self.looks, density=self.density).tile.columns

    def on_resize(self, _: events.Resize) -> None:
        self._page_anew()

    def watch_density(self) -> None:
        self._page_anew()

    def watch_look(self) -> None:
        self._page_anew()

    def _page_anew(self) -> None:
        self.show_page()
        self.post_message(self.Moved())
