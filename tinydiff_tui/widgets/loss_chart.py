"""Loss curves with axes, in braille dots: raw values faint, smoothed ones as lines, on a linear or logarithmic scale.

The rows become segments here: a curve has hundreds of spans, and Textual's own way from text to cells takes 30 times as long.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from core.plots import smooth
from tinydiff_tui.jobs.training import LossCurve
from tinydiff_tui.terminal import braille
from tinydiff_tui.text import short_count

Values = NDArray[np.float64]
Row = list[tuple[str, str]]  # texts and their styles

COLOURS = ("#4ea1ff", "#ffb000", "#3ddc84", "#ff6b8b", "#b48cff", "#40d0d0")
RAW = "#7a7a7a"
LABEL = 8  # columns of the y axis
MARK = " ━ "
HUGE = 1e30  # what is beyond is drawn there: its sums and powers must be numbers too


class LossChart(Widget):
    """`show` one curve (raw and smoothed) or several (smoothed, one colour each, with a legend)."""

    DEFAULT_CSS = "LossChart { width: 1fr; height: 1fr; min-height: 4; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.curves: tuple[LossCurve, ...] = ()
        self.log_scale = False
        self._drawn: tuple[Size, list[Strip]] | None = None

    def show(self, curves: Sequence[LossCurve]) -> None:
        self.curves = tuple(curves)
        self._draw_anew()

    def toggle_log(self) -> None:
        """Switch between the linear and the logarithmic scale."""
        self.log_scale = not self.log_scale
        self._draw_anew()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._draw_anew()

    def _draw_anew(self) -> None:
        self._drawn = None
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One row of the chart."""
        if self._drawn is None or self._drawn[0] != self.size:
            base, (width, height) = self.rich_style, self.size
            rows = draw(self.curves, width, height, self.log_scale)
            rows += [[]] * (height - len(rows))
            strips = [Strip(Segment(text, base + Style.parse(style)) for text, style in row) for row in rows]
            self._drawn = (self.size, [strip.adjust_cell_length(width, base) for strip in strips])
        return self._drawn[1][y]


