"""The numbers of a training run: how far it is, and the log of its events."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text
from textual.widgets import Static

from tinydiff_tui.jobs.training import TrainView
from tinydiff_tui.text import bar, duration, number, short_count

LEAST_BAR = 10


class ProgressLine(Static):
    """A bar, and beside it per cent, speed, time left and epoch, as far as there is room."""

    DEFAULT_CSS = "ProgressLine { height: 1; text-wrap: nowrap; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.view: TrainView | None = None
        self.said = ""
        self.colour = "success"
        self.ended = False

    def show(self, view: TrainView | None, said: str, colour: str, *, ended: bool) -> None:
        """Draw a moment; `said` takes the place of the speed, `colour` names one of the theme; a run that has `ended` has no time
        left."""
        self.view, self.said, self.colour, self.ended = view, said, colour, ended
        self.refresh()

    def render(self) -> Text:
        if self.view is None:
            return Text(self.said, no_wrap=True, overflow="ellipsis", end="")
        variables = self.app.theme_variables
        return progress_line(self.view, self.said, self.size.width, variables[self.colour], variables["axis"], ended=self.ended)


def progress_line(view: TrainView, said: str, width: int, colour: str, axis: str, *, ended: bool) -> Text:
    """The bar of the whole run and its numbers."""
    share = view.step / max(1, view.total_steps)
    time = f"after {duration(view.seconds)}" if ended else f"{duration(view.eta_seconds)} left"
    facts = [f"{share:4.0%}", said or f"{view.images_per_second:,.0f} images/s", time, f"epoch {view.epoch} of {view.epochs}"]
    while len(facts) > 1 and sum(map(cell_len, facts)) + 2 * len(facts) + LEAST_BAR > width:
        facts.pop()
    tail = "  ".join(facts)
    text = Text(no_wrap=True, overflow="ellipsis", end="")
    line = bar(share, max(LEAST_BAR, width - cell_len(tail) - 2))
    done = line.count("━")
    text.append(line[:done], colour).append(line[done:], axis)
    return text.append(f"  {facts[0]}", "bold").append("".join(f"  {fact}" for fact in facts[1:]))


def figures(view: TrainView, width: int) -> str:
    """Step, loss, learning rate, gradient, time and memory, as many as fit."""
    facts = (
        f"step {view.step:,} of {view.total_steps:,}", f"loss {number(view.loss)}", f"lr {view.lr:.2e}",
        f"{duration(view.seconds)} trained", f"gradient {number(view.grad_norm, '.3f')}",
        f"{short_count(view.step * view.batch_size)} images", f"{view.memory / 2**30:.2f} GiB",
    )  # fmt: skip
    return fitting(facts, width)


def fitting(facts: Sequence[str], width: int) -> str:
    """As many of the facts as fit, with a dot between them."""
    shown = ""
    for fact in facts:
        longer = f"{shown} · {fact}" if shown else fact
        if cell_len(longer) > width:
            break
        shown = longer
    return shown


class EventLog(Static):
    """The newest lines that fit, newest last."""

    DEFAULT_CSS = "EventLog { width: 1fr; height: 1fr; min-height: 2; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.lines: tuple[str, ...] = ()

    def show(self, lines: tuple[str, ...]) -> None:
        if lines != self.lines:
            self.lines = lines
            self.refresh()

    def render(self) -> Text:
        """The end of the log, the time of each line faint."""
        axis = self.app.theme_variables["axis"]
        lines = [Text(line, no_wrap=True) for line in self.lines[-max(1, self.size.height) :]]
        for line in lines:
            line.stylize(axis, 0, len("00:00:00"))
            line.truncate(max(1, self.size.width), overflow="ellipsis")
        return Text("\n", end="", no_wrap=True).join(lines)
