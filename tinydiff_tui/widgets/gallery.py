"""The pictures of a data set, page by page, with a cursor over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual.message import Message

from tinydiff_tui.jobs.data import OpenedSet
from tinydiff_tui.text import cut
from tinydiff_tui.widgets.pixel_grid import PixelGrid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Gallery(PixelGrid, can_focus=True):
    """Some images of a set, `chosen` by their indices; the cursor is on the image `index` of the set."""

    LEAST: ClassVar[int] = 6  # a page of one says little of a set, and the one under the cursor stands exact beside

    class Paged(Message):
        """The cursor is on another picture, or the page holds more or fewer of them."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.opened: OpenedSet | None = None
        self.chosen: NDArray[np.intp] | None = None

    def browse(self, opened: OpenedSet, chosen: NDArray[np.intp], at: int) -> None:
        """Show these images of a set, with the cursor on the one at place `at` among them."""
        self.opened, self.chosen = opened, chosen
        images = opened.images if len(chosen) == len(opened) else opened.images[chosen]
        self.show(images, _Captions(self), cursor=at)

    @property
    def count(self) -> int:
        return len(self.images)

    @property
    def at(self) -> int:
        """The place of the cursor among the chosen."""
        return max(min(self.cursor or 0, self.count - 1), 0)

    @property
    def index(self) -> int | None:
        return int(self.chosen[self.at]) if self.chosen is not None and len(self.chosen) else None

    def turn(self, pages: int) -> None:
        """The page before or after, which go round; the cursor keeps its place there."""
        if (size := self.tiling.room) and self.count:
            page, place = divmod(self.at, size)  # not by `first`, which is that of another set or size until it is laid out
            self.point(min((page + pages) % -(-self.count // size) * size + place, self.count - 1))

    def caption(self, place: int) -> str:
        """Class and index of a picture, in the room under it but for the mark of the cursor."""
        assert self.opened is not None and self.chosen is not None
        index = int(self.chosen[place])
        room = self.tiling.tile.columns - 2 - cell_len(str(index))
        return f"{cut(self.opened.class_name(index), room)} {index}".strip()

    def _redraw(self) -> None:
        super()._redraw()
        self.post_message(self.Paged())


class _Captions:
    """The captions of a gallery, made when they are asked for: a set has tens of thousands."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    def __len__(self) -> int:
        return self._gallery.count

    def __getitem__(self, place: int) -> str:
        return self._gallery.caption(place)
