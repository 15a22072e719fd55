"""What stands on the screen, cell by cell, so that only what differs is painted."""

from typing import TYPE_CHECKING

from tinydiff_tui.terminal.cells import LOWER, NONE, NUMBERED, UPPER, Cells, Colours, numbered
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Differences = NDArray[np.int32]
else:
    Mask = Differences = object

ALL = 255  # the difference of two cells that cannot be compared pixel by pixel


class ScreenBuffer:
    """The cells of a widget as the terminal shows them; unknown ones are blank or hold what was there before."""

    def __init__(self, rows: int, columns: int, background: int) -> None:
        self.cells = Cells(
            np.full((rows, columns), ord(" "), dtype=np.uint32),
            np.full((rows, columns), NONE, dtype=np.int32),
            np.full((rows, columns), background, dtype=np.int32),
        )
        self.known = np.zeros((rows, columns), dtype=np.bool_)
        self.rough = np.zeros((rows, columns), dtype=np.bool_)
        """Whose greys were painted by number, and so only about as they are."""

    def differing(self, wanted: Cells) -> Mask:
        """The cells that are not exactly those wanted."""
        return _whole_letters(~self.known | self.rough | _unlike(self.cells, wanted), wanted)

    def moved(self, wanted: Cells, tolerance: int, most: int, *, greys: bool = False) -> Mask:
        """The cells of which a pixel is off by more than `tolerance`; of more than about `most`, the worst of them. With `greys`,
        those whose greys have other numbers."""
        off = _off(self.cells, wanted)
        count = off.size
        if most < count:
            tolerance = max(tolerance, min(ALL - 1, int(np.partition(off, count - most, axis=None)[count - most])))
        far = off > tolerance
        if greys:
            at = np.flatnonzero(far)
            far.flat[at] = _unlike(
                *(numbered(Cells(c.chars.take(at), c.fg.take(at), c.bg.take(at))) for c in (self.cells, wanted))
            )
        return _whole_letters(~self.known | far, wanted)

    def take(self, painted: Mask, wanted: Cells, *, rough: bool = False) -> None:
        """These cells are on the screen now; roughly, if their greys went by number."""
        for name in ("chars", "fg", "bg"):
            np.copyto(getattr(self.cells, name), getattr(wanted, name), where=painted)
        self.known |= painted
        self.rough = self.rough | painted if rough else self.rough & ~painted


def _unlike(a: Cells, b: Cells) -> Mask:
    different: Mask = (a.chars != b.chars) | (a.fg != b.fg) | (a.bg != b.bg)
    return different


def _whole_letters(changed: Mask, wanted: Cells) -> Mask:
    """Both cells of a letter that has two (the second is code point 0), where one of them is to be painted."""
    second = wanted.chars[:, 1:] == 0
    changed[:, :-1] |= changed[:, 1:] & second
    changed[:, 1:] |= changed[:, :-1] & second
    return changed


def _off(a: Cells, b: Cells) -> Differences:
    """By how much the worst pixel of each cell differs, 0 to 255."""
    halves = np.array([ord(" "), ord(UPPER), ord(LOWER)], dtype=np.uint32)
    both = np.isin(a.chars, halves) & np.isin(b.chars, halves)  # two pixels each, one above the other
    pairs = [
        (np.where(both, np.where(c.chars == ord(UPPER), c.fg, c.bg), c.fg), np.where(both & (c.chars == ord(LOWER)), c.fg, c.bg))
        for c in (a, b)
    ]
    off = np.maximum(_distance(pairs[0][0], pairs[1][0]), _distance(pairs[0][1], pairs[1][1]))
    different: Differences = np.where(both | (a.chars == b.chars), off, ALL).astype(np.int32)
    return different


def _distance(a: Colours, b: Colours) -> Differences:
    """The largest difference of red, green or blue; ALL between a colour and a numbered one or none."""
    plain = (a >= 0) & (b >= 0) & (a < NUMBERED) & (b < NUMBERED)
    channels = [np.abs((a >> shift & 0xFF) - (b >> shift & 0xFF)) for shift in (0, 8, 16)]
    far: Differences = np.where(plain, np.maximum(np.maximum(*channels[:2]), channels[2]), np.where(a == b, 0, ALL)).astype(
        np.int32
    )
    return far
