"""Train: a form made from TrainConfig, then the dashboard of the run."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from core.config import SampleConfig, TrainConfig
from core.errors import UserError
from core.names import NETWORKS, OBJECTIVES
from core.runs.folder import RunDir, read_run
from tinydiff_tui.jobs.detach import start_detached
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.starting import changes, check_data, placed, resumed, train_flags
from tinydiff_tui.jobs.training import Training, TrainView
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.verdict import IMAGES, Verdict
from tinydiff_tui.text import duration, number, printable
from tinydiff_tui.widgets.dashboard import UNITS, Dashboard, Standing
from tinydiff_tui.widgets.plan_box import PlanBox
from tinydiff_tui.widgets.train_form import TrainForm, free_output_dir

ON_FORM = frozenset(("start", "detach", "fields", "preset"))
ON_BOARD = frozenset(("log_scale", "unit", "grid"))
WHILE_RUNNING = frozenset(("checkpoint", "sample", "stop", "scale_lr", "judge_now"))
AFTER = frozenset(("new_run", "open_in_sample", "judge", "distil"))
LR_STEP = 1.25
PACE = 0.5  # a picture of the dashboard takes 25 ms of one core from a training that wants all of them
LR = Binding.Group("lr")
PAGES = Binding.Group("Boxes")
LENGTHS = Binding.Group("Lengths")


class TrainScreen(ModeScreen):
    """The mode that trains. The run goes on while other modes are shown."""

    MODE = "train"
    TITLE_TEXT = "Train"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s", "start", "Start", tooltip="Start training with the values of the form"),
        Binding("B", "detach", "Start detached", tooltip="Start in a process of its own, which outlives this terminal"),
        Binding("f1", "preset('1 minute')", "1 minute", tooltip="Train for a minute", group=LENGTHS),
        Binding("f2", "preset('10 minutes')", "10 minutes", tooltip="Train for ten minutes", group=LENGTHS),
        Binding("f3", "preset('20 epochs')", "20 epochs", tooltip="Train for twenty epochs", group=LENGTHS),
        key("fields", "fields", "Unfold all groups of fields, or fold those that are rarely changed"),
        key("leave", "leave_field", "Leave the field, so that the keys of modes work"),
        Binding("b", "back", "Dashboard", tooltip="Back to the dashboard of the last run"),
        key("pause", "pause", "Rest after this step"),
        key("go_on", "go_on", "Go on with the training that is paused"),
        key("checkpoint", "checkpoint", "Write the resume point after this step"),
        key("sample", "sample", "Draw samples of the averaged weights after this step, and keep them"),
        key("judge", "judge_now", "Have the data set's judge say after this step how far samples are from real images"),
        key("stop", "stop", "Stop after this step and save"),
        Binding("plus,equals_sign", "scale_lr(1)", "lr+", key_display="+", tooltip="Raise the learning rate by 25 %", group=LR),
        Binding("minus", "scale_lr(-1)", "lr-", key_display="-", tooltip="Lower the learning rate by 20 %", group=LR),
        key("log", "log_scale", "Logarithmic or linear scale of the charts"),
        Binding("u", "unit", "x axis", tooltip="Charts over steps, images or time"),
        key("switch", "grid", "The same noises over time, or the samples that were drawn to be kept", label="Grid"),
        key("before", "turn(-1)", "The boxes of the dashboard before; there is no room for all", group=PAGES),
        key("next", "turn(1)", "The next boxes of the dashboard; there is no room for all", group=PAGES),
        key("judge", "judge", "Have the data set's judge say in figures how good the newest checkpoint is"),
        key("distil", "distil", "Train a student that draws in two evaluations what this model draws"),
        key("new", "new_run", "Back to the form", label="New run"),
        key("open", "open_in_sample", "Draw images from this run"),
    ]
    DEFAULT_CSS = """
    TrainScreen Dashboard { display: none; }
    TrainScreen.-running #form { display: none; }
    TrainScreen.-running Dashboard { display: block; }
    TrainScreen #form { height: 1fr; layout: horizontal; }
    TrainScreen TrainForm { width: 5fr; }
    TrainScreen PlanBox { width: 3fr; }
    TrainScreen.-narrow #form { layout: vertical; }
    TrainScreen.-narrow TrainForm, TrainScreen.-narrow PlanBox { width: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.training: Training | None = None
        self.view: TrainView | None = None
        self.config = TrainConfig.of()
        self.outcome = ""
        self._keys_of = ""

    def compose_mode(self) -> ComposeResult:
        with Container(id="form"):
            yield TrainForm()
            yield PlanBox(self.app.jobs)
        yield Dashboard()

    # --- the form

    def on_mount(self) -> None:
        self.query_one(TrainForm).fill({"dataset": self.app.dataset, "output_dir": free_output_dir(self.app.cwd)})
        self.query_one("#start").focus()
        if not self.app.engine_ready:
            self.query_one(TrainForm).say("loading the engine …")

    def engine_loaded(self) -> None:
        self.query_one(TrainForm).changed()

    @on(TrainForm.Changed)
    def plan_soon(self) -> None:
        """Make the plan anew when the form rests. The data set of the other modes, which nobody typed here, makes room for a
        teacher's."""
        form = self.query_one(TrainForm)
        given, _ = form.given()
        if given.get("teacher") and given.get("dataset") == self.app.dataset:
            form.row("dataset").write(None)
        if self.app.engine_ready and not self.has_class("-running"):
            self.query_one(PlanBox).consider(self._asked_for)

    def _asked_for(self) -> TrainConfig:
        """What the form asks for, in the app's folders. Raises UserError."""
        return placed(self.query_one(TrainForm).read(), self.app.cwd, self.app.data_dir)

    @on(PlanBox.Measured)
    def measured(self, message: PlanBox.Measured) -> None:
        """Say in the form what is chosen by measuring."""
        plan = message.plan
        chosen = {"device": plan.device, "precision": plan.precision, "threads": str(plan.threads)}
        self.query_one(TrainForm).resolve({name: f"auto, {value}" for name, value in chosen.items()})

    def dataset_chosen(self, name: str) -> None:
        """The data set was chosen in another mode; a student has its teacher's."""
        form = self.query_one(TrainForm)
        if not form.given()[0].get("teacher"):
            form.row("dataset").write(name)

    def names_changed(self) -> None:
        form = self.query_one(TrainForm)
        for row in form.rows():
            row.offer_choices()
        form.changed()

    def action_fields(self) -> None:
        form = self.query_one(TrainForm)
        form.show_all(not form.shows_all)

    def action_preset(self, name: str) -> None:
        self.query_one(TrainForm).take_preset(name)

    def action_leave_field(self) -> None:
        self.set_focus(None)

    @on(TrainForm.Started)
    def action_start(self) -> None:
        self._submit(self.begin)

    def action_detach(self) -> None:
        self._submit(self.detach)

    def _submit(self, begin: Callable[..., None]) -> None:
        """Begin what the form says, after a question when its folder holds a run."""
        form = self.query_one(TrainForm)
        if self.has_class("-running"):
            return
        form.fail("")
        try:
            if not self.app.engine_ready:
                raise UserError(self.app.engine_error or "the engine is still loading; try again in a moment")
            config = self._asked_for()
            if not config.teacher:  # whose pictures they are is looked up when the run begins
                check_data(config)
        except UserError as error:
            form.say(str(error))
            return
        if RunDir(config.output_dir).holds_run():
            answers = {"resume": "Resume it with these values", "overwrite": "Overwrite it", "": "Cancel"}
            question = f"{config.output_dir} already holds a run."
            self.app.push_screen(Ask(question, answers), lambda answer: self._existing_answered(begin, config, answer))
        else:
            begin(config)

    def _existing_answered(self, begin: Callable[..., None], config: TrainConfig, answer: str | None) -> None:
        form = self.query_one(TrainForm)
        try:
            if answer == "resume":
                begin(resumed(config, form.given()[0]), resume=True)
            elif answer == "overwrite":
                begin(config, overwrite=True)
        except UserError as error:
            form.say(str(error))

    # --- the run

    def begin(self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
        """Start the one training job."""
        if self._trains():
            return
        self.query_one(PlanBox).rest()
        training = Training(config, resume=resume, overwrite=overwrite)
        self.app.jobs.start("train", lambda: iter(training), self, training.snapshot, training.rests, PACE)
        self.training, self.config, self.view, self.outcome = training, config, None, ""
        self.app.remember_run(Path(config.output_dir))
        self.query_one(TrainForm).say("")
        what = f"to distil {config.teacher}" if config.teacher else f"{config.model} on {config.dataset}"
        self.query_one(Dashboard).clear(printable(f"preparing {what} …"))
        self.app.tell_training("running", "preparing")
        self.add_class("-running")
        self.set_focus(None)
        self.refresh_bindings()

    def _trains(self) -> bool:
        """Whether a run is trained here, which is said then."""
        if self.app.jobs.busy("train"):
            self.notify("a training runs already; stop it first (X)", severity="warning")
        elif self.app.jobs.running("train"):
            self.notify("the training before is still being stopped; try again in a moment", severity="warning")
        return self.app.jobs.running("train")

    def detach(self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
        """Start the run in a process of its own; Runs follows it."""
        ways = ["--resume"] * resume + ["--overwrite"] * overwrite

        def begin() -> Iterator[tuple[Path, int]]:
            folder = Path(config.output_dir)
            yield folder, start_detached(["train", *ways, *train_flags(config)], RunDir(folder)).pid

        if self.app.jobs.start("detach", begin, self) is not None:
            self.query_one(TrainForm).say("starting a process of its own …")

    async def _detached(self, folder: Path, process: int) -> None:
        self.app.remember_run(folder, process)
        form = self.query_one(TrainForm)
        form.say("")
        form.row("output_dir").write(free_output_dir(self.app.cwd))
        self.notify(f"training in process {process}, in {folder}")
        if self.is_current:
            await self.app.show_in_runs(folder)

    def resume_run(self, folder: Path) -> None:
        """Continue the run in a folder; a finished one goes to the form, where its epochs can be raised."""
        if self._trains():
            return
        try:
            run = read_run(folder)
        except UserError as error:
            self.notify(str(error), severity="error")
            return
        config = dataclasses.replace(run.config, output_dir=str(folder))
        if run.status == "finished":
            self.remove_class("-running")
            form = self.query_one(TrainForm)
            length = {"budget": config.budget} if config.budget else {"epochs": config.epochs}
            kind = {} if config.teacher else {"model": config.model, "objective": config.objective}
            form.fill(changes(config) | kind | length)
            self.notify(f"this run is finished: raise its {next(iter(length))}, then start and answer Resume")
            self.refresh_bindings()
        elif not self.app.engine_ready:
            self.notify("the engine is still loading; try again in a moment")
        else:
            self.begin(config, resume=True)

    def distil(self, checkpoint: Path) -> None:
        """Fill the form with a run that distils a model, for a person to start."""
        if self._trains():
            return
        self.action_new_run()
        near = checkpoint.relative_to(self.app.cwd) if checkpoint.is_relative_to(self.app.cwd) else checkpoint
        self.query_one(TrainForm).fill({"teacher": str(near), "output_dir": free_output_dir(self.app.cwd)})

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "train" and isinstance(message.snapshot, TrainView):
            asked_before = self.view is not None and self.view.question
            self.view = message.snapshot
            self._tell_all()
            if self.is_current:
                self._show()
            if self.view.question and not asked_before:
                self._ask_person(self.view.question)

    async def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "detach":
            if message.error:
                self.query_one(TrainForm).fail(message.error)
            elif isinstance(message.snapshot, tuple):
                await self._detached(*message.snapshot)
        elif message.name == "train":
            self._ended(message)

    def _ask_person(self, question: str) -> None:
        """What the run waits for."""
        answers = {"yes": "Train the judge now; the training waits meanwhile", "": "Not now: go on training"}
        self.app.push_screen(Ask(question, answers), self._person_answered)

    def _person_answered(self, answer: str | None) -> None:
        job = self.app.jobs.get("train")
        if self.training is not None and job is not None:
            self.training.answer(yes=answer == "yes")
            job.wake()

    def _ended(self, message: JobFinished) -> None:
        if isinstance(message.snapshot, TrainView):
            self.view = message.snapshot
        form, board = self.query_one(TrainForm), self.query_one(Dashboard)
        if message.error and self.view is None:
            self.remove_class("-running")
            form.fail(message.error)
            self.plan_soon()
        else:
            done = self.training is not None and self.training.finished is not None
            self.outcome = "failed" if message.error else "finished" if done else "stopped"
            board.fail(message.error or "")
            self._show(whole=True)
        self.app.tell_training("", "")
        if not self.is_current:
            self.notify(message.error or f"the training {self.outcome}", severity="error" if message.error else "information")
        form.row("output_dir").write(free_output_dir(self.app.cwd))
        self.refresh_bindings()

    def on_screen_resume(self) -> None:
        self._show(whole=True)

    def _show(self, *, whole: bool = False) -> None:
        if self.view is None:
            return
        self.query_one(Dashboard).show(self.view, self._standing(), whole=whole)
        if self.state != self._keys_of:  # by a key or by a request
            self._keys_of = self.state
            self.refresh_bindings()

    @property
    def state(self) -> str:
        """One of the states of a badge."""
        if self.outcome:
            return self.outcome
        return "paused" if self.paused else "running"

    def _standing(self) -> Standing:
        """Where the run stands, and in words what it is at when it is at no step."""
        job = self.app.jobs.get("train")
        if self.outcome or job is None:
            return Standing(self.state, self.outcome)
        if job.stopping:
            return Standing(self.state, "stopping")
        phase = self.view.phase if self.view is not None else "preparing"
        return Standing(self.state, "paused" if self.paused else "" if phase == "training" else phase)

    def _tell_all(self) -> None:
        """Every mode shows how far the run is."""
        if self.view is not None and not self.outcome:
            share = self.view.step / max(1, self.view.total_steps)
            told = (self.state, f"{share:.0%} · {duration(self.view.eta_seconds)} left")
            if told != self.app.training:
                self.app.tell_training(*told)

    @property
    def paused(self) -> bool:
        return self.training is not None and self.training.paused

    # --- keys of the dashboard

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Which keys work now: those of the form, of a running job or of one that has ended."""
        if not self.is_mounted:
            return True
        board, running = self.has_class("-running"), self.app.jobs.running("train")
        works = dict.fromkeys(ON_FORM, not board) | dict.fromkeys(ON_BOARD, board)
        works |= dict.fromkeys(WHILE_RUNNING, board and running) | dict.fromkeys(AFTER, board and not running)
        works |= {"pause": board and running and not self.paused, "go_on": board and running and self.paused}
        works |= {"turn": board and self.query_one(Dashboard).paged}
        works |= {"leave_field": self.focused is not None, "back": not board and self.view is not None}
        return works.get(action, True)

    def action_pause(self) -> None:
        if self.training is not None and self.training.trainer is not None:
            self.training.trainer.pause()
            self._tell_all()
            self._show()

    def action_go_on(self) -> None:
        job = self.app.jobs.get("train")
        if self.training is not None and self.training.trainer is not None and job is not None:
            self.training.trainer.resume()
            job.wake()
            self._tell_all()
            self._show()

    def action_checkpoint(self) -> None:
        self._ask("the resume point is written after this step", "checkpoint_now")

    def action_sample(self) -> None:
        self._ask("samples are drawn after this step", "sample_now")
        self.query_one(Dashboard).show_grid(True)

    def action_scale_lr(self, direction: int) -> None:
        factor = LR_STEP if direction > 0 else 1 / LR_STEP
        self._ask(f"learning rate × {factor:.2f} from the next step on", "scale_lr", factor)

    def _ask(self, said: str, method: str, *values: float) -> None:
        """Ask the trainer for something; it answers between two steps, so not while paused."""
        trainer = self.training.trainer if self.training is not None else None
        if trainer is None:
            return
        getattr(trainer, method)(*values)
        self.notify(said, timeout=2)

    def action_stop(self) -> None:
        self.app.jobs.stop("train")
        self._show()

    def action_log_scale(self) -> None:
        board = self.query_one(Dashboard)
        board.log_scale = not board.log_scale

    def action_unit(self) -> None:
        board = self.query_one(Dashboard)
        board.unit = UNITS[(UNITS.index(board.unit) + 1) % len(UNITS)]

    def action_grid(self) -> None:
        self.query_one(Dashboard).toggle_grid()

    def action_turn(self, step: int) -> None:
        self.query_one(Dashboard).turn(step)

    def action_judge_now(self) -> None:
        if self.training is not None and self.training.quality is not None:
            self.training.quality.ask()
            self.notify("the judge is asked after this step", timeout=2)

    def action_new_run(self) -> None:
        self.remove_class("-running")
        self.query_one("#start").focus()
        self.plan_soon()
        self.refresh_bindings()

    def action_back(self) -> None:
        self.add_class("-running")
        self.set_focus(None)
        self._show(whole=True)
        self.refresh_bindings()

    async def action_open_in_sample(self) -> None:
        if found := self._checkpoint():
            await self.app.open_in_sample(found)

    def action_judge(self) -> None:
        if found := self._checkpoint():
            self.app.push_screen(Verdict(found, SampleConfig(num_images=IMAGES)))

    def action_distil(self) -> None:
        if found := self._checkpoint():
            self.distil(found)

    def _checkpoint(self) -> Path | None:
        """The run's newest weights; None, which is said, before there are any."""
        try:
            found = read_run(Path(self.config.output_dir)).checkpoint
        except UserError as error:
            self.notify(str(error), severity="error")
            return None
        if found is None:
            self.notify("this run has no checkpoint yet; c writes one while it trains", severity="warning")
        return found

    def explain_values(self) -> dict[str, str]:
        """The numbers of the run, or of the form before one."""
        plan = self.query_one(PlanBox).plan
        trainer = self.training.trainer if self.training is not None else None
        if not self.has_class("-running"):
            config, view = plan.recipe if plan is not None else TrainConfig.of(), None
        else:
            config, view = trainer.config if trainer is not None else self.config, self.view
        values = {
            "objective": config.objective,
            "batch": str(config.batch_size),
            "lr": f"{config.lr:g}",
            "step": "0",
            "loss": "–",
            "objectives": listed(OBJECTIVES),
            "networks": listed(NETWORKS),
        }
        if view is not None:
            values |= {"step": f"{view.step:,}", "loss": number(view.loss), "lr": f"{view.lr:.2e}"}
            values["floor"] = number(view.floor, ".2f")
        return values
