"""What the Sample mode runs in the worker thread: read a checkpoint, draw images, keep their way as uint8 pictures.

Import it once torch is there.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from core import images
from core.compute.device import choose_compute
from core.compute.seeds import SampleNoise
from core.config import SampleConfig, TrainConfig
from core.diffusion.generate import BatchFrame, Source, classes_drawn, generate, source_pictures
from core.diffusion.model import Model
from core.runs.checkpoint import load_model
from core.runs.embedded import embedded_model
from core.runs.folder import RunDir, RunInfo, find_runs
from core.runs.models import find_pipelines, modified
from tinydiff_tui.terminal.cells import Pixels

MOST_FRAMES = 100
MOST_BYTES = 64 << 20  # of kept frames; many or large images keep fewer


@dataclass(frozen=True)
class ModelFacts:
    """What the screen says of a checkpoint. `labels` is 0 for an unconditional model."""

    path: Path
    config: TrainConfig
    classes: tuple[str, ...]
    labels: int
    early: bool
    step: int
    side: tuple[int, int]
    channels: int
    compute: str
    about: str

    @property
    def guides(self) -> bool:
        """Whether there is something that guidance leads away from."""
        return self.config.guides(self.labels, self.early)

    def resolved(self, options: SampleConfig) -> SampleConfig:
        """What options come to with this model: the engine's own defaults."""
        return options.resolve(self.config, self.labels, self.early)


@dataclass(frozen=True)
class View:
    """One moment: x_t and the predicted x_0 as uint8 (N, H, W, C). Images of later batches are mid-grey until their turn."""

    t: int
    x: Pixels
    x0: Pixels

    def pictures(self, kind: str) -> Pixels:
        """x_t, or (kind "x0") what the network predicts from it."""
        return self.x0 if kind == "x0" else self.x


@dataclass(frozen=True)
class Drawn:
    """Progress with a checkpoint: the frames kept so far of those `planned`, the newest moment, and the seconds spent and left
    (nan while unknown). `labels`: the class of each image; `originals`: what they start from, none where it is noise alone."""

    path: Path
    frames: tuple[View, ...]
    newest: View
    planned: int
    done: int
    evaluations: int
    seconds: float
    seconds_left: float
    options: SampleConfig
    labels: tuple[int, ...]
    originals: Pixels | None


def checkpoints(root: Path) -> Iterator[tuple[tuple[str, Path], ...]]:
    """(name, path) of the checkpoints of every run below a folder, newest run first, of the model that comes with the program,
    and of those there that diffusers saved, as an iterator of one. These are last: to open one takes a package, and seconds."""
    found: list[tuple[str, Path]] = []
    for run in find_runs(root):
        if not isinstance(run, RunInfo) or run.checkpoint is None:
            continue
        name = run.path.name if run.path == root else str(run.path.relative_to(root))
        what = "final" if run.checkpoint.name.startswith("model_final") else f"step {run.step:,}"
        found.append((f"{name} · {what}", run.checkpoint))
        for path in reversed(RunDir(run.path).epoch_checkpoints()):
            found.append((f"{name} · {path.stem.removeprefix('model_').replace('_', ' ')}", path))
    found.append(("glyphs, embedded", embedded_model()))
    for path in find_pipelines(root):
        found.append((f"{path.name if path == root else path.relative_to(root)} · diffusers", path))
    yield tuple(found)


@lru_cache(maxsize=1)
def _model(path: Path, _: int) -> Model:
    return load_model(path, device=choose_compute().device)


def model_of(path: Path) -> Model:
    """The model of a checkpoint; the last one is kept until its file changes. Raises UserError."""
    return _model(path, modified(path))


def forget_model() -> None:
    """Drop the model that is kept: what it is made of is another thing now."""
    _model.cache_clear()


