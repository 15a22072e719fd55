"""The numbers of a training run: bars with ETA, the loss by quarter of t, the log of events."""

import math

from rich.text import Text
from textual.widgets import Static

from tinydiff_tui.jobs.training import TrainView
from tinydiff_tui.text import bar, duration, number, short_count


class ProgressLines(Static):
    """Epoch and total bars, and the numbers of the step."""

    DEFAULT_CSS = "ProgressLines { height: 3; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.view: TrainView | None = None

    def show(self, view: TrainView) -> None:
        self.view = view
        self.refresh()

    def render(self) -> Text:
        """Three lines."""
        if self.view is None:
            return Text("")
        return progress_lines(self.view, self.size.width)


def progress_lines(view: TrainView, width: int) -> Text:
    """The epoch's bar, the run's bar with its ETA, and loss, lr, gradient norm, speed and memory."""
    done = view.step - max(0, view.epoch - 1) * view.steps_per_epoch
    epoch = f"epoch {view.epoch}/{view.epochs}"
    total = f"total {short_count(view.step)}/{short_count(view.total_steps)}"
    ends = (f"{min(done, view.steps_per_epoch)}/{view.steps_per_epoch}", f"ETA {duration(view.eta_seconds)}")
    label, end = max(len(epoch), len(total)), max(map(len, ends))
    room = max(8, width - label - end - 2)
    shares = (done / max(1, view.steps_per_epoch), view.step / max(1, view.total_steps))
    text = Text(no_wrap=True, end="")
    for name, share, tail in zip((epoch, total), shares, ends, strict=True):
        text.append(f"{name:<{label}} ").append(bar(share, room), "green").append(f" {tail:>{end}}\n")
    facts = (
        ("loss", number(view.loss)), ("lr", f"{view.lr:.2e}"), ("|grad|", number(view.grad_norm, ".3f")),
        ("images/s", f"{view.images_per_second:,.0f}"), ("mem", f"{view.memory / 2**30:.2f} GiB"),
        ("time", duration(view.seconds)),
    )  # fmt: skip
    used = 0
    for name, value in facts:
        if used + len(name) + len(value) + 1 > width:
            break
        text.append(f"{name} ", "dim").append(value, "bold").append("  ")
        used += len(name) + len(value) + 3
    return text


class QuartileBars(Static):
    """Mean loss by quarter of t, as four bars."""

    DEFAULT_CSS = "QuartileBars { height: 5; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.values: tuple[float, ...] = (math.nan,) * 4

    def show(self, values: tuple[float, ...]) -> None:
        self.values = values
        self.refresh()

    def render(self) -> Text:
        """A caption and four bars."""
        top = max((v for v in self.values if math.isfinite(v)), default=1.0) or 1.0
        room = max(3, self.size.width - 17)
        text = Text("loss by quarter of t", "dim", no_wrap=True, end="")
        for name, value in zip(("0–¼ T", "¼–½ T", "½–¾ T", "¾–1 T"), self.values, strict=True):
            width = round(value / top * room) if math.isfinite(value) else 0
            text.append(f"\n{name:<6} ", "not dim").append(f"{'█' * width:<{room}}", "not dim cyan")
            text.append(f" {number(value):>8}", "not dim")
        return text


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
        """The end of the log."""
        lines = self.lines[-max(1, self.size.height) :]
        text = Text(no_wrap=True, end="")
        for i, line in enumerate(lines):
            piece = Text(("\n" if i else "") + line, no_wrap=True)
            piece.truncate(self.size.width + (1 if i else 0), overflow="ellipsis")
            text.append(piece)
        return text
