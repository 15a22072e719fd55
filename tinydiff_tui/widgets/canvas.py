"""A picture that is drawn on: every pixel as large as there is room, the cursor's marked, mouse and pen in pixels."""

from __future__ import annotations

from dataclasses import dataclass

from textual import events
from textual.message import Message

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import places
from tinydiff_tui.widgets.pixel_grid import PixelGrid

RIGHT_BUTTON = 3


class Canvas(PixelGrid):
    """`draw` shows a sketch; what the mouse does on it is a message."""

    @dataclass
    class Stroked(Message):
        """The mouse went from one pixel (x, y) to another; `begins` a stroke; `erase`: with the right button."""

        start: tuple[int, int]
        end: tuple[int, int]
        begins: bool
        erase: bool

    def __init__(self) -> None:
        super().__init__()
        self._last: tuple[int, int] | None = None
        self._erasing = False

    def draw(self, pixels: Pixels, cursor: tuple[int, int], veiled: np.ndarray) -> None:
        """Show a picture (H, W, C), the cursor (x, y) in it, and a veil in the colour of x_t where the mask (H, W) says so."""
        shown = np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels.copy()
        shown[veiled] = (0.6 * shown[veiled] + 0.4 * self._colour("x-t")).astype(np.uint8)
        x, y = cursor
        shown[y, x] = (0.3 * shown[y, x] + 0.7 * self._colour("accent")).astype(np.uint8)
        self.show(shown[None])

    def _colour(self, name: str) -> np.ndarray:
        digits = self.app.theme_variables.get(name, "#ffaf00").lstrip("#")[:6]
        return np.array([int(digits[k : k + 2], 16) for k in (0, 2, 4)])

    def pixel_at(self, column: int, row: int) -> tuple[int, int] | None:
        """The pixel (x, y) in the middle of a cell; None outside of the picture."""
        if not len(self.images) or not self.shown:
            return None
        tile, (left, top) = self.tiling.tile, places(self.tiling, 1)[0]
        height, width = self.images.shape[1:3]
        x, y = (column - left + 0.5) / tile.columns, (row - top + 0.5) / tile.rows
        return (int(x * width), int(y * height)) if 0 <= x < 1 and 0 <= y < 1 else None

    def on_mouse_down(self, event: events.MouseDown) -> None:
        self._last = self.pixel_at(event.x, event.y)
        self._erasing = event.button == RIGHT_BUTTON
        if self._last is not None:
            self.capture_mouse()
            self.post_message(self.Stroked(self._last, self._last, True, self._erasing))

    def on_mouse_move(self, event: events.MouseMove) -> None:
        if self._last is not None and (here := self.pixel_at(event.x, event.y)) is not None and here != self._last:
            self.post_message(self.Stroked(self._last, here, False, self._erasing))
            self._last = here

    def on_mouse_up(self) -> None:
        self._last = None
        self.release_mouse()