def read_facts(path: Path) -> Iterator[ModelFacts]:
    """Load a checkpoint and say what it is, as an iterator of one. Raises UserError."""
    model = model_of(path)
    config = model.config
    yield ModelFacts(
        path,
        config,
        model.classes,
        model.label_count,
        model.early is not None,
        model.step,
        model.shape[1:],
        model.shape[0],
        choose_compute().describe(),
        model.about,
    )


class Drawing:
    """One set of images on its way out of noise. Iterate once, in a worker thread; `snapshot` turns an item into `Drawn`."""

    def __init__(self, path: Path, options: SampleConfig, data_dir: Path | None = None) -> None:
        self.path = path
        self.options = options
        self.data_dir = str(data_dir or "")
        self.frames: list[View] = []
        self.planned = 1
        self.labels: tuple[int, ...] = ()
        self.originals: Pixels | None = None
        self.started = 0.0

    def __iter__(self) -> Iterator[BatchFrame]:
        model = model_of(self.path)
        self.options.check(*model.known)
        self.options = self.options.resolve(*model.known)
        channels, height, width = model.shape
        self.shape = (self.options.num_images, height, width, channels)
        most = max(2, min(MOST_FRAMES, MOST_BYTES // (2 * math.prod(self.shape))))
        source = source_pictures(model, self.options, self.data_dir)
        self.labels = tuple(classes_drawn(model, self.options, source))
        self.originals = originals(model, self.options, source)
        self.started = time.monotonic()
        frames = generate(model, self.options, choose_compute(), source)
        try:
            for item in frames:
                stride = math.ceil((item.frame.total + 1) / most)
                self.planned = -(-item.frame.total // stride) + 1
                if item.frame.index % stride == 0 or item.frame.t < 0:
                    self._keep(item, -(-item.frame.index // stride))
                yield item
        finally:
            frames.close()

    def _keep(self, item: BatchFrame, place: int) -> None:
        view = self._view(item, self.frames[place] if place < len(self.frames) else None)
        if place < len(self.frames):
            self.frames[place] = view
        else:
            self.frames.append(view)

    def _view(self, item: BatchFrame, before: View | None) -> View:
        def full(part: Pixels, of: Callable[[View], Pixels]) -> Pixels:
            if len(part) == self.shape[0]:
                return part
            whole = np.full(self.shape, 128, dtype=np.uint8) if before is None else of(before).copy()
            whole[item.first : item.first + len(part)] = part
            return whole

        x, x0 = images.to_uint8(item.frame.x), images.to_uint8(item.frame.x0)
        return View(item.frame.t, full(x, lambda view: view.x), full(x0, lambda view: view.x0))

    def snapshot(self, item: BatchFrame) -> Drawn:
        """Progress as plain values."""
        newest = self._view(item, self.frames[-1] if self.frames else None)
        spent = time.monotonic() - self.started
        left = spent / item.done * (item.evaluations - item.done) if item.done else math.nan
        return Drawn(
            self.path, tuple(self.frames), newest, self.planned, item.done, item.evaluations, spent, left, self.options,
            self.labels, self.originals,
        )  # fmt: skip


def originals(model: Model, options: SampleConfig, source: Source | None) -> Pixels | None:
    """What the images start from, to be looked at: test images, one each, or the two noises that all of them lie between."""
    if source is not None:
        return source.images.numpy()
    if options.start == "interpolate":
        return images.to_uint8(SampleNoise(options.seed, 0, 2, model.shape, choose_compute().device)())
    return None


def save_picture(path: Path, pictures: Pixels, columns: int) -> Iterator[Path]:
    """Write one grid as PNG, as an iterator of one."""
    images.save_png(path, images.grid(pictures, columns))
    yield path


def save_animation(path: Path, frames: tuple[View, ...], kind: str, columns: int) -> Iterator[Path]:
    """Write the grids of all frames as GIF, x_t or (kind "x0") the predicted x0, as an iterator of one."""
    images.save_gif(path, [images.grid(view.pictures(kind), columns) for view in frames])
    yield path
