"""The other end of Kitty's protocol: pictures put together again from what a program sent, and from the placeholders it wrote."""

import unicodedata
import zlib
from base64 import standard_b64decode
from dataclasses import dataclass

import numpy as np
import pyte
from pyte.graphics import FG_BG_256

from tinydiff_tui.terminal.cells import Pixels

PLACEHOLDER = "\U0010eeee"
FUSED = {*range(0x300, 0x305), *range(0x306, 0x30D), 0x30F, 0x311, 0x313, 0x314, 0x342, 0x653, 0x654}
MARKS = [
    mark
    for mark in map(chr, range(0x300, 0x82E))
    if unicodedata.combining(mark) == 230 and not unicodedata.decomposition(mark) and ord(mark) not in FUSED
]
"""The first of the protocol's marks, by the rule that it gives for them; enough for our screens."""


@dataclass
class Picture:
    """A picture (H, W, 3) on so many cells."""

    pixels: Pixels
    columns: int
    rows: int

    def part(self, column: int, row: int) -> Pixels:
        """The pixels of one cell."""
        height, width = self.pixels.shape[0] // self.rows, self.pixels.shape[1] // self.columns
        return self.pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]


def pictures(strings: list[bytes]) -> dict[int, Picture]:
    """What a terminal keeps after these commands. Fails on any that it would not take."""
    kept: dict[int, Picture] = {}
    told: dict[str, str] = {}
    data = b""
    for string in strings:
        head, _, payload = string.removeprefix(b"G").partition(b";")
        keys = dict(part.split("=") for part in head.decode().split(","))
        assert len(payload) <= 4096 and len(payload) % 4 == 0
        if keys.get("a") == "q":
            continue
        assert keys["q"] == "2"  # no answer wanted
        if keys.get("a") == "d":
            assert not told and keys["d"] == "I"
            del kept[int(keys["i"])]
            continue
        if not told:
            assert (keys["a"], keys["U"], keys["f"], keys["o"]) == ("T", "1", "24", "z")
            told = keys
        else:
            assert keys.keys() == {"q", "m"}
        data += payload
        if keys["m"] == "0":
            raw = zlib.decompress(standard_b64decode(data))
            pixels = np.frombuffer(raw, dtype=np.uint8).reshape(int(told["v"]), int(told["s"]), 3)
            kept[int(told["i"])] = Picture(pixels, int(told["c"]), int(told["r"]))
            told, data = {}, b""
    assert not told
    return kept


def shown(screen: pyte.Screen, kept: dict[int, Picture]) -> dict[tuple[int, int], Pixels]:
    """(column, row) on the screen -> the pixels that a placeholder there shows."""
    found = {}
    for y in range(screen.lines):
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            if cell.data.startswith(PLACEHOLDER):
                row, column, owner = (MARKS.index(mark) for mark in cell.data[1:])
                number = owner << 24 | FG_BG_256.index(cell.fg, 16)
                found[x, y] = kept[number].part(column, row)
    return found


def tiles(parts: dict[tuple[int, int], Pixels]) -> list[Pixels]:
    """The pictures that stand apart from each other, in reading order, each put together from its cells."""
    found = []
    left = dict(parts)
    while left:
        x, y = min(left, key=lambda place: (place[1], place[0]))
        columns = next(k for k in range(1, 1000) if (x + k, y) not in left)
        rows = next(k for k in range(1, 1000) if (x, y + k) not in left)
        found.append(np.concatenate([np.concatenate([left.pop((x + i, y + j)) for i in range(columns)], 1) for j in range(rows)]))
    return found
