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
PLACE = 1 << 31  # | owner << 18 | row << 9 | column: a placeholder for a part of a picture, which Kitty's protocol brought
MOST_PLACES = 297
"""Rows and columns that placeholders can tell apart."""
_MARKS = (
    "305 30D-30E 310 312 33D-33F 346 34A-34C 350-352 357 35B 363-36F 483-487 592-595 597-599 59C-5A1 5A8-5A9 5AB-5AC 5AF 5C4 "
    "610-617 657-65B 65D-65E 6D6-6DC 6DF-6E2 6E4 6E7-6E8 6EB-6EC 730 732-733 735-736 73A 73D 73F-741 743 745 747 749-74A 7EB-7F1 "
    "7F3 816-819 81B-823 825-827 829-82D 951 953-954 F82-F83 F86-F87 135D-135F 17DD 193A 1A17 1A75-1A7C 1B6B 1B6D-1B73 1CD0-1CD2 "
    "1CDA-1CDB 1CE0 1DC0-1DC1 1DC3-1DC9 1DCB-1DCC 1DD1-1DE6 1DFE 20D0-20D1 20D4-20D7 20DB-20DC 20E1 20E7 20E9 20F0 2CEF-2CF1 "
    "2DE0-2DFF A66F A67C-A67D A6F0-A6F1 A8E0-A8F1 AAB0 AAB2-AAB3 AAB7-AAB8 AABE-AABF AAC1 FE20-FE26 10A0F 10A38 1D185-1D189 "
    "1D1AA-1D1AD 1D242-1D244"
)
"""Code points of the marks that number rows and columns there: those above a letter, of Unicode 6, that never fuse with it."""

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


def blank_cells(shape: tuple[int, int], background: int) -> Cells:
    """Blanks on a background, (rows, columns) of them."""
    return Cells(
        np.full(shape, ord(" "), dtype=np.uint32),
        np.full(shape, NONE, dtype=np.int32),
        np.full(shape, background, dtype=np.int32),
    )


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


def numbered(cells: Cells) -> Cells:
    """Cells with their greys as numbers of the terminal's 256, which are shorter to write, and all that some have."""
    fg, bg = numbers(cells.fg), numbers(cells.bg)
    flat = (fg == bg) & (fg != NONE)
    return Cells(np.where(flat, np.uint32(ord(" ")), cells.chars), np.where(flat, np.int32(NONE), fg), bg)


def numbers(colours: Colours) -> Colours:
    """Colours with greys as the nearest of the terminal's 256."""
    grey = (colours & 0xFFFF) == colours >> 8
    near: Colours = np.where(grey, _grey_numbers()[colours & 0xFF], colours)
    return near


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
    if code >= PLACE:
        marks = _marks()
        return "\U0010eeee" + marks[code >> 9 & 0x1FF] + marks[code & 0x1FF] + marks[code >> 18 & 0xFF]
    char = chr(code % MORE) if code % MORE else ""
    return char + ("", "\u2068", "\u2069")[code // MORE]


@lru_cache(maxsize=1)
def _marks() -> list[str]:
    """The combining marks that stand for 0, 1, 2, ... in placeholders."""
    spans = [[int(end, 16) for end in span.split("-")] for span in _MARKS.split()]
    return [chr(code) for span in spans for code in range(span[0], span[-1] + 1)]


def row_runs(cells: Cells, row: int) -> list[Run]:
    """One row as (text, foreground, background), neighbours of one colour pair merged.

    A blank shows no foreground, so it takes that of the run before it where the background is the same.
    """
    fg, bg = cells.fg[row], cells.bg[row]
    chars = np.where(cells.chars[row] >= PLACE, ord(" "), cells.chars[row] % MORE)
    text = chars.astype("<u4").tobytes().decode("utf-32-le")  # with \0 for the second cell of a wide letter
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


def segments_of(cells: Cells, row: int, *, greys: bool = False) -> list[Segment]:
    """One row as Rich segments, its greys by number if so wished."""
    if greys:
        cells = numbered(cells)
    return [Segment(text, style_of(fg, bg)) for text, fg, bg in row_runs(cells, row)]
