"""Pictures in a widget: a page of images as large as fits, or one of them alone, repainting only the cells that changed."""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from textual import events
from textual.geometry import Region
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.pixels import Cells, Pixels, half_cells, pack, quadrant_cells, segments_of, shade_cells

SMALLEST_TILE = 4  # cells high; a smaller digit cannot be told from another
JOIN = 12  # unchanged cells between two changes that cost less to send again than to jump over


@dataclass(frozen=True)
class Layout:
    """How images are tiled: `scale` pixels a pixel for half-blocks, or a tile of `tile` (width, height) pixels for quadrants."""

    look: str
    columns: int
    rows: int
    scale: int = 1
    tile: tuple[int, int] = (0, 0)

    @property
    def room(self) -> int:
        return self.columns * self.rows


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
            tile = _resize(image, layout.tile)
        else:
            tile = image.repeat(layout.scale, axis=0).repeat(layout.scale, axis=1)
        top, left = (i // layout.columns) * (tile.shape[0] + 1), (i % layout.columns) * (tile.shape[1] + 1)
        canvas[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return canvas


def _resize(image: Pixels, tile: tuple[int, int]) -> Pixels:
    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    shrunk: Pixels = np.asarray(picture.resize(tile, Image.Resampling.BOX))
    return shrunk.reshape(tile[1], tile[0], -1)


def changed_spans(changed: NDArray[np.bool_]) -> list[Region]:
    """The regions that cover the changed cells of (rows, columns); near neighbours in a row are taken as one."""
    regions: list[Region] = []
    for y in np.flatnonzero(changed.any(axis=1)).tolist():
        x = np.flatnonzero(changed[y])
        breaks = np.flatnonzero(np.diff(x) > JOIN)
        starts, ends = x[np.r_[0, breaks + 1]], x[np.r_[breaks, len(x) - 1]]
        regions += [Region(int(a), y, int(b) - int(a) + 1, 1) for a, b in zip(starts, ends, strict=True)]
    return regions


class PixelGrid(Widget):
    """Images uint8 (N, H, W, C) as terminal cells. `shown` says how many of them are on the screen."""

    DEFAULT_CSS = "PixelGrid { width: 1fr; height: 1fr; }"

    mode: reactive[str] = reactive("auto", init=False)
    """auto, half (exact pixels) or quad (four pixels a cell)."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.images: Pixels = np.zeros((0, 1, 1, 1), dtype=np.uint8)
        self.columns = 0
        self.shown = 0
        self.zoomed: int | None = None
        self.cells: Cells | None = None
        self.tiling = Layout("half", 0, 0)
        self._strips: dict[int, Strip] = {}

    def show(self, images: Pixels, columns: int = 0) -> None:
        """Show images in reading order, `columns` in a row (0: what fits). A zoomed index stays zoomed while it exists."""
        self.images, self.columns = images, columns
        if self.zoomed is not None and self.zoomed >= len(images):
            self.zoomed = None
        self._redraw()

    def zoom(self, index: int | None) -> None:
        """Show one image alone, as large as whole pixels allow; None shows the page again."""
        self.zoomed = None if index is None or not len(self.images) else index % len(self.images)
        self._redraw()

    def capacity(self, side: tuple[int, int], wanted: int) -> int:
        """How many images of side (height, width) can be shown at once, at most `wanted`."""
        if not self.size.width or not self.size.height:
            return 0
        return min(wanted, fit(wanted, side, (self.size.width, self.size.height), self.mode).room)

    def watch_mode(self) -> None:
        self._redraw()

    def on_resize(self, _: events.Resize) -> None:
        self._redraw()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._redraw()

    def render_line(self, y: int) -> Strip:
        """One row of cells, as wide as the widget."""
        cells, width = self.cells, self.size.width
        if cells is None or y >= cells.shape[0] or cells.shape[1] != width:
            return Strip.blank(width, self.rich_style)
        if y not in self._strips:
            self._strips[y] = Strip(segments_of(cells, y), width)
        return self._strips[y]

    def _redraw(self) -> None:
        if not self.is_attached or not self.size.width or not self.size.height:
            return
        before, self.cells = self.cells, self._cells()
        if before is None or before.shape != self.cells.shape:
            self._strips.clear()
            self.refresh()
            return
        now = self.cells
        changed = (before.chars != now.chars) | (before.fg != now.fg) | (before.bg != now.bg)
        regions = changed_spans(changed)
        for region in regions:
            self._strips.pop(region.y, None)
        if regions:
            self.refresh(*regions)

    def _cells(self) -> Cells:
        images = self.images if self.zoomed is None else self.images[self.zoomed : self.zoomed + 1]
        size = (self.size.width, self.size.height)
        look = terminal_look(self)
        side = (images.shape[1], images.shape[2])
        alone = self.zoomed is not None
        self.tiling = fit(len(images), side, size, "auto" if alone else self.mode, 0 if alone else self.columns)
        self.shown = min(len(images), self.tiling.room)
        if look == "shades" and self.tiling.look == "quad" and self.shown:
            # Shades have no quadrants: the same tiles at half the width.
            width, height = self.tiling.tile
            self.tiling = Layout("shade", self.tiling.columns, self.tiling.rows, tile=(max(width // 2, 1), height))
            images = np.stack([_resize(image, self.tiling.tile) for image in images[: self.tiling.room]])
        colour = self.background_colors[1]
        canvas = compose(images, self.tiling, size, (colour.r, colour.g, colour.b))
        if look == "shades":
            return shade_cells(canvas)
        if self.tiling.look == "quad":
            return quadrant_cells(canvas, greys=look == "greys")
        return half_cells(pack(canvas, greys=look == "greys"))


def ascii_only() -> bool:
    """Whether the terminal's encoding has no block, line and braille characters."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return not encoding.lower().startswith("utf")


def terminal_look(widget: Widget) -> str:
    """What the terminal can show: colours, greys (256 colours: greys by number) or shades (ASCII, no colours)."""
    if widget.app.no_color or ascii_only():
        return "shades"
    system = widget.app.console.color_system
    if system in (None, "standard", "windows"):
        return "shades"
    return "greys" if system == "256" else "colours"
