"""Our cells as a renderer for rich-pixels. Not for the app, whose start need not wait for Pillow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling
from rich.color import Color
from rich.segment import Segment
from rich_pixels import Renderer

from tinydiff_tui.terminal.blocks import DOTS, block_cells
from tinydiff_tui.terminal.cells import NONE, Cells, half_cells, pack, segments_of, shade_cells


class CellRenderer(Renderer):
    """A look or ASCII shades for rich-pixels: `Pixels.from_image(image, renderer=CellRenderer("half"))`.

    Runs of one colour are merged. Transparent pixels show default_color, or the terminal's background: with half-blocks each of
    them, with the others cells that are transparent altogether. An odd last row is kept as it is.
    """

    def __init__(self, look: str = "half", *, default_color: str | None = None, greys: bool = False) -> None:
        super().__init__(default_color=default_color)
        self.look = look
        self.greys = greys

    def render(self, image: Image, resize: tuple[int, int] | None) -> list[Segment]:
        """All rows, each closed by a line break."""
        rgba = image.convert("RGBA")
        if resize:
            rgba = rgba.resize(resize, resample=Resampling.NEAREST)
        array: NDArray[Any] = np.asarray(rgba)
        cells = self._cells(array[:, :, :3], array[:, :, 3] == 0)
        segments: list[Segment] = []
        for row in range(cells.shape[0]):
            segments += [*segments_of(cells, row), Segment("\n", self.null_style)]
        return segments

    def _cells(self, pixels: NDArray[np.uint8], hollow: NDArray[np.bool_]) -> Cells:
        if self.look == "half":
            return half_cells(np.where(hollow, self._empty(), pack(pixels, greys=self.greys)).astype(np.int32))
        if self.look == "shade":
            across, down, cells = 1, 2, shade_cells(np.where(hollow[..., None], 0, pixels).astype(np.uint8))
        else:
            (across, down), cells = DOTS[self.look], block_cells(pixels, self.look, greys=self.greys)
        rows, columns = cells.shape
        padded = np.pad(hollow, ((0, rows * down - hollow.shape[0]), (0, columns * across - hollow.shape[1])), mode="edge")
        empty = padded.reshape(rows, down, columns, across).all(axis=(1, 3))
        chars = np.where(empty, ord(" "), cells.chars).astype(np.uint32)
        bg = np.where(empty, self._empty(), cells.bg).astype(np.int32)
        return Cells(chars, np.where(empty, NONE, cells.fg).astype(np.int32), bg)

    def _empty(self) -> int:
        if self.default_color is None:
            return NONE
        red, green, blue = Color.parse(self.default_color).get_truecolor()
        return (red << 16) | (green << 8) | blue
