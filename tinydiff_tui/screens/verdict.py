"""The panel that has a judge look at a checkpoint: how far it is, then the figures; escape closes it, and stops the work."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from core.config import SampleConfig
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.panels import Panel
from tinydiff_tui.text import bar, duration, for_app, printable

if TYPE_CHECKING:
    from tinydiff_tui.app.app import TinydiffApp

IMAGES = 256  # enough for the shares to be told to a few percent, few enough to wait for


class Verdict(Panel):
    """Draw images from a checkpoint and show what the data set's judge says of them."""

    def __init__(self, checkpoint: Path, options: SampleConfig) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.options = options

    def compose(self) -> ComposeResult:
        with Vertical(), VerticalScroll():
            yield Static(Text(f"{printable(str(self.checkpoint))}, as judged by a classifier of its data set", style="bold"))
            yield Static("reading the model …", id="verdict")

    def on_mount(self) -> None:
        from tinydiff_tui.jobs.judging import judging
        from tinydiff_tui.jobs.sampling import compute, model_of

        app = cast("TinydiffApp", self.app)
        data_dir = str(app.data_dir or "")
        started = app.jobs.start(
            "judge", lambda: judging(model_of(self.checkpoint), self.options, compute(), data_dir), self, lambda item: item
        )
        if started is None:
            self._say("the judge is still at its last work; close this (escape) and try again")
        self.query_one(VerticalScroll).focus()

    def on_unmount(self) -> None:
        cast("TinydiffApp", self.app).jobs.stop("judge")

    def on_job_update(self, message: JobUpdate) -> None:
        self._show(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.error:
            self._say(message.error)
        else:
            self._show(message.snapshot)

    def _show(self, item: object) -> None:
        from core.judge.judge import Report
        from tinydiff_tui.jobs.judging import Stage, figures, notes

        if isinstance(item, Report):
            self.query_one("#verdict", Static).update(Group(figures(item), Text(), Text(notes(item))))
        elif isinstance(item, Stage):
            share = f"{bar(item.done / item.total, 20)} {item.done}/{item.total} {item.unit}" if item.total else ""
            left = f", {duration(item.eta_seconds)} left; escape stops" if item.total else ""
            self._say(item.title, share + left)

    def _say(self, *lines: str) -> None:
        self.query_one("#verdict", Static).update(Text("\n".join(map(for_app, lines))))
