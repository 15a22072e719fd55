"""Progress of the headless commands: a Rich bar with ETA on a terminal, plain lines without one."""

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from core.errors import printable

_REDRAW_SECONDS = 0.2  # reading the loss stalls a GPU: look at display rate only


class Line(io.TextIOWrapper):
    """Standard output for Rich, whose threads must not stop what they report on when the terminal hangs up."""

    def write(self, text: str) -> int:
        try:
            super().write(text)
        except OSError:
            silence()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            silence()


def silence() -> None:
    """Standard output is gone (a terminal that hung up): what is still said goes nowhere, here and on its standard error."""
    gone, nowhere = os.fstat(1), os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if os.path.samestat(os.fstat(descriptor), gone):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Plain:
    """One line per log interval, no control codes."""

    def say(self, text: str) -> None:
        """A line of its own."""
        try:
            sys.stdout.write(printable(text) + "\n")
            sys.stdout.flush()
        except OSError:
            silence()

    def due(self, done: int, interval: int) -> bool:
        """Whether this is a moment to report."""
        return done % interval == 0

    def update(self, done: int, total: int, text: str, eta: float | None) -> None:
        """How far it is; eta in seconds."""
        self.say(f"{done}/{total} {text}" + (f" eta {clock(eta)}" if eta is not None else ""))


class Silent(Plain):
    """For the processes of a run that do not speak for it."""

    def say(self, text: str) -> None:
        pass


class Bar(Plain):
    """A bar that stays at the bottom while lines scroll above it."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self.console = console
        self.progress = progress
        self.task = progress.add_task("", total=None, note="")
        self.drawn = 0.0

    def say(self, text: str) -> None:
        self.console.print(escape(printable(text)), highlight=False, soft_wrap=True)

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
def make_progress(*, plain: bool, silent: bool = False) -> Iterator[Plain]:
    """A bar on a terminal that can show one, plain lines otherwise."""
    if silent:
        yield Silent()
        return
    console = Console()
    if plain or not console.is_terminal or console.is_dumb_terminal:
        yield Plain()
        return
    columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[note]}"))
    line = Line(open(1, "wb", closefd=False), encoding=sys.stdout.encoding, errors="replace")  # noqa: SIM115 (lives as long as 1)
    with Progress(*columns, console=Console(file=line), expand=True) as progress:
        yield Bar(progress.console, progress)
