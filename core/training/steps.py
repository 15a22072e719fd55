"""One step of a training: what it draws, the loss and its gradient, the update of the weights. For the run, and for whoever
measures how long a step takes."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from core.compute.device import Compute, with_graphs
from core.compute.distributed import ProcessGroup
from core.compute.seeds import generator_for, seeded
from core.config import TrainConfig
from core.data.datasets import ImageSet
from core.diffusion import learned
from core.network.own import OwnNetwork
from core.training.batches import Batches
from core.training.events import Drawn
from core.training.state import TrainState


class Gradient(NamedTuple):
    """Scalars loss and norm, means over the global batch; `quartiles` (2, 4): sums and counts of the loss by quarter of t."""

    loss: Tensor
    norm: Tensor
    quartiles: Tensor


class Stepper:
    """The steps of a run. On one GPU the network runs as CUDA graphs, which `compute` then says, unless it draws random
    numbers itself or has a teacher."""

    def __init__(
        self, config: TrainConfig, data: ImageSet, state: TrainState, compute: Compute, processes: ProcessGroup | None = None
    ) -> None:
        self.config = config
        self.state = state
        self.compute = compute
        self.processes = processes or ProcessGroup()
        self.diffusion = state.diffusion
        self.batches = Batches(config, data, compute.device, self.processes)
        self.network: nn.Module = self.processes.wrap(state.network)
        self.draws = isinstance(state.network, OwnNetwork) or state.network.config.dropout > 0
        if compute.device.type == "cuda" and self.processes.size == 1 and not self.draws and not config.teacher:
            x0, t, _, labels = self.draw()
            inputs = (x0, t) if labels is None else (x0, t, labels)
            self.network, self.compute = with_graphs(self.network, inputs, compute)

    def prepare(self) -> Iterator[Drawn]:
        """What the present step needs and takes long, in parts; nothing here."""
        return iter(())

    def draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """x_0, t, noise and labels of this process in the present step: its rows of what is drawn for the whole batch."""
        x0, labels, generator = self.batches.at(self.state.step)
        t = self.diffusion.draw_t(self.config.batch_size, generator)
        noise = torch.randn((self.config.batch_size, *x0.shape[1:]), generator=generator, device=x0.device)
        return x0, self.processes.share(t), self.processes.share(noise), labels

    def gradient(self) -> Gradient:
        """The loss on this process's share of the global batch and its gradient, clipped, left in the network."""
        state = self.state
        x0, t, noise, labels = self.draw()
        state.network.train()
        with self._drawing(), self.compute.autocast():
            losses = self.diffusion.loss(self.network, x0, t, noise, labels)
        with self.processes.exchange():
            losses.mean().backward()
        losses = losses.detach()
        parts = [losses.mean()[None] / self.processes.size, by_quartile(losses, t, self.config.timesteps).flatten()]
        if isinstance(self.diffusion.schedule, learned.LearnedSchedule):
            parts.append(self.diffusion.schedule.measured(self.diffusion.x0_error(losses, x0, t), t).flatten())
        sums = torch.cat(parts)
        self.processes.add_up(sums)
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), self.config.grad_clip or math.inf)
        self._errors = sums[9:]
        return Gradient(sums[0], norm, sums[1:9].view(2, 4))

    def _drawing(self) -> AbstractContextManager[None]:
        """What a network draws itself, dropout above all, follows from the step as everything else does."""
        if not self.draws:
            return nullcontext()
        purpose = (self.config.seed, "network", self.state.step, self.processes.rank)
        return seeded(generator_for("cpu", *purpose).initial_seed())

    def update(self, lr: float) -> None:
        """Move the weights against the gradient, and their average after them."""
        for optimizer in self.state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        self.state.network.zero_grad(set_to_none=True)
        self.state.ema.update()
        self.state.step += 1
        self._learn()

    def _learn(self) -> None:
        """Every so many steps let a learned schedule be what the errors of x_0 say."""
        state, schedule = self.state, self.diffusion.schedule
        if not isinstance(schedule, learned.LearnedSchedule):
            return
        state.errors += self._errors.view(2, learned.BINS)
        if state.step % learned.EVERY == 0:
            schedule.take(learned.spread_of(state.errors.double().cpu().numpy()))
            state.errors *= learned.DECAY


def by_quartile(losses: Tensor, t: Tensor, timesteps: int) -> Tensor:
    """(2, 4): the sum of the losses and the number of images in each quarter of the schedule."""
    member = nn.functional.one_hot(t * 4 // timesteps, 4).to(losses.dtype)
    return torch.stack([losses @ member, member.sum(0)])