def draw(curves: Sequence[LossCurve], width: int, height: int, log_scale: bool) -> list[Row]:
    """Curves in at most width x height characters."""
    prepared = [(curve.name, *_clean(curve, log_scale)) for curve in curves]
    prepared = [item for item in prepared if len(item[1])]
    columns, rows = width - LABEL, height - 1 - (len(prepared) > 1)
    if columns < 8 or rows < 2:
        return []
    if not prepared:
        return [[] for _ in range(rows // 2)] + [[(" " * LABEL + "no loss yet"[:columns], "dim")]]
    lines = [(name, steps, np.array(smooth(values.tolist(), min(40, len(values) / 12)))) for name, steps, values in prepared]
    single = len(prepared) == 1
    everything = np.concatenate([values for _, _, values in (prepared if single else lines)])
    low, high = _span(everything, log_scale)
    left = min(float(steps[0]) for _, steps, _ in prepared)
    right = max(left + 1, float(np.nextafter(left, np.inf)), *(float(steps[-1]) for _, steps, _ in prepared))
    box = (left, right, low, high)
    layers = [(_scatter(prepared[0][1], prepared[0][2], box, columns, rows), RAW)] if single else []
    layers += [
        (_line(steps, values, box, columns, rows), COLOURS[i % len(COLOURS)]) for i, (_, steps, values) in enumerate(lines)
    ]
    unit = "step · log loss" if log_scale else "step"
    first, last = short_count(left), f"{unit} {short_count(right)}"
    axis = f"{'':>{LABEL}}{first}{last:>{max(columns - len(first), 0)}}"[:width]
    legend = [] if single else [_legend([name for name, _, _ in prepared], width)]
    return [*legend, *_rows_of_dots(layers, rows, (low, high), log_scale), [(axis, "dim")]]


def _clean(curve: LossCurve, log_scale: bool) -> tuple[Values, Values]:
    """What can be drawn of a curve, in the order of its steps, whatever its file said."""
    good = np.isfinite(curve.steps) & np.isfinite(curve.losses) & ((curve.losses > 0) | (not log_scale))
    order = np.argsort(curve.steps[good], kind="stable")
    values = np.clip(curve.losses[good][order], -HUGE, HUGE)
    return curve.steps[good][order], np.log10(values) if log_scale else values


def _span(values: Values, log_scale: bool) -> tuple[float, float]:
    """Where the y axis begins and ends: all but the highest hundredth, which is the start of training."""
    low, high = float(values.min()), float(np.quantile(values, 0.995))
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 0.01
    bottom = low - pad if log_scale or low < 0 else max(0.0, low - pad)
    return bottom, max(high + pad, float(np.nextafter(bottom, np.inf)))


def _rows_of(values: Values, box: tuple[float, float, float, float], rows: int) -> NDArray[np.int64]:
    share = (box[3] - np.clip(values, box[2], box[3])) / (box[3] - box[2])
    return np.rint(share * (rows * 4 - 1)).astype(np.int64)


def _scatter(steps: Values, values: Values, box: tuple[float, float, float, float], columns: int, rows: int) -> braille.Dots:
    dots = np.zeros((rows * 4, columns * 2), dtype=bool)
    x = np.rint((steps - box[0]) / (box[1] - box[0]) * (columns * 2 - 1)).astype(np.int64)
    dots[_rows_of(values, box, rows), x] = True
    return dots


def _line(steps: Values, values: Values, box: tuple[float, float, float, float], columns: int, rows: int) -> braille.Dots:
    dots = np.zeros((rows * 4, columns * 2), dtype=bool)
    grid = np.linspace(box[0], box[1], columns * 2)
    inside = np.flatnonzero((grid >= steps[0]) & (grid <= steps[-1]))
    if not len(inside):
        return _scatter(steps, values, box, columns, rows)
    dots[:, inside] = braille.line(_rows_of(np.interp(grid[inside], steps, values), box, rows), rows * 4)
    return dots


def _rows_of_dots(layers: list[tuple[braille.Dots, str]], rows: int, span: tuple[float, float], log_scale: bool) -> Iterator[Row]:
    """The layers above each other, the last on top, behind the labels of the y axis."""
    labelled = {round(i * (rows - 1) / (max(2, rows // 3) - 1)) for i in range(max(2, rows // 3))}
    codes = [braille.codes(dots) for dots, _ in layers]
    owner = np.zeros(codes[0].shape, dtype=np.int64)
    for i, code in enumerate(codes):
        owner[code != braille.BLANK] = i
    whole = np.bitwise_or.reduce(np.stack(codes), axis=0)
    for row in range(rows):
        value = span[1] - (row + 0.5) / rows * (span[1] - span[0])
        label = _tick(10**value if log_scale else value) if row in labelled else ""
        characters = braille.text(whole[row])
        cuts = [0, *(np.flatnonzero(np.diff(owner[row])) + 1).tolist(), len(characters)]
        pieces = [(characters[start:end], layers[owner[row, start]][1]) for start, end in pairwise(cuts)]
        yield [(f"{label:>{LABEL - 1}}", "dim"), ("│", "dim"), *pieces]


def _tick(value: float) -> str:
    if value == 0 or 0.001 <= abs(value) < 1000:
        return (
            f"{value:.{max(0, 2 - max(0, math.floor(math.log10(abs(value))))) if value else 0}f}"
            if value >= 0.1
            else f"{value:.3f}"
        )
    return f"{value:.0e}"


def _legend(names: Sequence[str], width: int) -> Row:
    """The names in their colours, as far as they fit."""
    row: Row = []
    for i, name in enumerate(names):
        left = width - sum(cell_len(text) for text, _ in row) - len(MARK)
        if left < 1:
            break
        fitted = Text(name)
        fitted.truncate(left, overflow="ellipsis")
        row += [(MARK, COLOURS[i % len(COLOURS)]), (fitted.plain, "")]
    return row
