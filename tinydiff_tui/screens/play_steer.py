"""Steer: a grid of pictures on a plane of noises, moved by hand and drawn anew as one moves."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.play_part import Part, after
from tinydiff_tui.text import evaluations
from tinydiff_tui.widgets.film import Film, FilmStrip, PictureBox
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.plane_grid import PlaneGrid

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import ModelFacts
    from tinydiff_tui.jobs.steering import Asked, Spot, Steered
    from tinydiff_tui.terminal.cells import Pixels

SPACINGS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
"""Radians between two neighbours."""
QUARTER = 0.25
"""Of the way to the neighbour, a key."""
MOST_STATIONS = 300
"""Of a path; the oldest are forgotten."""
MOVE, STEP = (Binding.Group(name) for name in ("Move", "Spacing"))


class Steer(Part):
    """The plane, the picture in its middle, and the path that the middle came along."""

    TITLE_TEXT = "Steer"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1,0)", "Left", tooltip="Move a quarter of the way to the picture at the left", group=MOVE),
        Binding("right", "move(1,0)", "Right", tooltip="Move a quarter of the way to the picture at the right", group=MOVE),
        Binding("up", "move(0,-1)", "Up", tooltip="Move a quarter of the way to the picture above", group=MOVE),
        Binding("down", "move(0,1)", "Down", tooltip="Move a quarter of the way to the picture below", group=MOVE),
        *(
            Binding(f"shift+{name}", f"move({4 * x},{4 * y})", name, tooltip=f"Move to the picture {name}", show=False)
            for name, x, y in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
        ),
        key("more", "space(1)", "Neighbours farther apart: they differ more", label="Wider", group=STEP),
        key("fewer", "space(-1)", "Neighbours nearer to each other: they differ less", label="Nearer", group=STEP),
        Binding("enter", "centre", "Centre", key_display="⏎", tooltip="Make the marked picture the middle of a new plane"),
        Binding("r", "directions", "Directions", tooltip="Two other directions through the marked picture"),
        key("new", "new", "Another noise to start from; the path begins anew", label="Noise"),
        key("class", "label(1)", "Draw the next class; after the last one the first"),
        Binding("C", "label(-1)", "Class before", tooltip="Draw the class before", show=False),
        key("guidance", "guidance", "More guidance; after the most none"),
        key("undo", "undo", "Back to before the last enter, r, n, c or g, or a click"),
        key("zoom", "zoom", "Show the marked picture as large as it fits, or all of them"),
        key("save", "save_png", "Save the pictures as a PNG beside the model's run", label="PNG"),
        key("save_motion", "save_gif", "Save the path as a GIF beside the model's run, each picture with all evaluations"),
    ]
    DEFAULT_CSS = """
    Steer { layout: vertical; }
    Steer #plane { width: 1fr; height: 1fr; }
    Steer #beside { width: 32; height: 1fr; }
    Steer #this { height: 16; border-title-color: $x0-hat; }
    Steer #path { height: 1fr; }
    .-narrow Steer #beside, Steer.-zoomed #beside { display: none; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.mail: Newest[Asked] = Newest()
        self.spot: Spot | None = None
        self.spacing = 0.3
        self.label = -1
        self.guidance = -1.0
        self._asked: Asked | None = None
        self.drawn: Steered | None = None
        self.path: list[tuple[Spot, Pixels | None]] = []
        """Where the middle was, and how it looked where it was drawn."""
        self._before: list[tuple[Spot, int, float, float, list[tuple[Spot, Pixels | None]]]] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield PictureBox("loading the engine …", grid=PlaneGrid(), title="Steer", id="plane")
            with Vertical(id="beside"):
                yield PictureBox("the marked picture", title="marked", id="this")
                yield PictureBox("the way you came", grid=FilmStrip(), title="path", id="path")

    @property
    def grid(self) -> PlaneGrid:
        return self.query_one(PlaneGrid)

    # --- the model

    def on_resize(self) -> None:
        self._ask()

    def model_read(self, facts: ModelFacts) -> None:
        from tinydiff_tui.jobs.steering import Spot

        self.grid.side = facts.side
        self.spot, self._asked, self.drawn, self._before = self.spot or Spot(), None, None, []
        self.guidance = -1.0
        self.label = min(self.label if self.label >= 0 else 3, facts.labels - 1)
        self.path = []
        self._station()
        self._ask()

    def shown(self) -> None:
        self.call_after_refresh(self._ask)  # how many pictures have room is known by then

    def left(self) -> None:
        self._asked, self.mail = None, self.stop("steer", self.mail)

    # --- asking

    @on(PlaneGrid.Reshaped)
    def _ask(self) -> None:
        """Have the pictures at this spot drawn; what was asked before need not be any more."""
        if self.facts is None or self.spot is None or not self.in_sight or not all(self.grid.room):
            return
        from tinydiff_tui.jobs.steering import Asked

        asked = Asked(self.facts.path, self.spot, self.grid.shape, self.spacing, self.label, self.guidance)
        if asked != self._asked:  # a line more below the panel asks for nothing else
            self._asked = asked
            self.mail.put(asked)
        self._work()

    def _work(self) -> None:
        from tinydiff_tui.jobs.steering import steering

        self.work("steer", self.mail, lambda: steering(self.mail))

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "steer":
            self._take(cast("Steered", message.snapshot))

    def on_job_finished(self, message: JobFinished) -> None:
        if message.error:
            self._asked = None
            self.say(message.error)
        if self.in_sight:
            self._work()  # something may have been asked for as it ended

    # --- moving

    def action_move(self, dx: int, dy: int) -> None:
        if self.spot is not None:
            step = self.spacing * QUARTER
            self._go(self.spot.moved(dx * step, dy * step))

    def _go(self, spot: Spot) -> None:
        self.spot = spot
        self._station()
        self._ask()

    def _station(self) -> None:
        if self.spot is not None:
            self.path = [*self.path, (self.spot, None)][-MOST_STATIONS:]

    @on(PixelGrid.Pointed)
    def _pointed(self, event: PixelGrid.Pointed) -> None:
        event.stop()
        points = self.drawn.asked.points() if self.drawn is not None else []
        if event.grid is self.grid and self.drawn is not None and event.index < len(points):
            x, y = points[event.index]
            self._remember()
            self._go(dataclasses.replace(self.drawn.asked.spot, x=x, y=y))

    def action_space(self, step: int) -> None:
        self.spacing = after(SPACINGS, self.spacing, step)
        self._ask()

    def _turn(self, directions: int) -> None:
        if self.spot is not None:
            self._remember()
            self._go(self.spot.turned(directions))

    def action_centre(self) -> None:
        if self.spot is not None:
            self._turn(self.spot.directions)
            self.say("the marked picture is the middle of a new plane")

    def action_directions(self) -> None:
        if self.spot is not None:
            self._turn(self.spot.directions + 1)

    def action_new(self) -> None:
        from tinydiff_tui.jobs.steering import Spot

        if self.spot is not None:
            self._remember()
            self.path = []
            self._go(Spot(self.spot.seed + 1))

    def action_label(self, step: int) -> None:
        if labels := self.labels("this model knows no classes"):
            self._remember()
            self.label = (self.label + step) % labels
            self._ask()

    def action_guidance(self) -> None:
        if (guidance := self.more_guidance(self.guidance)) != self.guidance:
            self._remember()
            self.guidance = guidance
            self._ask()

    def _remember(self) -> None:
        if self.spot is not None:
            self._before.append((self.spot, self.label, self.guidance, self.spacing, self.path))

    def action_undo(self) -> None:
        if not self._before:
            self.say("there is nothing to undo")
            return
        self.spot, self.label, self.guidance, self.spacing, self.path = self._before.pop()
        self._ask()

    def action_zoom(self) -> None:
        zoomed = self.grid.zoomed is None and self.drawn is not None
        self.set_class(zoomed, "-zoomed")
        self.grid.zoom(self.drawn.asked.middle if zoomed and self.drawn is not None else None)

    # --- showing

    def _take(self, drawn: Steered) -> None:
        if self.facts is None or drawn.asked.path != self.facts.path:
            return
        self.drawn = drawn
        asked, middle = drawn.asked, drawn.pictures[drawn.asked.middle]
        for place in reversed(range(len(self.path))):
            if self.path[place][0] == asked.spot:
                self.path[place] = (asked.spot, middle)
                break
        box = self.query_one("#plane", PictureBox)
        if self.grid.zoomed is not None:
            self.grid.zoomed = asked.middle
        columns = asked.points()[: asked.shape[0]]
        box.show(drawn.pictures, headings=[f"{x:+.2f}" for x, _ in columns], cursor=asked.middle)
        told = f" · class {self.class_name(asked.label)}" if self.facts.labels else ""
        guided = f" · guidance {drawn.options.guidance_scale:g}" if self.facts.guides else ""
        box.title = f"Steer · {self.play.name_of(asked.path)}{told}{guided}"
        spent = f"{drawn.options.sampler} · {evaluations(drawn.options.steps)} · {1000 * drawn.seconds:.0f} ms"
        box.figures = f"{spent} · {asked.spacing:g} rad apart · directions {asked.spot.directions}"
        this = self.query_one("#this", PictureBox)
        this.show(middle[None])
        this.figures = f"{asked.spot.x:+.2f} {asked.spot.y:+.2f} rad"
        if drawn.last:  # while keys come there is no time for the way
            self._show_path()

    def _show_path(self) -> None:
        seen = [picture for _, picture in self.path if picture is not None]
        box = self.query_one("#path", PictureBox)
        box.set_class(bool(seen), "-filled")
        box.figures = f"{len(self.path)} station{'s' * (len(self.path) != 1)}"
        self.query_one(FilmStrip).roll(Film(seen, [""] * len(seen), len(seen), len(seen) - 1) if seen else None)

    # --- saving

    def action_save_png(self) -> None:
        path = self.file("steered", ".png")
        if self.drawn is None or path is None:
            return
        from tinydiff_tui.jobs.sampling import save_picture

        pictures, columns, middle = self.drawn.pictures, self.drawn.asked.shape[0], self.drawn.asked.middle
        if self.grid.zoomed is not None:
            pictures, columns = pictures[middle : middle + 1], 1
        self.save(lambda: save_picture(path, pictures, columns))

    def action_save_gif(self) -> None:
        path = self.file("steered", ".gif")
        if self.drawn is None or path is None:
            return
        from tinydiff_tui.jobs.steering import between, save_path

        spots, asked = between([spot for spot, _ in self.path], self.spacing * QUARTER), self.drawn.asked
        if len(spots) < 2:
            self.say("move first: the path has one picture")
            return
        self.save(lambda: save_path(path, asked, spots))
        self.say(f"writing {path} …")

    def explain_values(self) -> dict[str, str]:
        return {"spacing": f"{self.spacing:g}"}
