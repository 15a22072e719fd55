"""The way from noise to images: a page of pictures, a slider over the frames, replay, x_t or predicted x0, zoom."""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.timer import Timer

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import View

FRAMES_A_SECOND = 10


class Trajectory(Vertical):
    """`show` frames; the newest one is on the screen until the slider is moved."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: tuple[View, ...] = ()
        self.newest: View | None = None
        self.kind = "x_t"
        self.player: Timer | None = None

    def compose(self) -> ComposeResult:
        yield PixelGrid(id="images")
        yield Scrubber(id="frames")

    def on_mount(self) -> None:
        self._scrubber.label = "frame"
        self.watch(self._scrubber, "value", self.redraw, init=False)

    @property
    def _scrubber(self) -> Scrubber:
        return self.query_one(Scrubber)

    @property
    def grid(self) -> PixelGrid:
        return self.query_one(PixelGrid)

    @property
    def view(self) -> "View | None":
        """The frame on the screen; while frames are being made, the newest moment."""
        place = self._scrubber.value
        at_end = self.newest is not None and place >= len(self.frames) - 1
        return self.newest if at_end or place >= len(self.frames) else self.frames[place]

    @property
    def pictures(self) -> Pixels | None:
        """What is on the screen: uint8 (N, H, W, C), one image when zoomed."""
        if self.view is None:
            return None
        pictures = self.view.x0 if self.kind == "x0" else self.view.x
        zoomed = self.grid.zoomed
        return pictures if zoomed is None else pictures[zoomed : zoomed + 1]

    def clear(self) -> None:
        """Forget the frames before."""
        self.stop()
        self.frames, self.newest = (), None
        self._scrubber.maximum, self._scrubber.label = 1, "frame"
        self.grid.show(np.zeros((0, 1, 1, 1), dtype=np.uint8))

    def show(self, frames: "tuple[View, ...]", newest: "View") -> None:
        """Take the frames so far and show the newest moment."""
        self.frames, self.newest = frames, newest
        scrubber, before = self._scrubber, self._scrubber.value
        scrubber.maximum = max(len(frames) - 1, 1)
        scrubber.value = len(frames) - 1
        if scrubber.value == before:
            self.redraw()

    def move(self, step: int) -> None:
        self.go(self._scrubber.value + step)

    def go(self, place: int) -> None:
        self.stop()
        self._scrubber.value = place

    @on(Scrubber.Clicked)
    def click(self, event: Scrubber.Clicked) -> None:
        self.go(event.value)

    def replay(self) -> None:
        """Play from here, from the start when at the end; again stops."""
        if self.player is not None:
            self.stop()
        elif self.frames:
            if self._scrubber.value >= len(self.frames) - 1:
                self._scrubber.value = 0
            self.player = self.set_interval(1 / FRAMES_A_SECOND, self._play_on)

    def _play_on(self) -> None:
        self._scrubber.value += 1
        if self._scrubber.value >= len(self.frames) - 1:
            self.stop()

    def stop(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None

    def switch(self) -> None:
        """x_t or the predicted x0."""
        self.kind = "x0" if self.kind == "x_t" else "x_t"
        self.redraw()

    def zoom(self) -> None:
        self.grid.zoom(0 if self.grid.zoomed is None else None)
        self.redraw()

    def pick(self, step: int) -> None:
        """Another image while one is zoomed."""
        if self.grid.zoomed is not None:
            self.grid.zoom(self.grid.zoomed + step)
            self.redraw()

    def redraw(self) -> None:
        """Show the frame that the slider points at."""
        view = self.view
        if view is None:
            return
        pictures = view.x0 if self.kind == "x0" else view.x
        self.grid.show(pictures)
        what = "predicted x0" if self.kind == "x0" else "x_t"
        at = "finished images" if view.t < 0 else f"{what} at t = {view.t}"
        zoomed = self.grid.zoomed
        number = f"image {zoomed}" if zoomed is not None else f"{self.grid.shown} of {len(pictures)}"
        self._scrubber.label = f"{at} · {number}  frame"
