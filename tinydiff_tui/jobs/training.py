"""A training run as the dashboard sees it: the engine's events gathered in the worker thread, plain values for the screen."""

import contextlib
import math
import os
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from core.config import TrainConfig
from core.runs.metrics import MetricsReader
from tinydiff_tui.jobs.series import Points, Row, Series, kept
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import for_app, printable

if TYPE_CHECKING:
    from torch import Tensor

    from core.training.events import Step
    from core.training.trainer import Trainer
    from tinydiff_tui.jobs.quality import Quality

HEADLINE = 10  # steps that the loss and its quarters are means of, as in a line of metrics


@dataclass(frozen=True)
class TrainView:
    """One moment of a run. `quartiles`: mean loss by quarter of t, nan where no image fell; `quarters` the same over the steps.

    `clock`: the seconds of training at some of the steps. `classes`: of a model that is told them, whose image k is of class k
    modulo their number. `question`: what a person is asked before the run goes on.
    """

    folder: Path
    dataset: str
    recipe: str
    phase: str
    step: int
    total_steps: int
    epoch: int
    epochs: int
    steps_per_epoch: int
    batch_size: int
    loss: float
    lr: float
    grad_norm: float
    images_per_second: float
    eta_seconds: float
    seconds: float
    quartiles: tuple[float, ...]
    memory: float
    losses: Points
    held_out: Points
    quarters: tuple[Points, ...]
    distances: Points
    floor: float
    judge: str
    clock: Points
    log: tuple[str, ...]
    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    pictures: Pixels | None
    pictures_title: str
    question: str
    spread: tuple[float, ...]
    """Of a learned schedule, what it is at this step; empty for another one."""


