"""The panel that has a judge look at a checkpoint: how far it is, then the figures; escape closes it, and stops the work.

Where the data set has no judge yet, it says how long training one takes, and asks.
"""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Group
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from core.config import SampleConfig
from core.files import take_notices
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.panels import Panel
from tinydiff_tui.text import bar, duration, for_app, printable

if TYPE_CHECKING:
    from core.judge.judge import Report
    from tinydiff_tui.app.app import TinydiffApp
    from tinydiff_tui.jobs.jobs import Job
    from tinydiff_tui.jobs.judging import Stage

IMAGES = 256  # enough for the shares to be told to a few percent, few enough to wait for


class Verdict(Panel):
    """Draw images from a checkpoint and show what the data set's judge says of them."""

    DEFAULT_CSS = """
    Verdict OptionList { display: none; margin-top: 1; }
    Verdict.-asking OptionList { display: block; }
    """

    def __init__(self, checkpoint: Path, options: SampleConfig) -> None:
        super().__init__()
        self.checkpoint = checkpoint
        self.options = options
        self.asked = False
        """Whether the work waits for an answer; set in its thread, and taken back here."""
        self._job: Job | None = None

    def compose(self) -> ComposeResult:
        with self.frame("The judge, a classifier of the data set", "escape closes"):
            with VerticalScroll():
                yield Static(Text(printable(str(self.checkpoint)), style="bold"))
                yield Static("reading the model …", id="verdict")
            yield OptionList(Option("Train the judge now", id="train"), Option("Not now", id="close"))

    def on_mount(self) -> None:
        app = cast("TinydiffApp", self.app)
        self._job = app.jobs.replace("judge", self._work, self, rests=lambda: self.asked)
        self.query_one(VerticalScroll).focus()

    def _work(self) -> "Iterator[Stage | Report]":
        """What the judge does, in the job's thread; at a question it rests until the answer."""
        from core.compute.device import choose_compute
        from tinydiff_tui.jobs.judging import Stage, judging
        from tinydiff_tui.jobs.sampling import model_of

        data_dir = str(cast("TinydiffApp", self.app).data_dir or "")
        with closing(judging(self.checkpoint, model_of(self.checkpoint), self.options, choose_compute(), data_dir)) as items:
            for item in items:
                self.asked = isinstance(item, Stage) and item.asks
                yield item

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        if event.option_id == "close":
            self.dismiss("")
            return
        self.remove_class("-asking")
        self.query_one(VerticalScroll).focus()
        self.asked = False
        if self._job is not None:
            self._job.wake()

    def on_unmount(self) -> None:
        if self._job is not None:
            self._job.stop()  # by itself: the name may be another panel's by now

    def on_job_update(self, message: JobUpdate) -> None:
        self._show(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.error:
            self._say(message.error)
        else:
            self._show(message.snapshot)
        for notice in take_notices():
            self.app.notify(notice, severity="warning")

    def _show(self, item: object) -> None:
        from core.judge.judge import Report
        from tinydiff_tui.jobs.judging import Stage, figures, notes

        if isinstance(item, Report):
            self.query_one("#verdict", Static).update(Group(figures(item), Text(), Text(notes(item))))
        elif isinstance(item, Stage) and item.asks:
            self._say(item.title)
            self.add_class("-asking")
            self.query_one(OptionList).focus()
        elif isinstance(item, Stage):
            share = f"{bar(item.done / item.total, 20)} {item.done}/{item.total} {item.unit}" if item.total else ""
            learns = ", and what is learned is kept" if item.unit == "steps" else ""
            left = f", {duration(item.eta_seconds)} left; escape stops{learns}" if item.total else ""
            self._say(item.title, share + left)

    def _say(self, *lines: str) -> None:
        self.query_one("#verdict", Static).update(Text("\n".join(map(for_app, lines))))
