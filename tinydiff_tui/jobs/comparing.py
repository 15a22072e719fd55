"""The same noises drawn by several runs, one after another, each by the sampler that suits it. Import it once torch is there."""

import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import images
from core.compute.device import choose_compute
from core.config import SampleConfig
from core.diffusion.generate import BatchFrame, generate
from core.diffusion.model import Model
from core.errors import UserError
from core.runs.models import modified
from tinydiff_tui.jobs.sampling import model_of
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import evaluations

COUNT = 10
"""Noises that every run draws, one a column."""


@dataclass(frozen=True)
class Contestant:
    """A run that takes part: its key in the list, its name, and the checkpoint it draws by."""

    key: str
    name: str
    checkpoint: Path


@dataclass(frozen=True)
class DrawnRow:
    """What a run made of the noises: pictures uint8 (COUNT, H, W, C), by which sampler; while it waits it has neither.

    `problem` is why there never will be any.
    """

    key: str
    name: str
    pictures: Pixels | None
    how: str = ""
    problem: str = ""
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """A row a run, `done` of `total` of them drawn, one on its way and the others waiting; nan seconds are unknown."""

    seed: int
    rows: tuple[DrawnRow, ...]
    done: int
    total: int
    seconds_left: float

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(row.key for row in self.rows)

    @property
    def headings(self) -> tuple[str, ...]:
        """What stands above each column: its class where all runs draw the same ones, else the number of the noise."""
        classes = {row.classes for row in self.rows if row.pictures is not None}
        if len(classes) == 1 and (names := classes.pop()):
            return tuple(names[k % len(names)] for k in range(COUNT))
        return tuple(f"noise {k + 1}" for k in range(COUNT))

    @property
    def pictures(self) -> Pixels:
        """All rows as uint8 (rows, COUNT, H, W, C), of one size and one number of channels; what is not there is dark."""
        sizes = [row.pictures.shape[1:] for row in self.rows if row.pictures is not None]
        height, width, channels = (max(sides) for sides in zip(*sizes, strict=True)) if sizes else (1, 1, 1)
        whole = np.full((len(self.rows), COUNT, height, width, channels), images.BACKGROUND, dtype=np.uint8)
        for place, row in zip(whole, self.rows, strict=True):
            if row.pictures is not None:
                h, w = row.pictures.shape[1:3]
                top, left = (height - h) // 2, (width - w) // 2
                place[:, top : top + h, left : left + w] = row.pictures
        return whole


class Comparing:
    """Iterate once, in a worker thread; `snapshot` turns an item into a Comparison. What was drawn before is not drawn again."""

    def __init__(self, runs: Sequence[Contestant], seed: int, known: dict[tuple[Path, int, int], DrawnRow]) -> None:
        self.runs = tuple(runs)
        self.seed = seed
        self.known = known
        self._rows: list[DrawnRow] = []
        self._model: Model | None = None
        self._how = ""
        self._started = math.nan
        self._before = 0
        """Runs that took no time: they were known."""

    def __iter__(self) -> Iterator[BatchFrame | DrawnRow]:
        self._started = time.monotonic()
        for run in self.runs:
            place = (run.checkpoint, modified(run.checkpoint), self.seed)
            if place in self.known:
                self._rows.append(dataclasses.replace(self.known[place], key=run.key, name=run.name))
                self._before += 1
            else:
                try:
                    yield from self._draw(run)
                except UserError as error:
                    self._rows.append(DrawnRow(run.key, run.name, None, problem=str(error)))
                else:
                    self.known[place] = self._rows[-1]
            yield self._rows[-1]

    def _draw(self, run: Contestant) -> Iterator[BatchFrame]:
        model = self._model = model_of(run.checkpoint)
        options = SampleConfig(num_images=COUNT, seed=self.seed).resolve(*model.known)
        self._how = f"{options.sampler}, {evaluations(options.steps)}"
        frame = None
        frames = generate(model, options, choose_compute())
        try:
            for frame in frames:
                yield frame
        finally:
            frames.close()
        assert frame is not None, "every sampler ends in a frame"
        self._rows.append(self._row(run, frame))

    def _row(self, run: Contestant, item: BatchFrame) -> DrawnRow:
        assert self._model is not None
        classes = self._model.classes if self._model.label_count else ()
        return DrawnRow(run.key, run.name, images.to_uint8(item.frame.x), self._how, classes=classes)

    def snapshot(self, item: BatchFrame | DrawnRow) -> Comparison:
        """What there is, with the run in hand half way."""
        rows, done = list(self._rows), float(len(self._rows))
        if isinstance(item, BatchFrame) and len(rows) < len(self.runs):
            rows.append(self._row(self.runs[len(rows)], item))
            done += item.done / item.evaluations
        drawn = done - self._before
        rows += [DrawnRow(run.key, run.name, None) for run in self.runs[len(rows) :]]
        left = (time.monotonic() - self._started) / drawn * (len(self.runs) - done) if drawn else math.nan
        return Comparison(self.seed, tuple(rows), len(self._rows), len(self.runs), left)


def save_sheet(path: Path, comparison: Comparison) -> Iterator[Path]:
    """Write the rows as PNG, the name of its run before each and the heading above each column, as an iterator of one."""
    pictures = comparison.pictures
    sheet = images.grid(pictures.reshape(-1, *pictures.shape[2:]), COUNT)
    rows = [f"{row.name}\n{row.how}" for row in comparison.rows]
    images.save_png(path, sheet, headings=comparison.headings, rows=rows)
    yield path
