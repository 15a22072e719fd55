"""What a hand draws and erases, on the pixels of a picture: plain values, a new one for each stroke."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np

INK, GROUND = 255, 0


@dataclass(frozen=True, eq=False)
class Sketch:
    """pixels: uint8 (H, W, C); drawn and erased: bool (H, W), what the pen or the rubber touched last."""

    pixels: Pixels
    drawn: np.ndarray
    erased: np.ndarray

    @classmethod
    def of(cls, pixels: Pixels) -> Sketch:
        """A picture that nobody touched yet."""
        untouched = np.zeros(pixels.shape[:2], dtype=np.bool_)
        return cls(pixels, untouched, untouched)

    @classmethod
    def blank(cls, side: tuple[int, int], channels: int) -> Sketch:
        """A dark canvas."""
        return cls.of(np.full((*side, channels), GROUND, dtype=np.uint8))

    @property
    def touched(self) -> np.ndarray:
        """Where pen or rubber were."""
        touched: np.ndarray = self.drawn | self.erased
        return touched

    def stroke(self, start: tuple[int, int], end: tuple[int, int], brush: int, *, erase: bool) -> Sketch:
        """A straight line between two pixels (x, y), `brush` pixels wide, of ink or of the ground."""
        height, width = self.pixels.shape[:2]
        line = np.zeros((height, width), dtype=np.bool_)
        (x0, y0), (x1, y1) = start, end
        parts = max(abs(x1 - x0), abs(y1 - y0))
        for k in range(parts + 1):
            share = k / max(parts, 1)
            x, y = round(x0 + share * (x1 - x0)), round(y0 + share * (y1 - y0))
            left, top = x - (brush - 1) // 2, y - (brush - 1) // 2
            line[max(top, 0) : max(top + brush, 0), max(left, 0) : max(left + brush, 0)] = True
        pixels = self.pixels.copy()
        pixels[line] = GROUND if erase else INK
        drawn, erased = (self.drawn & ~line, self.erased | line) if erase else (self.drawn | line, self.erased & ~line)
        return dataclasses.replace(self, pixels=pixels, drawn=drawn, erased=erased)
