"""Which model: a checkpoint below the working folder, one whose path is typed, or the one that comes with the program."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from textual import on
from textual.widgets import Input, Select

from core.errors import UserError
from core.files import user_path
from core.runs.embedded import embedded_model
from tinydiff_tui.jobs.messages import JobFinished
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.widgets.sample_form import SampleForm

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import ModelFacts


class ModelScreen(ModeScreen):
    """The part of a mode that chooses its model in a SampleForm. Subclasses say what becomes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.facts: ModelFacts | None = None
        self.wanted: Path | None = None
        self.untrained = False
        """Whether there was no run with a checkpoint."""
        self.settled = False
        """Whether something was made with the model, so that no other takes its place by itself."""
        self.unread = True
        """Whether the chosen model is still to be read."""

    @property
    def form(self) -> SampleForm:
        return self.query_one(SampleForm)

    def model_chosen(self, path: Path | None) -> None:
        """This is the checkpoint from now on."""

    def model_wanted(self, path: Path) -> None:
        """It is being read."""

    def model_read(self, error: str) -> None:
        """`facts` says what it is, or the error why that is not known."""

    def engine_loaded(self) -> None:
        self._find()

    def on_screen_resume(self) -> None:
        self._find()

    def choose_checkpoint(self, path: Path) -> None:
        """Take a checkpoint, from another mode or from a typed path."""
        self.wanted = path
        self._find()

    def _find(self) -> None:
        if not self.app.engine_ready or self.app.jobs.running("checkpoints"):
            return
        from tinydiff_tui.jobs.sampling import checkpoints

        root = self.app.cwd
        self.app.jobs.start("checkpoints", lambda: checkpoints(root), self)

    @on(Input.Submitted, "#path")
    def _typed(self, event: Input.Submitted) -> None:
        if event.value.strip():
            try:
                self.choose_checkpoint(user_path(event.value.strip(), self.app.cwd))
            except UserError as error:
                self.say(str(error))

    @on(Select.Changed, "#checkpoint")
    def _chosen(self) -> None:
        path = self.form.checkpoint
        self.model_chosen(path)
        if path is None:
            return
        if self.wanted != path or self.facts is None or self.facts.path != path:
            self.wanted = path
            self._read(path)

    def _read(self, path: Path) -> None:
        from tinydiff_tui.jobs.sampling import read_facts

        self.unread = True
        self.app.jobs.replace("model", lambda: read_facts(path), self)
        self.model_wanted(path)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "checkpoints":
            self._found(message.error, cast("tuple[tuple[str, Path], ...]", message.snapshot or ()))
        elif message.name == "model":
            self._was_read(message.error, cast("ModelFacts | None", message.snapshot))

    def _found(self, error: str | None, found: tuple[tuple[str, Path], ...]) -> None:
        if error:
            self.say(error)
        untrained = bool(found) and found[0][1] == embedded_model()
        if not untrained and self.untrained and not self.settled and self.wanted == embedded_model():
            self.wanted = None  # what was trained meanwhile comes before what was there when there was nothing else
        self.untrained = untrained
        self.form.offer(found, self.wanted)

    def _was_read(self, error: str | None, facts: "ModelFacts | None") -> None:
        self.facts, self.unread = facts, False
        self.say(error or "")
        self.app.tell_notices()
        if facts is not None:
            self.form.offer_model(facts)
        self.model_read(error or "")
