"""Curves with round ticks on both axes, in braille dots: pure functions from numbers to rows of styled text.

Ticks are 1, 2 or 5 times a power of ten (time: of seconds, minutes and hours); every tick of the y axis has a grid line; the name
of a curve stands at its end.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size

from tinydiff_tui.terminal import braille
from tinydiff_tui.terminal.streams import PLAIN
from tinydiff_tui.terminal.support import ascii_only
from tinydiff_tui.text import short_count

Values = NDArray[np.float64]
Row = list[tuple[str, str]]  # texts and the names of their styles

GRID, AXIS, CURSOR = "grid", "axis", "cursor"
MOST_NAME = 16
_SMALLEST, _LARGEST = 1e-100, 1e100  # what is beyond them is no loss, and 10 to its logarithm no number
_ASCII = str.maketrans(PLAIN)
_CLOCK = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18_000, 36_000, 86_400)


@dataclass(frozen=True)
class Curve:
    """Values y (n,) at rising x (n,), drawn as a line, or as dots where they scatter around one; what is not finite is left out.

    `style` is the name of a style; an empty `name` has no legend.
    """

    x: Values
    y: Values
    style: str
    name: str = ""
    dots: bool = False


@dataclass(frozen=True)
class Frame:
    """How a chart is framed. `unit` is of the x axis: "step", "images", "t" or "time" (seconds)."""

    unit: str = "step"
    log: bool = False
    low: float | None = None
    high: float | None = None
    cursor: float | None = None


def round_step(span: float, most: int) -> float:
    """The least of 1, 2 and 5 times a power of ten that cuts a span into at most so many parts."""
    least = span / max(most, 1)
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least * (1 - 1e-9))


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within low .. high, `most` of them and one more at the most; never none."""
    if not high > low:
        return [low]
    step = round_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)] or ticks(low, high, most + 1)


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within 10^low .. 10^high as their logarithms: powers of ten, with 2 and 5 between them where there is room."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [power + math.log10(factor) for power in powers for factor in factors]
        found = [value for value in found if low <= value <= high]
        if 2 <= len(found) <= most:
            return found
    if len(found) > most:
        return found[:: -(-len(found) // most)]
    for wanted in (most, most + 1, most + 2):  # one tick alone is no scale
        found = [math.log10(value) for value in ticks(10**low, 10**high, wanted) if value > 0]
        if len(found) > 1:
            break
    return found


def clock_ticks(low: float, high: float, most: int) -> list[float]:
    """Round times in seconds within low .. high."""
    step = next((step for step in _CLOCK if (high - low) / step <= most), round_step(high - low, most))
    return [k * step for k in range(math.ceil(low / step), int(high / step) + 1)] or [low]


def number_label(value: float, step: float) -> str:
    """A tick as short as the step lets it be: 0.05, 12, 1.5k, 2M."""
    if abs(value) >= 1e9:
        return f"{value:.1e}"
    if value and (abs(value) >= 10_000 or abs(step) >= 1000):
        return short_count(value).replace(".0", "") if abs(value) >= 10_000 else f"{value:,.0f}"
    if value and abs(value) < 1e-3:
        return f"{value:.0e}".replace("e-0", "e-")
    digits = max(0, -math.floor(math.log10(abs(step)) + 1e-9)) if step else 2
    return f"{value:.{min(digits, 4)}f}"


def clock_label(seconds: float, step: float) -> str:
    """A time as short as the step lets it be: 30 s, 5 min, 1:30 h, 2 h."""
    if not seconds:
        return "0"
    if step < 60:
        return f"{seconds:.0f} s" if seconds < 60 else f"{seconds // 60:.0f}:{seconds % 60:02.0f}"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds // 3600:.0f} h" if not seconds % 3600 else f"{seconds // 3600:.0f}:{seconds % 3600 / 60:02.0f} h"


def draw(curves: Sequence[Curve], width: int, height: int, frame: Frame | None = None) -> list[Row]:
    """Curves in exactly `height` rows of at most `width` cells; fewer where there is nothing to draw or no room."""
    frame = frame or Frame()
    clean = [_clean(curve, frame.log) for curve in curves]
    clean = [curve for curve in clean if len(curve.x)]
    rows = height - (2 if height > 6 else 1)
    if not clean or rows < 2 or width < 16:
        return []
    low, high = _span(clean, frame)
    marks = (log_ticks if frame.log else ticks)(low, high, max(2, rows // 2))
    labels = _labels(marks, frame.log)
    margin = max(map(cell_len, labels)) + 1
    named = [curve for curve in clean if curve.name]
    legend = min(MOST_NAME, max((cell_len(curve.name) for curve in named), default=-1)) + 1
    columns = width - margin - legend
    if columns < 8:
        columns, legend = width - margin, 0
    if columns < 8:
        return []
    box = _Box(_left(clean), _right(clean), low, high, columns, rows)
    ends = _ends(named, box) if legend else {}
    body = _body(clean, box, marks, labels, margin, frame)
    for y, row in enumerate(body):
        if y in ends:
            row.append((" " + set_cell_size(ends[y].name, legend - 1), ends[y].style))
    found = [*body, *_x_axis(box, margin, columns + legend, frame.unit, height - rows)]
    return [[(text.translate(_ASCII), style) for text, style in row] for row in found] if ascii_only() else found


@dataclass(frozen=True)
class _Box:
    """The ends of the axes, and the characters between them."""

    left: float
    right: float
    low: float
    high: float
    columns: int
    rows: int

    def dot_rows(self, y: Values) -> NDArray[np.int64]:
        share = (self.high - np.clip(y, self.low, self.high)) / (self.high - self.low)
        return np.rint(share * (self.rows * 4 - 1)).astype(np.int64)

    def row(self, y: float) -> int:
        return int(self.dot_rows(np.array([y]))[0]) // 4

    def column(self, x: float) -> int:
        share = (min(max(x, self.left), self.right) - self.left) / (self.right - self.left)
        return round(share * (self.columns * 2 - 1)) // 2


def _clean(curve: Curve, log: bool) -> Curve:
    good = np.isfinite(curve.x) & np.isfinite(curve.y) & ((curve.y > _SMALLEST) | (not log)) & (np.abs(curve.y) < _LARGEST)
    x, y = curve.x[good], curve.y[good]
    if len(x) > 1 and (np.diff(x) < 0).any():
        order = np.argsort(x, kind="stable")
        x, y = x[order], y[order]
    return Curve(x, np.log10(y) if log else y, curve.style, curve.name, curve.dots)


def _left(curves: Sequence[Curve]) -> float:
    return min(float(curve.x[0]) for curve in curves)


def _right(curves: Sequence[Curve]) -> float:
    """Of one point alone, as of a run of which there is one line of metrics, so far that ticks beside it can be told apart."""
    left = _left(curves)
    right = max(float(curve.x[-1]) for curve in curves)
    return right if right > left else left + max(abs(left), 1.0)


def _span(curves: Sequence[Curve], frame: Frame) -> tuple[float, float]:
    """Where the y axis begins and ends; of scattered dots all but the highest two hundredths, which are the start of training."""
    lines = [curve.y for curve in curves if not curve.dots]
    dots = [curve.y for curve in curves if curve.dots]
    low = min(float(y.min()) for y in lines) if lines else float(np.quantile(np.concatenate(dots), 0.02))
    tops = [float(np.quantile(y, 0.98)) if len(y) > 20 else float(y.max()) for y in [*lines, *dots]]
    high = max(*tops, low)
    pad = (high - low) * 0.06 or abs(high) * 0.05 or 0.01
    low = low - pad if frame.log or low - pad > 0 or low < 0 else 0.0
    return (low if frame.low is None else frame.low), (high + pad if frame.high is None else frame.high)


def _labels(marks: Sequence[float], log: bool) -> list[str]:
    if log:
        values = [10**mark for mark in marks]
        gaps = [b - a for a, b in pairwise(values)] or values
        near = [min(value, *gaps[max(k - 1, 0) : k + 1]) for k, value in enumerate(values)]  # what tells it from its neighbours
        return [number_label(value, 10 ** math.floor(math.log10(gap) + 1e-9)) for value, gap in zip(values, near, strict=True)]
    step = marks[1] - marks[0] if len(marks) > 1 else abs(marks[0]) or 1.0
    return [number_label(mark, step) for mark in marks]


def _ends(curves: Sequence[Curve], box: _Box) -> dict[int, Curve]:
    """The row of each curve's name: where the curve ends, or the nearest row that is free."""
    taken: dict[int, Curve] = {}
    for curve in sorted(curves, key=lambda curve: -float(curve.y[-1])):
        wanted = box.row(float(curve.y[-1]))
        free = [row for row in range(box.rows) if row not in taken]
        if free:
            taken[min(free, key=lambda row: abs(row - wanted))] = curve
    return taken


def _dots(curve: Curve, box: _Box) -> braille.Dots:
    dots = np.zeros((box.rows * 4, box.columns * 2), dtype=bool)
    width = box.right - box.left
    grid = np.linspace(box.left, box.right, box.columns * 2)
    inside = np.flatnonzero((grid >= curve.x[0]) & (grid <= curve.x[-1]))
    if curve.dots or not len(inside):
        x = np.rint((curve.x - box.left) / width * (box.columns * 2 - 1)).astype(np.int64)
        seen = curve.y <= box.high
        dots[box.dot_rows(curve.y[seen]), x[seen]] = True
    else:
        dots[:, inside] = braille.line(box.dot_rows(np.interp(grid[inside], curve.x, curve.y)), box.rows * 4)
    return dots


def _body(
    curves: Sequence[Curve], box: _Box, marks: Sequence[float], labels: Sequence[str], margin: int, frame: Frame
) -> list[Row]:
    """The rows between the axes: grid lines, the cursor, and the curves on top of each other, the last in front."""
    labelled = {box.row(mark): label for mark, label in zip(marks, labels, strict=True)}
    layers = [braille.codes(_dots(curve, box)) for curve in curves]
    owner = np.full(layers[0].shape, len(curves))  # whose colour a cell has: a curve's, the grid's or the cursor's
    whole = np.full(layers[0].shape, ord(" "))
    whole[list(labelled)], owner[list(labelled)] = ord("·"), len(curves)
    if frame.cursor is not None:
        column = box.column(frame.cursor)
        whole[:, column], owner[:, column] = ord("│"), len(curves) + 1
    for number, layer in enumerate(layers):
        drawn = layer != braille.BLANK
        before = np.where(whole >= braille.BLANK, whole, braille.BLANK)
        whole[drawn] = (before | layer)[drawn] if not ascii_only() else ord("*")
        owner[drawn] = number
    styles = [*(curve.style for curve in curves), GRID, CURSOR]
    rows: list[Row] = []
    for y in range(box.rows):
        text = braille.text(whole[y])
        cuts = [0, *(np.flatnonzero(np.diff(owner[y])) + 1).tolist(), len(text)]
        pieces = [(text[start:end], styles[owner[y, start]]) for start, end in pairwise(cuts)]
        rows.append([(f"{labelled.get(y, ''):>{margin - 1}}", AXIS), ("┤" if y in labelled else "│", AXIS), *pieces])
    return rows


def _x_axis(box: _Box, margin: int, room: int, unit: str, rows: int) -> Iterator[Row]:
    """The axis with its ticks, where it has two rows, and their labels; behind the last one the unit, where there is room."""
    timed = unit == "time"
    marks = (clock_ticks if timed else ticks)(box.left, box.right, max(3, box.columns // 10))
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    labels = [(clock_label if timed else number_label)(mark, step) for mark in marks]
    places = [box.column(mark) for mark in marks]
    if rows > 1:
        line = ["─"] * box.columns
        for place in places:
            line[place] = "┴"
        yield [(" " * (margin - 1) + "└" + "".join(line), AXIS)]
    name = "" if timed else unit
    text = [" "] * box.columns
    free = 0
    for place, label in zip(places, labels, strict=True):
        start = min(max(place - len(label) // 2, 0), box.columns - len(label))
        if start >= free and start >= 0:
            text[start : start + len(label)] = label
            free = start + len(label) + 1
    shown = "".join(text).rstrip()
    if name and len(shown) + 1 + len(name) <= room:
        shown = f"{shown} {name}"
    yield [(" " * margin + shown, AXIS)]
