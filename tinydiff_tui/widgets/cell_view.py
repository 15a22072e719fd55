"""A widget of cells that are painted past Textual: those that changed, within the budget of the line."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.terminal.ansi import paint, row_text
from tinydiff_tui.terminal.buffer import Mask, ScreenBuffer
from tinydiff_tui.terminal.cells import NONE, Cells, segments_of
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.row_strip import RowStrip
from tinydiff_tui.terminal.support import terminal_look
from tinydiff_tui.terminal.writer import writer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 5  # of 255, in a picture that moves: 38 dB, half the bytes
FRAME_SECONDS = 0.12  # of the line's time that a frame may take; what differs least waits
CELL_BYTES, GREY_BYTES = 36, 24  # about what a cell costs
JOIN = 12  # unchanged cells between two changes that cost less to send again than to jump over


def changed_spans(changed: NDArray[np.bool_]) -> list[Region]:
    """The regions that cover the changed cells of (rows, columns); near neighbours in a row are taken as one."""
    regions: list[Region] = []
    for y in np.flatnonzero(changed.any(axis=1)).tolist():
        x = np.flatnonzero(changed[y])
        breaks = np.flatnonzero(np.diff(x) > JOIN)
        starts, ends = x[np.r_[0, breaks + 1]], x[np.r_[breaks, len(x) - 1]]
        regions += [Region(int(a), y, int(b) - int(a) + 1, 1) for a, b in zip(starts, ends, strict=True)]
    return regions


class CellView(Widget):
    """Shows `_wanted`, brought to the screen by `_draw`.

    On a terminal the cells that changed are written straight to the line, as many as it has room for, and what Textual
    paints is what stands there already. While pictures follow each other quickly (`_moving`) a pixel may be off by TOLERANCE,
    and on a slow line greys go by number.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._wanted: Cells | None = None
        self._plain: Cells | None = None
        """For a screenshot and for what is dimmed, where the wanted cells are more than colours and characters."""
        self._buffer: ScreenBuffer | None = None
        self._next_row = 0

    @property
    def _moving(self) -> bool:
        return False

    def _all_painted(self) -> None:
        """Nothing but the wanted cells is on the screen."""

    def _textual_paints(self) -> None:
        """A row is painted by Textual: it came to light, or all is painted anew."""

    # --- what Textual paints

    def render_line(self, y: int) -> Strip:
        """One row of cells as it stands on the screen."""
        buffer, width = self._known_cells, self.size.width
        if buffer is None:
            return self._blank(width)
        plain = self._plain if self._plain is not None and self._plain.shape == buffer.cells.shape else buffer.cells
        return Strip(segments_of(plain, y, greys=self._has_numbers), width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a region, each drawn when it is painted."""

        def row(y: int) -> RowStrip:
            return RowStrip(partial(self._row_text, y), lambda a, b: list(self.render_line(y).crop(a, b)), crop.x, crop.right)

        return [row(y) for y in crop.line_range]

    def _row_text(self, y: int, start: int, end: int) -> str:
        """What Textual writes to the line: on a slow one blanks, which are then filled in within its budget."""
        buffer, writer = self._known_cells, writer_of(self.app)
        self._textual_paints()
        if buffer is not None and (writer is None or not writer.pace.slow):
            return row_text(buffer.cells, y, start, end, self._truecolor, greys=self._has_numbers)
        if buffer is not None and writer is not None and self.screen is self.app.screen:
            buffer.known[y, start:end] = False
            writer.call_when_free(self, self._draw)
        return self._blank(end - start).render(self.app.console)

    def _blank(self, width: int) -> Strip:
        blank = Strip.blank(width, self.rich_style)
        for line_filter in self.get_line_filters():
            blank = blank.apply_filter(line_filter, self.background_colors[1])
        return blank

    @property
    def _truecolor(self) -> bool:
        return self.app.console.color_system == "truecolor"

    @property
    def _has_numbers(self) -> bool:
        """Whether the terminal has 256 colours, greys among them by number."""
        return terminal_look(self) == "greys"

    @property
    def _known_cells(self) -> ScreenBuffer | None:
        """The buffer, unless the widget has another size by now."""
        buffer = self._buffer
        return buffer if buffer is not None and buffer.cells.shape == (self.size.height, self.size.width) else None

    # --- what goes straight to the line

    def _draw(self) -> None:
        """Bring the screen nearer to what is wanted."""
        wanted = self._wanted
        if wanted is None or wanted.shape != (self.size.height, self.size.width):
            return
        if self._buffer is None or self._buffer.cells.shape != wanted.shape:
            colour = self.background_colors[1]
            blank = NONE if terminal_look(self) == "shades" else colour.r << 16 | colour.g << 8 | colour.b
            self._buffer = ScreenBuffer(*wanted.shape, blank)
        writer, place = writer_of(self.app), self._place()
        if writer is None or place is None:
            changed = self._buffer.differing(wanted)
            self._buffer.take(changed, wanted)
            self._all_painted()
            if changed.any():
                self.refresh(*changed_spans(changed))
            return
        room = writer.room
        if not room:
            writer.call_when_free(self, self._draw)
            return
        rough = self._moving and writer.pace.slow
        greys = rough or self._has_numbers
        if self._moving:
            most = int(writer.pace.rate * FRAME_SECONDS / (GREY_BYTES if greys else CELL_BYTES))
            changed = self._buffer.moved(wanted, TOLERANCE, most, greys=greys)
        else:
            changed = self._buffer.differing(wanted, greys=self._has_numbers)
        origin, seen = place
        self._buffer.take(changed & ~seen, wanted)  # Textual paints them when they come to light
        changed &= seen
        part = self._part(changed, room // CELL_BYTES)
        if part.any():
            writer.write(paint(wanted, part, origin, self._truecolor, greys=greys))
            self._buffer.take(part, wanted, rough=rough and not self._has_numbers)
        if (changed != part).any():
            writer.call_when_free(self, self._draw)
        elif not self._moving:
            self._all_painted()

    def _part(self, changed: Mask, most: int) -> Mask:
        """The rows of the changed cells that hold about `most` of them, going round from one call to the next."""
        counts = np.roll(changed.sum(axis=1), -self._next_row)
        rows = max(1, int(np.searchsorted(np.cumsum(counts), most, side="right")))
        if rows >= len(counts):
            return changed
        chosen = (np.arange(rows) + self._next_row) % len(counts)
        self._next_row = int(chosen[-1] + 1) % len(counts)
        part = np.zeros_like(changed)
        part[chosen] = changed[chosen]
        return part

    def _place(self) -> tuple[tuple[int, int], Mask] | None:
        """Where cell (0, 0) is on the screen, and which cells no other widget hides; None when another screen is on top."""
        if self.app.screen_stack[-1:] != [self.screen]:  # none is there while the app is left
            return None
        visible = self.screen._compositor.visible_widgets  # front to back
        if self not in visible:
            return None
        region, clip = visible[self]
        seen = np.zeros((region.height, region.width), dtype=np.bool_)
        _fill(seen, region, region.intersection(clip).intersection(self.screen.size.region), True)
        for widget, (other, its_clip) in visible.items():
            if widget is self:
                break
            _fill(seen, region, region.intersection(other).intersection(its_clip), False)
        return ((region.x, region.y), seen) if seen.shape == (self.size.height, self.size.width) else None


def _fill(mask: Mask, frame: Region, part: Region, value: bool) -> None:
    """Set the cells of `part` in a mask of the cells of `frame`."""
    mask[part.y - frame.y : part.bottom - frame.y, part.x - frame.x : part.right - frame.x] = value
