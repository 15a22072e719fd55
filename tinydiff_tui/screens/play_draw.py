"""Draw: a canvas of the model's size, finished by the model while one draws; or x_t itself, painted in the middle of a way."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical

from core.config import SampleConfig
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.jobs.sketch import Sketch
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.play_part import Part, after
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.text import evaluations
from tinydiff_tui.widgets.canvas import Canvas
from tinydiff_tui.widgets.film import Film, FilmStrip, PictureBox
from tinydiff_tui.widgets.pixel_grid import PixelGrid, SampleGrid

if TYPE_CHECKING:
    from pathlib import Path

    from tinydiff_tui.jobs.finishing import Branched, Finish, Leave
    from tinydiff_tui.jobs.live import Shown
    from tinydiff_tui.jobs.sampling import ModelFacts, View
    from tinydiff_tui.terminal.cells import Pixels

STRENGTHS = tuple(k / 20 for k in range(4, 21))
STRENGTH = 0.6
"""Of the way to noise; measured: benchmarks/RESULTS.md."""
COUNT = 6
MOST_BRUSH = 4
MOST_UNDONE = 200
MOVE, STRONG = Binding.Group("Move"), Binding.Group("Strength")


class Draw(Part):
    """The canvas, and beside it what becomes of it."""

    TITLE_TEXT = "Draw"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(name, f"step({x},{y})", name, tooltip=f"The cursor {name}, drawing or erasing as the pen is", group=MOVE)
            for name, x, y in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
        ),
        *(
            Binding(f"shift+{name}", f"step({4 * x},{4 * y})", name, tooltip=f"Four pixels {name}", show=False)
            for name, x, y in (("left", -1, 0), ("right", 1, 0), ("up", 0, -1), ("down", 0, 1))
        ),
        Binding("p", "pen('draw')", "Pen", tooltip="Put the pen down or lift it; the mouse draws in any case"),
        Binding("r", "pen('erase')", "Rubber", tooltip="Put the rubber down or lift it; the right button erases in any case"),
        Binding("s", "brush", "Size", tooltip="Pen and rubber one pixel wider; after four again one"),
        Binding("f", "way", "Fill", tooltip="Finish all of it (SDEdit), or fill only what was erased (inpainting)"),
        key(
            "more", "strength(1)", "Freer: farther to noise; of a way, painted one evaluation later", label="Freer", group=STRONG
        ),
        key("fewer", "strength(-1)", "Nearer to the strokes; of a way, one evaluation earlier", label="Nearer", group=STRONG),
        key("class", "label(1)", "The class that it is to be, the next"),
        Binding("C", "label(-1)", "Class before", tooltip="The class before", show=False),
        key("guidance", "guidance", "More guidance; after the most none"),
        key("new", "new", "Finish from other noises: the next seed", label="Noises"),
        Binding("i", "image", "Image", tooltip="A test image of the model's data set on the canvas, the next at each key"),
        Binding("backspace,delete", "empty", "Empty", key_display="⌫", tooltip="An empty canvas"),
        Binding(
            "enter",
            "take(0)",
            "Take",
            key_display="⏎",
            tooltip="The first of the finished pictures on the canvas; a click takes any",
        ),
        key("switch", "switch", "Paint x_t in the middle of a way out of noise, or the picture", label="x_t"),
        key("undo", "undo", "Take back the last stroke, or what replaced the canvas"),
        key("save", "save_png", "Save the canvas and what becomes of it as a PNG beside the model's run", label="PNG"),
        key("save_motion", "save_gif", "Save both branches of a painted way as a GIF beside the model's run"),
    ]
    DEFAULT_CSS = """
    Draw { layout: vertical; }
    Draw #canvas { width: 32; height: 1fr; border-title-color: $x0; }
    Draw.-way #canvas { border-title-color: $x-t; }
    Draw #finished { width: 1fr; height: 1fr; }
    Draw #branches { width: 1fr; height: 1fr; display: none; }
    Draw #branches PictureBox { height: 1fr; }
    Draw.-way #finished { display: none; }
    Draw.-way #branches { display: block; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.mail: Newest[Finish] = Newest()
        self.leave_mail: Newest[Leave] = Newest()
        self.sketch: Sketch | None = None
        self.on_way: Sketch | None = None
        """What is painted on x_t; None while it is the picture that is drawn."""
        self.cursor = (14, 6)
        self.pen = ""
        self.brush = 2
        self.inpaint = False
        self.strength = STRENGTH
        self.at = 0
        self.label, self.guidance, self.seed = -1, -1.0, 0
        self.shown_here: Shown[Finish] | None = None
        self.branched: Branched | None = None
        self.image = -1
        self._before: list[tuple[Sketch | None, Sketch | None]] = []

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield PictureBox("loading the engine …", grid=Canvas(), title="Draw", id="canvas")
            yield PictureBox("draw, and it is finished here", grid=SampleGrid(), title="finished", id="finished")
            with Vertical(id="branches"):
                yield PictureBox("the way as it was", grid=FilmStrip(), title="untouched", id="untouched")
                yield PictureBox("the way from what you paint", grid=FilmStrip(), title="painted", id="painted")

    @property
    def canvas(self) -> Canvas:
        return self.query_one(Canvas)

    # --- the model

    def model_read(self, facts: ModelFacts) -> None:
        self.sketch = Sketch.blank(facts.side, facts.channels)
        self.cursor = (facts.side[1] // 2, facts.side[0] // 4)
        self.label = min(self.label if self.label >= 0 else 3, facts.labels - 1)
        self.guidance, self.shown_here, self.branched, self.on_way, self._before = -1.0, None, None, None, []
        self.at = facts.resolved(SampleConfig()).steps // 2
        self.remove_class("-way")
        self._fit()
        self._ask()

    def shown(self) -> None:
        self._ask()

    def left(self) -> None:
        self.mail, self.leave_mail = self.stop("draw", self.mail), self.stop("branch", self.leave_mail)

    # --- asking

    def _ask(self) -> None:
        """Have what is on the canvas finished, and show the canvas."""
        if self.facts is None or self.sketch is None:
            return
        self._show()
        if not self.in_sight:
            return
        from tinydiff_tui.jobs.finishing import Finish, Leave

        path = self.facts.path
        if self.on_way is not None:
            options = SampleConfig(num_images=1, seed=self.seed, label=self.label, guidance_scale=self.guidance)
            self.leave_mail.put(Leave(path, options, self.at, self.on_way))
        elif self.sketch.pixels.any():
            self.mail.put(Finish(path, self.sketch, self.inpaint, self.strength, self.label, self.guidance, self.seed, COUNT))
        self._work()

    def _work(self) -> None:
        from tinydiff_tui.jobs.finishing import Branching, finishing

        self.work("draw", self.mail, lambda: finishing(self.mail))
        self.work("branch", self.leave_mail, lambda: Branching(self.leave_mail))

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "draw":
            self._take(cast("Shown[Finish]", message.snapshot))
        elif message.name == "branch":
            self._take_branches(cast("Branched", message.snapshot))

    def on_job_finished(self, message: JobFinished) -> None:
        if message.error:
            self.say(message.error)
        if message.name == "draw picture":
            self._take_picture(cast("tuple[Path, Pixels] | None", message.snapshot))
        elif self.in_sight:
            self._work()  # something may have been asked for as it ended

    # --- drawing

    @property
    def _paper(self) -> Sketch | None:
        """What strokes go to."""
        return self.sketch if self.on_way is None else self.on_way

    def _remember(self) -> None:
        self._before = [*self._before, (self.sketch, self.on_way)][-MOST_UNDONE:]

    def _stroke(self, start: tuple[int, int], end: tuple[int, int], *, erase: bool) -> None:
        if self._paper is not None:
            drawn = self._paper.stroke(start, end, self.brush, erase=erase)
            if self.on_way is None:
                self.sketch = drawn
            else:
                self.on_way = drawn
            self._ask()

    def action_step(self, dx: int, dy: int) -> None:
        if self.sketch is None:
            return
        height, width = self.sketch.pixels.shape[:2]
        before, (x, y) = self.cursor, self.cursor
        self.cursor = (min(max(x + dx, 0), width - 1), min(max(y + dy, 0), height - 1))
        if self.pen:
            self._stroke(before, self.cursor, erase=self.pen == "erase")
        else:
            self._show()

    def action_pen(self, pen: str) -> None:
        self.pen = "" if self.pen == pen else pen
        if self.pen and self._paper is not None:
            self._remember()
            self._stroke(self.cursor, self.cursor, erase=self.pen == "erase")
        else:
            self._show()

    def action_brush(self) -> None:
        self.brush = self.brush % MOST_BRUSH + 1
        self._show()

    @on(Canvas.Stroked)
    def _stroked(self, event: Canvas.Stroked) -> None:
        event.stop()
        if event.begins:
            self._remember()
        self.cursor = event.end
        self._stroke(event.start, event.end, erase=event.erase or self.pen == "erase")

    def _replace(self, sketch: Sketch) -> None:
        """Another picture on the canvas; the one before can be had back."""
        self._remember()
        self.sketch = sketch
        if self.on_way is not None:
            self.action_switch()
        else:
            self._ask()

    def action_empty(self) -> None:
        if self.sketch is not None and self.on_way is not None:
            self._remember()
            self.on_way = Sketch.of(np.zeros_like(self.sketch.pixels))
            self._ask()
        elif self.sketch is not None:
            self._replace(Sketch.of(np.zeros_like(self.sketch.pixels)))
            self.shown_here = None
            self.query_one("#finished", PictureBox).show(np.zeros((0, 1, 1, 1), dtype=np.uint8))

    def action_image(self) -> None:
        if self.facts is None:
            return
        from tinydiff_tui.jobs.finishing import picture_to_start

        self.image += 1
        path, index, data_dir = self.facts.path, self.image, self.app.data_dir
        self.app.jobs.replace("draw picture", lambda: picture_to_start(path, index, data_dir), self)

    def _take_picture(self, given: tuple[Path, Pixels] | None) -> None:
        """One of the data set, unless another model, which may draw in another size, was chosen meanwhile."""
        if given is not None and self.facts is not None and given[0] == self.facts.path:
            self._replace(Sketch.of(given[1]))

    def action_take(self, index: int) -> None:
        if self.shown_here is not None and self.on_way is None:
            self._replace(Sketch.of(self.shown_here.pictures[index]))

    @on(PixelGrid.Pointed)
    def _pointed(self, event: PixelGrid.Pointed) -> None:
        event.stop()
        if event.grid is self.query_one("#finished", PictureBox).grid:
            self.action_take(event.index)

    def action_undo(self) -> None:
        if not self._before:
            self.say("there is nothing to undo")
            return
        self.sketch, self.on_way = self._before.pop()
        self.pen = ""
        self.set_class(self.on_way is not None, "-way")
        self._ask()

    # --- how it is finished

    def action_way(self) -> None:
        self.inpaint = not self.inpaint
        self._ask()

    def action_strength(self, step: int) -> None:
        if self.on_way is not None and self.branched is not None:
            self.at = min(max(self.at + step, 0), self.branched.options.steps - 1)
        elif self.on_way is None:
            self.strength = after(STRENGTHS, self.strength, step)
        self._ask()

    def action_label(self, step: int) -> None:
        if labels := self.labels("this model knows no classes"):
            self.label = (self.label + step) % labels
            self._ask()

    def action_guidance(self) -> None:
        if (guidance := self.more_guidance(self.guidance)) != self.guidance:
            self.guidance = guidance
            self._ask()

    def action_new(self) -> None:
        self.seed += 1
        self._ask()

    def action_switch(self) -> None:
        if self.sketch is None:
            return
        self.on_way = Sketch.of(np.zeros_like(self.sketch.pixels)) if self.on_way is None else None
        self.pen = ""
        self.set_class(self.on_way is not None, "-way")
        self._ask()

    # --- showing

    def on_resize(self, event: events.Resize) -> None:
        self._fit()

    def _fit(self) -> None:
        """The canvas twice as large as it is where that leaves room for what becomes of it."""
        if self.facts is None:
            return
        height, width = self.facts.side
        large = self.size.height >= height + 2 and self.size.width >= 2 * width + 4 + 50
        self.query_one("#canvas").styles.width = (2 if large else 1) * width + 4

    def _show(self) -> None:
        """The canvas, and in its frame what the next stroke does."""
        if self.sketch is None or self.facts is None:
            return
        box = self.query_one("#canvas", PictureBox)
        box.add_class("-filled")
        pen = {"": "pen up", "draw": "drawing", "erase": "erasing"}[self.pen]
        box.figures = f"{pen} · {self.brush} px"
        if self.on_way is None:
            box.title = "Draw"
            veiled = self.sketch.erased if self.inpaint else np.zeros_like(self.sketch.erased)
            self.canvas.draw(self.sketch.pixels, self.cursor, veiled)
        else:
            box.title = f"x_t · evaluation {self.at}"
            self.canvas.draw(self._painted_x_t(self.on_way), self.cursor, np.zeros_like(self.on_way.erased))
        name = self.class_name(self.label)
        wanted = f"class {name} · " if name else ""
        how = "what was erased" if self.inpaint else f"{self.strength:.0%} to noise"
        self.query_one("#finished", PictureBox).title = f"finished · {wanted}{how}"

    def _painted_x_t(self, paint: Sketch) -> Pixels:
        """x_t where it is left, with the strokes on it; those not yet computed are shown as they were drawn."""
        branched = self.branched
        if branched is None or len(branched.painted) <= self.at or branched.asked.at != self.at:
            return paint.pixels
        if branched.asked.sketch is paint:
            seen: Pixels = branched.painted[self.at].x[0]
            return seen
        pixels: Pixels = branched.untouched[self.at].x[0].copy()
        pixels[paint.touched] = paint.pixels[paint.touched]
        return pixels

    def _take(self, shown: Shown[Finish]) -> None:
        if self.facts is None or shown.asked.path != self.facts.path or self.sketch is None or not self.sketch.pixels.any():
            return
        self.shown_here = shown
        box, options = self.query_one("#finished", PictureBox), shown.options
        box.show(shown.pictures)
        guided = f" · guidance {options.guidance_scale:g}" if self.facts.guides else ""
        spent = f"{options.sampler} · {evaluations(options.steps)} · {1000 * shown.seconds:.0f} ms"
        box.figures = f"{spent}{guided} · seed {options.seed}"

    def _take_branches(self, branched: Branched) -> None:
        if self.facts is None or branched.asked.path != self.facts.path:
            return
        self.branched = branched
        for name, views in (("untouched", branched.untouched), ("painted", branched.painted)):
            box = self.query_one(f"#{name}", PictureBox)
            box.add_class("-filled")
            box.query_one(FilmStrip).roll(_film(views, branched.options.steps + 1, branched.asked.at))
            last = "finished" if views[-1].t < 0 else f"t {views[-1].t}"
            box.figures = f"{branched.options.sampler} · left at evaluation {branched.asked.at} · {last}"
        if self.on_way is not None:
            self._show()

    # --- saving

    def action_save_png(self) -> None:
        path = self.file("drawn", ".png")
        if path is None or self.sketch is None:
            return
        from tinydiff_tui.jobs.sampling import save_picture

        pictures = self.sketch.pixels[None]
        if self.on_way is not None and self.branched is not None:
            pictures = np.concatenate([self.branched.untouched[-1].x, self.branched.painted[-1].x])
        elif self.shown_here is not None:
            pictures = np.concatenate([pictures, self.shown_here.pictures])
        self.save(lambda: save_picture(path, pictures, len(pictures)))

    def action_save_gif(self) -> None:
        path, branched = self.file("branches", ".gif"), self.branched
        if self.on_way is None or branched is None or not branched.whole:
            self.say("a GIF is of two branches: x, then paint")
        elif path is not None:
            from tinydiff_tui.jobs.finishing import save_branches

            self.save(lambda: save_branches(path, branched))
            self.say(f"writing {path} …")

    def explain_values(self) -> dict[str, str]:
        return {"strength": f"{self.strength:.0%}"}


def _film(views: tuple[View, ...], planned: int, present: int) -> Film:
    """The frames of a branch, with the one that was painted marked."""
    times = [f"t {view.t}" if view.t >= 0 else "end" for view in views]
    return Film([view.x[0] for view in views], times, max(planned, len(views)), min(present, len(views) - 1))
