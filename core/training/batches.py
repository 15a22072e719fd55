"""Which images a step trains on, and with what learning rate and noise: functions of the step, with no state to save."""

import math

import torch
from torch import Tensor

from core import images
from core.compute.distributed import ProcessGroup
from core.compute.seeds import generator_for
from core.config import TrainConfig
from core.data.datasets import ImageSet


class Batches:
    """The batch of any step. Images stay on the device when it is a GPU, and are cut by index from a seeded permutation."""

    def __init__(self, config: TrainConfig, data: ImageSet, device: torch.device, processes: ProcessGroup | None = None) -> None:
        self.config = config
        self.processes = processes or ProcessGroup()
        self.device = device
        self.conditional = config.conditional and data.condition_classes > 0
        self.null_label = len(data.classes)
        self.images = data.images.to(device) if device.type == "cuda" else data.images
        self.labels = data.labels.to(device)
        self.steps_per_epoch = len(data) // config.batch_size
        self.flips = config.flips(data.mirrored)
        self._epoch = -1
        self._order = torch.empty(0)

    def at(self, step: int) -> tuple[Tensor, Tensor | None, torch.Generator]:
        """x_0 (N, C, H, W), labels (N,) of a conditional model, and the generator for everything else random in this step.

        N images are this process's share of the global batch; what the generator draws is for the whole of it.
        """
        config = self.config
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            shuffled = torch.randperm(len(self.images), generator=generator_for("cpu", config.seed, "epoch", epoch))
            self._epoch, self._order = epoch, shuffled.to(self.images.device)
        index = self.processes.share(self._order[position * config.batch_size :][: config.batch_size])
        generator = generator_for(self.device, config.seed, "step", step)
        x0 = images.to_float(self.images[index].to(self.device))
        if self.flips:  # by a generator of their own: with and without it, everything else is drawn alike
            chosen = torch.rand(config.batch_size, generator=generator_for("cpu", config.seed, "flip", step)) < 0.5
            x0 = torch.where(self.processes.share(chosen).to(self.device)[:, None, None, None], x0.flip(3), x0)
        x0 = x0.contiguous(memory_format=torch.channels_last)
        if not self.conditional:
            return x0, None, generator
        labels = self.labels[index.to(self.device)]
        hidden = torch.rand(config.batch_size, generator=generator, device=self.device) < config.label_dropout
        return x0, labels.masked_fill(self.processes.share(hidden), self.null_label), generator


def lr_fraction(config: TrainConfig, step: int, total_steps: int) -> float:
    """The learning rate at a step as a share of its peak: linear warm-up, then constant, or falling to 0 at the end."""
    warmup = min(config.warmup, total_steps // 10)
    if step < warmup:
        return (step + 1) / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    if config.lr_schedule == "constant":
        return 1.0
    return 1 - progress if config.lr_schedule == "linear" else (1 + math.cos(math.pi * progress)) / 2
