"""Pictures in a widget: a page of images as large as fits, or one of them alone, repainting only the cells that changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import events
from textual.geometry import Region
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.terminal.ansi import paint, row_text
from tinydiff_tui.terminal.buffer import Mask, ScreenBuffer
from tinydiff_tui.terminal.cells import NONE, Cells, Pixels, segments_of
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.row_strip import RowStrip
from tinydiff_tui.terminal.support import LOOKS, finest_look, terminal_look
from tinydiff_tui.terminal.tiling import Layout, Page, Tile, arrange, fit, places
from tinydiff_tui.terminal.writer import writer_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

REST_SECONDS = 0.4
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


class PixelGrid(Widget):
    """Images uint8 (N, H, W, C) as terminal cells. `shown` says how many of them are on the screen, from index `first` on: the
    page that holds the cursor.

    On a terminal the cells that changed are written straight to the line, as many as it has room for, and what Textual
    paints is what stands there already. While pictures follow each other quickly a pixel may be off by TOLERANCE, and on a slow
    line greys go by number; a picture that rests is exact.
    """

    class Pointed(Message):
        """A picture was clicked: its index among all that were given to `show`."""

        def __init__(self, grid: PixelGrid, index: int) -> None:
            super().__init__()
            self.grid = grid
            self.index = index

        @property
        def control(self) -> PixelGrid:
            return self.grid

    DEFAULT_CSS = "PixelGrid { width: 1fr; height: 1fr; }"

    density: reactive[int] = reactive(0, init=False)
    """How many sizes smaller than what fidelity asks for (negative: larger)."""
    look: reactive[str] = reactive("", init=False)
    """The finest block characters to draw with, one of LOOKS; empty: what the terminal is known to draw."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._page: Page | None = None
        self.first = 0
        self.shown = 0
        self.zoomed: int | None = None
        self.tiling = Layout(Tile("half", 0, 0, (0, 0)), 0, 0)
        self._wanted: Cells | None = None
        self._buffer: ScreenBuffer | None = None
        self._rest: asyncio.TimerHandle | None = None
        self._next_row = 0

    @property
    def images(self) -> Pixels:
        """What was last given to `show`."""
        return np.zeros((0, 1, 1, 1), dtype=np.uint8) if self._page is None else self._page.images

    def show(
        self, images: Pixels, captions: Sequence[str] = (), *, headings: Sequence[str] = (), cursor: int | None = None
    ) -> None:
        """Show images in reading order, with a caption each; or with `headings` a column each, image k in column k modulo their
        number. `cursor` marks one image, and its page is shown. A zoomed index stays zoomed while it exists."""
        self._page = Page(images, captions, headings, cursor)
        if self.zoomed is not None and self.zoomed >= len(images):
            self.zoomed = None
        self._redraw()

    @property
    def cursor(self) -> int | None:
        """The image that is marked."""
        return None if self._page is None else self._page.cursor

    def point(self, index: int | None) -> None:
        """Mark another of the images, and show its page."""
        if self._page is not None:
            self._page = self._page._replace(cursor=index)
            self._redraw()

    def move(self, dx: int, dy: int) -> int:
        """The image so many places to the right of the cursor (or the one that is zoomed) in reading order, and below; neither of
        them moves."""
        start = self.zoomed if self.zoomed is not None else self.first if self.cursor is None else self.cursor
        return self.tiling.moved(start, dx, dy, len(self.images))

    def zoom(self, index: int | None) -> None:
        """Show one image alone, as large as whole pixels allow; None shows the page again."""
        self.zoomed = None if index is None or not len(self.images) else index % len(self.images)
        self._redraw()

    def capacity(self, side: tuple[int, int], wanted: int) -> int:
        """How many images of side (height, width) can be shown at once, at most `wanted`."""
        if not self.size:
            return 0
        return min(wanted, fit(wanted, side, (self.size.width, self.size.height), self.looks, density=self.density).room)

    @property
    def looks(self) -> tuple[str, ...]:
        """What pictures may be drawn with here, the coarsest first."""
        if terminal_look(self) == "shades":
            return ("shade",)
        finest = self.look or finest_look()
        return LOOKS[: LOOKS.index(finest) + 1]

    def image_at(self, x: int, y: int) -> int | None:
        """The index of the image whose tile, or the caption under it, covers a cell of the widget."""
        if self.zoomed is not None:
            return self.zoomed
        tile = self.tiling.tile
        found = enumerate(places(self.tiling, self.shown), start=self.first)
        depth = tile.rows + (not self.tiling.classes)
        return next((k for k, (left, top) in found if left <= x < left + tile.columns and top <= y < top + depth), None)

    def on_click(self, event: events.Click) -> None:
        index = self.image_at(event.x, event.y)
        if index is not None and index < len(self.images):
            self.post_message(self.Pointed(self, index))

    def watch_density(self) -> None:
        self._redraw()

    def watch_look(self) -> None:
        self._redraw()

    def on_mount(self) -> None:
        self.set_reactive(PixelGrid.density, getattr(self.app, "density", 0))  # what the app remembers
        self.set_reactive(PixelGrid.look, getattr(self.app, "look", ""))

    def on_resize(self, _: events.Resize) -> None:
        self._redraw()

    def on_unmount(self) -> None:
        if self._rest is not None:
            self._rest.cancel()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._redraw()

    # --- what Textual paints

    def render_line(self, y: int) -> Strip:
        """One row of cells as it stands on the screen."""
        buffer, width = self._known_cells, self.size.width
        return self._blank(width) if buffer is None else Strip(segments_of(buffer.cells, y), width)

    def render_lines(self, crop: Region) -> list[Strip]:
        """The rows of a region, each drawn when it is painted."""

        def row(y: int) -> RowStrip:
            return RowStrip(partial(self._row_text, y), lambda a, b: list(self.render_line(y).crop(a, b)), crop.x, crop.right)

        return [row(y) for y in crop.line_range]

    def _row_text(self, y: int, start: int, end: int) -> str:
        """What Textual writes to the line: on a slow one blanks, which are then filled in within its budget."""
        buffer, writer = self._known_cells, writer_of(self.app)
        if buffer is not None and (writer is None or not writer.pace.slow):
            return row_text(buffer.cells, y, start, end, self._truecolor)
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
    def _known_cells(self) -> ScreenBuffer | None:
        """The buffer, unless the widget has another size by now."""
        buffer = self._buffer
        return buffer if buffer is not None and buffer.cells.shape == (self.size.height, self.size.width) else None

    # --- what goes straight to the line

    @property
    def _drawable(self) -> bool:
        """Whether there are images and room for them; while the terminal is resized a widget may have no width."""
        return self._page is not None and self.is_attached and bool(self.size)

    @property
    def _moving(self) -> bool:
        """Whether another picture followed within REST_SECONDS."""
        return self._rest is not None

    def _redraw(self) -> None:
        """Draw anew: exactly at once on a fast line, when the picture rests on a slow one or in motion."""
        if not self._drawable:
            return
        writer = writer_of(self.app)
        self._wanted = self._cells(by_number=writer is not None and writer.pace.slow)
        self._draw()
        if writer is not None:
            if self._rest is not None:
                self._rest.cancel()
            self._rest = asyncio.get_running_loop().call_later(REST_SECONDS, lambda: self.call_later(self._settle))

    def _settle(self) -> None:
        self._rest = None
        if self._drawable:
            self._wanted = self._cells()
            self._draw()

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
            if changed.any():
                self.refresh(*changed_spans(changed))
            return
        room = writer.room
        if not room:
            writer.call_when_free(self, self._draw)
            return
        if self._moving:
            cost = GREY_BYTES if writer.pace.slow else CELL_BYTES
            changed = self._buffer.moved(wanted, TOLERANCE, int(writer.pace.rate * FRAME_SECONDS / cost))
        else:
            changed = self._buffer.differing(wanted)
        origin, seen = place
        self._buffer.take(changed & ~seen, wanted)  # Textual paints them when they come to light
        changed &= seen
        part = self._part(changed, room // CELL_BYTES)
        if part.any():
            writer.write(paint(wanted, part, origin, self._truecolor))
            self._buffer.take(part, wanted)
        if (changed != part).any():
            writer.call_when_free(self, self._draw)

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
        if self.screen is not self.app.screen:
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

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        """Where the pictures of a page stand on so many cells."""
        side = (page.images.shape[1], page.images.shape[2])
        density = self.density if len(page.images) > 1 else 0  # one alone is as large as it fits
        return fit(len(page.images), side, size, self.looks, density=density, classes=len(page.headings))

    def _cells(self, *, by_number: bool = False) -> Cells:
        page = self._page
        assert page is not None
        if self.zoomed is not None:
            page = Page(page.images[self.zoomed : self.zoomed + 1])
        size = (self.size.width, self.size.height)
        self.tiling = self.laid_out(page, size)
        self.first = self.tiling.page_of(min(page.cursor or 0, max(len(page.images) - 1, 0)))
        self.shown = min(len(page.images) - self.first, self.tiling.room)
        ink, variables = self.rich_style.color, self.app.theme_variables
        marked = variables.get("cursor") or variables.get("accent", "")
        colours = (_number(ink.get_truecolor().hex if ink else ""), _number(marked))
        plain = terminal_look(self) == "shades"
        return arrange(
            page, self.tiling, size, _number(self.background_colors[1].hex), (NONE, NONE) if plain else colours,
            greys=by_number or terminal_look(self) == "greys", first=self.first,
        )  # fmt: skip


def _number(colour: str) -> int:
    """#rrggbb as a colour of cells; NONE for anything else."""
    return int(colour[1:7], 16) if colour.startswith("#") and len(colour) >= 7 else NONE


def _fill(mask: Mask, frame: Region, part: Region, value: bool) -> None:
    """Set the cells of `part` in a mask of the cells of `frame`."""
    mask[part.y - frame.y : part.bottom - frame.y, part.x - frame.x : part.right - frame.x] = value
