"""Kitty's graphics protocol: a picture sent once, and the Unicode placeholders that show a part of it in each cell.

Placeholders are text, so they stay in their pane of tmux, and go when something else is written there. The picture's number is in
their colour, one of the terminal's 256 so that nothing between here and there changes it, and in their third mark.
https://sw.kovidgoyal.net/kitty/graphics-protocol/#unicode-placeholders
"""

from __future__ import annotations

import zlib
from base64 import standard_b64encode
from typing import TYPE_CHECKING

from tinydiff_tui.terminal.cells import NUMBERED, PLACE, Cells, Pixels
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST, LAST = 16, 255
"""The colours that number pictures; those below are written and changed in other ways."""
CHUNK = 3072  # characters of base64 in one command; the protocol takes 4096


def upload(picture: Pixels, number: int, owner: int, size: tuple[int, int]) -> list[str]:
    """The commands that send a picture (H, W, 3), to be shown on size (columns, rows) of cells. They go out in a row."""
    data = standard_b64encode(zlib.compress(picture.tobytes(), 3)).decode()
    height, width = picture.shape[:2]
    columns, rows = size
    told = f"a=T,U=1,q=2,f=24,o=z,s={width},v={height},i={owner << 24 | number},c={columns},r={rows}"
    parts = [data[start : start + CHUNK] for start in range(0, len(data), CHUNK)]
    keys = [told, *["q=2"] * (len(parts) - 1)]
    more = [1] * (len(parts) - 1) + [0]
    return [command(f"{head},m={left}", part) for head, left, part in zip(keys, more, parts, strict=True)]


BREAK_OFF = "\x1b_Gq=2,m=0;\x1b\\"
"""Ends a picture of which not all was sent."""


def remove(number: int, owner: int) -> str:
    """The command that frees a picture."""
    return command(f"a=d,d=I,i={owner << 24 | number},q=2")


def command(keys: str, data: str = "") -> str:
    return f"\x1b_G{keys};{data}\x1b\\" if data else f"\x1b_G{keys}\x1b\\"


def through_tmux(sequence: str) -> str:
    """The sequence as tmux hands it on to the terminal."""
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"


def with_places(cells: Cells, covered: NDArray[np.bool_], number: int, owner: int, background: int) -> Cells:
    """The cells with placeholders where `covered`: cell (row, column) shows that part of the picture."""
    rows, columns = np.indices(cells.shape, dtype=np.uint32)
    places = PLACE | owner << 18 | rows << 9 | columns
    return Cells(
        np.where(covered, places, cells.chars).astype(np.uint32),
        np.where(covered, NUMBERED | number, cells.fg).astype(np.int32),
        np.where(covered, background, cells.bg).astype(np.int32),
    )
