"""Sample: pictures come out of noise as they are made; afterwards their way can be scrubbed, zoomed and saved."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button, Input, Select, Static

from core.config import SampleConfig
from core.errors import UserError
from core.files import unused
from core.names import SAMPLERS
from core.runs.models import run_of
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import WIDE, listed
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.models import ModelScreen
from tinydiff_tui.screens.verdict import IMAGES, Verdict
from tinydiff_tui.text import for_app, printable
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.sample_form import SampleForm
from tinydiff_tui.widgets.slider import Slider
from tinydiff_tui.widgets.trajectory import Trajectory

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import Drawn


STEP, ENDS, PICTURE, TOWARDS = (Binding.Group(name) for name in ("Step", "Ends", "Picture", "Row"))


class SampleScreen(ModelScreen):
    """The mode that draws images from a checkpoint."""

    MODE = "sample"
    TITLE_TEXT = "Sample"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "generate", "Generate", tooltip="Draw images with these options"),
        key("new", "new_seed", "The next seed: other images with the same options", label="New seed"),
        key("stop", "cancel", "Stop within one network evaluation; what is there stays"),
        Binding("left", "move(-1)", "Back", tooltip="One frame back towards the noise", group=STEP),
        Binding("right", "move(1)", "Step", tooltip="One frame towards the image", group=STEP),
        Binding("home", "go(0)", "Noise", tooltip="To the first frame, pure noise", group=ENDS),
        Binding("end", "go(100000)", "Image", tooltip="To the last frame, the finished images", group=ENDS),
        key("play", "replay", "Play the frames from noise to image, or stop"),
        key("switch", "kind", "Show x_t, or the image that the network predicts from it"),
        Binding("up", "pick(-1)", "Picture before", tooltip="Cursor to the picture before", group=PICTURE),
        Binding("down", "pick(1)", "Picture", tooltip="Cursor to the next picture", group=PICTURE),
        Binding("shift+up", "pick_row(-1)", "Above", key_display="⇧↑", tooltip="Cursor to the picture above", group=TOWARDS),
        Binding("shift+down", "pick_row(1)", "Row", key_display="⇧↓", tooltip="Cursor to the picture below", group=TOWARDS),
        key("zoom", "zoom", "Show the picture under the cursor as large as it fits, or all of them"),
        key("save", "save_png", "Save what is shown as a PNG beside the checkpoint's run", label="PNG"),
        key("save_motion", "save_gif", "Save all frames as a GIF beside the checkpoint's run"),
        key("judge", "judge", "Have the data set's judge say in figures how good this model's images are"),
        key("nearest", "nearest", "The training images that the picture under the cursor is nearest to: is it a copy?"),
        key("fields", "options", "Show or fold the options; tab goes through them, escape leaves them", label="Options"),
        key("leave", "leave_field", "Leave the options, so that the keys of modes work"),
    ]
    DEFAULT_CSS = """
    SampleScreen #folded { display: none; height: 1; padding: 0 1; color: $axis; text-wrap: nowrap; text-overflow: ellipsis; }
    SampleScreen #status { height: auto; max-height: 2; padding: 0 1; }
    SampleScreen.-folded #folded { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.drawn: Drawn | None = None
        self.drawn_from: Path | None = None
        """The checkpoint whose pictures are on the screen, or on their way."""
        self.eager = False
        """Whether pictures were asked for before there was a model to draw them."""
        self.folded: bool | None = None
        """Whether the options are a line; None until a key said so: then it is the room that decides."""

    def compose_mode(self) -> ComposeResult:
        yield Static(id="folded", markup=False)
        with Trajectory():
            yield Box(SampleForm(), title="Options", id="options")
        yield Static(id="status", markup=False)

    @property
    def trajectory(self) -> Trajectory:
        return self.query_one(Trajectory)

    def on_mount(self) -> None:
        self._fold()

    def on_screen_suspend(self) -> None:
        self.trajectory.stop()

    def model_chosen(self, path: Path | None) -> None:
        """No picture of one checkpoint stays under the name of another, nor does one still come."""
        if path == self.drawn_from:
            return
        self.app.jobs.stop("sample")
        self.drawn = self.drawn_from = None
        self.trajectory.clear()
        self._show_state("")

    def model_wanted(self, path: Path) -> None:
        self.trajectory.box("pictures").say(f"reading {self.form.checkpoint_name} …")

    def model_read(self, error: str) -> None:
        self._show_state("")
        if error:
            self.eager = False
            self.trajectory.box("pictures").say(for_app(error))
        elif self.eager:
            self.call_after_refresh(self.action_generate)

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.input.id != "path" or not event.value.strip():
            self.action_generate()
        self.set_focus(None)

    # --- jobs

    def on_job_update(self, message: JobUpdate) -> None:
        drawn = cast("Drawn", message.snapshot)
        if message.name == "sample" and drawn.path == self.drawn_from:
            self._take(drawn)

    def on_job_finished(self, message: JobFinished) -> None:
        snapshot = message.snapshot
        if message.name == "save":
            self.say(message.error or f"saved {snapshot}")
        elif message.name == "sample":
            self.refresh_bindings()
            self._drawing_ended(message.error, cast("Drawn | None", snapshot))

    def _drawing_ended(self, error: str | None, drawn: "Drawn | None") -> None:
        if self.drawn_from is None:
            return  # another checkpoint was chosen meanwhile
        if drawn is not None:
            self._take(drawn)
        if error:
            self._show_state("failed")
            self.say(error)
            self.trajectory.box("pictures").say(for_app(error))
        elif drawn is not None and drawn.done >= drawn.evaluations:
            self._show_state("finished")
        else:
            self.say(f"stopped after {drawn.done} of {drawn.evaluations} evaluations" if drawn else "stopped before the first")
            self._show_state("stopped")

    def names_changed(self) -> None:
        self.form.offer_samplers()
        if self.form.checkpoint is not None:
            self._read(self.form.checkpoint)

    # --- drawing

    @on(Button.Pressed, "#generate")
    def action_generate(self) -> None:
        if self.unread:
            self.eager = True
            self.say("pictures are drawn as soon as the model is read")
            return
        self.eager = False
        self.settled = True
        if self.app.jobs.busy("sample"):
            return
        asked = self._options()
        if asked is None:
            return
        path, options = asked
        from tinydiff_tui.jobs.sampling import Drawing

        self.trajectory.clear()
        self.set_focus(None)
        self.drawn, self.drawn_from = None, path
        drawing = Drawing(path, options, self.app.data_dir)
        self.app.jobs.replace("sample", lambda: iter(drawing), self, drawing.snapshot)
        self.say("")
        self._show_state("running")
        self.refresh_bindings()

    def action_new_seed(self) -> None:
        if not self.app.jobs.busy("sample"):
            self.form.next_seed()
            self.action_generate()

    def _options(self) -> tuple[Path, SampleConfig] | None:
        """The checkpoint and what the form asks of it; None when something is wrong, which is said."""
        path = self.form.checkpoint
        if path is None:
            self.say("choose a checkpoint first: tab, then enter; or train one (3)")
            return None
        try:
            options = self.form.read()
        except UserError as error:
            self.say(str(error))
            return None
        if self.facts is not None and self.facts.path != path:
            options = dataclasses.replace(options, label=-1, guidance_scale=-1.0)  # those were the other model's
        return path, options

    def action_judge(self) -> None:
        options = self._options() if self.app.engine_ready else None
        if options is not None:
            path, wanted = options
            self.app.push_screen(Verdict(path, dataclasses.replace(wanted, num_images=max(IMAGES, wanted.num_images))))

    def action_nearest(self) -> None:
        view, facts = self.trajectory.view, self.facts
        if view is not None and facts is not None and facts.path == self.drawn_from:
            from tinydiff_tui.screens.nearest import Nearest

            self.app.push_screen(Nearest(view.x0, self.trajectory.cursor, facts.config))

    def action_cancel(self) -> None:
        self.app.jobs.stop("sample")

    def _take(self, drawn: "Drawn") -> None:
        self.drawn = drawn
        self.trajectory.show(drawn, self.facts.classes if self.facts is not None and self.facts.path == drawn.path else ())

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

    def action_pick(self, step: int) -> None:
        self.trajectory.pick(self.trajectory.cursor + step)

    def action_pick_row(self, step: int) -> None:
        self.trajectory.point(0, step)

    def action_options(self) -> None:
        self.folded = not self.has_class("-folded")
        self._fold()

    def action_leave_field(self) -> None:
        self.set_focus(None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Stop and Leave are there only when there is something to stop or to leave."""
        if not self.is_mounted:
            return True
        works = {"cancel": self.app.jobs.busy("sample"), "leave_field": self.focused is not None}
        return works.get(action, True)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self.query_one("#folded"):
            self.action_options()

    def on_resize(self, event: events.Resize) -> None:
        self.form.suggest_images(20 if event.size.width >= WIDE else 10)
        self._fold()

    def _fold(self) -> None:
        """Have the options stand as a box or as a line."""
        folded = self.size.width < 110 if self.folded is None else self.folded
        self.set_class(folded, "-folded")
        self.trajectory.fold(folded)
        if folded and self.focused is not None:
            self.set_focus(None)

    # --- saying

    @on(Input.Changed)
    @on(Select.Changed)
    @on(Slider.Clicked)
    def _show_folded(self) -> None:
        """Bring the line that stands for the options up to date."""
        try:
            said = self.form.summary()
        except UserError as error:
            said = str(error)
        self.query_one("#folded", Static).update(f"a options · {printable(said)}")
        if self.drawn is None and self.facts is not None and not self.app.jobs.busy("sample"):
            self.trajectory.box("pictures").say(f"g draws {said}")

    def _show_state(self, state: str) -> None:
        """Title and badge of the box of pictures."""
        name, facts = self.form.checkpoint_name, self.facts
        about = f" · {facts.about}" if facts is not None else ""
        self.trajectory.tell(f"{name or 'Sample'}{about}", state)
        self._show_folded()

    # --- saving

    def _file(self, ending: str) -> Path | None:
        """A new file beside the run, for a model that no run made in the working folder; None when there is nothing to write, or
        something is still being written."""
        if self.drawn is None or self.drawn_from is None or self.app.jobs.running("save"):
            return None
        return unused(run_of(self.drawn_from) or self.app.cwd, "sampled", ending)

    def _columns(self) -> int:
        """Of a saved sheet: one a class where they are drawn in turn, else 0 for a square."""
        return len(self.trajectory.in_turn) if self.trajectory.grid.zoomed is None else 1

    def action_save_png(self) -> None:
        pictures, path = self.trajectory.pictures, self._file(".png")
        if pictures is None or path is None:
            return
        from tinydiff_tui.jobs.sampling import save_picture

        columns = self._columns()
        self.app.jobs.start("save", lambda: save_picture(path, pictures, columns), self)

    def action_save_gif(self) -> None:
        path = self._file(".gif")
        if self.drawn is None or path is None:
            return
        from tinydiff_tui.jobs.sampling import save_animation

        frames, kind, columns = self.drawn.frames, self.trajectory.kind, len(self.trajectory.in_turn)
        self.app.jobs.start("save", lambda: save_animation(path, frames, kind, columns), self)
        self.say(f"writing {path} …")

    def explain_values(self) -> dict[str, str]:
        """The numbers of the drawing on the screen."""
        values = {"objective": "…", "schedule": "…", "sampler": "…", "steps": "…", "t": "…", "samplers": listed(SAMPLERS)}
        if self.facts is not None:
            values |= {"objective": self.facts.config.objective, "schedule": self.facts.config.schedule}
        view = self.trajectory.view
        if self.drawn is not None and view is not None:
            options = self.drawn.options
            values |= {"sampler": options.sampler, "steps": str(options.steps), "t": str(max(view.t, 0))}
        return values
