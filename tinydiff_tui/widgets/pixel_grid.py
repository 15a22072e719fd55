"""Pictures in a widget: a page of images as large as fits, or one of them alone, repainting only the cells that changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.reactive import reactive

from tinydiff_tui.terminal.blocks import DOTS
from tinydiff_tui.terminal.cells import NONE, Cells, Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.known import known_to, look_here, looks
from tinydiff_tui.terminal.pictures import Pictures
from tinydiff_tui.terminal.pixels import cell_pixels
from tinydiff_tui.terminal.resting import Resting, Sight, rest
from tinydiff_tui.terminal.support import LOOKS, terminal_look
from tinydiff_tui.terminal.tiling import Captions, Layout, Page, Tile, arrange, fit, places
from tinydiff_tui.terminal.writer import writer_of
from tinydiff_tui.widgets.cell_view import CellView

REST_SECONDS = 0.4


class PixelGrid(CellView):
    """Images uint8 (N, H, W, C) as terminal cells. `shown` says how many of them are on the screen, from index `first` on: the
    page that holds the cursor.

    A picture that rests is exact, or as near as the look comes. With the look "pixels" what rests is sent to the terminal once
    as a picture; what moves is cells.
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
    LEAST: ClassVar[int] = 1
    """So many pictures are shown even where they have to be drawn below their own resolution."""

    density: reactive[int] = reactive(0, init=False)
    """How many sizes smaller than what fidelity asks for (negative: larger)."""
    look: reactive[str] = reactive("", init=False)
    """The finest that pictures are drawn with, one of LOOKS; empty: what the terminal is known to draw."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._page: Page | None = None
        self.first = 0
        self.shown = 0
        self.zoomed: int | None = None
        self.tiling = Layout(Tile("half", 0, 0, (0, 0)), 0, 0)
        self._blocks: Cells | None = None
        self._resting: Resting | None = None
        self._gone: list[Resting] = []
        self._rest: asyncio.TimerHandle | None = None

    @property
    def images(self) -> Pixels:
        """What was last given to `show`."""
        return np.zeros((0, 1, 1, 1), dtype=np.uint8) if self._page is None else self._page.images

    def show(self, images: Pixels, captions: Captions = (), *, headings: Sequence[str] = (), cursor: int | None = None) -> None:
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

    @property
    def looks(self) -> tuple[str, ...]:
        """What pictures may be drawn with here, the coarsest first."""
        if terminal_look(self) == "shades":
            return ("shade",)
        finest = LOOKS.index(look_here(self.app, self.look))
        return tuple(look for look in looks(self.app) if look in LOOKS[: finest + 1] and look != "pixels")

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
        known = known_to(self.app)
        if known is not None:
            known.better.subscribe(self, lambda _: self._redraw())

    def on_resize(self, _: events.Resize) -> None:
        self._redraw()

    def on_unmount(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        if self._resting is not None:
            self._resting.remove()
        self._all_painted()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._redraw()

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
        self._want(self._cells())
        if writer_of(self.app) is not None:
            self._rest_soon()

    def _rest_soon(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(REST_SECONDS, lambda: self.call_later(self._settle))

    def _settle(self) -> None:
        self._rest = None
        if self._drawable:
            self._want(self._cells())
            self._send_picture()

    def _want(self, blocks: Cells) -> None:
        """Bring these cells to the screen, with the picture over them that is there already, if it is of the same page."""
        if self._resting is not None and (self._pictures is None or not self._resting.sight.same(self._sight)):
            self._gone.append(self._resting)
            self._resting = None
        self._blocks = blocks
        self._wanted, self._plain = (blocks, None) if self._resting is None else (self._resting.over(blocks), blocks)
        self._draw()

    # --- the terminal's own pixels

    @property
    def _pictures(self) -> Pictures | None:
        """What sends pictures; None where cells are wanted, exact, or all that there is."""
        known = known_to(self.app)
        wanted = self.tiling.tile.look in DOTS and look_here(self.app, self.look) == "pixels"
        return known.pictures if known is not None and wanted else None

    @property
    def _sight(self) -> Sight:
        page = self._seen_page
        first = 0 if self.zoomed is not None else self.first
        shape, background = (self.size.height, self.size.width), _number(self.background_colors[1].hex)
        return Sight(page.images[first : first + self.tiling.room], self.tiling, shape, background)

    def _textual_paints(self) -> None:
        if self._rest is None and self._resting is None and self._pictures is not None:
            self._rest_soon()  # it was hidden when it came to rest

    def _send_picture(self) -> None:
        """Send what rests as a picture, unless it is there."""
        pictures = self._pictures
        if pictures is None or self._resting is not None or self._place() is None:
            return
        self._resting = resting = rest(self._sight, pictures)
        if resting is not None:
            encoded = asyncio.get_running_loop().run_in_executor(None, resting.commands, cell_pixels(pictures.terminal))
            encoded.add_done_callback(lambda future: self.call_later(self._send, resting, future))

    def _send(self, resting: Resting, commands: asyncio.Future[list[str]]) -> None:
        if resting is self._resting:
            resting.pictures.send(resting.number, commands.result(), lambda: self.call_later(self._show_picture, resting))

    def _show_picture(self, resting: Resting) -> None:
        """It is there: placeholders in place of its cells."""
        resting.sent = True
        if resting is self._resting and self._blocks is not None and self._drawable:
            self._want(self._blocks)

    def _all_painted(self) -> None:
        for resting in self._gone:
            resting.remove()
        self._gone.clear()

    @property
    def _seen_page(self) -> Page:
        assert self._page is not None
        return self._page if self.zoomed is None else Page(self._page.images[self.zoomed : self.zoomed + 1])

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        """Where the pictures of a page stand on so many cells."""
        side = (page.images.shape[1], page.images.shape[2])
        density = self.density if len(page.images) > 1 else 0  # one alone is as large as it fits
        count = len(page.images)
        layout = fit(count, side, size, self.looks, density=density, classes=len(page.headings), least=self.LEAST)
        return layout.centred(size, count)

    def _cells(self) -> Cells:
        page = self._seen_page
        size = (self.size.width, self.size.height)
        self.tiling = self.laid_out(page, size)
        self.first = self.tiling.page_of(min(page.cursor or 0, max(len(page.images) - 1, 0)))
        self.shown = min(len(page.images) - self.first, self.tiling.room)
        ink, variables = self.rich_style.color, self.app.theme_variables
        marked = variables.get("cursor") or variables.get("accent", "")
        colours = (_number(ink.get_truecolor().hex if ink else ""), _number(marked))
        ground = self.background_colors[1]
        background = _number(ground.hex)
        if terminal_look(self) == "shades":
            greys = self.app.no_color and self.app.console.color_system in ("truecolor", "256")  # Textual's, without colours
            background = _number(ground.monochrome.hex) if greys else NONE
            colours = (_number(ground.get_contrast_text().hex),) * 2 if greys else (NONE, NONE)
        return arrange(page, self.tiling, size, background, colours, first=self.first)


class SampleGrid(PixelGrid):
    """What a model draws. Two pictures say little of it, and the one under the cursor stands exact beside, or zoomed."""

    LEAST = 5


def _number(colour: str) -> int:
    """#rrggbb as a colour of cells; NONE for anything else."""
    return int(colour[1:7], 16) if colour.startswith("#") and len(colour) >= 7 else NONE