class Training:
    """Iterate once, in a worker thread. `snapshot` turns any item into a TrainView."""

    def __init__(self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
        self.config = config
        self.resume = resume
        self.overwrite = overwrite
        self.trainer: Trainer | None = None
        self.quality: Quality | None = None
        self.finished: Path | None = None
        self.question = ""
        self._declined = False
        self._phase = "preparing"
        self._step: Step | None = None
        self._pending: list[Tensor] = []
        self._headline: deque[NDArray[np.float64]] = deque(maxlen=HEADLINE)
        self._losses, self._held_out, self._distances, self._clock = Series(), Series(), Series(), Series()
        self._quarters = (Series(), Series(), Series(), Series())
        self._floor, self._judge_name = math.nan, ""
        self._log: deque[str] = deque(maxlen=200)
        self._rows: tuple[Row, ...] = ()
        self._classes: tuple[str, ...] = ()
        self._pictures: Tensor | None = None
        self._drawn: Pixels | None = None
        self._pictures_title = ""

    def __iter__(self) -> Generator[object, None, None]:
        from core.training.trainer import Trainer
        from tinydiff_tui.jobs.plan import MEASURING
        from tinydiff_tui.jobs.quality import Quality

        with MEASURING:  # whatever is measured ends within a step
            trainer = self.trainer = Trainer(self.config, resume=self.resume, overwrite=self.overwrite)
        trainer.watched = True
        self.quality = Quality(trainer)
        self._classes = trainer.data.classes if trainer.model().label_count else ()
        self._say(f"on {trainer.compute.describe()}")
        if self.resume:
            self._say(f"resumed at step {trainer.step:,} of {trainer.total_steps:,}")
            self._restore(trainer)
        else:
            self._say(f"started in {trainer.run.path.name}")
        self._look_before(trainer)
        events = iter(trainer)
        try:
            for event in events:
                self._see(event)
                yield event
                if self.quality.due:
                    yield from self._judge(self.quality)
        except Exception as error:
            self._fail(trainer, error)
            raise
        finally:
            events.close()
            if self.finished is None and self._phase != "failed":
                self._say(f"stopped after step {trainer.step:,}: {trainer.run.last.name}")

    def _look_before(self, trainer: "Trainer") -> None:
        """What the noises become before the first step. It is no training, and the pictures that follow find everything warm."""
        try:
            self._see(trainer.aside.drawn(trainer.model()))
        except Exception as error:  # a by-product
            self._say(f"no picture of the start: {error}")

    def rests(self) -> bool:
        """Whether the run is paused or waits for an answer; answers on the way what was asked through its folder. For the job's
        own thread."""
        trainer = self.trainer
        if trainer is None:
            return False
        try:
            return trainer.attend(self._say) or (bool(self.question) and not trainer.stopping)
        except Exception as error:
            self._fail(trainer, error)
            raise

    def _fail(self, trainer: "Trainer", error: Exception) -> None:
        self._phase = "failed"
        self._say(f"failed at step {trainer.step:,}: {error}")

    @property
    def paused(self) -> bool:
        """Whether the run rests, by a key or a request."""
        return self.trainer is not None and self.trainer.paused

    def answer(self, *, yes: bool) -> None:
        """To the question; a no is for the rest of the run, or until somebody asks for the judge again."""
        if not yes and self.quality is not None:
            self.quality.leave_it()
            self._declined = True
        self.question = ""

    def _judge(self, quality: "Quality") -> Iterator[object]:
        """Have the judge look, while the training waits."""
        from tinydiff_tui.jobs.judging import Stage

        self._declined = False
        with contextlib.closing(quality.look()) as items:
            for item in items:
                if isinstance(item, Stage):
                    share = f" {item.done}/{item.total} {item.unit}" if item.total else ""
                    self._phase = f"{item.title}{share}"
                    self.question = item.title if item.asks else ""
                else:
                    self._see(item)
                yield item
                if self._declined or quality.trainer.stopping:
                    break
        self._phase, self.question = "training", ""

    def _restore(self, trainer: "Trainer") -> None:
        for entry in MetricsReader(trainer.run).read():
            step = entry["step"]
            if step <= trainer.step:
                self._losses.add(step, [entry["loss"]])
                given = ("held_out", self._held_out), ("distance", self._distances), ("seconds", self._clock)
                for name, series in given:
                    if name in entry:
                        series.add(step, [entry[name]])
                self._add_quarters(step, entry.get("quartiles", ()))
                self._floor, self._judge_name = entry.get("floor", self._floor), entry.get("judge", self._judge_name)

    def _add_quarters(self, step: int, values: Sequence[float | None]) -> None:
        for series, value in zip(self._quarters, values, strict=False):
            if value is not None and math.isfinite(value):
                series.add(step, [value])

    def _say(self, text: str) -> None:
        self._log.append(f"{time.strftime('%H:%M:%S')} {for_app(text)}")

    def _see(self, event: object) -> None:
        import torch

        from core.images import to_uint8
        from core.training.events import Drawn, Finished, HeldOut, Preview, RolledBack, Samples, Sampling, Step
        from tinydiff_tui.jobs.quality import Distance

        assert self.trainer is not None
        match event:
            case Step():
                self._step, self._phase = event, "training"
                self._pending.append(torch.cat([event.loss[None], event.quartiles.flatten()]))
                if len(self._pending) >= HEADLINE:
                    self._read_tensors()
            case Drawn():
                self._phase = f"drawing pairs again, {event.done:,} of {event.total:,}"
            case Sampling():
                self._phase = "sampling"
                self._pictures = event.frame.frame.x
                self._pictures_title = f"Denoising {event.frame.done}/{event.frame.evaluations}"
            case Samples():
                self._pictures, self._pictures_title = event.images, f"Samples, epoch {event.epoch} (EMA)"
            case Preview():
                self._rows = kept(self._rows, Row(event.step, event.seconds, to_uint8(event.images)))
            case HeldOut():
                self._held_out.add(event.step, [event.loss])
            case Distance():
                self._distances.add(event.step, [event.distance])
                self._floor, self._judge_name = event.floor, event.judge
            case RolledBack():
                self._pending.clear()
                self._headline.clear()
                for series in (self._losses, self._held_out, self._distances, self._clock, *self._quarters):
                    series.cut(event.step)
                self._rows = tuple(row for row in self._rows if row.step <= event.step)
            case Finished():
                self.finished, self._phase = event.path, "finished"
        if line := event_line(event, self.trainer.run.path):
            self._say(line)

    def snapshot(self, _: Any) -> TrainView:
        """Everything that can be shown now; reads the tensors, so it belongs in the worker thread."""
        from core.images import to_uint8

        assert self.trainer is not None
        self._read_tensors()
        if self._pictures is not None:
            self._drawn, self._pictures = to_uint8(self._pictures), None
        step, trainer = self._step, self.trainer
        loss, quartiles = headline(self._headline)
        return TrainView(
            folder=trainer.run.path,
            dataset=printable(trainer.config.dataset),
            recipe=trainer.config.kind,
            phase=self._phase,
            step=trainer.step,
            total_steps=trainer.total_steps,
            epoch=step.epoch if step else 0,
            epochs=trainer.epochs,
            steps_per_epoch=trainer.steps_per_epoch,
            batch_size=trainer.config.batch_size,
            loss=loss,
            lr=step.lr if step else 0.0,
            grad_norm=float(step.grad_norm) if step else math.nan,
            images_per_second=step.images_per_second if step else 0.0,
            eta_seconds=step.eta_seconds if step else math.nan,
            seconds=step.seconds if step else 0.0,
            quartiles=quartiles,
            memory=memory_used(),
            losses=self._losses.points,
            held_out=self._held_out.points,
            quarters=tuple(series.points for series in self._quarters),
            distances=self._distances.points,
            floor=self._floor,
            judge=self._judge_name,
            clock=self._clock.points,
            log=tuple(self._log),
            rows=self._rows,
            classes=self._classes,
            pictures=self._drawn,
            pictures_title=self._pictures_title,
            question=self.question,
            spread=trainer.state.spread,
        )

    def _read_tensors(self) -> None:
        """Take the losses of the steps since the last time from the device."""
        import torch

        if not self._pending or self._step is None:
            return
        rows = torch.stack(self._pending).double().cpu().numpy()
        self._pending.clear()
        self._headline.extend(rows)
        self._losses.add(self._step.step, rows[:, 0].tolist())
        self._clock.add(self._step.step, [self._step.seconds])
        self._add_quarters(self._step.step, headline(rows)[1])


def headline(rows: Sequence[NDArray[np.float64]] | NDArray[np.float64]) -> tuple[float, tuple[float, ...]]:
    """The mean loss of some steps, and by quarter of t over the same; each row holds a loss, four sums and four counts."""
    if not len(rows):
        return math.nan, (math.nan,) * 4
    table = np.array(rows)
    sums, counts = table[:, 1:5].sum(0), table[:, 5:].sum(0)
    quarters = np.divide(sums, counts, out=np.full(4, math.nan), where=counts > 0)
    return float(table[:, 0].mean()), tuple(quarters.tolist())


def event_line(event: object, folder: Path) -> str:
    """What a log says of an event, its files named from the run's folder; empty for a step or a frame of samples."""
    from core.training.events import EpochEnd, Finished, Noted, RolledBack, Samples, Saved
    from tinydiff_tui.jobs.quality import Distance

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
        case Distance():
            line = f"step {event.step:,}: distance {event.distance:.2f}, real images {event.floor:.2f} ({printable(event.judge)})"
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
