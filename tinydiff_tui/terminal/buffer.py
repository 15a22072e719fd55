"""What stands on the screen, cell by cell, so that only what differs is painted."""

from typing import TYPE_CHECKING

from tinydiff_tui.terminal.cells import LOWER, UPPER, Cells, Colours, blank_cells, numbers
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Differences = NDArray[np.uint8]
else:
    Mask = Differences = object

ALL = 255  # the difference of two cells that cannot be compared pixel by pixel


class ScreenBuffer:
    """The cells of a widget as the terminal shows them; unknown ones are blank or hold what was there before."""

    def __init__(self, rows: int, columns: int, background: int) -> None:
        self.cells = blank_cells((rows, columns), background)
        self.known = np.zeros((rows, columns), dtype=np.bool_)
        self.rough = np.zeros((rows, columns), dtype=np.bool_)
        """Whose greys were painted by number, and so only about as they are."""

    def differing(self, wanted: Cells, *, greys: bool = False) -> Mask:
        """The cells that are not exactly those wanted; with `greys`, those whose greys have other numbers."""
        shown = self.cells
        if greys:
            return _whole_letters(~self.known | _Pixels(shown, wanted).renumbered(), wanted)
        changed = ~self.known | self.rough | (shown.chars != wanted.chars) | (shown.fg != wanted.fg) | (shown.bg != wanted.bg)
        return _whole_letters(changed, wanted)

    def moved(self, wanted: Cells, tolerance: int, most: int, *, greys: bool = False) -> Mask:
        """The cells of which a pixel is off by more than `tolerance`; of more than about `most`, the worst of them. With `greys`,
        those whose greys have other numbers."""
        pixels = _Pixels(self.cells, wanted)
        off = pixels.off()
        count = off.size
        if most < count:
            tolerance = max(tolerance, min(ALL - 1, int(np.partition(off, count - most, axis=None)[count - most])))
        far = off > tolerance
        if greys:
            far &= pixels.renumbered()
        return _whole_letters(~self.known | far, wanted)

    def take(self, painted: Mask, wanted: Cells, *, rough: bool = False) -> None:
        """These cells are on the screen now; roughly, if their greys went by number."""
        for name in ("chars", "fg", "bg"):
            np.copyto(getattr(self.cells, name), getattr(wanted, name), where=painted)
        self.known |= painted
        self.rough = self.rough | painted if rough else self.rough & ~painted


def _whole_letters(changed: Mask, wanted: Cells) -> Mask:
    """Both cells of a letter that has two (the second is code point 0), where one of them is to be painted."""
    second = wanted.chars[:, 1:] == 0
    changed[:, :-1] |= changed[:, 1:] & second
    changed[:, 1:] |= changed[:, :-1] & second
    return changed


class _Pixels:
    """The two pixels of each cell, one above the other, of two drawings; of other characters than half-blocks its two colours."""

    def __init__(self, a: Cells, b: Cells) -> None:
        self.both = _halves(a) & _halves(b)
        self.alike = a.chars == b.chars
        self.pairs = [
            (
                np.where(self.both, np.where(c.chars == ord(UPPER), c.fg, c.bg), c.fg),
                np.where(self.both & (c.chars == ord(LOWER)), c.fg, c.bg),
            )
            for c in (a, b)
        ]

    def off(self) -> Differences:
        """By how much the worst pixel of each cell differs, 0 to 255."""
        (upper, lower), (other_upper, other_lower) = self.pairs
        off: Differences = np.maximum(_distance(upper, other_upper), _distance(lower, other_lower))
        off[~(self.both | self.alike)] = ALL
        return off

    def renumbered(self) -> Mask:
        """The cells that differ where greys go by number."""
        (upper, lower), (other_upper, other_lower) = ([numbers(part) for part in pair] for pair in self.pairs)
        different: Mask = (upper != other_upper) | (lower != other_lower) | ~(self.both | self.alike)
        return different


def _halves(cells: Cells) -> Mask:
    halves: Mask = (cells.chars == ord(" ")) | (cells.chars == ord(UPPER)) | (cells.chars == ord(LOWER))
    return halves


def _distance(a: Colours, b: Colours) -> Differences:
    """The largest difference of red, green or blue; ALL between a colour and a numbered one or none."""
    first, second = (c.astype("<i4", copy=False).view(np.uint8).reshape(*c.shape, 4) for c in (a, b))  # blue, green, red, kind
    apart = np.maximum(first, second) - np.minimum(first, second)
    far: Differences = np.maximum(np.maximum(apart[..., 0], apart[..., 1]), apart[..., 2])
    special = (first[..., 3] | second[..., 3]) != 0
    far[special] = np.where(a[special] == b[special], 0, ALL)
    return far
