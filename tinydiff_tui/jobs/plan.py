"""What a run would be, told before it begins: its size and length, the disk it takes, and the minutes by a few real steps."""

import math
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from core.config import SHAPE, TrainConfig, check_batch
from core.data.datasets import data_root, describe, open_dataset, require
from core.errors import UserError
from core.files import user_path
from core.names import DATASETS, NETWORKS
from core.runs.folder import RunDir, read_run
from tinydiff_tui.jobs.series import NOTHING, Points

if TYPE_CHECKING:
    from core.training.measure import Measured

POINTS = 200
FEW_STEPS, BY_HEART = 150, 100
"""Steps below which pictures stay blurs, and times that an image is seen from which on a network of this size knows it: held-out
loss was least at 110 of 180 digits, and the times do not depend on how many images there are (Bonnaire et al. 2025)."""
DROPOUT = 0.2
"""With which the same digits had a lower loss held out, and after 600 steps the one that they had at best without."""
MEASURING = threading.Lock()
"""Held while steps are measured: nothing else computes meanwhile, and no run begins."""


@dataclass(frozen=True)
class Plan:
    """What is known of a run; nan, 0 and empty while it is not. `folder` says whether it is new, and what it holds otherwise.
    `recipe` is the config, with what is its teacher's.

    `mirrored`: every other image is shown as in a mirror, which makes two of it; `rates`: the learning rate at some of its
    steps; `signal` and `noise`: how much of x_0 and of epsilon is in x_t, at some t.
    """

    shape: tuple[int, int, int]
    images: int
    classes: int
    batch_size: int
    steps_per_epoch: int
    folder: str
    free_bytes: int
    recipe: TrainConfig
    mirrored: bool = False
    parameters: int = 0
    steps: int = 0
    epochs: float = math.nan
    seconds: float = math.nan
    images_per_second: float = math.nan
    checkpoints: int = 0
    disk_bytes: int = 0
    device: str = ""
    precision: str = ""
    threads: int = 0
    rates: Points = NOTHING
    signal: Points = NOTHING
    noise: Points = NOTHING

    @property
    def seen(self) -> float:
        """How often the network sees each image; 0 while the steps are not known."""
        return self.steps * self.batch_size / self.images

    @property
    def expect(self) -> str:
        """What to expect of a run too short or too long for its images, by benchmarks/RESULTS.md; else empty."""
        if not self.steps or self.recipe.teacher:
            return ""
        if self.steps < FEW_STEPS:
            return f"blurs: digits need {FEW_STEPS} steps"
        if self.seen > BY_HEART * (1 + self.mirrored):
            helps = "" if self.recipe.dropout else f", less with dropout {DROPOUT}"
            return f"overfits from {BY_HEART * (1 + self.mirrored)} times on{helps}"
        return ""


class Planner:
    """Plans, one after the other, in a worker thread. What was measured is known for as long as the app runs."""

    def __init__(self) -> None:
        self._measured: dict[tuple[object, ...], Measured] = {}

    def plan(self, config: TrainConfig, *, busy: bool) -> Iterator[Plan]:
        """What is known at once; then, unless the machine is busy, the same again with what a few steps told. Closing stops
        within one step. Raises UserError for a data set that is not there or does not suit the rest."""
        if config.teacher:
            from core.training.distil import with_teacher

            config, _ = with_teacher(config)
        plan = _known(config)
        yield plan
        shape, classes = plan.shape, plan.classes
        key = (shape, classes, NETWORKS[config.model], *(getattr(config, name) for name in _DECISIVE))
        if key not in self._measured and not busy:
            from core.training.measure import measure

            with MEASURING:
                for told in measure(config, shape, classes):
                    if told is None:
                        yield plan
                    else:
                        self._measured[key] = told
        if key in self._measured:
            yield _with(plan, config, self._measured[key])


_DECISIVE = (
    "model", *SHAPE, "teacher", "batch_size", "device", "precision", "threads", "optimizer", "conditional", "learn_variance",
    "objective",
)  # fmt: skip
"""Fields that a step's time, or a checkpoint's size, depends on."""


def _known(config: TrainConfig) -> Plan:
    """What can be told without computing."""
    root = data_root(config.data_dir)
    require(config.dataset, root)
    if config.dataset.startswith("folder:"):
        data = open_dataset(config.dataset, "train", root, config.image_size)
        shape, images, classes, mirrored = (*data.size, data.channels), len(data), len(data.classes), data.mirrored
    else:
        info = describe(config.dataset, root)
        shape, images, classes, mirrored = info.shape, info.size, info.classes, DATASETS[config.dataset].mirrored
    check_batch(config.batch_size, config.dataset, images)
    place = user_path(config.output_dir)
    there = next((folder for folder in (place, *place.parents) if folder.is_dir()), Path("/"))
    signal, noise = _levels(config)
    free = shutil.disk_usage(there).free
    per_epoch, folder, flips = images // config.batch_size, _folder(place), config.flips(mirrored)
    return Plan(shape, images, classes, config.batch_size, per_epoch, folder, free, config, flips, signal=signal, noise=noise)


def _rates(config: TrainConfig, steps: int) -> Points:
    from core.training.batches import lr_fraction

    at = np.unique(np.linspace(0, steps - 1, POINTS).round())
    return Points(at, np.array([config.lr * lr_fraction(config, int(step), steps) for step in at]))


def _levels(config: TrainConfig) -> tuple[Points, Points]:
    from core.diffusion.model import make_diffusion

    schedule = make_diffusion(config).schedule
    at = np.unique(np.linspace(0, config.timesteps - 1, POINTS).round()).astype(np.int64)
    return Points(at.astype(float), schedule.a.numpy()[at]), Points(at.astype(float), schedule.s.numpy()[at])


def _folder(place: Path) -> str:
    run = RunDir(place)
    try:
        if not run.holds_run():
            return "new"
        info = read_run(place)
    except (UserError, OSError):
        return "holds a run that cannot be read"
    return f"holds a run: {info.status}, step {info.step:,} of {info.total_steps:,}"


def _kept(config: TrainConfig, epochs: float) -> int:
    """Checkpoints of epochs: every so many, and of the last one if nothing cuts it short."""
    if not config.save_interval:
        return 0
    whole = int(epochs)
    return whole // config.save_interval + (whole == epochs and whole % config.save_interval > 0)


def _with(plan: Plan, config: TrainConfig, measured: "Measured") -> Plan:
    config = config.suited(plan.steps_per_epoch)
    steps = config.steps(plan.steps_per_epoch, 1, measured.step_seconds)
    epochs = steps / plan.steps_per_epoch
    checkpoints = 2 + min(_kept(config, epochs), config.keep_last or steps)
    return replace(
        plan,
        parameters=measured.parameters,
        steps=steps,
        epochs=epochs,
        seconds=float(config.budget_seconds) or steps * measured.step_seconds,
        images_per_second=config.batch_size / measured.step_seconds,
        checkpoints=checkpoints,
        disk_bytes=checkpoints * measured.checkpoint_bytes,
        device=measured.compute.device.type,
        precision=measured.compute.precision,
        threads=measured.compute.threads,
        rates=_rates(config, steps),
    )
