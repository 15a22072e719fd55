"""Progress of the headless commands: a Rich bar with ETA on a terminal, plain lines without one."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

_REDRAW_SECONDS = 0.2  # reading the loss stalls a GPU: look at display rate only


class Plain:
    """One line per log interval, no control codes."""

    def say(self, text: str) -> None:
        """A line of its own."""
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except OSError:  # the terminal hung up: go on without it
            pass

    def due(self, done: int, interval: int) -> bool:
        """Whether this is a moment to report."""
        return done % interval == 0

    def update(self, done: int, total: int, text: str, eta: float | None) -> None:
        """How far it is; eta in seconds."""
        self.say(f"{done}/{total} {text}" + (f" eta {clock(eta)}" if eta is not None else ""))


class Bar(Plain):
    """A bar that stays at the bottom while lines scroll above it."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console = console
        self.progress = progress
        self.task = progress.add_task("", total=None, note="")
        self.drawn = 0.0

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False, soft_wrap=True)

    def due(self, done: int, interval: int) -> bool:
        return time.monotonic() - self.drawn >= _REDRAW_SECONDS

    def update(self, done: int, total: int, text: str, eta: float | None) -> None:
        self.drawn = time.monotonic()
        note = escape(text) + (f" eta {clock(eta)}" if eta is not None else "")
        self.progress.update(self.task, completed=done, total=total, note=note)


def clock(seconds: float) -> str:
    """h:mm:ss, or m:ss below an hour."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"


def print_line(text: str) -> None:
    """One line on standard output, which may be gone after a hang-up."""
    Plain().say(text)


@contextmanager
def make_progress(*, plain: bool) -> Iterator[Plain]:
    """A bar on a terminal that can show one, plain lines otherwise."""
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        yield Plain()
        return
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, console=console, expand=True) as progress:
        yield Bar(console, progress)
