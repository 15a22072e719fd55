"""The dashboard of a training run. `show` takes one TrainView."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len, set_cell_size
from textual.app import ComposeResult
from textual.color import Color
from textual.containers import Horizontal, Vertical
from textual.reactive import reactive
from textual.widgets import Static

from core.plots import smooth
from tinydiff_tui.jobs.series import Points, Values
from tinydiff_tui.jobs.training import TrainView
from tinydiff_tui.text import duration, for_app, number
from tinydiff_tui.widgets.axes import Curve, Frame
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.pixel_grid import PixelGrid, SampleGrid
from tinydiff_tui.widgets.sample_rows import SampleRows
from tinydiff_tui.widgets.stats import EventLog, ProgressLine, figures, fitting

CHART_SECONDS = 0.5  # the curve of a whole run does not change faster to the eye
UNITS = ("step", "images", "time")
"""Of the x axis of every chart."""
TITLES = {
    "loss": "Loss",
    "noise": "Loss by noise level t/T",
    "quality": "Quality",
    "log": "Log",
    "samples": "The same noises",
}
BOXES = tuple(TITLES)
PAGES = (("loss", "samples"), ("noise", "quality"), ("samples",), ("log",))
"""Boxes that are seen together where there is no room for all of them."""
COLOURS = {"running": "success", "paused": "warning", "failed": "error", "finished": "success", "stopped": "axis"}
FRAME = 6  # columns of a box's width that its figures cannot have
ENDED = ("failed", "finished", "stopped")
QUARTERS = ("0 to ¼", "¼ to ½", "½ to ¾", "¾ to 1")
NO_DISTANCE = "The judge was not asked yet: j asks it how far the samples are from real images."
NO_SAMPLES = "The same few noises, drawn every few seconds while the network learns; the first after two seconds of training."


@dataclass(frozen=True)
class Standing:
    """Where a run stands: one of the states of a badge (or another word), and what it is at when it is at no step."""

    state: str
    said: str = ""


class Dashboard(Vertical):
    """Everything about the run in hand; it holds no job."""

    SCOPED_CSS = False  # the classes of the screen's size stand above
    DEFAULT_CSS = """
    Dashboard #run { height: auto; }
    Dashboard #run.-running { border: round $success; }
    Dashboard #run.-paused { border: round $warning; }
    Dashboard #run.-failed { border: round $error; }
    Dashboard #run.-finished { border: round $success; }
    Dashboard #problem { height: auto; max-height: 3; color: $text-error; text-style: bold; display: none; }
    Dashboard #run.-failed #problem { display: block; }
    Dashboard #middle { height: 1fr; }
    Dashboard #left { width: 7fr; }
    Dashboard #samples { width: 10fr; }
    Dashboard #loss { height: 5fr; }
    Dashboard #noise, Dashboard #quality { height: 4fr; }
    Dashboard #log { height: 6; }
    .-tall Dashboard #log { height: 10; }
    Dashboard.-paged #log { height: 1fr; }
    Dashboard #left > .-alone { height: 1fr; }
    Dashboard #quality Empty, Dashboard #samples Empty { display: none; }
    Dashboard.-no-distance #quality Empty, Dashboard.-no-samples #samples Empty { display: block; }
    Dashboard.-no-distance #quality Chart, Dashboard.-no-samples SampleRows { display: none; }
    Dashboard #grid, Dashboard.-grid SampleRows, Dashboard.-grid #samples Empty { display: none; }
    Dashboard.-grid #grid { display: block; }
    """

    log_scale: reactive[bool] = reactive(True, init=False)
    unit: reactive[str] = reactive(UNITS[0], init=False)
    page: reactive[int] = reactive(0, init=False)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="-no-distance -no-samples")
        self.view: TrainView | None = None
        self._charted = 0.0

    def compose(self) -> ComposeResult:
        with Box(title="Training", id="run"):
            yield ProgressLine()
            yield Static("", id="problem", markup=False)
        with Horizontal(id="middle"):
            with Vertical(id="left"):
                with Box(title=TITLES["loss"], id="loss"):
                    yield Chart("no step yet")
                with Box(title=TITLES["noise"], id="noise"):
                    yield Chart("no step yet")
                with Box(title=TITLES["quality"], id="quality"):
                    yield Chart()
                    yield Empty(NO_DISTANCE)
                with Box(title=TITLES["log"], id="log"):
                    yield EventLog()
            with Box(title=TITLES["samples"], id="samples"):
                yield SampleRows()
                yield SampleGrid(id="grid")
                yield Empty(NO_SAMPLES)

    # --- which boxes are seen

    @property
    def paged(self) -> bool:
        """Whether there is room for some of the boxes only."""
        return self.screen.has_class("-narrow") or self.screen.has_class("-low")

    def turn(self, step: int) -> None:
        """Other boxes, where not all of them are seen."""
        self.page = (self.page + step) % len(PAGES)

    def watch_page(self) -> None:
        self.lay_out()

    def on_resize(self) -> None:
        self.lay_out()

    def lay_out(self) -> None:
        """Show the boxes that there is room for."""
        paged = self.paged
        self.set_class(paged, "-paged")
        seen = PAGES[self.page] if paged else BOXES
        for name in BOXES:
            self.query_one(f"#{name}").display = name in seen
        self.query_one("#left").display = any(name != "samples" for name in seen)
        if paged:
            following = PAGES[(self.page + 1) % len(PAGES)]
            self.query_one(f"#{seen[-1]}", Box).figures = f"] {', '.join(TITLES[name] for name in following)}"
        self.call_after_refresh(self._chart)

    # --- what they show

    def clear(self, said: str) -> None:
        """Before the first values of a run."""
        self.view, self._charted = None, 0.0
        self.remove_class("-grid")
        self.set_class(True, "-no-distance", "-no-samples")
        for chart in self.query(Chart):
            chart.show(())
        self.query_one(SampleRows).show((), ())
        self.query_one("#grid", PixelGrid).show(np.zeros((0, 1, 1, 1), dtype=np.uint8))
        self.query_one(EventLog).show(())
        self.fail("")
        self.stand(Standing("preparing", said))

    def stand(self, standing: Standing) -> None:
        """Tell at a glance where the run stands."""
        box, view, width = self.query_one("#run", Box), self.view, self.size.width
        box.state = standing.state
        for state in COLOURS:
            box.set_class(state == standing.state, f"-{state}")
        if view is not None:
            title = f"{view.dataset} · {view.recipe}"
            box.title = set_cell_size(title, min(cell_len(title), max(8, width - 20))).rstrip()
            box.figures = figures(view, width - FRAME)
        else:
            box.title, box.figures = "Training", ""
        colour, ended = COLOURS.get(standing.state, "axis"), standing.state in ENDED
        self.query_one(ProgressLine).show(view, standing.said, colour, ended=ended)

    def show(self, view: TrainView, standing: Standing, *, whole: bool = False) -> None:
        """Draw a moment; `whole` also what is drawn less often."""
        before, self.view = self.view, view
        self.stand(standing)
        self.query_one(EventLog).show(view.log)
        self.set_class(not view.rows, "-no-samples")
        if before is None or before.rows is not view.rows or whole:
            self._show_rows(view)
        if view.pictures is not None and (before is None or before.pictures is not view.pictures or whole):
            self.query_one("#grid", PixelGrid).show(view.pictures, headings=view.classes)
        self._entitle(view)
        if whole or time.monotonic() - self._charted >= CHART_SECONDS:
            self._chart()

    def _show_rows(self, view: TrainView) -> None:
        count = view.rows[-1].pictures.shape[0] if view.rows else 0
        headings = [view.classes[k % len(view.classes)] for k in range(count)] if view.classes else []
        self.query_one(SampleRows).show(view.rows, headings)

    def toggle_grid(self) -> None:
        """The rows of the same noises, or the newest grid of samples that was drawn to be kept."""
        self.show_grid(not self.has_class("-grid"))

    def show_grid(self, shown: bool) -> None:
        self.set_class(shown, "-grid")
        if self.view is not None:
            self._entitle(self.view)

    def _entitle(self, view: TrainView) -> None:
        box, rows = self.query_one("#samples", Box), view.rows
        if self.has_class("-grid"):
            box.title = view.pictures_title or "Samples: none drawn yet, s draws some"
        else:
            box.title = f"{TITLES['samples']} at {len(rows)} moments" if len(rows) > 1 else TITLES["samples"]
        if not self.paged:
            box.figures = f"newest at step {rows[-1].step:,}, {duration(rows[-1].seconds)} trained" if rows else ""

    # --- the charts

    def watch_log_scale(self) -> None:
        self._chart()

    def watch_unit(self) -> None:
        self._chart()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_mounted:
            self._chart()

    def _chart(self) -> None:
        view = self.view
        if view is None:
            return
        self._charted = time.monotonic()
        frame = Frame(self.unit, log=self.log_scale)
        raw, held_out = self._over(view, view.losses), self._over(view, view.held_out)
        curves = [
            Curve(raw.x, raw.y, "raw", dots=True),
            Curve(raw.x, smoothed(raw.y), "loss", "loss"),
            Curve(held_out.x, held_out.y, "held", "held out"),
        ]
        self.query_one("#loss Chart", Chart).show(curves, frame)
        quarters = [self._over(view, points) for points in view.quarters]
        styles = self._from_image_to_noise()
        lines = [Curve(q.x, smoothed(q.y), style, name) for q, style, name in zip(quarters, styles, QUARTERS, strict=True)]
        self.query_one("#noise Chart", Chart).show(lines, frame)
        distances = self._over(view, view.distances)
        self.set_class(not len(distances.x), "-no-distance")
        whole = self._over(view, Points(np.array([0.0, view.step]), np.full(2, view.floor)))
        floor = Curve(whole.x, whole.y, "x0", "real images")
        shown = Curve(distances.x, distances.y, "x0-hat", "samples")
        self.query_one("#quality Chart", Chart).show([floor, shown], frame)
        self._tell(view)

    def _tell(self, view: TrainView) -> None:
        """The newest figures, in the frames of the charts."""
        facts = {
            "loss": [number(view.loss), *(f"held out {loss:.4f}" for loss in view.held_out.y[-1:])],
            "noise": [" ".join(number(quarter, ".3f") for quarter in view.quartiles)],
            "quality": [f"{far:.2f}, real images {view.floor:.2f}" for far in view.distances.y[-1:]],
        }
        facts["loss"].append("log" if self.log_scale else "linear")
        quality = self.query_one("#quality", Box)
        title = for_app(f"{TITLES['quality']} · {view.judge}" if view.judge else TITLES["quality"])
        quality.title = set_cell_size(title, min(cell_len(title), max(8, quality.region.width - FRAME))).rstrip()
        for name, said in facts.items():
            if not self.paged or name != PAGES[self.page][-1]:
                box = self.query_one(f"#{name}", Box)
                box.figures = fitting(said, box.region.width - FRAME)

    def _over(self, view: TrainView, points: Points) -> Points:
        """Values over steps as values over the unit of the x axis."""
        if self.unit == "images":
            return Points(points.x * view.batch_size, points.y)
        if self.unit == "time":
            return Points(np.interp(points.x, np.r_[0.0, view.clock.x], np.r_[0.0, view.clock.y]), points.y)
        return points

    def _from_image_to_noise(self) -> Sequence[str]:
        """Four colours from that of x_0 over that of x_t to that of epsilon."""
        variables = self.app.theme_variables
        near = Color.parse(variables["x0"]).blend(Color.parse(variables["x-t"]), 0.6)
        return ("x0", near.hex, "x-t", "epsilon")

    def fail(self, sentence: str) -> None:
        """What went wrong; empty hides it."""
        self.query_one("#problem", Static).update(for_app(sentence))


def smoothed(values: Values) -> Values:
    """Over about a twelfth of what there is, from both ends: what lags behind one way is ahead the other way."""
    span = min(40, len(values) / 12)
    there, back = smooth(values.tolist(), span), smooth(values[::-1].tolist(), span)
    both: Values = np.array([there, back[::-1]]).mean(axis=0)
    return both
