"""Numbers, names and sentences as the screens write them."""

import math
import re

from rich.cells import cell_len, set_cell_size

from core import errors

printable = errors.printable

MOST_SECONDS = 1e10  # three centuries: what a file says beyond that is no time
PLACES = {
    "datasets": "Data (1)", "visualize": "Noise (2)", "train": "Train (3)", "sample": "Sample (4)", "evaluate": "Sample (4)",
    "runs": "Runs (5)", "attach": "Runs (5)", "export": "Sample (4)", "race": "Play (6)", "learn": "Learn (7)",
}  # fmt: skip
"""Where in the app a command's work is done."""
FIELDS = {
    "num-images": "images",
    "guidance-scale": "guidance",
    "resume": "Resume",
    "overwrite": "Overwrite",
    "extend": "--extend",
}
"""Flags whose fields or answers have another name in the app; --extend is for its start alone."""
DOWNLOAD = re.compile(r"(?:run )?'tinydiff-tui datasets --download ([^']*)'")
COMMAND = re.compile(r"(?:with )?'tinydiff-tui (\w+)[^']*'")
FLAG = re.compile(r"(?<![^\s('\"])--([a-z]+(?:-[a-z]+)*)(?=[\s.,;:)'\"=]|$)=?")


def for_app(sentence: object) -> str:
    """A sentence about flags and commands in the words of the app, which has fields and keys for them; printable."""
    said = DOWNLOAD.sub(r"press D on \1 in Data (1)", printable(str(sentence)))
    said = COMMAND.sub(lambda found: f"{'in ' if found[0].startswith('with') else ''}{PLACES.get(found[1], found[0])}", said)
    return FLAG.sub(lambda found: FIELDS.get(found[1], found[1].replace("-", " ")) + " " * found[0].endswith("="), said)


def duration(seconds: float) -> str:
    """3 s, 4:05 or 2:03:04; – for what is not known."""
    if not abs(seconds) < MOST_SECONDS:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def evaluations(count: int) -> str:
    """1 evaluation, or 6 evaluations."""
    return f"{count} evaluation{'s' * (count != 1)}"


def short_count(value: float) -> str:
    """950, 12.4k or 3.1M; 9e+15 for what no run comes to."""
    if abs(value) >= 1e12:
        return f"{value:.0e}"
    if abs(value) < 10_000:
        return f"{value:,.0f}"
    return f"{value / 1000:.1f}k" if abs(value) < 1e6 else f"{value / 1e6:.1f}M"


def number(value: float, form: str = ".4f") -> str:
    """A number, short when it is huge, or – when there is none."""
    if not math.isfinite(value):
        return "–"
    return format(value, form) if abs(value) < 1e6 else f"{value:.2e}"


def bar(share: float, width: int) -> str:
    """A bar of `width` characters."""
    done = round(min(max(share, 0.0), 1.0) * width)
    return "━" * done + "─" * (width - done)


def ago(seconds: float) -> str:
    """How long something is past: 5 s, 3 min, 2 h, 4 d; – for what is no time."""
    if not abs(seconds) < MOST_SECONDS:
        return "–"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def cut(text: str, cells: int, *, fill: bool = False) -> str:
    """A printable text in at most so many cells, with … where it was cut; with `fill` in exactly so many."""
    said = printable(text)
    if cell_len(said) > cells:
        said = set_cell_size(said, cells - 1).rstrip() + "…" if cells > 0 else ""
    return set_cell_size(said, cells) if fill else said
