"""Boxes with pictures in them, and the film strip: the way of one picture out of noise, from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from textual.widget import Widget

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import Captions, Layout, Page, fit
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.pixel_grid import PixelGrid

LEAST_FRAMES = 9
"""Of a strip, where there are so many: the default of six evaluations is seen at a glance."""
SMALLEST = 12
"""How many sizes below others the pictures of a strip are made to show them."""


class PictureBox(Box):
    """A box for pictures; what fills it is said on hatched ground until there are some."""

    DEFAULT_CSS = """
    PictureBox PixelGrid, PictureBox Scrubber { display: none; }
    PictureBox.-filled PixelGrid, PictureBox.-filled Scrubber { display: block; }
    PictureBox.-filled Empty { display: none; }
    """

    def __init__(self, empty: str, *below: Widget, grid: PixelGrid | None = None, title: str = "", id: str | None = None) -> None:
        super().__init__(grid or PixelGrid(), Empty(empty), *below, title=title, id=id)

    @property
    def grid(self) -> PixelGrid:
        return self.query_one(PixelGrid)

    def show(self, images: Pixels, captions: Captions = (), *, headings: Sequence[str] = (), cursor: int | None = None) -> None:
        """Show pictures as PixelGrid does; without any the hatched ground."""
        self.set_class(len(images) > 0, "-filled")
        self.grid.show(images, captions, headings=headings, cursor=cursor)

    def say(self, text: str) -> None:
        """What fills this box."""
        self.query_one(Empty).say(text)


class Film(NamedTuple):
    """The frames of one picture so far, of those `planned`, each with its caption; `present` is on the screen."""

    frames: Sequence[Pixels]
    captions: Sequence[str]
    planned: int
    present: int


class FilmStrip(PixelGrid):
    """As many moments of a film as have room, evenly from its first to its last. The slot that is marked always shows the present
    one, whichever it is, so that every frame can be seen in its place; frames that are still to come are blank.

    A strip is to show the whole way: its pictures may be smaller than their own resolution, which no other grid's are.
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.film: Film | None = None

    def roll(self, film: Film | None) -> None:
        """Show a film, or nothing."""
        self.film = film
        if film is None:
            self.show(np.zeros((0, 1, 1, 1), dtype=np.uint8))
        else:
            self._redraw()

    def _redraw(self) -> None:
        if self.film is not None and self.is_attached:
            self._page = self._moments(self.film)
        super()._redraw()

    def _moments(self, film: Film) -> Page:
        """What the slots show now."""
        places = self.places
        marked = self._slot(film.present, len(places))
        blank = np.full_like(film.frames[0], round(0.8 * self.background_colors[1].r + 0.2 * 128))
        shown = [film.present if slot == marked else place for slot, place in enumerate(places)]
        pictures = [film.frames[k] if k < len(film.frames) else blank for k in shown]
        captions = [film.captions[k] if k < len(film.frames) else "" for k in shown]
        return Page(np.stack(pictures), captions, cursor=marked)

    @property
    def places(self) -> list[int]:
        """The frame that each slot stands for."""
        if self.film is None:
            return []
        last = self.film.planned - 1
        slots = max(min(self.film.planned, self._slots(self.film).room), 1)
        return [round(slot * last / max(slots - 1, 1)) for slot in range(slots)]

    def frame_at(self, slot: int) -> int:
        """The frame that a slot shows."""
        if self.film is None:
            return 0
        places = self.places
        return self.film.present if slot == self._slot(self.film.present, len(places)) else places[slot]

    def _slot(self, frame: int, slots: int) -> int:
        assert self.film is not None
        return round(frame * (slots - 1) / max(self.film.planned - 1, 1))

    def _slots(self, film: Film) -> Layout:
        """At the density asked for, or so much more that the way is seen."""
        side, size = film.frames[0].shape[:2], (self.size.width, self.size.height)
        for density in range(self.density, self.density + SMALLEST + 1):
            layout = fit(film.planned, (side[0], side[1]), size, self.looks, density=density)
            if layout.room >= min(LEAST_FRAMES, film.planned):
                break
        return layout

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        if self.film is None or len(page.images) == 1:
            return super().laid_out(page, size)
        return self._slots(self.film)
