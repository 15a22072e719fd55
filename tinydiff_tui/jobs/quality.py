"""The data set's judge asked while a model trains: every so many seconds of training, or when somebody wants to know. What it
takes is no training, and the distance goes into the run's metrics.

Import it once torch is there.
"""

import time
from collections.abc import Generator
from dataclasses import dataclass

from core.config import SampleConfig
from core.data.datasets import data_root
from core.errors import UserError
from core.judge.store import Ready
from core.training.events import Noted
from core.training.trainer import Trainer
from tinydiff_tui.jobs.judging import Stage, drawn, fetched

IMAGES = 500


@dataclass(frozen=True)
class Distance:
    """What a judge says of IMAGES samples of the averaged weights, and of as many real ones; and how long it took to say it."""

    step: int
    seconds: float
    distance: float
    floor: float
    judge: str
    took: float


class Quality:
    """Ask `due` between two events of the trainer, and pull `look` when it is; closing that stops within a step or evaluation."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.every = trainer.config.judge_seconds
        self._next = trainer.state.seconds + self.every
        self._asked = False
        self._ready: Ready | None = None

    def ask(self) -> None:
        """Somebody wants to know now; may be called from another thread."""
        self._asked = True

    def leave_it(self) -> None:
        """Not before somebody asks again."""
        self.every, self._asked = 0.0, False

    @property
    def due(self) -> bool:
        trainer = self.trainer
        clocked = self.every > 0 and trainer.state.seconds >= self._next
        return (self._asked or clocked) and 0 < trainer.step < trainer.total_steps

    def look(self) -> Generator[Stage | Distance | Noted, None, None]:
        """What is done now, and the distance as the last item; a note in its place where there is none to be had."""
        self._asked, self._next = False, self.trainer.state.seconds + self.every
        try:
            yield from self._look()
        except UserError as error:
            self.leave_it()
            yield Noted(f"no distance: {error}")

    def _look(self) -> Generator[Stage | Distance, None, None]:
        trainer, compute, read = self.trainer, self.trainer.compute, list[str]()
        if self._ready is None:
            root = data_root("", trainer.config.data_dir)
            self._ready = yield from fetched(trainer.config, root, compute, read)
        judge, began = self._ready.judge, time.monotonic()
        title, options = f"{judge.name} is asked", SampleConfig(num_images=IMAGES, seed=trainer.config.seed)
        yield Stage(title, unit="evaluations")
        pictures = yield from drawn(title, trainer.model(), options, compute)
        distance, floor = judge.distance(pictures)
        trainer.note_distance(distance, floor, judge.name)
        yield Distance(trainer.step, trainer.state.seconds, distance, floor, judge.name, time.monotonic() - began)
