"""Our half-blocks as a renderer for rich-pixels. Not for the app, whose start need not wait for Pillow."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.Image import Image, Resampling
from rich.color import Color
from rich.segment import Segment
from rich_pixels import Renderer

from tinydiff_tui.terminal.cells import NONE, half_cells, pack, segments_of


class HalfBlockRenderer(Renderer):
    """rich-pixels' half-blocks by numpy, with merged runs: `Pixels.from_image(image, renderer=HalfBlockRenderer())`.

    Fully transparent pixels show default_color, or the terminal's background; an odd last row is kept as it is.
    """

    def __init__(self, *, default_color: str | None = None, greys: bool = False) -> None:
        super().__init__(default_color=default_color)
        self.greys = greys

    def render(self, image: Image, resize: tuple[int, int] | None) -> list[Segment]:
        """All rows, each closed by a line break."""
        rgba = image.convert("RGBA")
        if resize:
            rgba = rgba.resize(resize, resample=Resampling.NEAREST)
        array: NDArray[Any] = np.asarray(rgba)
        colours = np.where(array[:, :, 3] == 0, self._empty(), pack(array[:, :, :3], greys=self.greys)).astype(np.int32)
        cells = half_cells(colours)
        segments: list[Segment] = []
        for row in range(cells.shape[0]):
            segments += [*segments_of(cells, row), Segment("\n", self.null_style)]
        return segments

    def _empty(self) -> int:
        if self.default_color is None:
            return NONE
        red, green, blue = Color.parse(self.default_color).get_truecolor()
        return (red << 16) | (green << 8) | blue
