"""Everything that changes while a run trains, and how it goes into a checkpoint and comes back."""

import copy
import math
from pathlib import Path
from typing import Any

import torch

from core.compute.seeds import seeded
from core.config import TrainConfig
from core.data.datasets import ImageSet
from core.diffusion.learned import BINS, LearnedSchedule
from core.diffusion.model import make_diffusion
from core.errors import UserError
from core.extend.needs import needed
from core.network.build import build
from core.network.critic import Critic
from core.network.muon import Muon, muon_and_adamw
from core.network.own import AnyNetwork
from core.runs.checkpoint import MOST_FACTOR, describe_network
from core.runs.folder import now
from core.training.ema import EMA

TALLY = 10  # sums since the last line of metrics: loss, gradient norm, loss by quarter of t (4), images by quarter of t (4)

CRITIC_BETAS = (0.0, 0.99)
"""Of its Adam: a game of two wants no momentum (Karras et al. 2018)."""


def make_optimizers(config: TrainConfig, network: AnyNetwork) -> tuple[torch.optim.Optimizer, ...]:
    """AdamW, or Muon for the kernels inside the network (its output and the embeddings stay with AdamW)."""
    if config.optimizer == "adamw":
        fused = next(network.parameters()).device.type in ("cpu", "cuda")
        return (torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=fused),)
    return muon_and_adamw(network.parameters(), network.plain_parameters(), config.lr, config.weight_decay)


