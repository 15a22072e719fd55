"""Sample: pictures come out of noise as they are made; afterwards their way can be scrubbed, zoomed and saved."""

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from rich.text import Text
from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Select, Static

from core.config import SampleConfig
from core.errors import UserError
from core.files import unused, user_path
from core.names import OBJECTIVES, SAMPLERS, STARTS
from core.runs.folder import run_folder_of
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.screens.verdict import IMAGES, Verdict
from tinydiff_tui.text import bar
from tinydiff_tui.widgets.sample_form import SampleForm
from tinydiff_tui.widgets.trajectory import Trajectory

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import Drawn, ModelFacts


STEP, ENDS, IMAGE = Binding.Group("Step"), Binding.Group("Ends"), Binding.Group("Image")


class SampleScreen(ModeScreen):
    """The mode that draws images from a checkpoint."""

    MODE = "sample"
    TITLE_TEXT = "Sample"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "generate", "Generate", tooltip="Draw images with these options"),
        Binding("x", "cancel", "Stop", tooltip="Stop within one network evaluation; what is there stays"),
        Binding("left", "move(-1)", "Back", tooltip="One frame back towards the noise", group=STEP),
        Binding("right", "move(1)", "Step", tooltip="One frame towards the image", group=STEP),
        Binding("home", "go(0)", "Noise", tooltip="To the first frame, pure noise", group=ENDS),
        Binding("end", "go(100000)", "Image", tooltip="To the last frame, the finished images", group=ENDS),
        Binding("space", "replay", "Play", tooltip="Play the frames from noise to image, or stop"),
        Binding("v", "kind", "x0", tooltip="Show x_t, or the image that the network predicts from it"),
        Binding("z", "zoom", "Zoom", tooltip="Show one image as large as it fits, or all of them"),
        Binding("up", "pick(-1)", "Image before", tooltip="Image before while one is zoomed", group=IMAGE),
        Binding("down", "pick(1)", "Next image", tooltip="Next image while one is zoomed", group=IMAGE),
        Binding("w", "save_png", "PNG", tooltip="Save what is shown as a PNG beside the checkpoint's run"),
        Binding("G", "save_gif", "GIF", tooltip="Save all frames as a GIF beside the checkpoint's run"),
        Binding("j", "judge", "Judge", tooltip="Have the data set's judge say in figures how good this model's images are"),
        Binding("o", "options", "Options", tooltip="Show or hide the options; tab goes through them, escape leaves them"),
        Binding("escape", "leave_field", "Leave field", tooltip="Leave the options, so that the keys of modes work"),
    ]
    DEFAULT_CSS = """
    SampleScreen #formula { height: 2; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
    SampleScreen #status { height: auto; max-height: 2; }
    SampleScreen.-narrow.-drawing SampleForm, SampleScreen.-full SampleForm { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.facts: ModelFacts | None = None
        self.drawn: Drawn | None = None
        self.drawn_from: Path | None = None
        """The checkpoint whose pictures are on the screen, or on their way."""
        self.wanted: Path | None = None
        self.suggested = 16
        self._reading: Path | None = None

    def compose_mode(self) -> ComposeResult:
        with Horizontal():
            yield SampleForm()
            with Vertical():
                yield Static(id="formula", markup=False)
                yield Trajectory()
        yield Static(id="status", markup=False)

    @property
    def trajectory(self) -> Trajectory:
        return self.query_one(Trajectory)

    # --- checkpoints

    def on_mount(self) -> None:
        if not self.app.engine_ready:
            self.say("loading the engine …")

    def engine_loaded(self) -> None:
        self._find()

    def on_screen_resume(self) -> None:
        self._find()

    def on_screen_suspend(self) -> None:
        self.trajectory.stop()

    def choose_checkpoint(self, path: Path) -> None:
        """Take a checkpoint, from another mode or from a typed path."""
        self.wanted = path
        self._find()

    def _find(self) -> None:
        if not self.app.engine_ready or self.app.jobs.running("checkpoints"):
            return
        from tinydiff_tui.jobs.sampling import checkpoints

        root = self.app.cwd
        self.app.jobs.start("checkpoints", lambda: checkpoints(root), self, lambda found: found)

    @on(Select.Changed, "#checkpoint")
    def _chosen(self) -> None:
        path = self.query_one(SampleForm).checkpoint
        if path != self.drawn_from:
            self._forget_pictures()
        if path is None or (self.facts is not None and self.facts.path == path):
            return
        self.wanted = path
        self._read(path)

    def _forget_pictures(self) -> None:
        """No picture of one checkpoint stays under the name of another, nor does one still come."""
        self.app.jobs.stop("sample")
        self.drawn = self.drawn_from = None
        self.trajectory.clear()
        self.query_one("#formula", Static).update("")

    def _read(self, path: Path) -> None:
        if self.app.jobs.running("model"):
            return  # its end looks whether another one is wanted by then
        from tinydiff_tui.jobs.sampling import read_facts

        self._reading = path
        self.app.jobs.start("model", lambda: read_facts(path), self, lambda facts: facts)
        self.say(f"reading {path} …")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id == "path" and event.value.strip():
            try:
                self.choose_checkpoint(user_path(event.value.strip(), self.app.cwd))
            except UserError as error:
                self.say(str(error))
        else:
            self.action_generate()
        self.set_focus(None)

    # --- jobs

    def on_job_update(self, message: JobUpdate) -> None:
        drawn = cast("Drawn", message.snapshot)
        if message.name == "sample" and drawn.path == self.drawn_from:
            self._take(drawn)

    def on_job_finished(self, message: JobFinished) -> None:
        snapshot = message.snapshot
        if message.name == "checkpoints":
            self._found(message.error, cast("tuple[tuple[str, Path], ...]", snapshot or ()))
        elif message.name == "model":
            self._model_read(message.error, cast("ModelFacts | None", snapshot))
        elif message.name == "save":
            self.say(message.error or f"saved {snapshot}")
        elif message.name == "sample":
            self.refresh_bindings()
            if self.drawn_from is None or (snapshot is not None and cast("Drawn", snapshot).path != self.drawn_from):
                return  # another checkpoint was chosen meanwhile
            if snapshot is not None:
                self._take(cast("Drawn", snapshot))
            if message.error:
                self.say(message.error)
            elif snapshot is not None and self.drawn is not None:
                whole = self.drawn.done >= self.drawn.evaluations
                end = f"{self.drawn.options.num_images} images in {self.drawn.evaluations} network evaluations"
                self.say(end if whole else f"cancelled after {self.drawn.done} of {self.drawn.evaluations} evaluations")
            else:
                self.say("cancelled before the first evaluation")

    def _found(self, error: str | None, found: tuple[tuple[str, Path], ...]) -> None:
        if error:
            self.say(error)
        self.query_one(SampleForm).offer(found, self.wanted)
        if not found and self.wanted is None:
            self.say(f"no checkpoint below {self.app.cwd}: train one (3), or type a path (tab)")

    def _model_read(self, error: str | None, facts: "ModelFacts | None") -> None:
        if error or facts is None:
            self.facts = None
            self.say(error or "")
        else:
            self.facts = facts
            self.query_one(SampleForm).offer_classes(facts.classes, facts.labels)
            kind = f"{facts.labels} classes" if facts.labels else "unconditional"
            self.say(f"{facts.path.name}: {facts.dataset}, step {facts.step:,}, {kind}; g generates")
            self._show_formula()
        if self.wanted is not None and self._reading != self.wanted:
            self._read(self.wanted)

    # --- drawing

    @on(Button.Pressed, "#generate")
    def action_generate(self) -> None:
        if not self.app.engine_ready:
            return
        if self.app.jobs.running("sample"):
            if self.drawn_from is None:
                self.say("the drawing before is still being stopped; try again in a moment")
            return
        asked = self._options()
        if asked is None:
            return
        path, options = asked
        from tinydiff_tui.jobs.sampling import Drawing

        self.trajectory.clear()
        self.set_focus(None)
        self.drawn, self.drawn_from = None, path
        self.add_class("-drawing")
        drawing = Drawing(path, options, self.app.data_dir)
        self.app.jobs.start("sample", lambda: iter(drawing), self, drawing.snapshot)
        self.say("reading the model …  x cancels")
        self.refresh_bindings()

    def _options(self) -> tuple[Path, SampleConfig] | None:
        """The checkpoint and what the form asks of it; None when something is wrong, which is said."""
        form = self.query_one(SampleForm)
        path = form.checkpoint
        if path is None:
            self.say("choose a checkpoint first: tab, then enter; or train one (3)")
            return None
        try:
            options = form.read()
        except UserError as error:
            self.say(str(error))
            return None
        if self.facts is not None and self.facts.path != path:
            options = dataclasses.replace(options, label=-1, guidance_scale=-1.0)  # those were the other model's
        return path, options

    def action_judge(self) -> None:
        options = self._options()
        if options is not None and self.app.engine_ready:
            path, wanted = options
            self.app.push_screen(Verdict(path, dataclasses.replace(wanted, num_images=max(IMAGES, wanted.num_images))))

    def action_cancel(self) -> None:
        self.app.jobs.stop("sample")

    def _take(self, drawn: "Drawn") -> None:
        self.drawn = drawn
        self.trajectory.show(drawn.frames, drawn.newest)
        left = "" if math.isnan(drawn.seconds_left) else f", {drawn.seconds_left:.0f} s left"
        done = bar(drawn.done / max(drawn.evaluations, 1), 20)
        self.say(f"{done} {drawn.done}/{drawn.evaluations} evaluations{left}  x cancels")
        self._show_formula()

    # --- looking

    def action_move(self, step: int) -> None:
        self.trajectory.move(step)

    def action_go(self, place: int) -> None:
        self.trajectory.go(place)

    def action_replay(self) -> None:
        if not self.app.jobs.running("sample"):
            self.trajectory.replay()

    def action_kind(self) -> None:
        self.trajectory.switch()

    def action_zoom(self) -> None:
        self.trajectory.zoom()
        self.refresh_bindings()

    def action_pick(self, step: int) -> None:
        self.trajectory.pick(step)

    def action_options(self) -> None:
        self.set_class(self.query_one(SampleForm).display, "-full")
        self.remove_class("-drawing")
        self.set_focus(None)

    def action_leave_field(self) -> None:
        self.set_focus(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stop, Image and Leave field are there only when there is something to stop, to pick or to leave."""
        if not self.is_mounted:
            return True
        works = {
            "cancel": self.app.jobs.running("sample"),
            "pick": self.trajectory.grid.zoomed is not None,
            "leave_field": self.focused is not None,
        }
        return works.get(action, True)

    def on_resize(self, event: events.Resize) -> None:
        count = 16 if event.size.width < 100 else 36 if event.size.width < 160 else 64
        self.query_one(SampleForm).suggest_images(count, self.suggested)
        self.suggested = count
        self.call_after_refresh(self.trajectory.redraw)

    def _columns(self) -> int:
        """Of the grid: one a class where they are drawn in turn, else 0 for a square."""
        if self.facts is None or self.drawn is None or self.drawn.options.label >= 0:
            return 0
        in_turn = self.drawn.options.start in ("noise", "interpolate")
        return self.facts.labels if in_turn and self.facts.labels <= self.drawn.options.num_images else 0

    def _show_formula(self) -> None:
        if self.facts is None:
            return
        options = self.drawn.options if self.drawn is not None else None
        sampler = options.sampler if options is not None and options.sampler else self.facts.sampler
        line = f"{self.facts.objective} on the {self.facts.schedule} schedule: {OBJECTIVES[self.facts.objective].formula}"
        steps = f", {options.steps} evaluations" if options is not None and options.steps else ""
        start = (
            STARTS[options.start].formula.format(strength=options.strength, region=options.region) if options is not None else ""
        )
        text = Text(
            f"{line}\n{sampler}{steps}: {SAMPLERS[sampler].formula}{start and '; ' + start}", no_wrap=True, overflow="ellipsis"
        )
        self.query_one("#formula", Static).update(text)

    # --- saving

    def action_save_png(self) -> None:
        pictures = self.trajectory.pictures
        if pictures is None or self.facts is None or self.app.jobs.running("save"):
            return
        from tinydiff_tui.jobs.sampling import save_picture

        path = unused(run_folder_of(self.facts.path), "sampled", ".png")
        columns = self._columns() if len(pictures) > 1 else 1
        self.app.jobs.start("save", lambda: save_picture(path, pictures, columns), self, lambda saved: saved)

    def action_save_gif(self) -> None:
        if self.drawn is None or self.facts is None or self.app.jobs.running("save"):
            return
        from tinydiff_tui.jobs.sampling import save_animation

        frames, kind, columns = self.drawn.frames, self.trajectory.kind, self._columns()
        path = unused(run_folder_of(self.facts.path), "sampled", ".gif")
        self.app.jobs.start("save", lambda: save_animation(path, frames, kind, columns), self, lambda saved: saved)
        self.say(f"writing {path} …")

    def explain_values(self) -> dict[str, str]:
        """The numbers of the drawing on the screen."""
        values = {"objective": "…", "schedule": "…", "sampler": "…", "steps": "…", "t": "…", "samplers": listed(SAMPLERS)}
        if self.facts is not None:
            values |= {"objective": self.facts.objective, "schedule": self.facts.schedule}
        view = self.trajectory.view
        if self.drawn is not None and view is not None:
            options = self.drawn.options
            values |= {"sampler": options.sampler, "steps": str(options.steps), "t": str(max(view.t, 0))}
        return values
