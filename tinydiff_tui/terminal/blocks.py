"""Block characters: a cell shows 2 x 2, 2 x 3 or 2 x 4 dots in two colours, as near to the picture as two colours come.

Quadrants are of Unicode 1.1, sextants of 13 (U+1FB00), octants of 16 (U+1CD00). Bit k of a pattern is dot k, row by row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from tinydiff_tui.terminal.cells import NONE, Cells, Pixels, pack
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DOTS = {"quadrant": (2, 2), "sextant": (2, 3), "octant": (2, 4)}
"""Dots of a cell, across and down."""
QUADRANTS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
_OLDER_SEXTANTS = {0: " ", 0b010101: "▌", 0b101010: "▐", 0b111111: "█"}
_QUARTERS = {
    0b00000001: "\U0001cea8", 0b00000010: "\U0001ceab", 0b00000011: "\U0001fb82", 0b01000000: "\U0001cea3",
    0b10000000: "\U0001cea0", 0b11000000: "▂", 0b00010100: "\U0001fbe6", 0b00101000: "\U0001fbe7",
    0b00111111: "\U0001fb85", 0b11111100: "▆",
}  # fmt: skip
"""Octants that Unicode has as quarters of a block."""


def characters(look: str) -> list[str]:
    """The character of every pattern. Sextants and octants stand in rising order, without those that are older blocks."""
    if look == "quadrant":
        return list(QUADRANTS)
    if look == "sextant":
        older, first = _OLDER_SEXTANTS, 0x1FB00
    else:
        older, first = {_doubled(pattern): char for pattern, char in enumerate(QUADRANTS)} | _QUARTERS, 0x1CD00
    patterns = range(1 << 2 * DOTS[look][1])
    new = iter(range(first, first + len(patterns)))
    return [older.get(pattern) or chr(next(new)) for pattern in patterns]


def _doubled(quadrants: int) -> int:
    """The octants of a pattern of quadrants: every row twice."""
    top, bottom = quadrants & 3, quadrants >> 2
    return top | top << 2 | bottom << 4 | bottom << 6


@lru_cache(maxsize=len(DOTS))
def _code_points(look: str) -> NDArray[np.uint32]:
    return np.array([ord(char) for char in characters(look)], dtype=np.uint32)


def block_cells(picture: Pixels, look: str, *, greys: bool = False) -> Cells:
    """(H, W, C) with C = 1 or 3 in the two colours a cell that fit its dots best.

    The dots of a cell are sorted along the line on which they differ most and cut where the squared error is least: the best cut
    there is of greys, and of colours that lie on a line.
    """
    across, down = DOTS[look]
    n = across * down
    picture = np.pad(picture, ((0, -picture.shape[0] % down), (0, -picture.shape[1] % across), (0, 0)), mode="edge")
    rows, columns, channels = picture.shape[0] // down, picture.shape[1] // across, picture.shape[2]
    blocks = picture.reshape(rows, down, columns, across, channels).transpose(0, 2, 1, 3, 4)
    dots = blocks.reshape(rows * columns, n, channels).astype(np.float32)
    order = np.argsort(_along(dots), axis=1, kind="stable")
    # The best cut leaves the largest sum of |sum of a side|^2 / (dots of the side).
    sums = np.cumsum(np.take_along_axis(dots, order[..., None], axis=1), axis=1)
    counts = np.arange(1, n, dtype=np.float32)[:, None]
    below, above = sums[:, :-1], sums[:, -1:] - sums[:, :-1]
    gains = (np.square(below) / counts + np.square(above) / (n - counts)).sum(axis=2)
    cut = gains.argmax(axis=1) + 1
    lit = np.argsort(order, axis=1, kind="stable") >= cut[:, None]
    flat = np.ptp(dots, axis=1).max(axis=1) < 1
    lit[flat] = False
    each = np.arange(len(cut))
    low, whole = sums[each, cut - 1], sums[:, -1]
    off = np.where(flat[:, None], whole / n, low / cut[:, None])
    on = (whole - low) / (n - cut)[:, None]
    pattern = (lit * (1 << np.arange(n))).sum(axis=1)
    colours = [pack(side.round().astype(np.uint8).reshape(rows, columns, channels), greys=greys) for side in (on, off)]
    fg = np.where(flat.reshape(rows, columns), NONE, colours[0]).astype(np.int32)
    return Cells(_code_points(look)[pattern].reshape(rows, columns), fg, colours[1])


def _along(dots: Floats) -> Floats:
    """Where the dots (cells, n, C) lie on the line of their greatest variance, (cells, n); from dark to light."""
    if dots.shape[2] == 1:
        return dots[..., 0]
    centred = dots - dots.mean(axis=1, keepdims=True)
    spread = np.einsum("cni,cnj->cij", centred, centred)
    line = np.full((len(dots), 3), 1.0, dtype=np.float32) + spread.sum(axis=2) * 1e-6
    for _ in range(4):  # power iteration: four bring it near enough to sort by
        line = np.einsum("cij,cj->ci", spread, line)
        line /= np.maximum(np.abs(line).max(axis=1, keepdims=True), 1e-6)
    line = np.where(line.sum(axis=1, keepdims=True) < 0, -line, line)
    along: Floats = np.einsum("cni,ci->cn", centred, line)
    return along
