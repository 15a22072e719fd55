"""What a training run tells whoever pulls it. Tensors stay on the device: the consumer reads them, at its own rate."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from core.diffusion.generate import BatchFrame


@dataclass(frozen=True)
class Step:
    """One optimizer step. `loss` and `grad_norm` are scalars; `quartiles` (2, 4): sums and counts of the loss by quarter of t.

    `seconds` is the time trained so far, pauses and earlier sessions told apart: `seconds` over all, `session_images` and
    `session_seconds` since this process started, without pauses.
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
    session_images: int
    session_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.session_images / max(self.session_seconds, 1e-9)

    @property
    def eta_seconds(self) -> float:
        """Time to the end at the mean rate of this session."""
        left = self.total_steps - self.step
        return left * self.session_seconds / max(1, self.session_images) * (self.images / max(1, self.step))


@dataclass(frozen=True)
class EpochEnd:
    """An epoch is complete; `loss` is its mean."""

    epoch: int
    epochs: int
    loss: float


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
class Finished:
    """The run is complete; `path` is the final model."""

    step: int
    seconds: float
    path: Path


Event = Step | EpochEnd | Sampling | Samples | Saved | RolledBack | Finished
