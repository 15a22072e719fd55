"""What the commands say: the one channel to standard output and standard error.

Every text is one line without controls (core.errors.printable), encoded with a ? for what the locale lacks; a table goes the same
way. A terminal is what isatty calls one: FORCE_COLOR colours, it does not animate a log.
"""

import contextlib
import io
import json
import math
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any

from core.errors import printable
from tinydiff_tui.terminal.streams import silence

if TYPE_CHECKING:
    from rich.console import RenderableType


def open_output() -> None:
    """Once, before anything is said: no character ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def quiet_libraries() -> None:
    """Once, before a command works: libraries keep their warnings to themselves, unless Python was asked for them."""
    import logging  # not for --help

    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        logging.getLogger().addHandler(logging.NullHandler())


def on_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


def can_show() -> bool:
    """Whether standard output is a terminal on which more than lines can be shown."""
    return on_terminal() and os.environ.get("TERM", "dumb") != "dumb"


def say(text: str) -> None:
    """One line on standard output."""
    write(printable(text) + "\n")


def write(text: str) -> None:
    """A text as it is on standard output, which may be gone after a hang-up."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        silence()


def remark(text: str) -> None:
    """One line beside standard output, where that is for a program to read."""
    with contextlib.suppress(OSError):
        sys.stderr.write(printable(text) + "\n")


def say_json(value: Any) -> None:
    """One JSON document on standard output: what is no finite number is null."""
    write(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")


def finite(value: Any) -> Any:
    """A value of JSON with null for every number that is none."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def complain(text: str) -> None:
    """One line on standard error."""
    with contextlib.suppress(OSError):  # nobody is left to hear it
        sys.stderr.write(f"tinydiff-tui: {printable(text)}\n")


def show(renderable: "RenderableType") -> None:
    """A table or a text of several lines on standard output; what stands in brackets is no markup."""
    from rich.console import Console
    from rich.segment import Segment, Segments

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=isinstance(renderable, str))
    segments = [Segment("\n".join(map(printable, text.split("\n"))), style) for text, style, _ in console.render(renderable)]
    console.print(Segments(segments), end="")
