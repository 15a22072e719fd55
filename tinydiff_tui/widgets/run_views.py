"""What stands below the table of runs: their loss curves, what they are or differ in, and their pictures."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widgets import Static

from core.names import DATASETS
from core.plots import smooth
from tinydiff_tui.jobs.runs import RunRow, short_names
from tinydiff_tui.jobs.series import Values
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import duration, number
from tinydiff_tui.widgets.axes import MOST_NAME, Curve, Frame
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.run_facts import differing, facts
from tinydiff_tui.widgets.run_table import tail
from tinydiff_tui.widgets.sheet import Label, Sheet

if TYPE_CHECKING:
    from tinydiff_tui.jobs.comparing import Comparison, DrawnRow

VIEWS = ("all", "loss", "facts", "pictures")
NOTHING = np.zeros((0, 1, 1, 1), dtype=np.uint8)


class NewestSamples(PixelGrid):
    """A look at what a run draws; Sample shows single pictures."""

    LEAST = 10


class RunViews(Vertical):
    """Three panels, beside each other where there is room, else one at a time (`turn`)."""

    DEFAULT_CSS = """
    RunViews #pair { height: 1fr; min-height: 8; }
    RunViews #pictures { height: 1.3fr; }
    RunViews #loss { width: 1.3fr; }
    RunViews #facts { width: 1fr; }
    RunViews #about { height: auto; }
    RunViews.-loss #facts, RunViews.-loss #pictures, RunViews.-facts #loss, RunViews.-facts #pictures { display: none; }
    RunViews.-pictures #pair { display: none; }
    RunViews #pictures > * { display: none; }
    RunViews #pictures > .-shown { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.view = "all"
        self.log_scale = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="pair"):
            yield Box(Chart("the loss stands here from the tenth step on", id="curves"), title="loss", id="loss")
            yield Box(VerticalScroll(Static("looking for runs …", id="about", markup=False)), title="this run", id="facts")
        yield Box(Sheet(), NewestSamples(id="samples"), Empty(id="nothing"), title="samples", id="pictures")

    def box(self, name: str) -> Box:
        return self.query_one(f"#{name}", Box)

    @property
    def single(self) -> bool:
        """Whether the screen is too low for more than one panel."""
        return self.screen.has_class("-low")

    def turn(self, step: int) -> None:
        """Show the next panel alone, or all of them where there is room."""
        views = VIEWS[1:] if self.single else VIEWS
        place = views.index(self.view) if self.view in views else 0
        self.look_at(views[(place + step) % len(views)])

    def look_at(self, view: str) -> None:
        self.view = view
        shown = VIEWS[1] if self.single and view == "all" else view
        for name in VIEWS[1:]:
            self.set_class(shown == name, f"-{name}")

    def on_resize(self) -> None:
        self.look_at(self.view)

    # --- the curves

    def show_curves(self, rows: Sequence[RunRow], colours: Mapping[str, str]) -> None:
        """The smoothed loss of each run in its colour; of a run alone the raw and the held-out loss too."""
        curves: list[Curve] = []
        names = short_names(rows)
        for row in rows:
            if not len(row.curve.x):
                continue
            alone = len(rows) == 1
            if alone:
                curves.append(Curve(row.curve.x, row.curve.y, "raw", dots=True))
            name = "loss" if alone else tail(names[row.key], MOST_NAME)
            curves.append(Curve(row.curve.x, smoothed(row.curve.y), colours.get(row.key, "loss"), name))
            if alone and len(row.held_out.x):
                curves.append(Curve(row.held_out.x, row.held_out.y, "held", "held out"))
        self.query_one(Chart).show(curves, Frame(log=self.log_scale))
        objectives = {row.info.config.objective for row in rows if row.info}
        self.box("loss").title = "loss of each run" if len(rows) > 1 else "loss"
        self.box("loss").figures = "each objective has a scale of its own" if len(objectives) > 1 else ""

    def toggle_log(self) -> None:
        """Switch between the linear and the logarithmic scale."""
        self.log_scale = not self.log_scale
        chart = self.query_one(Chart)
        chart.show(chart.curves, Frame(log=self.log_scale))

    # --- words

    def show_facts(self, marked: Sequence[RunRow], pointed: RunRow | None, colours: Mapping[str, str]) -> None:
        """In what the marked runs differ; of less than two what there is to say of the one under the cursor."""
        themed = self.app.theme_variables
        box, about = self.box("facts"), self.query_one("#about", Static)
        if len(marked) > 1:
            box.title = "what differs"
            themes = {name: themed[colour] for name, colour in colours.items()}
            about.update(differing(marked, themes, themed["axis"], box.content_size.width))
        else:
            box.title = "this run"
            about.update(facts(pointed, themed["axis"]) if pointed is not None else "")
        box.figures = tail(pointed.name, 40) if pointed is not None and len(marked) < 2 else ""

    def say(self, sentence: str) -> None:
        """A sentence in place of the facts."""
        self.query_one("#about", Static).update(Text(sentence))

    # --- pictures

    def _show(self, kind: str) -> None:
        for child in self.box("pictures").children:
            child.set_class((child.id or "sheet") == kind, "-shown")

    def show_samples(self, row: RunRow | None, pictures: Pixels) -> None:
        """The newest samples of a run, a column a class where the sheet has a row for each."""
        box = self.box("pictures")
        box.title, box.figures = "newest samples", tail(row.name, 40) if row is not None else ""
        config = row.info.config if row is not None and row.info else None
        classes = DATASETS[config.dataset].classes if config and config.conditional and config.dataset in DATASETS else 0
        headings: tuple[str, ...] = ()
        if classes > 1 and len(pictures) > classes and not len(pictures) % classes:
            by_class = pictures.reshape(classes, -1, *pictures.shape[1:])
            pictures = by_class.swapaxes(0, 1).reshape(pictures.shape)
            headings = tuple(map(str, range(classes)))
        self.query_one("#samples", PixelGrid).show(pictures, headings=headings)
        self._show("samples" if len(pictures) else "nothing")
        if not len(pictures):
            self.query_one(Empty).say("this run has drawn no samples yet: g draws some" if config else "")

    def show_comparison(
        self, comparison: "Comparison", runs: Sequence[RunRow], colours: Mapping[str, str], *, going: bool
    ) -> None:
        """What each run made of the same noises, a row a run; `going`: more of it is on its way."""
        distances = {row.key: _distance(row) for row in runs if math.isfinite(row.distance)}
        names = short_names(runs)
        labels = [
            Label(names.get(row.key, row.name), colours.get(row.key, "loss"), _below(row, distances.get(row.key, "")))
            for row in comparison.rows
        ]
        sheet, box = self.query_one(Sheet), self.box("pictures")
        self._show("sheet")
        sheet.show(comparison.pictures, labels, comparison.headings)
        box.title = f"the same noises, a row a run · seed {comparison.seed}"
        if going:
            left = duration(comparison.seconds_left)
            box.figures = f"{comparison.done} of {comparison.total} runs · {left} left · escape stops"
        elif comparison.done < comparison.total or any(_can_draw(row) and row.key not in comparison.keys for row in runs):
            box.figures = "g draws the rest"
        else:
            room = f"{sheet.hidden} rows more: v draws smaller, z gives room" if sheet.hidden else "g draws others"
            box.figures = f"{room} · w saves"

    def invite(self, sentence: str) -> None:
        """A hatched place that says what will fill it."""
        box = self.box("pictures")
        box.title, box.figures = "the same noises, a row a run", ""
        self.query_one(Empty).say(sentence)
        self._show("nothing")


def _can_draw(row: RunRow) -> bool:
    return row.info is not None and row.info.checkpoint is not None


def _distance(row: RunRow) -> str:
    """What the judge says of a run, and of real images."""
    real = f" (real {number(row.floor, '.2f')})" if math.isfinite(row.floor) else ""
    return f"distance {number(row.distance, '.2f')}{real}"


def _below(row: "DrawnRow", distance: str) -> tuple[str, ...]:
    """The lines under the name of a row."""
    if row.problem:
        return (row.problem,)
    return (row.how, distance) if row.pictures is not None else ("waits",)


def smoothed(losses: Values) -> Values:
    """The losses over about a twelfth of the run, at most 40 lines."""
    return np.array(smooth(losses.tolist(), min(40, len(losses) / 12)))
