"""A training run as the dashboard sees it: the engine's events gathered in the worker thread, plain values for the screen."""

import math
import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import TrainConfig
from core.runs.metrics import MetricsReader
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import for_app

if TYPE_CHECKING:
    from torch import Tensor

    from core.training.events import Event, Step
    from core.training.trainer import Trainer

MOST_POINTS = 2000
RECENT = 400  # losses that the sparkline shows
HEADLINE = 10  # steps that the loss and its quarters are means of, as in a line of metrics

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


@dataclass(frozen=True)
class LossCurve:
    """Losses (n,) at steps (n,); what is not finite is left out."""

    name: str
    steps: Values
    losses: Values


@dataclass(frozen=True)
class TrainView:
    """One moment of a run. `quartiles`: mean loss by quarter of t, nan where no image fell."""

    folder: Path
    title: str
    phase: str
    step: int
    total_steps: int
    epoch: int
    epochs: int
    steps_per_epoch: int
    loss: float
    lr: float
    grad_norm: float
    images_per_second: float
    eta_seconds: float
    seconds: float
    quartiles: tuple[float, ...]
    memory: float
    steps: Values
    losses: Values
    recent: tuple[float, ...]
    log: tuple[str, ...]
    pictures: Pixels | None
    pictures_title: str


class Training:
    """Iterate once, in a worker thread. `snapshot` turns any item into a TrainView."""

    def __init__(self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
        self.config = config
        self.resume = resume
        self.overwrite = overwrite
        self.trainer: Trainer | None = None
        self.finished: Path | None = None
        self._phase = "preparing"
        self._step: Step | None = None
        self._pending: list[Tensor] = []
        self._headline: deque[NDArray[np.float64]] = deque(maxlen=HEADLINE)
        self._series = Series()
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._log: deque[str] = deque(maxlen=200)
        self._pictures: Tensor | None = None
        self._drawn: Pixels | None = None
        self._pictures_title = ""

    def __iter__(self) -> Iterator["Event"]:
        from core.training.trainer import Trainer

        trainer = self.trainer = Trainer(self.config, resume=self.resume, overwrite=self.overwrite)
        self._say(f"on {trainer.compute.describe()}")
        if self.resume:
            self._say(f"resumed at step {trainer.step:,} of {trainer.total_steps:,}")
            self._restore(trainer)
        else:
            self._say(f"started in {trainer.run.path.name}")
        events = iter(trainer)
        try:
            for event in events:
                self._see(event)
                yield event
        except Exception as error:
            self._phase = "failed"
            self._say(f"failed at step {trainer.step:,}: {error}")
            raise
        finally:
            events.close()
            if self.finished is None and self._phase != "failed":
                self._say(f"stopped after step {trainer.step:,}: {trainer.run.last.name}")

    def rests(self) -> bool:
        """Whether the run is paused; answers on the way what was asked through its folder. For the job's own thread."""
        return self.trainer is not None and self.trainer.attend(self._say)

    @property
    def paused(self) -> bool:
        """Whether the run rests, by a key or a request."""
        return self.trainer is not None and self.trainer.paused

    def _restore(self, trainer: "Trainer") -> None:
        for entry in MetricsReader(trainer.run).read():
            if entry["step"] <= trainer.step:
                self._series.add(entry["step"], [entry["loss"]])
                self._recent.append(entry["loss"])

    def _say(self, text: str) -> None:
        self._log.append(f"{time.strftime('%H:%M:%S')} {for_app(text)}")

    def _see(self, event: "Event") -> None:
        import torch

        from core.training.events import Finished, RolledBack, Samples, Sampling, Step

        assert self.trainer is not None
        match event:
            case Step():
                self._step, self._phase = event, "training"
                self._pending.append(torch.cat([event.loss[None], event.quartiles.flatten()]))
            case Sampling():
                self._phase = "sampling"
                self._pictures = event.frame.frame.x
                self._pictures_title = f"denoising {event.frame.done}/{event.frame.evaluations}"
            case Samples():
                self._pictures, self._pictures_title = event.images, f"samples, epoch {event.epoch} (EMA)"
            case RolledBack():
                self._pending.clear()
                self._headline.clear()
                self._series.cut(event.step)
            case Finished():
                self.finished, self._phase = event.path, "finished"
        if line := event_line(event, self.trainer.run.path):
            self._say(line)

    def snapshot(self, _: Any) -> TrainView:
        """Everything that can be shown now; reads the tensors, so it belongs in the worker thread."""
        assert self.trainer is not None
        self._read_tensors()
        step, trainer = self._step, self.trainer
        loss, quartiles = headline(self._headline)
        return TrainView(
            folder=trainer.run.path,
            title=trainer.title,
            phase=self._phase,
            step=trainer.step,
            total_steps=trainer.total_steps,
            epoch=step.epoch if step else 0,
            epochs=trainer.epochs,
            steps_per_epoch=trainer.steps_per_epoch,
            loss=loss,
            lr=step.lr if step else 0.0,
            grad_norm=float(step.grad_norm) if step else math.nan,
            images_per_second=step.images_per_second if step else 0.0,
            eta_seconds=step.eta_seconds if step else math.nan,
            seconds=step.seconds if step else 0.0,
            quartiles=quartiles,
            memory=memory_used(),
            steps=np.array(self._series.steps),
            losses=np.array(self._series.losses),
            recent=tuple(self._recent),
            log=tuple(self._log),
            pictures=self._drawn,
            pictures_title=self._pictures_title,
        )

    def _read_tensors(self) -> None:
        import torch

        from core.images import to_uint8

        if self._pending and self._step is not None:
            rows = torch.stack(self._pending).double().cpu().numpy()
            self._pending.clear()
            losses = rows[:, 0].tolist()
            self._recent.extend(losses)
            self._headline.extend(rows)
            self._series.add(self._step.step, losses)
        if self._pictures is not None:
            self._drawn, self._pictures = to_uint8(self._pictures), None


def headline(rows: Sequence[NDArray[np.float64]]) -> tuple[float, tuple[float, ...]]:
    """The mean loss of some steps, and by quarter of t over the same; each row holds a loss, four sums and four counts."""
    if not rows:
        return math.nan, (math.nan,) * 4
    table = np.array(rows)
    sums, counts = table[:, 1:5].sum(0), table[:, 5:].sum(0)
    quarters = np.divide(sums, counts, out=np.full(4, math.nan), where=counts > 0)
    return float(table[:, 0].mean()), tuple(quarters.tolist())


def event_line(event: "Event", folder: Path) -> str:
    """What a log says of an event, its files named from the run's folder; empty for a step or a frame of samples."""
    from core.training.events import EpochEnd, Finished, Noted, RolledBack, Samples, Saved

    line = ""
    match event:
        case EpochEnd():
            line = f"epoch {event.epoch}/{event.epochs}: mean loss {event.loss:.4f}"
        case Samples():
            line = f"samples: {event.path.relative_to(folder)}"
        case Saved():
            line = f"saved at step {event.step:,}: {event.path.relative_to(folder)}"
        case RolledBack():
            line = f"{event.reason}; back at step {event.step:,} with lr {event.lr:g}"
        case Noted():
            line = event.text
        case Finished():
            line = f"finished in {event.seconds:.0f} s: {event.path.relative_to(folder)}"
    return line


def memory_used() -> float:
    """Bytes that this process holds now; its peak where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0
