"""The pictures of a plane of noises: as many as are told apart, in so many columns and rows that they fill the room."""

from __future__ import annotations

from functools import lru_cache

from textual.message import Message
from textual.widget import Widget

from tinydiff_tui.terminal.tiling import Layout, Page, Tile, tiles
from tinydiff_tui.widgets.pixel_grid import PixelGrid

SHAPES: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, 1),),
    ((2, 2), (4, 1)),
    ((3, 2), (2, 3), (6, 1)),
    ((4, 2), (3, 3), (8, 1)),
    ((4, 3), (6, 2)),
    ((4, 4), (8, 2)),
    ((6, 5), (10, 3)),
    ((8, 8), (16, 4)),
)
"""(across, down), of few pictures and of more; those of one line are about as many."""
USUAL = 5
"""Which of them it is where there is room."""


class PlaneGrid(PixelGrid):
    """Shows what is asked for by `shape`, which follows from the room, the sides of a picture and the density."""

    class Reshaped(Message):
        """Another shape is wanted."""

    def __init__(self, side: tuple[int, int] = (28, 28)) -> None:
        super().__init__()
        self.side = side
        self._told = (0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """How many pictures across and down."""
        return _shape(self.side, self.looks, self.room, self.density)

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows: the widget's, or while it is hidden those of the box around it."""
        size = self.size or (self.parent.content_size if isinstance(self.parent, Widget) else self.size)
        return size.width, size.height

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        """Rows without gaps below one line of headings; one picture alone as everywhere."""
        across, tile = len(page.headings), None
        if across > 1:
            tile = _tile((across, len(page.images) // across), self.side, self.looks, self.room)
        if tile is None:
            return super().laid_out(page, size)
        margin = max(size[0] - across * (tile.columns + 1) + 1, 0) // 2
        return Layout(tile, across, len(page.images) // across, across, margin)

    def _redraw(self) -> None:
        super()._redraw()
        if self.is_attached and self.size and self.shape != self._told:
            self._told = self.shape
            self.post_message(self.Reshaped())


@lru_cache(maxsize=16)  # asked for at every key
def _shape(side: tuple[int, int], looks: tuple[str, ...], room: tuple[int, int], density: int) -> tuple[int, int]:
    """How many pictures across and down, of such sides on so many columns and rows."""
    chosen = []
    for shapes in SHAPES:
        found = [(shape, _tile(shape, side, looks, room)) for shape in shapes]
        chosen.append(max(found, key=lambda each: 0 if each[1] is None else each[1].dots[0] * each[1].dots[1]))
    tellable = [k for k, (_, tile) in enumerate(chosen) if _tellable(tile, side) and k <= USUAL]
    place = (tellable[-1] if tellable else 0) + density
    return chosen[min(max(place, 0), len(chosen) - 1)][0]


def _tile(shape: tuple[int, int], side: tuple[int, int], looks: tuple[str, ...], room: tuple[int, int]) -> Tile | None:
    """The largest way to draw so many pictures across and down; None where they have no room."""
    (across, down), (width, height) = shape, room
    known, _ = tiles(side, looks, room)
    fitting = (t for t in known if across * (t.columns + 1) - 1 <= width and 1 + down * t.rows <= height)
    return next(fitting, None)


def _tellable(tile: Tile | None, side: tuple[int, int]) -> bool:
    """Whether a picture keeps half of its dots each way."""
    return tile is not None and 2 * tile.dots[0] >= side[1] and 2 * tile.dots[1] >= side[0]
