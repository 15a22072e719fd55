"""Cells as the bytes that a terminal takes: cursor moves over what stays, and a colour only where it changes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import ColorSystem

from tinydiff_tui.terminal.cells import MORE, NONE, NUMBERED, Cells, Colours, colour_of, numbered, text_of
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

# Greys of the terminal's 256 that are exactly a colour of their own: shorter to write. Not 16, which some themes redefine.
_SHORT = {0x0A0A0A * k + 0x080808: 232 + k for k in range(24)} | {0xFFFFFF: 231}
_WIDEST_GAP = 999
# Where the parts of a cell's record are; bytes that a cell does not need are 0.
_MOVE, _OPEN, _FRONT, _AND, _BACK, _CLOSE, _CHAR = 0, 10, 12, 28, 29, 45, 46


def paint(cells: Cells, changed: NDArray[np.bool_], origin: tuple[int, int], truecolor: bool, *, greys: bool = False) -> str:
    """The sequence that draws the `changed` cells (rows, columns); cell (0, 0) is at `origin` (column, row) of the screen.
    With `greys`, greys go by number.

    Leaves the cursor as it was, and no style.
    """
    rows, columns = np.nonzero(changed)
    if not len(rows):
        return ""
    record = _records(cells.chars[changed], cells.fg[changed], cells.bg[changed], truecolor, greys)
    gaps = np.clip(np.diff(columns, prepend=-1) - 1, 0, _WIDEST_GAP)
    record[:, _MOVE:_OPEN] = _forward()[gaps]
    starts = np.flatnonzero(np.diff(rows, prepend=-1))
    places = zip(rows[starts].tolist(), columns[starts].tolist(), strict=True)
    record[starts, _MOVE:_OPEN] = _table((f"\x1b[{origin[1] + y + 1};{origin[0] + x + 1}H" for y, x in places), _OPEN - _MOVE)
    return f"\x1b7\x1b[m{_text(record)}\x1b[m\x1b8"


def row_text(cells: Cells, row: int, start: int, end: int, truecolor: bool, *, greys: bool = False) -> str:
    """Columns start to end of a row, for a cursor that is there already; needs no style and leaves none."""
    part = slice(start, end)
    return _text(_records(cells.chars[row, part], cells.fg[row, part], cells.bg[row, part], truecolor, greys)) + "\x1b[m"


def _records(chars: NDArray[np.uint32], fg: Colours, bg: Colours, truecolor: bool, greys: bool) -> Bytes:
    """A row of bytes for each of the cells (N,), which follow each other, without moves."""
    if greys:
        chars, fg, bg = numbered(Cells(chars, fg, bg))
    fg = _carried(fg, chars)
    new_fg, new_bg = np.diff(fg, prepend=np.int32(NONE)) != 0, np.diff(bg, prepend=np.int32(NONE)) != 0
    text = _utf8(chars)
    record = np.zeros((len(chars), _CHAR + text.shape[1]), dtype=np.uint8)
    any_new = new_fg | new_bg
    record[any_new, _OPEN:_FRONT] = (0x1B, ord("["))
    record[:, _FRONT:_AND] = _codes(fg, True, truecolor) * new_fg[:, None]
    record[:, _AND] = (new_fg & new_bg) * ord(";")
    record[:, _BACK:_CLOSE] = _codes(bg, False, truecolor) * new_bg[:, None]
    record[:, _CLOSE] = any_new * ord("m")
    record[:, _CHAR:] = text
    return record


def _text(record: Bytes) -> str:
    drawn: bytes = record[record != 0].tobytes()
    return drawn.decode()


def _carried(fg: Colours, chars: NDArray[np.uint32]) -> Colours:
    """Foregrounds, with that of the cell before for blanks, which show none."""
    told = (fg != NONE) | (chars != ord(" "))
    last = np.maximum.accumulate(np.where(told, np.arange(len(fg)), -1))
    carried: Colours = np.where(last < 0, NONE, fg[last]).astype(np.int32)
    return carried


def _utf8(chars: NDArray[np.uint32]) -> Bytes:
    """What each cell writes, as UTF-8, (N, 4), or (N, 16) where some are more than a character."""
    end, third, second = 0x80 | chars & 0x3F, 0x80 | chars >> 6 & 0x3F, 0x80 | chars >> 12 & 0x3F
    out = np.zeros((len(chars), 16 if (chars >= MORE).any() else 4), dtype=np.uint8)
    ascii_, long = chars < 0x80, chars >= 0x10000  # all others but a few have three bytes
    out[:, 0] = np.where(ascii_, chars, np.where(long, 0xF0 | chars >> 18 & 7, 0xE0 | chars >> 12 & 0xF))
    out[:, 1] = np.where(ascii_, 0, np.where(long, second, third))
    out[:, 2] = np.where(ascii_, 0, np.where(long, third, end))
    out[:, 3] = np.where(long, end, 0)
    for k in np.flatnonzero(((chars >= 0x80) & (chars < 0x800)) | (chars >= MORE)).tolist():
        written = text_of(int(chars[k])).encode()
        out[k, : len(written)] = np.frombuffer(written, dtype=np.uint8)
        out[k, len(written) :] = 0
    return out


def _codes(colours: Colours, front: bool, truecolor: bool) -> Bytes:
    """The parameters that select each colour, (N, 16)."""
    distinct, inverse = np.unique(colours, return_inverse=True)
    return _table((sgr(colour, front, truecolor) for colour in distinct.tolist()), _AND - _FRONT)[inverse]


@lru_cache(maxsize=1)
def _forward() -> Bytes:
    return _table((f"\x1b[{gap}C" if gap else "" for gap in range(_WIDEST_GAP + 1)), _OPEN - _MOVE)


def _table(texts: Iterable[str], width: int) -> Bytes:
    """ASCII texts as rows of bytes, filled with 0."""
    padded = "".join(text.ljust(width, "\0") for text in texts)
    return np.frombuffer(padded.encode(), dtype=np.uint8).reshape(-1, width)


@lru_cache(maxsize=1 << 16)
def sgr(value: int, front: bool, truecolor: bool) -> str:
    """The parameters that select a colour, exact on a truecolor terminal, else the nearest of its 256."""
    if value == NONE:
        return "39" if front else "49"
    if truecolor:
        number = value & 0xFF if value & NUMBERED else _SHORT.get(value)
        if number is not None:
            return f"{38 if front else 48};5;{number}"
    system = ColorSystem.TRUECOLOR if truecolor else ColorSystem.EIGHT_BIT
    return ";".join(colour_of(value).downgrade(system).get_ansi_codes(front))
