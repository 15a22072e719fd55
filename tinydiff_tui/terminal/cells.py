"""From uint8 pictures to terminal cells: pure functions over numpy arrays.

A cell is a character with two colours. Colours are int32: 0xRRGGBB, NUMBERED | n for colour n of the terminal's 256, or NONE.
The second cell of a wide letter is code point 0; what Unicode has no single code point for is numbered from MORE on.
Importing this module does not touch numpy, which comes after the first paint.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from rich.color import Color
from rich.segment import Segment
from rich.style import Style

from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Colours = NDArray[np.int32]
else:
    Pixels = Colours = object
Run = tuple[str, int, int]

NONE = -1
NUMBERED = 1 << 24
ASCII_SHADES = " .:-=+*#%@"
UPPER, LOWER = "▀", "▄"

MORE = 1 << 21  # beyond Unicode: a cell of more than one code point
ISOLATE, RELEASE = 1 * MORE, 2 * MORE  # a character followed by U+2068 or U+2069: what is between reorders nothing around it

LUMA = (0.299, 0.587, 0.114)


@lru_cache(maxsize=2)
def _code_points(characters: str) -> NDArray[np.uint32]:
    return np.array([ord(c) for c in characters], dtype=np.uint32)


def _luma(pixels: NDArray[np.floating]) -> NDArray[np.floating]:
    """Brightness of (..., C) with C = 1 or 3."""
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels @ np.array(LUMA, dtype=np.float32)


@lru_cache(maxsize=1)
def _grey_numbers() -> Colours:
    """Grey level 0 .. 255 -> the nearest of xterm's 26 greys: 16 (black), 232 .. 255, 231 (white)."""
    numbers = np.array([16, *range(232, 256), 231])
    levels = np.array([0, *range(8, 248, 10), 255])
    nearest = np.abs(np.arange(256)[:, None] - levels[None, :]).argmin(axis=1)
    table: Colours = (NUMBERED | numbers[nearest]).astype(np.int32)
    return table


class Cells(NamedTuple):
    """What a rectangle of the screen shows: code points and two colours, each of shape (rows, columns)."""

    chars: NDArray[np.uint32]
    fg: Colours
    bg: Colours

    @property
    def shape(self) -> tuple[int, int]:
        return self.chars.shape[0], self.chars.shape[1]


def pack(picture: Pixels, *, greys: bool = False) -> Colours:
    """(H, W, C) with C = 1 or 3 -> colours (H, W). With `greys`, grey pixels become numbers of the terminal's 256."""
    if picture.shape[2] == 1:
        level = picture[:, :, 0]
        packed: Colours = _grey_numbers()[level] if greys else level.astype(np.int32) * 0x010101
        return packed
    r, g, b = (picture[:, :, k].astype(np.int32) for k in range(3))
    packed = (r << 16) | (g << 8) | b
    if greys:
        packed = np.where((r == g) & (g == b), _grey_numbers()[picture[:, :, 0]], packed)
    return packed


def half_cells(colours: Colours) -> Cells:
    """Two pixels a cell, one above the other, exact. An odd last row and pixels that are NONE leave the background as it is."""
    height, width = colours.shape
    if height % 2:
        colours = np.concatenate([colours, np.full((1, width), NONE, dtype=np.int32)])
    top, bottom = colours[0::2], colours[1::2]
    same, hollow = top == bottom, top == NONE
    chars = np.where(same, ord(" "), np.where(hollow, ord(LOWER), ord(UPPER))).astype(np.uint32)
    fg = np.where(same, NONE, np.where(hollow, bottom, top)).astype(np.int32)
    bg = np.where(hollow & ~same, NONE, bottom).astype(np.int32)
    return Cells(chars, fg, bg)


def shade_cells(picture: Pixels) -> Cells:
    """Two pixels a cell, one above the other, as an ASCII shade of their mean, without colours."""
    if picture.shape[0] % 2:
        picture = np.concatenate([picture, picture[-1:]])
    level = _luma(picture.astype(np.float32))
    mean = (level[0::2] + level[1::2]) / 2
    chars = _code_points(ASCII_SHADES)[(mean / 256 * len(ASCII_SHADES)).astype(np.intp)]
    none = np.full(chars.shape, NONE, dtype=np.int32)
    return Cells(chars, none, none)


def text_of(code: int) -> str:
    """What a cell writes."""
    char = chr(code % MORE) if code % MORE else ""
    return char + ("", "\u2068", "\u2069")[code // MORE]


def row_runs(cells: Cells, row: int) -> list[Run]:
    """One row as (text, foreground, background), neighbours of one colour pair merged.

    A blank shows no foreground, so it takes that of the run before it where the background is the same.
    """
    fg, bg = cells.fg[row], cells.bg[row]
    text = (cells.chars[row] % MORE).astype("<u4").tobytes().decode("utf-32-le")  # with \0 for the second cell of a wide letter
    cuts = np.flatnonzero((fg[1:] != fg[:-1]) | (bg[1:] != bg[:-1])) + 1
    bounds = [0, *cuts.tolist(), len(text)]
    runs: list[Run] = []
    for start, end in pairwise(bounds):
        run = (text[start:end].replace("\0", ""), int(fg[start]), int(bg[start]))
        blank = run[1] == NONE and not run[0].strip(" ")
        if runs and run[2] == runs[-1][2] and (blank or run[1] == runs[-1][1]):
            runs[-1] = (runs[-1][0] + run[0], runs[-1][1], run[2])
        else:
            runs.append(run)
    return runs


@lru_cache(maxsize=1 << 16)
def style_of(fg: int, bg: int) -> Style:
    """The Rich style of a colour pair."""
    return Style(color=None if fg == NONE else colour_of(fg), bgcolor=None if bg == NONE else colour_of(bg))


def colour_of(value: int) -> Color:
    """The Rich colour of a value that is not NONE."""
    if value & NUMBERED:
        return Color.from_ansi(value & 0xFF)
    return Color.from_rgb(value >> 16, (value >> 8) & 0xFF, value & 0xFF)


def segments_of(cells: Cells, row: int) -> list[Segment]:
    """One row as Rich segments."""
    return [Segment(text, style_of(fg, bg)) for text, fg, bg in row_runs(cells, row)]
