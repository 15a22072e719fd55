"""How a page of images is laid out on a rectangle of cells: pure functions over sizes and arrays."""

from functools import lru_cache
from typing import NamedTuple

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np

SMALLEST_TILE = 4  # cells high; a smaller digit cannot be told from another


class Layout(NamedTuple):
    """How images are tiled: `scale` pixels a pixel for half-blocks, or a tile of `tile` (width, height) pixels for quadrants."""

    look: str
    columns: int
    rows: int
    scale: int = 1
    tile: tuple[int, int] = (0, 0)

    @property
    def room(self) -> int:
        return self.columns * self.rows


@lru_cache(maxsize=64)
def fit(count: int, side: tuple[int, int], size: tuple[int, int], mode: str = "auto", columns: int = 0) -> Layout:
    """The layout that shows most of `count` images of side (height, width) in size (columns, rows) of cells, largest first.

    Half-blocks come in whole multiples of a pixel; quadrants shrink images to what fits. Tiles are one pixel apart.
    """
    width, height = size
    count = max(count, 1)
    half = _fit_half(count, side, size, columns)
    if half.room and (mode == "half" or (mode == "auto" and half.room >= count)):
        return half
    best = Layout("quad", 0, 0)
    # A cell is twice as high as wide, so a square tile of n rows takes 2 n columns.
    for tile in range(min(height, width), 0, -1):
        across = round(tile * 2 * side[1] / side[0])
        in_row = min(width // max(across, 1), columns or width)
        layout = Layout("quad", in_row, height // tile, tile=(2 * across - 1, 2 * tile - 1))
        if layout.room and (not best.room or (layout.room > best.room and tile >= SMALLEST_TILE)):
            best = layout
        if best.room >= count or tile < SMALLEST_TILE:
            break
    return best if best.room > half.room or mode == "quad" else half


def _fit_half(count: int, side: tuple[int, int], size: tuple[int, int], columns: int) -> Layout:
    width, height = size[0] + 1, size[1] * 2 + 1  # no gap behind the last tile
    best = Layout("half", 0, 0)
    for scale in range(max(size) * 2, 0, -1):
        in_row, rows = width // (side[1] * scale + 1), height // (side[0] * scale + 1)
        layout = Layout("half", min(in_row, columns or in_row), rows, scale)
        if layout.room > best.room:
            best = layout
        if best.room >= count:
            break
    return best


def compose(images: Pixels, layout: Layout, size: tuple[int, int], background: tuple[int, int, int]) -> Pixels:
    """Draw the images that fit on a canvas of exactly `size` cells, in the pixels of the layout's look."""
    width, height = size
    grey = images.shape[3] == 1 and len(set(background)) == 1
    canvas = np.empty((height * 2, width * (2 if layout.look == "quad" else 1), 1 if grey else 3), dtype=np.uint8)
    canvas[:] = background[:1] if grey else background
    for i, image in enumerate(images[: layout.room]):
        if layout.look == "quad":
            tile = shrunk(image, layout.tile)
        else:
            tile = image.repeat(layout.scale, axis=0).repeat(layout.scale, axis=1)
        top, left = (i // layout.columns) * (tile.shape[0] + 1), (i % layout.columns) * (tile.shape[1] + 1)
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def shrunk(image: Pixels, tile: tuple[int, int]) -> Pixels:
    """An image (H, W, C) at the size of a tile (width, height)."""
    from PIL import Image  # only now: half-blocks need none, and the first paint does not wait for it

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    smaller: Pixels = np.asarray(picture.resize(tile, Image.Resampling.BOX))
    return smaller.reshape(tile[1], tile[0], -1)
