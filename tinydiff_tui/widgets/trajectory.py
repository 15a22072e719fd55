"""What is drawn: the page of pictures, the one under the cursor as x_t and predicted x_0, and its way as a film strip."""

from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.timer import Timer

from core.errors import printable
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import fit
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.film import Film, FilmStrip, PictureBox
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import Drawn, View

FRAMES_A_SECOND = 10
NAMES = {"x": "x_t", "x0": "predicted x̂₀"}
NOTHING = np.zeros((0, 1, 1, 1), dtype=np.uint8)


class Trajectory(Container):
    """`show` what is drawn; its newest frame is on the screen until the slider is moved."""

    DEFAULT_CSS = """
    Trajectory { height: 1fr; layout: grid; grid-size: 3; grid-columns: 32 32 1fr; grid-rows: 1fr 16; }
    Trajectory #page { column-span: 2; }
    Trajectory #page > PictureBox { width: 1fr; height: 1fr; }
    Trajectory #from { display: none; }
    Trajectory.-originals #from { display: block; }
    Trajectory.-between #from { width: 20; }
    Trajectory #x_t { border-title-color: $x-t; }
    Trajectory #x0_hat { border-title-color: $x0-hat; }
    Trajectory #from { border-title-color: $x0; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: Drawn | None = None
        self.kind = "x"
        self.cursor = 0
        self.class_names: tuple[str, ...] = ()
        self.player: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="page"):
            yield PictureBox("", title="from", id="from")
            yield PictureBox("loading the engine …", title="Sample", id="pictures")
        yield PictureBox("what the network sees of the picture under the cursor", title="x_t", id="x_t")
        yield PictureBox("what it says the picture is", title="predicted x̂₀", id="x0_hat")
        with Box(title="film", id="film"):
            yield FilmStrip(id="strip")
            yield Scrubber(id="frames")

    def on_mount(self) -> None:
        self.watch(self._scrubber, "value", self.redraw, init=False)

    @property
    def _scrubber(self) -> Scrubber:
        return self.query_one("#frames", Scrubber)

    def box(self, name: str) -> PictureBox:
        """pictures, from, x_t or x0_hat."""
        return self.query_one(f"#{name}", PictureBox)

    @property
    def strip(self) -> FilmStrip:
        return self.query_one(FilmStrip)

    @property
    def grid(self) -> PixelGrid:
        return self.box("pictures").grid

    @property
    def frames(self) -> "tuple[View, ...]":
        return self.drawn.frames if self.drawn is not None else ()

    @property
    def view(self) -> "View | None":
        """The frame on the screen; while frames are being made, the newest moment."""
        place = self._scrubber.value
        if self.drawn is None:
            return None
        return self.drawn.newest if place >= len(self.frames) - 1 else self.frames[place]

    @property
    def pictures(self) -> Pixels | None:
        """What is on the screen: uint8 (N, H, W, C), one image when zoomed."""
        if self.view is None:
            return None
        pictures = self.view.pictures(self.kind)
        return pictures if self.grid.zoomed is None else pictures[self.cursor : self.cursor + 1]

    # --- what is drawn

    def clear(self) -> None:
        """Forget the frames before."""
        self.stop()
        self.drawn, self.cursor = None, 0
        self._scrubber.maximum, self._scrubber.label = 1, ""
        self.grid.zoom(None)
        self.remove_class("-originals", "-between")
        for box in self.query(PictureBox):
            box.show(NOTHING)
            box.figures = ""
        self.strip.roll(None)

    def show(self, drawn: "Drawn", class_names: tuple[str, ...]) -> None:
        """Take what is drawn so far, and show its newest moment."""
        self.drawn, self.class_names = drawn, class_names
        self.set_class(drawn.originals is not None, "-originals")
        self.set_class(drawn.options.start == "interpolate", "-between")
        scrubber, before = self._scrubber, self._scrubber.value
        scrubber.maximum = max(drawn.planned - 1, 1)
        scrubber.value = len(drawn.frames) - 1
        if scrubber.value == before:
            self.redraw()

    def _caption(self, index: int) -> str:
        label = self.drawn.labels[index] if self.drawn is not None and self.drawn.labels else None
        named = label is not None and label < len(self.class_names)
        return f"#{index} {printable(self.class_names[label])}" if named else f"#{index}"

    def headings(self, drawn: "Drawn") -> list[str]:
        """The class above each column, where they are drawn in turn and a column each has room at the pictures' own size."""
        classes = max(drawn.labels, default=-1) + 1
        in_turn = classes > 1 and drawn.labels == tuple(k % classes for k in range(len(drawn.labels)))
        if not in_turn or drawn.options.start in ("image", "inpaint"):
            return []
        grid, side = self.grid, (drawn.newest.x.shape[1], drawn.newest.x.shape[2])
        if grid.size:
            size, looks = (grid.size.width, grid.size.height), grid.looks
            columns = fit(len(drawn.labels), side, size, looks, density=grid.density, classes=classes)
            free = fit(len(drawn.labels), side, size, looks, density=grid.density)
            if columns.tile.rows < free.tile.rows:
                return []
        return [printable(name) for name in self.class_names[:classes]]

    # --- moving

    def move(self, step: int) -> None:
        self.go(self._scrubber.value + step)

    def go(self, place: int) -> None:
        """To a frame; those that are still to come are not there."""
        self.stop()
        self._scrubber.value = min(place, max(len(self.frames) - 1, 0))

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
        """x_t or the predicted x_0, in the page and in the strip."""
        self.kind = "x0" if self.kind == "x" else "x"
        self.redraw()

    def zoom(self) -> None:
        """The picture under the cursor alone, or all of them."""
        self.grid.zoom(self.cursor if self.grid.zoomed is None else None)
        self.redraw()

    def pick(self, index: int) -> None:
        """Put the cursor on another picture; zoomed, show that one."""
        if self.view is None:
            return
        self.cursor = index % len(self.view.x)
        if self.grid.zoomed is not None:
            self.grid.zoom(self.cursor)
        self.redraw()

    # --- showing

    def redraw(self) -> None:
        """Show the frame that the slider points at."""
        drawn, view = self.drawn, self.view
        if drawn is None or view is None:
            return
        headings = self.headings(drawn)
        captions = [self._caption(k) for k in range(len(view.x))]
        self.box("pictures").show(view.pictures(self.kind), captions, headings=headings, cursor=self.cursor)
        if drawn.originals is not None:
            between = drawn.options.start == "interpolate"
            self.box("from").show(
                drawn.originals, ["ε₁", "ε₂"] if between else captions, cursor=None if between else self.cursor
            )
        moment = f"t = {view.t}" if view.t >= 0 else "finished"
        for name, pictures in (("x_t", view.x), ("x0_hat", view.x0)):
            box = self.box(name)
            box.show(pictures[self.cursor : self.cursor + 1])
            box.figures = moment
        self.query_one("#film", Box).title = f"film of picture {self.cursor} · {NAMES[self.kind]}"
        films = [frame.pictures(self.kind)[self.cursor] for frame in drawn.frames]
        times = [f"t {frame.t}" if frame.t >= 0 else "end" for frame in drawn.frames]
        self.strip.roll(Film(films, times, drawn.planned, min(self._scrubber.value, len(films) - 1)))
        self._scrubber.label = moment
