"""The same noises through several samplers or settings, at equal network evaluations. Import it once torch is there."""

import dataclasses
import math
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core import images
from core.compute.device import Compute
from core.config import SampleConfig
from core.data.datasets import data_root
from core.diffusion.generate import BATCH, BatchFrame, classes_drawn, generate
from core.diffusion.model import Model
from core.errors import UserError
from core.judge.store import Ready, kept_judge
from core.runs.checkpoint import load_model
from tinydiff_tui.jobs.judging import drawn as drawn_to_judge
from tinydiff_tui.jobs.sampling import View
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import evaluations

JUDGED = 256
"""Images of each lane that the judge looks at: of so few its distance says who is nearer, not how near."""
MOST_FRAMES = 200
"""That are kept of a lane; of more evaluations every second one, third one …"""


@dataclass(frozen=True)
class Lane:
    """Who takes part: a checkpoint, its name, and how its images are drawn; what is left out is the model's own."""

    checkpoint: Path
    name: str
    options: SampleConfig


@dataclass(frozen=True)
class Racer:
    """How a lane stands: `frames` so far by the evaluations that were spent on them, `done` of `evaluations`, in `seconds`.

    `options` are resolved. `distance` is what `judge` says, `floor` what it says of as many real images: nan, and nobody, where
    none has said. `labels`: the class of each image.
    """

    lane: Lane
    options: SampleConfig
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    frames: tuple[tuple[int, View], ...]
    done: int
    evaluations: int
    seconds: float
    distance: float = math.nan
    floor: float = math.nan
    judge: str = ""

    def at(self, evaluation: int) -> View | None:
        """What there was after so many evaluations: the newest frame of no more of them."""
        known = [view for spent, view in self.frames if spent <= evaluation]
        return known[-1] if known else None

    @property
    def how(self) -> str:
        """The sampler and what it is given."""
        guided = f", guidance {self.options.guidance_scale:g}" if self.labels or self.options.guidance_scale != 1 else ""
        return f"{self.options.sampler}, {evaluations(self.options.steps)}{guided}"

    @property
    def headings(self) -> list[str]:
        """The class of each image, by name."""
        return [self.classes[label] for label in self.labels]


@dataclass(frozen=True)
class Standing:
    """All lanes, and what is done now."""

    racers: tuple[Racer, ...]
    doing: str = ""

    @property
    def judge(self) -> str:
        """Who says the distances, of models of several data sets more than one; empty while nobody does."""
        return ", ".join(dict.fromkeys(racer.judge for racer in self.racers if racer.judge))

    @property
    def most(self) -> int:
        """Evaluations of the longest lane."""
        return max((racer.evaluations for racer in self.racers), default=0)

    @property
    def headings(self) -> list[str]:
        """What stands above each column: its class where all lanes draw the same ones, else the number of the noise."""
        known = {tuple(racer.headings) for racer in self.racers}
        same = list(known.pop()) if len(known) == 1 else []
        return same or [f"noise {k + 1}" for k in range(self.racers[0].options.num_images)]

    def sheet(self, evaluation: int, kind: str = "x") -> Pixels:
        """A row a lane, uint8 (H, W, C), after so many evaluations; kind "x0": what the network predicts."""
        views = [racer.at(evaluation) for racer in self.racers]
        rows = [view.pictures(kind) for view in views if view is not None]
        return images.grid(np.concatenate(rows), len(rows[0]))


