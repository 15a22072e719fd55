"""The dashboard of a training run. `show` takes one TrainView."""

import math
import time
from collections.abc import Sequence

import numpy as np
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Sparkline, Static

from tinydiff_tui.jobs.training import LossCurve, TrainView
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.loss_chart import HUGE, LossChart
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.stats import EventLog, ProgressLines, QuartileBars

CHART_SECONDS = 0.5  # the curve of a whole run does not change faster to the eye


def mean(values: Sequence[float]) -> float:
    """What one column of the sparkline stands for."""
    return sum(values) / len(values) if values else 0.0


class Dashboard(Vertical):
    """Everything about the run in hand; it holds no job."""

    DEFAULT_CSS = """
    Dashboard { padding: 0 1; }
    Dashboard #headline { height: 1; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis; }
    Dashboard #problem { height: auto; max-height: 3; color: $text-error; display: none; }
    Dashboard.-failed #problem { display: block; }
    Dashboard #recent { height: 1; }
    Dashboard #spark { height: 1; width: 1fr; }
    Dashboard #recent Static { width: 12; color: $text-muted; }
    Dashboard #middle { height: 1fr; }
    Dashboard #pictures { width: 42%; padding: 0 0 0 1; }
    Dashboard #bottom { height: 5; }
    Dashboard #quartiles { width: 32; padding: 0 2 0 0; }
    .-high Dashboard #bottom { height: 8; }
    .-high Dashboard #spark, .-high Dashboard #recent { height: 2; }
    .-tall Dashboard #bottom { height: 10; }
    .-wide Dashboard #quartiles { width: 60; }
    .-wide Dashboard #pictures { width: 50%; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.view: TrainView | None = None
        self._charted = 0.0

    def compose(self) -> ComposeResult:
        yield Static("", id="headline", markup=False)
        yield Static("", id="problem", markup=False)
        yield ProgressLines(id="progress")
        with Horizontal(id="recent"):
            yield Static("recent loss")
            yield Sparkline([], summary_function=mean, id="spark")
        with Horizontal(id="middle"):
            yield LossChart(id="chart")
            with Vertical(id="pictures"):
                yield Static("no samples yet: s draws some", id="caption", classes="caption", markup=False)
                yield PixelGrid(id="grid")
        with Horizontal(id="bottom"):
            yield QuartileBars(id="quartiles")
            yield EventLog(id="log")

    def clear(self, headline: str) -> None:
        """Before the first values of a run."""
        self.view, self._charted = None, 0.0
        self.remove_class("-failed")
        self.query_one("#headline", Static).update(headline)
        self.query_one("#caption", Static).update("no samples yet: s draws some")
        self.query_one(PixelGrid).show(np.zeros((0, 1, 1, 1), dtype=np.uint8))
        self.query_one(ProgressLines).view = None
        self.query_one(ProgressLines).refresh()
        self.query_one("#spark", Sparkline).data = []
        self.query_one(LossChart).show(())
        self.query_one(QuartileBars).show((math.nan,) * 4)
        self.query_one(EventLog).show(())

    def show(self, view: TrainView, *, whole: bool = False) -> None:
        """Draw a moment; `whole` also what is drawn less often."""
        before, self.view = self.view, view
        self.query_one(ProgressLines).show(view)
        self.query_one(EventLog).show(view.log)
        if view.pictures is not None and (before is None or before.pictures is not view.pictures or whole):
            self.query_one("#caption", Static).update(view.pictures_title)
            self.query_one(PixelGrid).show(view.pictures)
        if not whole and time.monotonic() - self._charted < CHART_SECONDS:
            return
        self._charted = time.monotonic()
        self.query_one(QuartileBars).show(view.quartiles)
        # Sparkline cannot draw nan and inf, nor what its sums make one of.
        self.query_one("#spark", Sparkline).data = [max(-HUGE, min(loss, HUGE)) for loss in view.recent if math.isfinite(loss)]
        self.query_one(LossChart).show([LossCurve("loss", view.steps, view.losses)])

    def say(self, headline: str) -> None:
        """Another headline; an update lays the whole screen out anew, so not for the same one."""
        line = self.query_one("#headline", Static)
        if line.content != headline:
            line.update(headline)

    def fail(self, sentence: str) -> None:
        """A sentence in the colour of errors; empty hides it."""
        self.query_one("#problem", Static).update(for_app(sentence))
        self.set_class(bool(sentence), "-failed")
