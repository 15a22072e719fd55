"""Curves that grow while a run trains, kept small: values by step, and what the same few noises became."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinydiff_tui.terminal.cells import Pixels

MOST_POINTS = 2000
MOST_ROWS = 48

Values = NDArray[np.float64]


def mean(values: Sequence[float]) -> float:
    """Their mean, which is finite where they are; nan of none."""
    return sum(value / len(values) for value in values) if values else math.nan


class Series:
    """Losses by step, halved in resolution whenever it grows past MOST_POINTS."""

    def __init__(self) -> None:
        self.steps: list[float] = []
        self.losses: list[float] = []
        self.stride = 1
        self._rest: list[float] = []

    def add(self, step: int, losses: list[float]) -> None:
        """The losses of the steps up to and including `step`."""
        for place, loss in enumerate(losses, start=step - len(losses) + 1):
            self._rest.append(loss)
            if len(self._rest) >= self.stride:
                self._put(place, mean(self._rest))
                self._rest.clear()

    def _put(self, step: float, loss: float) -> None:
        self.steps.append(step)
        self.losses.append(loss)
        if len(self.steps) > MOST_POINTS:
            self.steps = self.steps[1::2]
            self.losses = [mean(self.losses[k : k + 2]) for k in range(0, 2 * len(self.steps), 2)]
            self.stride *= 2

    def cut(self, step: int) -> None:
        """Forget what came after a step."""
        keep = sum(1 for at in self.steps if at <= step)
        del self.steps[keep:], self.losses[keep:]
        self._rest.clear()

    @property
    def points(self) -> "Points":
        """As arrays, for whoever draws it."""
        return Points(np.array(self.steps), np.array(self.losses))


@dataclass(frozen=True)
class Points:
    """Values y (n,) at steps x (n,)."""

    x: Values
    y: Values


NOTHING = Points(np.zeros(0), np.zeros(0))


@dataclass(frozen=True)
class Row:
    """What the same noises became at a step: uint8 (N, H, W, C)."""

    step: int
    seconds: float
    pictures: Pixels


def kept(rows: Sequence[Row], row: Row, most: int = MOST_ROWS) -> tuple[Row, ...]:
    """The rows with one more; where that is one too many, the one goes that leaves the smallest gap on a logarithmic clock."""
    rows = (*(before for before in rows if before.step < row.step), row)
    if len(rows) <= most:
        return rows
    spans = [
        math.log(max(after.seconds, 1e-3) / max(before.seconds, 1e-3)) for before, after in zip(rows, rows[2:], strict=False)
    ]
    least = spans.index(min(spans)) + 1
    return (*rows[:least], *rows[least + 1 :])


def _clock(rows: Sequence[Row]) -> Values:
    """Logarithmic, from two seconds before the start on."""
    return np.array([math.log(row.seconds + 2) for row in rows])


def spread(rows: Sequence[Row], most: int) -> tuple[Row, ...]:
    """At most so many of the rows, the first and the newest among them, as evenly as can be on a logarithmic clock."""
    if len(rows) <= most or most < 2:
        return tuple(rows[max(0, len(rows) - most) :])
    clock = _clock(rows)
    wanted = np.linspace(clock[0], clock[-1], most)
    chosen = {int(np.abs(clock - at).argmin()) for at in wanted}
    for place in reversed(range(len(rows))):  # for those that were nearest to more than one
        if len(chosen) < most:
            chosen.add(place)
    return tuple(rows[place] for place in sorted(chosen))
