"""What a training run tells whoever pulls it. Tensors stay on the device: the consumer reads them, at its own rate."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from core.diffusion.generate import BatchFrame


@dataclass(frozen=True)
class Step:
    """One optimizer step. `loss` and `grad_norm` are scalars; `quartiles` (2, 4): sums and counts of the loss by quarter of t.

    `seconds` is the time that led to this step over all sessions, without pauses and stops; the rate is that of the last lines
    of metrics, as everyone who watches the run tells it.
    """

    step: int
    total_steps: int
    epoch: int
    epochs: int
    steps_per_epoch: int
    loss: Tensor
    quartiles: Tensor
    grad_norm: Tensor
    lr: float
    images: int
    seconds: float
    images_per_second: float
    eta_seconds: float


@dataclass(frozen=True)
class EpochEnd:
    """An epoch is complete; `loss` is its mean."""

    epoch: int
    epochs: int
    loss: float


@dataclass(frozen=True)
class Drawn:
    """So many of the pairs are drawn that a step of a distilling needs."""

    done: int
    total: int


@dataclass(frozen=True)
class Sampling:
    """A network evaluation of the samples being drawn within training."""

    epoch: int
    frame: BatchFrame


@dataclass(frozen=True)
class Samples:
    """A finished grid of samples of the averaged weights: images (N, C, H, W) in [-1, 1], and the PNG it was written to."""

    epoch: int
    images: Tensor
    path: Path


@dataclass(frozen=True)
class Preview:
    """What the same few noises become by the averaged weights of now: images (N, C, H, W) in [-1, 1] on the CPU. Drawn on a clock
    while somebody watches; `labels` are their classes, none of a model without."""

    step: int
    seconds: float
    images: Tensor
    labels: tuple[int, ...]


@dataclass(frozen=True)
class HeldOut:
    """The loss on images that are not trained on, on a clock; by quarter of t None where none of them is."""

    step: int
    seconds: float
    loss: float
    quartiles: tuple[float | None, ...]


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    step: int
    path: Path


@dataclass(frozen=True)
class RolledBack:
    """The loss diverged and the run went back to its last checkpoint, at `step`, with peak learning rate `lr`."""

    step: int
    lr: float
    reason: str


@dataclass(frozen=True)
class Noted:
    """Something a person should know that changes nothing in the run, such as a picture that could not be written."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The run is complete; `path` is the final model."""

    step: int
    seconds: float
    path: Path


Event = Step | EpochEnd | Drawn | Sampling | Samples | Preview | HeldOut | Saved | RolledBack | Noted | Finished
