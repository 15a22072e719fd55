"""Curves in braille characters, each of 4 x 2 dots."""

import numpy as np
from numpy.typing import NDArray

Dots = NDArray[np.bool_]
Codes = NDArray[np.int64]

BLANK = 0x2800
_BITS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # of the dot at (row, column) of a character


def line(y: NDArray[np.int64], rows: int) -> Dots:
    """Dots (rows, n) of a line through row y[x] of each column x, filled from the column before: a steep fall stays a line."""
    before = np.concatenate([y[:1], y[:-1]])
    row = np.arange(rows)[:, None]
    dots: Dots = (np.minimum(y, before + 1) <= row) & (row <= np.maximum(y, before - 1))
    return dots


def codes(dots: Dots) -> Codes:
    """Code points (R, C) of the braille characters of dots (4 R, 2 C)."""
    height, width = dots.shape
    cells = dots.reshape(height // 4, 4, width // 2, 2).transpose(0, 2, 1, 3)
    points: Codes = BLANK + (cells * _BITS).sum(axis=(2, 3))
    return points


def text(row: Codes) -> str:
    """One row of code points as a string."""
    return "".join(map(chr, row.tolist()))