class TrainState:
    """Weights, their average, the optimizers and the counters. Randomness and the data's order follow from (seed, step).

    `teacher` is the checkpoint whose averaged weights a new run with a teacher takes up, as that and as its own to begin with;
    its early weights guide that teacher and nothing else. Raises UserError when its network is another one.
    """

    def __init__(self, config: TrainConfig, data: ImageSet, device: torch.device, teacher: dict[str, Any] | None = None) -> None:
        classes = data.condition_classes if config.conditional else 0
        with seeded(config.seed):
            network = build(config, data.size, data.channels, classes)
        self.classes = data.classes
        self.fingerprint = data.fingerprint
        self.own_files = needed(config)  # as they were read now, whatever is made of them later
        self.network: AnyNetwork = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.ema = EMA(self.network, config.ema_decay)
        self.optimizers = make_optimizers(config, self.network)
        self.diffusion = make_diffusion(config)
        self.teacher: AnyNetwork | None = None
        self.critic: Critic | None = None
        if config.teacher:
            with seeded(config.seed):
                self.critic = Critic(data.channels, data.size, classes).to(device)
            self.teacher = copy.deepcopy(self.network).eval().requires_grad_(False)
            adamw = torch.optim.AdamW(self.critic.parameters(), config.lr, CRITIC_BETAS, weight_decay=0.0, foreach=True)
            self.optimizers = (*self.optimizers, adamw)
        self.step = 0
        self.ended_epochs = 0  # epochs whose samples and checkpoint are done too
        self.seconds = 0.0
        self.lr_factor = 1.0
        self.started = now()
        self.tally = torch.zeros(TALLY, device=device)
        self.epoch_loss = torch.zeros((), device=device)
        self.errors = torch.zeros(2, BINS, device=device)  # of x_0, for a learned schedule
        if teacher:
            self._learn_from(teacher, config.teacher)

    @property
    def spread(self) -> tuple[float, ...]:
        """What a learned schedule is at this moment; empty for another one."""
        schedule = self.diffusion.schedule
        return schedule.spread if isinstance(schedule, LearnedSchedule) else ()

    def content(self, config: TrainConfig) -> dict[str, Any]:
        """The entries of a checkpoint."""
        more: dict[str, Any] = {"spread": list(self.spread), "errors": self.errors} if self.spread else {}
        if self.ema.early is not None:
            more |= {"early": self.ema.early.state_dict()}
        if self.teacher is not None and self.critic is not None:
            more |= {"teacher": self.teacher.state_dict(), "critic": self.critic.state_dict()}
        return more | {
            "config": config.to_dict(),
            "network": describe_network(self.network),
            "classes": list(self.classes),
            "fingerprint": self.fingerprint,
            "extend": self.own_files,
            "step": self.step,
            "model": self.network.state_dict(),
            "ema": self.ema.network.state_dict(),
            "ema_updates": self.ema.updates,
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "tally": self.tally,
            "epoch_loss": self.epoch_loss,
            "ended_epochs": self.ended_epochs,
            "seconds": self.seconds,
            "lr_factor": self.lr_factor,
            "started": self.started,
        }

    def _learn_from(self, saved: dict[str, Any], path: str) -> None:
        if saved["network"] != describe_network(self.network):
            raise UserError(f"{path} was trained on pictures of another size or with other classes than these; check --data-dir")
        for network in filter(None, (self.teacher, self.network, self.ema.network)):
            network.load_state_dict(saved["ema"])
        self.ema.take_early(saved.get("early"))
        if isinstance(self.diffusion.schedule, LearnedSchedule):
            self.diffusion.schedule.take(tuple(saved["spread"]))

    def is_finite(self) -> bool:
        """Whether every number that a checkpoint would hold is one."""
        networks = filter(None, (self.network, self.ema.network, self.ema.early, self.critic))
        held = [self.tally, self.epoch_loss, self.errors, *(weights for network in networks for weights in network.parameters())]
        held += [value for optimizer in self.optimizers for own in optimizer.state.values() for value in own.values()]
        whole = [value.isfinite().all().to(self.tally.device) for value in held if isinstance(value, torch.Tensor)]
        return bool(torch.stack(whole).all())

    def restore(self, saved: dict[str, Any], path: Path) -> None:
        """Take everything from a checkpoint. Raises UserError when it does not fit."""
        if saved["network"] != describe_network(self.network):
            raise UserError(f"{path} holds a network of another shape than this run's; use --overwrite or another --output-dir")
        try:
            states = [_fitting_state(own, **state) for own, state in zip(self.optimizers, saved["optimizers"], strict=True)]
            counters = [saved[name] for name in ("ema_updates", "ended_epochs", "seconds", "lr_factor", "started")]
            sums = [(self.tally, saved["tally"]), (self.epoch_loss, saved["epoch_loss"])]
            sums += [(self.errors, saved["errors"])] if self.spread else []
            if self.critic is not None and self.teacher is not None:
                sums += [(own, saved["critic"][name]) for name, own in self.critic.state_dict().items()]
                sums += [(own, saved["teacher"][name]) for name, own in self.teacher.state_dict().items()]
            if any(own.shape != value.shape for own, value in sums):
                raise ValueError("other sums")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise UserError(
                f"{path} holds a model but no whole resume point; resume from another checkpoint that train wrote"
            ) from error
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        for own, value in sums:
            own.copy_(value)
        if isinstance(self.diffusion.schedule, LearnedSchedule):
            self.diffusion.schedule.take(tuple(saved["spread"]))
        self.network.load_state_dict(saved["model"])
        self.ema.network.load_state_dict(saved["ema"])
        self.step = saved["step"]
        self.ema.updates, self.ended_epochs, self.seconds, self.lr_factor, self.started = counters
        self.ema.take_early(saved.get("early"))

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate, on top of its schedule."""
        self.lr_factor = min(self.lr_factor * factor, MOST_FACTOR)


def _fitting_state(
    optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Any]], param_groups: list[dict[str, Any]]
) -> dict[str, Any]:
    """The saved state of each parameter, once it fits the parameter, in the optimizer's own groups. Raises ValueError."""
    owners = [p for group in optimizer.param_groups for p in group["params"]]
    names = {"momentum"} if isinstance(optimizer, Muon) else {"step", "exp_avg", "exp_avg_sq"}
    if state and (set(map(type, state)) != {int} or state.keys() != set(range(len(owners)))):
        raise ValueError("another network's")
    for index, entries in state.items():
        if set(entries) != names:
            raise ValueError("another optimizer's")
        if any(value.shape != owners[index].shape for name, value in entries.items() if name != "step"):
            raise ValueError("another network's")
    own = optimizer.state_dict()["param_groups"]
    if len(own) != len(param_groups):
        raise ValueError("another optimizer's")
    for group, before in zip(own, param_groups, strict=True):
        if type(before) is not dict or type(before.get("lr")) is not float or not 0 <= before["lr"] < math.inf:
            raise ValueError("another optimizer's")
        group["lr"] = before["lr"]  # set anew before every step: a run that has none left ends with the same checkpoint
    return {"state": state, "param_groups": own}
