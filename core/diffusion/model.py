"""A model: a network, the process that it was trained for, and what its outputs mean."""

from dataclasses import dataclass

from core.config import TrainConfig
from core.data.datasets import UNNAMED
from core.diffusion.learned import EVEN, Spread, make_schedule
from core.diffusion.process import Diffusion
from core.network.own import AnyNetwork


@dataclass(frozen=True)
class Model:
    """A network ready to sample from, with everything that its outputs mean. `classes` are the data set's class names; `early`
    is what it was half-way through its training, if that is known and past: guidance leads away from there."""

    network: AnyNetwork
    diffusion: Diffusion
    config: TrainConfig
    classes: tuple[str, ...]
    step: int
    early: AnyNetwork | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one image."""
        return self.network.config.channels, *self.network.config.size

    @property
    def about(self) -> str:
        """What it is, in a few words."""
        config = self.config
        if config.dataset == UNNAMED:
            return f"{config.model} of diffusers"
        return f"{config.model} on {config.dataset}{', distilled' if config.teacher else ''}, step {self.step:,}"

    @property
    def known(self) -> tuple[TrainConfig, int, bool]:
        """What options are checked and filled in by: the config, the number of classes, and whether there is an early self."""
        return self.config, self.label_count, self.early is not None

    @property
    def label_count(self) -> int:
        """Number of classes that the network can be asked for; 0 for an unconditional one."""
        return self.network.config.classes


def make_diffusion(config: TrainConfig, spread: Spread = EVEN) -> Diffusion:
    """The forward process and loss that a config describes, with what a learned schedule has learned."""
    schedule = make_schedule(config.schedule, config.timesteps, zero_terminal_snr=config.zero_terminal_snr, spread=spread)
    return Diffusion(schedule, config.objective, config.weighting, config.t_sampling, config.learn_variance)