class Racing:
    """Iterate in a worker thread: a Standing after each evaluation that all lanes spent, then one after each lane is judged.

    Frames are those that `generate` gives each lane alone, bit for bit: every lane is its own iterator. Raises UserError.
    """

    def __init__(self, lanes: Sequence[Lane], compute: Compute, data_dir: Path | None = None) -> None:
        self.lanes = tuple(lanes)
        self.compute = compute
        self.data_dir = data_dir
        self._models: dict[Path, Model] = {}

    def __iter__(self) -> Iterator[Standing]:
        racers = [self._racer(lane) for lane in self.lanes]
        sizes = {self._models[lane.checkpoint].shape for lane in self.lanes}
        if len(sizes) > 1:
            raise UserError("the models draw images of different sizes, which no noise is for; race models of one data set")
        with ExitStack() as stack:
            ways = [stack.enter_context(closing(self._way(racer))) for racer in racers]
            for spent in range(max(racer.evaluations for racer in racers) + 1):
                for place, (racer, way) in enumerate(zip(racers, ways, strict=True)):
                    if spent <= racer.evaluations:
                        racers[place] = self._on(racer, way)
                yield Standing(tuple(racers), "racing")
        yield from self._judged(racers)

    def _racer(self, lane: Lane) -> Racer:
        if lane.checkpoint not in self._models:
            self._models[lane.checkpoint] = load_model(lane.checkpoint, device=self.compute.device)
        model = self._models[lane.checkpoint]
        lane.options.check(*model.known)
        options = lane.options.resolve(*model.known)
        if options.num_images > BATCH:
            raise UserError(f"a race is of at most {BATCH} images, not {options.num_images}; ask for fewer with --num-images")
        labels = tuple(classes_drawn(model, options))
        with closing(generate(model, options, self.compute)) as warming:  # what a first evaluation costs is nobody's
            total = next(warming).evaluations
        return Racer(lane, options, labels, model.classes, (), 0, total, 0.0)

    def _way(self, racer: Racer) -> Generator[BatchFrame, None, None]:
        return generate(self._models[racer.lane.checkpoint], racer.options, self.compute)

    @staticmethod
    def _on(racer: Racer, way: Generator[BatchFrame, None, None]) -> Racer:
        """One evaluation farther; the last frame, of the finished images, costs none."""
        began = time.monotonic()
        frame = next(way).frame
        view = View(frame.t, images.to_uint8(frame.x), images.to_uint8(frame.x0))
        seconds = racer.seconds + time.monotonic() - began
        stride = math.ceil((racer.evaluations + 1) / MOST_FRAMES)
        kept = frame.index % stride == 0 or frame.t < 0
        frames = (*racer.frames, (frame.index, view)) if kept else racer.frames
        return dataclasses.replace(racer, frames=frames, done=frame.index, seconds=seconds)

    def _judged(self, racers: list[Racer]) -> Iterator[Standing]:
        """The judge's distance of each lane, where there is a judge of its data set already."""
        judges = {path: self._judge(model) for path, model in self._models.items()}
        for place, racer in enumerate(racers):
            model, ready = self._models[racer.lane.checkpoint], judges[racer.lane.checkpoint]
            if ready is None:
                continue
            options = dataclasses.replace(racer.options, num_images=JUDGED)
            said = f"{ready.judge.name} looks at {JUDGED} images of lane {place + 1}"
            for _ in (stages := _Kept(drawn_to_judge(said, model, options, self.compute))):
                yield Standing(tuple(racers), said)
            distance, floor = ready.judge.distance(stages.pictures)
            racers[place] = dataclasses.replace(racer, distance=distance, floor=floor, judge=ready.judge.name)
            yield Standing(tuple(racers))
        if not any(math.isfinite(racer.distance) for racer in racers):
            yield Standing(tuple(racers))

    def _judge(self, model: Model) -> Ready | None:
        config, root = model.config, data_root(str(self.data_dir or ""), model.config.data_dir)
        try:
            return kept_judge(config.dataset, root, self.compute.device, config.image_size)
        except UserError:  # a race goes on without the pictures
            return None


class _Kept:
    """A generator's items, and what it returns."""

    def __init__(self, items: Generator[object, None, Pixels]) -> None:
        self._items = items

    def __iter__(self) -> Iterator[object]:
        self.pictures = yield from self._items


def save_race(path: Path, standing: Standing, kind: str = "x") -> Iterator[Path]:
    """Write a row a lane as PNG, or for a name in .gif every evaluation as GIF, as an iterator of one."""
    if path.suffix == ".gif":
        stride = math.ceil((standing.most + 1) / MOST_FRAMES)
        spent = dict.fromkeys([*range(0, standing.most, stride), standing.most])
        images.save_gif(path, [standing.sheet(k, kind) for k in spent])
    else:
        rows = [f"{racer.lane.name}\n{racer.how}" for racer in standing.racers]
        images.save_png(path, standing.sheet(standing.most, kind), headings=standing.headings, rows=rows)
    yield path
