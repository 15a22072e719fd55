"""What is done to the run under the cursor, or by the marked ones: judged, annotated, resumed, deleted, drawn from."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from core.config import SampleConfig
from core.errors import UserError
from core.files import unused
from core.runs.folder import RunDir
from core.runs.remarks import write_note
from tinydiff_tui.jobs.runs import RunRow, delete_run
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.note import Note
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.verdict import IMAGES, Verdict
from tinydiff_tui.text import printable

if TYPE_CHECKING:
    from tinydiff_tui.jobs.comparing import Comparison, DrawnRow


class RunActions(ModeScreen):
    """The part of the Runs mode that acts; subclasses say which runs it acts on."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "compare", "Same noises", tooltip="Draw the same noises by each marked run, a row a run; again: others"),
        key("judge", "judge", "Have the data set's judge say in figures how good this run's images are; kept in its folder"),
        key("note", "note", "Write a line on this run, kept in its folder"),
        key("open", "open", "Draw images from this run", label="Sample"),
        Binding("r", "resume", "Resume", tooltip="Continue this run in Train"),
        key("distil", "distil", "Train a student that draws in two evaluations what this model draws, in Train"),
        Binding("d", "delete", "Delete", tooltip="Delete this run's folder, after a question; never a live one"),
        key("pause", "ask('pause')", "Have a live run pause"),
        key("go_on", "ask('resume')", "Have a paused run go on"),
        key("checkpoint", "ask('checkpoint')", "Have a live run write its resume point"),
        key("sample", "ask('sample')", "Have a live run draw samples of its averaged weights"),
        key("stop", "ask('stop')", "Have a live run stop and save", label="Stop+save"),
        key("save", "save", "Save the rows of the same noises as a PNG"),
        key("new", "new_run", "Train another run, in Train", label="New run"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.comparison: Comparison | None = None
        """What was last drawn of the same noises."""
        self._known: dict[tuple[Path, int, int], DrawnRow] = {}
        self._waiting: Callable[[], None] | None = None

    @property
    def chosen(self) -> RunRow | None:
        """The run under the cursor."""
        raise NotImplementedError

    @property
    def compared(self) -> list[RunRow]:
        """The marked runs in the order in which they were marked, else the one under the cursor."""
        raise NotImplementedError

    @property
    def drawing(self) -> bool:
        """Whether the same noises are being drawn."""
        return self.app.jobs.busy("same noises")

    def look(self) -> None:
        """Read the runs again."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys work now: requests for a live run, resuming, distilling and deleting for one that nobody trains."""
        if not self.is_mounted:
            return True
        row = self.chosen
        readable, live = row is not None and row.info is not None, row is not None and row.live
        if action == "save":
            return self.comparison is not None
        if action in ("compare", "judge", "note", "open"):
            return readable
        if action in ("resume", "delete", "distil"):
            return readable and not live
        if action == "ask":
            return live and parameters != (("pause" if row is not None and row.status == "paused" else "resume"),)
        return True

    async def action_open(self) -> None:
        if (checkpoint := self._checkpoint()) is not None:
            await self.app.open_in_sample(checkpoint)

    def action_judge(self) -> None:
        if (checkpoint := self._checkpoint()) is not None and self._ready(self.action_judge):
            self.app.push_screen(Verdict(checkpoint, SampleConfig(num_images=IMAGES)), lambda _: self.look())

    def _checkpoint(self) -> Path | None:
        """The newest checkpoint of the run under the cursor; says so when there is none."""
        row = self.chosen
        if row is None or row.info is None:
            return None
        if row.info.checkpoint is None:
            self.notify("this run has no checkpoint yet", severity="warning")
        return row.info.checkpoint

    def engine_loaded(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and self is self.app.screen:  # whoever went on wants it no more
            waiting()

    def _ready(self, action: Callable[[], None]) -> bool:
        """Whether the engine is there; else the action is done as soon as it is."""
        if self.app.engine_error:
            self.notify(self.app.engine_error, severity="error")
        elif not self.app.engine_ready:
            self._waiting = action
            self.notify("the engine is still being loaded; this is done as soon as it is there")
        return self.app.engine_ready

    def action_compare(self) -> None:
        """Draw the same noises by the runs that are compared; other ones when these are there already."""
        if self.drawing or not self._ready(self.action_compare):
            return
        from tinydiff_tui.jobs.comparing import Comparing, Contestant

        found = [(row, row.info.checkpoint) for row in self.compared if row.info is not None]
        runs = [Contestant(row.key, row.name, checkpoint) for row, checkpoint in found if checkpoint is not None]
        if not runs:
            self.notify("none of these runs has a checkpoint yet", severity="warning")
            return
        before = self.comparison
        again = before is not None and before.done == before.total and set(before.keys) == {run.key for run in runs}
        comparing = Comparing(runs, (before.seed if before else 0) + again, self._known)
        self.app.jobs.replace("same noises", comparing.__iter__, self, comparing.snapshot)
        self.refresh_bindings()

    def action_save(self) -> None:
        from tinydiff_tui.jobs.comparing import save_sheet

        if (comparison := self.comparison) is not None:
            path = unused(self.app.cwd, f"same_noises_seed_{comparison.seed}", ".png")
            self.app.jobs.replace("sheet", lambda: save_sheet(path, comparison), self)

    def action_note(self) -> None:
        row = self.chosen
        if row is not None and row.info is not None:
            run = RunDir(row.info.path)
            self.app.push_screen(Note(row.name, row.note, lambda text: self._write_note(run, text)))

    def _write_note(self, run: RunDir, text: str) -> None:
        def write() -> Iterator[str]:
            write_note(run, text)
            yield text

        self.app.jobs.replace(f"note {run.path}", write, self)

    async def action_new_run(self) -> None:
        await self.app.switch_mode("train")
        train = self.app.train_screen
        if train is not None and train.check_action("new_run", ()):
            train.action_new_run()

    async def action_resume(self) -> None:
        row = self.chosen
        if row is not None and row.info is not None:
            await self.app.resume_in_train(row.info.path)

    async def action_distil(self) -> None:
        if (checkpoint := self._checkpoint()) is not None:
            await self.app.distil_in_train(checkpoint)

    def action_ask(self, request: str) -> None:
        """Leave a request for the process that trains the run under the cursor, which may be this one."""
        row = self.chosen
        if row is None or row.info is None:
            return
        try:
            RunDir(row.info.path).ask(request)
        except UserError as error:
            self.notify(str(error), severity="error")
        else:
            self.notify(f"asked {row.name} to {'go on' if request == 'resume' else request}", timeout=2)

    def action_delete(self) -> None:
        row = self.chosen
        if row is None or row.info is None:
            return
        folder = row.info.path
        if RunDir(folder).is_live():
            self.notify("this run is being trained now; stop it before deleting it", severity="warning")
            return
        question = f"Delete {printable(str(folder))}?\nIts checkpoints, samples, verdicts and note are lost."
        answers = {"": "Keep it", "delete": "Delete the run"}
        self.app.push_screen(Ask(question, answers), lambda answer: self._delete(folder) if answer == "delete" else None)

    def _delete(self, folder: Path) -> None:
        root = self.app.cwd

        def remove() -> Iterator[Path]:
            delete_run(RunDir(folder), root)
            yield folder

        self.app.jobs.start(f"delete {folder}", remove, self)
