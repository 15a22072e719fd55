"""A page of pictures that rests: shown in the terminal's own pixels from when it was sent until something else is to be seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tinydiff_tui.terminal.cells import Cells, Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.kitty import upload, with_places
from tinydiff_tui.terminal.pictures import Pictures
from tinydiff_tui.terminal.pixels import covered, extent, page_pixels
from tinydiff_tui.terminal.tiling import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Sight(NamedTuple):
    """What there is to be seen of pictures (N, H, W, C): in which places of a widget of so many cells (rows, columns)."""

    images: Pixels
    layout: Layout
    shape: tuple[int, int]
    background: int

    def same(self, other: Sight) -> bool:
        return self[1:] == other[1:] and np.array_equal(self.images, other.images)


@dataclass(eq=False)
class Resting:
    """One such page, and its picture in the terminal; `sent` when it is there."""

    sight: Sight
    pictures: Pictures
    number: int
    places: NDArray[np.bool_] = field(repr=False)
    sent: bool = False

    def commands(self, cell: tuple[int, int]) -> list[str]:
        """What sends it. Takes milliseconds, and nothing of the event loop: for a thread."""
        size = extent(self.places)
        page = page_pixels(self.sight.images, self.sight.layout, size, cell, self.sight.background)
        return upload(page, self.number, self.pictures.owner, size)

    def over(self, cells: Cells) -> Cells:
        """The cells with the picture in its places, once it is there."""
        if not self.sent:
            return cells
        return with_places(cells, self.places, self.number, self.pictures.owner, self.sight.background)

    def remove(self) -> None:
        self.pictures.remove(self.number)


def rest(sight: Sight, pictures: Pictures) -> Resting | None:
    """The page as a picture to be sent; None when there is nothing of it, or no number for it."""
    places = covered(sight.layout, len(sight.images), sight.shape)
    number = pictures.number() if places is not None and places.any() else None
    if number is None or places is None:
        return None
    return Resting(sight._replace(images=sight.images.copy()), pictures, number, places)
