"""How long a step takes here, how many parameters it moves and how large a checkpoint is: found out by a few real steps."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from core.compute.device import Compute, choose_compute
from core.config import TrainConfig
from core.data.datasets import ImageSet
from core.network.unet import parameter_count
from core.training.distil import stepper
from core.training.state import TrainState

SECONDS = 1.0  # of measuring, where a step is shorter
LEAST = 2  # steps; what the first one builds is built once


@dataclass(frozen=True)
class Measured:
    """What a few steps told. `step_seconds`: the least of any but the first; `checkpoint_bytes` of one file."""

    parameters: int
    checkpoint_bytes: int
    step_seconds: float
    compute: Compute


def measure(config: TrainConfig, shape: tuple[int, int, int], classes: int) -> Iterator[Measured | None]:
    """Take steps of the config's network and batch, on noise for pictures of this shape (H, W, C): None after each, Measured at
    the end. Closing stops within one step. Raises UserError for a network that cannot be."""
    compute = choose_compute(config.device, config.precision, config.threads)
    data = _noise(config, shape, classes)
    state = TrainState(config, data, compute.device)
    state.ema.keep()  # as it is from half of a run on, when a checkpoint is largest
    steps = stepper(config, data, state, compute)
    seconds: list[float] = []
    started = time.perf_counter()
    while len(seconds) < LEAST or time.perf_counter() - started < SECONDS:
        began = time.perf_counter()
        steps.gradient().loss.item()
        steps.update(config.lr)
        next(state.network.parameters()).flatten()[0].item()  # on a GPU the work is done by then
        seconds.append(time.perf_counter() - began)
        yield None
    size = _bytes(state.content(config))
    yield Measured(parameter_count(state.network), size, min(seconds[1:]), steps.compute)


def _noise(config: TrainConfig, shape: tuple[int, int, int], classes: int) -> ImageSet:
    """A batch of pictures that nobody needs to read."""
    images = torch.randint(256, (config.batch_size, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    names = tuple(map(str, range(classes)))
    return ImageSet("noise", images, torch.arange(config.batch_size) % max(classes, 1), names)


def _bytes(content: Any) -> int:
    """Of the tensors in a nested state."""
    if isinstance(content, Tensor):
        return content.numel() * content.element_size()
    values = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    return sum(map(_bytes, values))
