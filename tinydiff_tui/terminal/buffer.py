"""What stands on the screen, cell by cell, so that only what differs is painted."""

from typing import TYPE_CHECKING, NamedTuple

from tinydiff_tui.terminal.cells import NONE, Cells, Pixels
from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
else:
    Mask = object


class Picture(NamedTuple):
    """A picture and its cells: `canvas` has two pixels a cell above each other, and one or two side by side."""

    canvas: Pixels
    cells: Cells

    def across(self, mask: Mask) -> Mask:
        """A mask of cells as one of the canvas' pixels."""
        width = self.canvas.shape[1] // mask.shape[1]
        across: Mask = mask.repeat(2, axis=0).repeat(width, axis=1)
        return across


class ScreenBuffer:
    """The cells of a widget as the terminal shows them; unknown ones are blank or hold what was there before."""

    def __init__(self, rows: int, columns: int, background: int) -> None:
        self.cells = Cells(
            np.full((rows, columns), ord(" "), dtype=np.uint32),
            np.full((rows, columns), NONE, dtype=np.int32),
            np.full((rows, columns), background, dtype=np.int32),
        )
        self.known = np.zeros((rows, columns), dtype=np.bool_)
        self._canvas: Pixels = np.zeros((0, 0, 0), dtype=np.uint8)

    def differing(self, wanted: Picture) -> Mask:
        """The cells that are not exactly those wanted."""
        shown, cells = self.cells, wanted.cells
        changed: Mask = ~self.known | (shown.chars != cells.chars) | (shown.fg != cells.fg) | (shown.bg != cells.bg)
        return changed

    def moved(self, wanted: Picture, tolerance: int, most: int) -> Mask:
        """The cells of which a pixel is off by more than `tolerance`; of more than about `most`, the worst of them."""
        if self._canvas.shape != wanted.canvas.shape:
            return self.differing(wanted)
        now, before = wanted.canvas, self._canvas
        off = np.where(now > before, now - before, before - now).max(axis=2)
        rows, columns = self.known.shape
        off = np.maximum(off[0::2], off[1::2])
        if off.shape[1] != columns:
            off = np.maximum(off[:, 0::2], off[:, 1::2])
        if most < rows * columns:
            tolerance = max(tolerance, int(np.partition(off, rows * columns - most, axis=None)[rows * columns - most]))
        changed: Mask = ~self.known | ((off > tolerance) & self.differing(wanted))
        return changed

    def take(self, painted: Mask, wanted: Picture) -> None:
        """These cells are on the screen now."""
        for name in ("chars", "fg", "bg"):
            np.copyto(getattr(self.cells, name), getattr(wanted.cells, name), where=painted)
        self.known |= painted
        if self._canvas.shape != wanted.canvas.shape:
            # What stands there now cannot be compared with this picture pixel by pixel: it is drawn anew.
            self.known &= painted
            self._canvas = wanted.canvas.copy()
        else:
            np.copyto(self._canvas, wanted.canvas, where=wanted.across(painted)[:, :, None])
