"""What a run would be, beside the form that it is made from."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from core.config import SHAPE, TrainConfig
from core.errors import UserError
from tinydiff_tui.jobs.jobs import Jobs
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.jobs.plan import Plan, Planner
from tinydiff_tui.text import duration, for_app, printable, short_count
from tinydiff_tui.widgets.axes import Curve, Frame
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart

REST_SECONDS = 0.4  # without another change of the form
NAME = 11  # columns of the name of a line


class PlanBox(Vertical):
    """The plan as lines, and where there is room the learning rate over the steps and how much noise there is at each t."""

    SCOPED_CSS = False  # the classes of the screen's size stand above
    DEFAULT_CSS = """
    PlanBox { height: 1fr; }
    PlanBox #plan { height: auto; min-height: 5; }
    PlanBox #rates, PlanBox #levels { height: 1fr; }
    PlanBox #lines { height: auto; }
    .-narrow PlanBox { height: auto; }
    .-narrow PlanBox #rates, .-narrow PlanBox #levels { display: none; }
    .-low PlanBox #levels { display: none; }
    """

    class Measured(Message):
        """A plan for which steps were timed."""

        def __init__(self, plan: Plan) -> None:
            super().__init__()
            self.plan = plan

    def __init__(self, jobs: Jobs) -> None:
        super().__init__()
        self.planner = Planner()
        self.plan: Plan | None = None
        """The one on the screen."""
        self._jobs = jobs
        self._timer: Timer | None = None
        self._config: TrainConfig | None = None
        """What the plan on the screen, or the one that is being made, is of."""

    def compose(self) -> ComposeResult:
        with Box(title="Plan", id="plan"):
            yield Static("", id="lines", markup=False)
        with Box(title="Learning rate", id="rates"):
            yield Chart("over the steps of the run", id="rate-chart")
        with Box(title="Noise", id="levels"):
            yield Chart("how much of the image and of the noise is in x_t", id="level-chart")

    def consider(self, asked_for: Callable[[], TrainConfig]) -> None:
        """Make a plan of what is asked for once no other has been asked for a while; it may raise UserError."""
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(REST_SECONDS, partial(self._plan, asked_for))

    def rest(self) -> None:
        """No plan any more, for a run begins."""
        if self._timer is not None:
            self._timer.stop()
        self._jobs.stop("plan")
        self._config = None

    def _plan(self, asked_for: Callable[[], TrainConfig]) -> None:
        try:
            config = asked_for()
        except UserError as error:
            self._config = None
            self.say(str(error))
            return
        if config == self._config:
            return
        self._config = config
        busy = self._jobs.running("train")
        self._jobs.replace("plan", lambda: self.planner.plan(config, busy=busy), self)

    def on_job_update(self, message: JobUpdate) -> None:
        message.stop()
        self._take(message.snapshot, measuring=True)

    def on_job_finished(self, message: JobFinished) -> None:
        message.stop()
        if message.error and self._config is not None:
            self.say(message.error)
        else:
            self._take(message.snapshot, measuring=False)

    def _take(self, plan: object, *, measuring: bool) -> None:
        if isinstance(plan, Plan) and self._config is not None:
            self.show(plan, measuring=measuring and not plan.steps)
            if plan.device:
                self.post_message(self.Measured(plan))

    def say(self, sentence: str) -> None:
        """Why there is no plan."""
        self.query_one("#lines", Static).update(Text(for_app(sentence), style=self.app.theme_variables["axis"]))
        self.query_one("#plan", Box).figures = ""

    def show(self, plan: Plan, *, measuring: bool) -> None:
        """Draw a plan; `measuring` while a few steps are timed."""
        self.plan = plan
        facts = _facts(plan, measuring=measuring)
        narrow = self.screen.has_class("-narrow")
        self.query_one("#lines", Static).update(_short(facts) if narrow else _lines(facts, self.app.theme_variables["axis"]))
        self.query_one("#plan", Box).figures = "measuring a few steps …" if measuring else ""
        self.query_one("#rate-chart", Chart).show([Curve(plan.rates.x, plan.rates.y, "loss")], Frame("step", low=0.0))
        levels = [Curve(plan.signal.x, plan.signal.y, "x0", "x₀"), Curve(plan.noise.x, plan.noise.y, "epsilon", "ε")]
        self.query_one("#level-chart", Chart).show(levels, Frame("t", low=0.0, high=1.05))


def _facts(plan: Plan, *, measuring: bool) -> dict[str, str]:
    """What there is to know and how much it is, the most wanted first."""
    config = plan.recipe
    waits = "measuring …" if measuring else "not measured while something else runs"
    height, width, channels = plan.shape
    known = plan.steps > 0
    about = "≈ " if config.budget else ""
    length = f"{about}{plan.steps:,} = {_epochs(plan.epochs)} of {plan.steps_per_epoch:,}"
    minutes = f"{duration(plan.seconds)} here, {plan.images_per_second:,.0f} images/s"
    model = " ".join([config.model, _shape(config)]).strip()
    size = f"{short_count(plan.parameters)} parameters"
    cores = f", {plan.threads} thread{'s' * (plan.threads != 1)}" if plan.device == "cpu" else ""
    classes = f", {plan.classes} classes" if plan.classes > 1 else ""
    disk = f"{_bytes(plan.disk_bytes)}, {plan.checkpoints:,} files; {_bytes(plan.free_bytes)} free"
    if plan.disk_bytes > plan.free_bytes:
        disk = f"{_bytes(plan.disk_bytes)} is more than the {_bytes(plan.free_bytes)} free: keep fewer checkpoints"
    return {
        "time": minutes if known else waits,
        "steps": length if known else f"epochs of {plan.steps_per_epoch:,}",
        "network": f"{model}, {size}" if known else model,
        "predicts": f"{config.objective}, {config.schedule} noise",
        "optimiser": f"{config.optimizer}, rate {config.lr:g}, {config.lr_schedule}",
        "images": f"{plan.images:,} of {width}x{height}x{channels}{classes}",
        **({"teacher": printable("/".join(Path(config.teacher).parts[-2:]))} if config.teacher else {}),
        **({"seen": f"each image {plan.seen:,.0f} times"} if known and not config.teacher else {}),
        **({"expect": plan.expect} if plan.expect else {}),
        "disk": disk if known else f"{_bytes(plan.free_bytes)} free",
        "folder": f"{printable(Path(config.output_dir).name)}: {plan.folder}",
        "computes": f"{plan.device}, {plan.precision}{cores}" if known else waits,
    }


def _shape(config: TrainConfig) -> str:
    """Base channels times the multipliers of the levels, where they are not the model's own."""
    changed = any(getattr(config, name) for name in SHAPE)
    return f"{config.shape['base_channels']} × {','.join(map(str, config.shape['channel_multipliers']))}" if changed else ""


def _lines(facts: dict[str, str], axis: str) -> Text:
    text = Text(end="")
    for number, (name, value) in enumerate(facts.items()):
        text.append("\n" if number else "").append(f"{name:<{NAME}}", axis)
        text.append(value, "bold" if name == "time" else "")
    return text


def _short(facts: dict[str, str]) -> Text:
    """The same in three lines."""
    rows = (("time", "steps"), ("network", "disk"), ("seen", "expect") if "expect" in facts else ("folder", "computes"))
    lines = [Text(" · ".join(facts[name] for name in row), no_wrap=True, overflow="ellipsis") for row in rows]
    return Text("\n", end="").join(lines)


def _epochs(epochs: float) -> str:
    if not math.isfinite(epochs):
        return "–"
    shown = f"{epochs:,.0f}" if epochs == round(epochs) or epochs >= 100 else f"{epochs:.1f}"
    return f"{shown} epoch{'s' * (shown != '1')}"


def _bytes(count: int) -> str:
    """As people say it: 850 kB, 15 MB, 2.4 GB."""
    for size, unit in ((10**9, "GB"), (10**6, "MB"), (1000, "kB")):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 10 * size else f"{count / size:,.0f} {unit}"
    return f"{count} B"
