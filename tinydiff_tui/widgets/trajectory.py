"""What is drawn: the page of pictures, the one under the cursor as x_t and predicted x_0, and its way as a film strip."""

from math import prod
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Horizontal
from textual.timer import Timer

from core.errors import printable
from core.names import SAMPLERS, STARTS
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import fit
from tinydiff_tui.text import bar, cut, duration, evaluations
from tinydiff_tui.widgets.film import Film, FilmStrip, PictureBox
from tinydiff_tui.widgets.pixel_grid import PixelGrid, SampleGrid
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import Drawn, View

FRAMES_A_SECOND = 10
NAMES = {"x": "x_t", "x0": "predicted x̂₀"}
ARRANGEMENTS = {
    "-rows": "options and page above x_t, predicted x_0 and film",
    "-tower": "options, x_t and predicted x_0 at the left of page and film",
    "-tower-low": "the same without x_t",
    "-stack": "one below the other, without options",
    "-strip": "page above film, with or without options at the left",
    "-alone": "one picture, zoomed, above the slider",
}
SHALLOW = 17
"""Rows below which the film is a slider."""
BADGE = 17
"""Cells of the frame above a box that its corners and its state take."""
NOTHING = np.zeros((0, 1, 1, 1), dtype=np.uint8)


class Trajectory(Container):
    """`show` what is drawn; its newest frame is on the screen until the slider is moved."""

    DEFAULT_CSS = """
    Trajectory { height: 1fr; layout: grid; }
    Trajectory #page > PictureBox { width: 1fr; height: 1fr; }
    Trajectory #from { display: none; border-title-color: $x0; }
    Trajectory.-originals #from { display: block; }
    Trajectory.-between #from { width: 36; }
    Trajectory #x_t { border-title-color: $x-t; }
    Trajectory #x0_hat { border-title-color: $x0-hat; }
    Trajectory.-rows { grid-size: 3; grid-columns: 36 36 1fr; grid-rows: 1fr 16; }
    Trajectory.-rows #page { column-span: 2; }
    Trajectory.-rows.-folded #page { column-span: 3; }
    Trajectory.-tower { grid-size: 2; grid-columns: 36 1fr; grid-rows: 1fr 16 5 11; }
    Trajectory.-tower #page { row-span: 3; }
    Trajectory.-tower #x0_hat { row-span: 2; }
    Trajectory.-tower-low { grid-size: 2; grid-columns: 36 1fr; grid-rows: 1fr 5 11; }
    Trajectory.-tower-low #page, Trajectory.-tower-low #x0_hat { row-span: 2; }
    Trajectory.-tower-low #x_t { display: none; }
    Trajectory.-stack { grid-size: 2; grid-columns: 1fr 1fr; grid-rows: 1fr 16 11; }
    Trajectory.-stack #page, Trajectory.-stack #film { column-span: 2; }
    Trajectory.-strip { grid-size: 2; grid-columns: 36 1fr; grid-rows: 1fr 9; }
    Trajectory.-strip #x_t, Trajectory.-strip #x0_hat { display: none; }
    Trajectory.-strip #options { row-span: 2; }
    Trajectory.-strip.-folded #page, Trajectory.-strip.-folded #film { column-span: 2; }
    Trajectory.-strip.-shallow { grid-rows: 1fr 3; }
    Trajectory.-alone { grid-size: 1; grid-columns: 1fr; grid-rows: 1fr 3; }
    Trajectory.-alone #options, Trajectory.-alone #x_t, Trajectory.-alone #x0_hat, Trajectory.-folded #options { display: none; }
    Trajectory.-shallow #film FilmStrip, Trajectory.-alone #film FilmStrip { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: Drawn | None = None
        self.kind = "x"
        self.cursor = 0
        self.title = "Sample"
        self.class_names: tuple[str, ...] = ()
        self.player: Timer | None = None

    def compose(self) -> ComposeResult:
        with Horizontal(id="page"):
            yield PictureBox("", title="from", id="from")
            yield PictureBox("loading the engine …", grid=SampleGrid(), title="Sample", id="pictures")
        yield PictureBox("what the network sees of the picture under the cursor", title="x_t", id="x_t")
        yield PictureBox("what it says the picture is", title="predicted x̂₀", id="x0_hat")
        way, slider = "every network evaluation, from noise to picture", Scrubber(id="frames")
        yield PictureBox(way, slider, grid=FilmStrip(), title="film", id="film")

    def on_mount(self) -> None:
        self.watch(self._scrubber, "value", self.redraw, init=False)
        for name in ("density", "look"):
            self.watch(self.grid, name, self.redraw, init=False)

    @property
    def _scrubber(self) -> Scrubber:
        return self.query_one("#frames", Scrubber)

    def box(self, name: str) -> PictureBox:
        """pictures, from, x_t, x0_hat or film."""
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

    # --- where everything stands

    def fold(self, folded: bool) -> None:
        """Leave the room of the options to the pictures, or give it back."""
        self.set_class(folded, "-folded")
        self._arrange()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Choose the arrangement for this size, then draw on what it gives."""
        (width, height), folded = self.size, self.has_class("-folded")
        chosen = (
            "-alone" if self.grid.zoomed is not None
            else "-tower" if height >= 46 and not folded and not 108 <= width < 140
            else "-rows" if width >= 108 and height >= 30
            else "-stack" if height >= 40 and folded
            else "-tower-low" if height >= 34 and not folded
            else "-strip"
        )  # fmt: skip
        for name in ARRANGEMENTS:
            self.set_class(name == chosen, name)
        self.set_class(height < SHALLOW, "-shallow")
        self.call_after_refresh(self.redraw)

    # --- what is drawn

    def clear(self) -> None:
        """Forget the frames before."""
        self.stop()
        self.drawn, self.cursor = None, 0
        self._scrubber.maximum, self._scrubber.label = 1, ""
        self.grid.zoom(None)
        self._arrange()
        self.remove_class("-originals", "-between")
        self.strip.roll(None)
        for box in self.query(PictureBox):
            box.show(NOTHING)
            box.figures = ""
        self.box("film").title = "film"

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
        """Its number, and its class where it has one."""
        label = self.drawn.labels[index] if self.drawn is not None and self.drawn.labels else len(self.class_names)
        return f"#{index} {printable(self.class_names[label])}" if label < len(self.class_names) else f"#{index}"

    @property
    def in_turn(self) -> list[str]:
        """The names of the classes where they are drawn in turn: none was asked for, and no originals say which."""
        drawn = self.drawn
        classes = max(drawn.labels, default=-1) + 1 if drawn is not None else 0
        if drawn is None or classes < 2 or drawn.options.label >= 0 or drawn.options.start in ("image", "inpaint"):
            return []
        return [printable(name) for name in self.class_names[:classes]]

    @property
    def headings(self) -> list[str]:
        """The class above each column, where that leaves a picture half of its dots at least: it stands exact beside the page."""
        grid, view, names = self.grid, self.view, self.in_turn
        if view is None or not grid.size or not names:
            return names
        count, side, size = len(view.x), (view.x.shape[1], view.x.shape[2]), (grid.size.width, grid.size.height)
        columns = fit(count, side, size, grid.looks, density=grid.density, classes=len(names))
        return names if columns.classes and 2 * prod(columns.tile.dots) >= prod(side) else []

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
        self._arrange()

    @on(PixelGrid.Pointed)
    def _pointed(self, event: PixelGrid.Pointed) -> None:
        event.stop()
        if event.grid is self.strip:
            self.go(self.strip.frame_at(event.index))
        elif event.grid is self.grid or (event.grid is self.box("from").grid and not self.has_class("-between")):
            self.pick(event.index)

    def point(self, dx: int, dy: int) -> None:
        """Move the cursor over the pictures, so many to the right in reading order and below."""
        self.pick(self.grid.move(dx, dy))

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
        captions = [self._caption(k) for k in range(len(view.x))]
        self.box("pictures").show(view.pictures(self.kind), captions, headings=self.headings, cursor=self.cursor)
        if drawn.originals is not None:
            between = drawn.options.start == "interpolate"
            self.box("from").show(drawn.originals, ["ε₁", "ε₂"] if between else captions, cursor=None if between else self.cursor)
        moment = f"t = {view.t}" if view.t >= 0 else "finished"
        for name, pictures in (("x_t", view.x), ("x0_hat", view.x0)):
            box = self.box(name)
            box.show(pictures[self.cursor : self.cursor + 1])
            box.figures = f"{captions[self.cursor]} · {moment}"
        self.box("film").title = f"film of {captions[self.cursor]} · {NAMES[self.kind]}"
        films = [frame.pictures(self.kind)[self.cursor] for frame in drawn.frames]
        times = [f"t {frame.t}" if frame.t >= 0 else "end" for frame in drawn.frames]
        self.box("film").add_class("-filled")
        self.strip.roll(Film(films, times, drawn.planned, min(self._scrubber.value, len(films) - 1)))
        self._scrubber.label = f"{moment} · frame"
        self._show_figures()

    def tell(self, title: str, state: str) -> None:
        """Whose pictures these are, and how their drawing stands: one of the states that a box has a badge for, or none."""
        self.title = title
        self.box("pictures").state = state
        if state == "running":
            self.box("pictures").say("reading the model …")
        self._show_figures()

    def _show_figures(self) -> None:
        """What was drawn and how, and how far it is, in the frames of the boxes."""
        box, drawn, grid = self.box("pictures"), self.drawn, self.grid
        box.title = cut(self.title, max(box.size.width - BADGE, 10))
        if drawn is None:
            box.figures = ""
            return
        options, count = drawn.options, len(drawn.newest.x)
        if box.state == "running":
            left = f" · {duration(drawn.seconds_left)} left" if drawn.done else ""
            share = bar(drawn.done / max(drawn.evaluations, 1), 20)
            figures = f"{drawn.done}/{drawn.evaluations} evaluations{left} {share}"
        else:
            guided = f" · guidance {options.guidance_scale:g}" if drawn.labels or options.guidance_scale != 1 else ""
            figures = f"{options.sampler} · {evaluations(options.steps)}{guided} · seed {options.seed} · {drawn.seconds:.1f} s"
        first = grid.first if grid.zoomed is None else self.cursor
        there = f"{first + 1}–{first + grid.shown}" if grid.shown > 1 else f"{first + 1}"
        shown = f"{there} of {count} · " if grid.shown and grid.shown < count else ""
        box.figures = f"{NAMES['x0']} · " * (self.kind == "x0") + shown + figures
        self.box("film").figures = SAMPLERS[options.sampler].formula
        start = STARTS[options.start].formula.format(strength=options.strength, region=options.region)
        self.box("from").figures = start
