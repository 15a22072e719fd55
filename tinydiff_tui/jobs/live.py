"""Pictures that follow what a hand asks for: few evaluations while it moves, the sampler's own when it rests, nothing queued.

Import it once torch is there.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from torch import Tensor

from core import images
from core.config import SampleConfig
from core.diffusion.model import Model
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.terminal.cells import Pixels

FEWEST, FEW = 2, 6
"""Evaluations of a picture while keys come; of a distilled model one is enough."""
LIVE_SECONDS = 0.03
"""What such a picture may take; where it takes longer, fewer evaluations are spent, and where the fewest do, no guidance."""
REST_SECONDS = 0.08
"""Without another key, before the sampler's own number of evaluations is spent."""

Request = TypeVar("Request")


def fewest(model: Model) -> int:
    """Evaluations of a picture of this model while keys come."""
    return 1 if model.config.teacher else FEWEST


@dataclass(frozen=True)
class Way:
    """How a request is drawn: its resolved options, and x_t after each evaluation with those options or with fewer steps, which
    are `fewest` at least."""

    options: SampleConfig
    frames: Callable[[SampleConfig], Iterator[Tensor]]
    fewest: int


@dataclass(frozen=True)
class Shown(Generic[Request]):
    """The pictures uint8 (N, H, W, C) of a request, how they were drawn, the seconds that took, and whether they are the last of
    this request."""

    asked: Request
    pictures: Pixels
    options: SampleConfig
    seconds: float
    last: bool


class Live(Generic[Request]):
    """Iterate in a worker thread, which rests while `idle`: pictures of few evaluations for each request that is still the newest
    when it is looked at, and of all of them when no other follows."""

    def __init__(self, mail: Newest[Request], way: Callable[[Request], Way]) -> None:
        self.mail = mail
        self.way = way
        self._resting = False
        self._pace = 0.01  # seconds the network takes once, as it was last; guided it is asked twice

    @property
    def idle(self) -> bool:
        """Whether there is nothing to draw."""
        return self._resting and not self.mail.waits()

    def __iter__(self) -> Iterator[Shown[Request]]:
        while (asked := self.mail.take()) is not None:
            self._resting = False
            way = self.way(asked)
            own = way.options
            if (few := self._few(own, way.fewest)) != own:
                yield from self._drawn(asked, way, few)
                if self.mail.waits(REST_SECONDS):
                    continue
            yield from self._drawn(asked, way, own, patient=few != own)

    def _few(self, own: SampleConfig, fewest: int) -> SampleConfig:
        """What there is time for."""
        passes = int(LIVE_SECONDS / self._pace)
        if _passes(own) > 1 and passes < fewest * _passes(own):
            own = dataclasses.replace(own, guidance_scale=1.0)
        return dataclasses.replace(own, steps=min(max(passes // _passes(own), fewest), FEW, own.steps))

    def _drawn(self, asked: Request, way: Way, options: SampleConfig, *, patient: bool | None = None) -> Iterator[Shown[Request]]:
        """The pictures, as an iterator of one. With all evaluations they are the last for this request; `patient`: those of few
        are there already, so that they may be given up for a newer one."""
        began = time.monotonic()
        for x in way.frames(options):
            if patient and self.mail.waits():
                return
            finished = x
        seconds = time.monotonic() - began
        self._pace = seconds / options.steps / _passes(options)
        self._resting = patient is not None
        yield Shown(asked, images.to_uint8(finished), options, seconds, self._resting)


def _passes(options: SampleConfig) -> int:
    """How often the network is asked for an evaluation."""
    return 1 if options.guidance_scale in (0.0, 1.0) else 2
