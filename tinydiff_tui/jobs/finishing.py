"""What Draw has the model do in its thread: finish a sketch in several ways, or run two branches of a way that was painted in the
middle. Import it once torch is there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import images
from core.compute.device import choose_compute
from core.compute.seeds import SampleNoise
from core.config import SampleConfig
from core.data.datasets import open_split
from core.diffusion.branch import branches, painted
from core.diffusion.generate import timesteps_for, told, walk
from core.diffusion.model import Model
from core.diffusion.samplers import Frame
from core.diffusion.starts import keep_outside, noised
from core.errors import UserError
from tinydiff_tui.jobs.live import Live, Way, fewest
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.jobs.sampling import View, model_of
from tinydiff_tui.jobs.sketch import Sketch
from tinydiff_tui.terminal.cells import Pixels


@dataclass(frozen=True, eq=False)
class Finish:
    """A sketch to be finished by a checkpoint `count` times, each from noise of its own; guidance -1 is the model's.

    inpaint: what was erased is drawn anew and the rest is kept; else the whole goes `strength` of the way to noise (SDEdit).
    """

    path: Path
    sketch: Sketch
    inpaint: bool
    strength: float
    label: int
    guidance: float
    seed: int
    count: int


@dataclass(frozen=True, eq=False)
class Leave:
    """A way out of noise that is left at evaluation `at`, where what the sketch touched is painted."""

    path: Path
    options: SampleConfig
    at: int
    sketch: Sketch


@dataclass(frozen=True, eq=False)
class Branched:
    """Both branches so far, frame by frame; before evaluation `at` they are one."""

    asked: Leave
    options: SampleConfig
    untouched: tuple[View, ...]
    painted: tuple[View, ...]
    whole: bool


def finishing(mail: Newest[Finish]) -> Live[Finish]:
    """The pictures that the newest sketch becomes."""

    def way(asked: Finish) -> Way:
        model = model_of(asked.path)
        options = finish_options(asked, model)
        return Way(options, lambda spent: finished(model, asked, spent), fewest(model))

    return Live(mail, way)


def finish_options(asked: Finish, model: Model) -> SampleConfig:
    """How a sketch is finished at rest. Raises UserError."""
    options = SampleConfig(
        num_images=asked.count, start="noise" if asked.inpaint else "image", strength=asked.strength, seed=asked.seed,
        label=asked.label, guidance_scale=asked.guidance,
    )  # fmt: skip
    options.check(*model.known)
    return options.resolve(*model.known)


def finished(model: Model, asked: Finish, options: SampleConfig) -> Iterator[Tensor]:
    """x_t (N, C, H, W) after each network evaluation from the sketch to the pictures."""
    place = choose_compute()
    known = images.to_float(torch.from_numpy(asked.sketch.pixels[None]).to(place.device)).repeat(asked.count, 1, 1, 1)
    noise = SampleNoise(options.seed, 0, asked.count, model.shape, place.device)
    classes = [max(options.label, 0)] * asked.count if model.label_count else []
    denoise, timesteps = told(model, options, classes, place), timesteps_for(model, options)
    x = noise().contiguous(memory_format=torch.channels_last)
    if asked.inpaint:
        denoise = keep_outside(denoise, known, torch.from_numpy(asked.sketch.erased).to(place.device))
    else:
        x = noised(known, x, model.diffusion.schedule, timesteps[0])
    for frame in walk(model, options, place, x, denoise, noise, timesteps):
        yield frame.x


class Branching:
    """Iterate in a worker thread, which rests while `idle`: both branches of the newest request, as they grow."""

    def __init__(self, mail: Newest[Leave]) -> None:
        self.mail = mail
        self._resting = False

    @property
    def idle(self) -> bool:
        """Whether there is nothing to draw."""
        return self._resting and not self.mail.waits()

    def __iter__(self) -> Iterator[Branched]:
        while (asked := self.mail.take()) is not None:
            for branched in branching(asked):
                self._resting = branched.whole
                yield branched


def branching(asked: Leave) -> Iterator[Branched]:
    """Both branches, as they are after each evaluation. Raises UserError."""
    model = model_of(asked.path)
    asked.options.check(*model.known)
    options = asked.options.resolve(*model.known)
    untouched: list[View] = []
    other: list[View] = []
    for first, second in branches(model, options, choose_compute(), asked.at, _painting(model, asked.sketch)):
        untouched.append(_view(first))
        other.append(_view(second))
        yield Branched(asked, options, tuple(untouched), tuple(other), whole=first.t < 0 and second.t < 0)


def _painting(model: Model, sketch: Sketch) -> Callable[[Frame], Tensor]:
    paint, where = images.to_float(torch.from_numpy(sketch.pixels[None]))[0], torch.from_numpy(sketch.touched)
    return lambda frame: painted(frame, model.diffusion.schedule, paint, where)


def _view(frame: Frame) -> View:
    return View(frame.t, images.to_uint8(frame.x), images.to_uint8(frame.x0))


def picture_to_start(path: Path, index: int, data_dir: Path | None) -> Iterator[tuple[Path, Pixels]]:
    """A model, and image `index` of the test split of its data set, uint8 (H, W, C), as an iterator of one. Raises UserError."""
    config = model_of(path).config
    data = open_split(config, "test", str(data_dir or ""))
    if not len(data):
        raise UserError(f"{config.dataset} has no test images")
    yield path, data.images[index % len(data)].numpy()


def save_branches(path: Path, branched: Branched) -> Iterator[Path]:
    """Write both branches side by side, frame by frame, as GIF, as an iterator of one."""
    pairs = zip(branched.untouched, branched.painted, strict=True)
    images.save_gif(path, [images.grid(np.concatenate([first.x, second.x]), 2) for first, second in pairs])
    yield path
