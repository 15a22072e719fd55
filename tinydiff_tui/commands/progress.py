"""Progress of the headless commands: a Rich bar with ETA on a terminal, plain lines without one."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from core.errors import printable
from tinydiff_tui.commands.output import can_show, remark, say
from tinydiff_tui.terminal.streams import LastingOutput
from tinydiff_tui.text import duration

_REDRAW_SECONDS = 0.2  # reading the loss stalls a GPU: look at display rate only


class Plain:
    """One line per log interval, no control codes."""

    def say(self, text: str) -> None:
        """A line of its own."""
        say(text)

    def due(self, done: int, interval: int) -> bool:
        """Whether this is a moment to report."""
        return done % interval == 0

    def update(self, done: int, total: int, text: str, eta: float | None) -> None:
        """How far it is; eta in seconds."""
        self.say(f"{done}/{total} {text}" + (f" eta {duration(eta)}" if eta is not None else ""))


class Aside(Plain):
    """The same on standard error, where standard output is for a program to read."""

    def say(self, text: str) -> None:
        remark(text)


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
        self.console.print(Text(printable(text)), soft_wrap=True)

    def due(self, done: int, interval: int) -> bool:
        return time.monotonic() - self.drawn >= _REDRAW_SECONDS

    def update(self, done: int, total: int, text: str, eta: float | None) -> None:
        self.drawn = time.monotonic()
        note = printable(text) + (f" eta {duration(eta)}" if eta is not None else "")
        self.progress.update(self.task, completed=done, total=total, note=note)


@contextmanager
def make_progress(*, plain: bool, silent: bool = False, aside: bool = False) -> Iterator[Plain]:
    """A bar on a terminal that can show one, plain lines otherwise."""
    if silent:
        yield Silent()
    elif aside:
        yield Aside()
    elif plain or not can_show():
        yield Plain()
    else:
        columns = (BarColumn(bar_width=None), TaskProgressColumn(), TextColumn("{task.fields[note]}", markup=False))
        stdout = LastingOutput(open(1, "wb", closefd=False), encoding=sys.stdout.encoding, errors="replace")  # noqa: SIM115 (lives as long as 1)
        with Progress(*columns, console=Console(file=stdout), expand=True) as progress:
            yield Bar(progress.console, progress)
