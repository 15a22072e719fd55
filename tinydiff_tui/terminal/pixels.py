"""A page of pictures in the terminal's own pixels, each enlarged by a whole number so that it stays crisp."""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import TYPE_CHECKING

from tinydiff_tui.terminal.cells import MOST_PLACES, Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import Layout, places, shrunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELL = (10, 20)
"""Pixels of a cell (width, height) where the terminal does not say: placeholders stretch a picture over their cells."""
MOST_PIXELS = 4_000_000  # of a page; of more every second one is left to the terminal


def cell_pixels(terminal: int) -> tuple[int, int]:
    """Pixels of a cell (width, height) of the terminal behind a descriptor."""
    try:
        rows, columns, width, height = struct.unpack("HHHH", fcntl.ioctl(terminal, termios.TIOCGWINSZ, bytes(8)))
    except OSError:
        return CELL
    if not rows or not columns or not 2 <= width // columns <= 100 or not 4 <= height // rows <= 200:
        return CELL
    return width // columns, height // rows


def covered(layout: Layout, count: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The cells (rows, columns) that the pictures of a page cover; None when they are too many to be numbered."""
    cells = np.zeros(shape, dtype=np.bool_)
    for x, y in places(layout, count):
        cells[y : y + layout.tile.rows, x : x + layout.tile.columns] = True
    return None if max(extent(cells)) > MOST_PLACES else cells


def extent(cells: NDArray[np.bool_]) -> tuple[int, int]:
    """Columns and rows up to the last of these cells."""
    rows, columns = np.nonzero(cells)
    return (int(columns.max()) + 1, int(rows.max()) + 1) if len(rows) else (0, 0)


def page_pixels(images: Pixels, layout: Layout, size: tuple[int, int], cell: tuple[int, int], background: int) -> Pixels:
    """Pictures (N, H, W, C) in their places, (H, W, 3), on size (columns, rows) of cells."""
    across, down = cell
    while size[0] * across * size[1] * down > MOST_PIXELS and min(cell) > 3:
        cell = across, down = across // 2, down // 2
    page = np.empty((size[1] * down, size[0] * across, 3), dtype=np.uint8)
    page[:] = (background >> 16, background >> 8 & 0xFF, background & 0xFF)
    room = (layout.tile.columns * across, layout.tile.rows * down)
    for image, (x, y) in zip(images, places(layout, len(images)), strict=False):
        large = enlarged(image, room)
        top, left = y * down + (room[1] - large.shape[0]) // 2, x * across + (room[0] - large.shape[1]) // 2
        page[top : top + large.shape[0], left : left + large.shape[1]] = large
    return page


def enlarged(image: Pixels, room: tuple[int, int]) -> Pixels:
    """An image (H, W, C) as large as whole pixels allow in room (width, height), or shrunk into it."""
    height, width = image.shape[:2]
    scale = min(room[0] // width, room[1] // height)
    if scale:
        return image.repeat(scale, axis=0).repeat(scale, axis=1)
    share = min(room[0] / width, room[1] / height)
    return shrunk(image, (max(1, int(width * share)), max(1, int(height * share))))
