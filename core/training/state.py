"""Everything that changes while a run trains, and how it goes into a checkpoint and comes back."""

import math
from pathlib import Path
from typing import Any

import torch

from core.config import TrainConfig
from core.data.datasets import ImageSet
from core.errors import UserError
from core.names import NETWORKS
from core.network.muon import Muon
from core.network.unet import UNet
from core.runs.checkpoint import build_network, describe_network, is_whole
from core.runs.folder import now
from core.training.ema import EMA

TALLY = 10  # sums since the last line of metrics: loss, gradient norm, loss by quarter of t (4), images by quarter of t (4)


def make_optimizer(config: TrainConfig, network: UNet) -> torch.optim.Optimizer:
    """AdamW, or Muon for the kernels inside the network (its output and the embeddings stay with AdamW)."""
    if config.optimizer == "adamw":
        fused = network.out.weight.device.type in ("cpu", "cuda")
        return torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=fused)
    plain = [network.out.weight, *network.time.parameters(), *(network.label.parameters() if network.label else ())]
    return Muon(network.parameters(), plain, config.lr, config.weight_decay)


class TrainState:
    """Weights, their average, the optimizer and the counters. Randomness and the data's order follow from (seed, step)."""

    def __init__(self, config: TrainConfig, data: ImageSet, device: torch.device) -> None:
        classes = len(data.classes) if config.conditional else 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = NETWORKS[config.model].load()(data.side, data.channels, classes, config.learn_variance)
        self.classes = data.classes
        self.network: UNet = network.to(device, memory_format=torch.channels_last)
        self.ema = EMA(self.network, config.ema_decay)
        self.optimizer = make_optimizer(config, self.network)
        self.step = 0
        self.ended_epochs = 0  # epochs whose samples and checkpoint are done too
        self.seconds = 0.0
        self.lr_factor = 1.0
        self.started = now()
        self.tally = torch.zeros(TALLY, device=device)
        self.epoch_loss = torch.zeros((), device=device)

    def content(self, config: TrainConfig) -> dict[str, Any]:
        """The entries of a checkpoint."""
        return {
            "config": config.to_dict(),
            "network": describe_network(self.network),
            "classes": list(self.classes),
            "step": self.step,
            "model": self.network.state_dict(),
            "ema": self.ema.network.state_dict(),
            "ema_updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "tally": self.tally,
            "epoch_loss": self.epoch_loss,
            "ended_epochs": self.ended_epochs,
            "seconds": self.seconds,
            "lr_factor": self.lr_factor,
            "started": self.started,
        }

    def restore(self, saved: dict[str, Any], path: Path) -> None:
        """Take everything from a checkpoint. Raises UserError when it does not fit."""
        for weights in ("model", "ema"):
            build_network(saved["network"], saved[weights], path)
        if saved["network"] != describe_network(self.network):
            raise UserError(f"{path} holds a network of another shape than this run's; use --overwrite or another --output-dir")
        try:
            counters = [int(saved["ema_updates"]), int(saved["ended_epochs"])]
            times = [float(saved[name]) for name in ("seconds", "lr_factor", "started")]
            if not all(map(math.isfinite, times)) or counters[0] < 0:
                raise ValueError("no numbers")
            self.optimizer.load_state_dict(self._optimizer_state(**saved["optimizer"]))
            self.tally.copy_(saved["tally"])
            self.epoch_loss.copy_(saved["epoch_loss"])
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise UserError(
                f"{path} holds a model but no whole resume point; resume from another checkpoint that train wrote"
            ) from error
        self.network.load_state_dict(saved["model"])
        self.ema.network.load_state_dict(saved["ema"])
        self.step = saved["step"]
        self.ema.updates, self.ended_epochs = counters
        self.seconds, self.lr_factor, self.started = times

    def _optimizer_state(self, state: dict[int, dict[str, Any]], param_groups: list[dict[str, Any]]) -> dict[str, Any]:
        """The saved state of each parameter, once it fits the parameter, in this run's own groups. Raises ValueError."""
        owners = [(p, group) for group in self.optimizer.param_groups for p in group["params"]]
        for index, entries in state.items():
            parameter, group = owners[index]
            if set(entries) != _state_names(group):
                raise ValueError("another optimizer's")
            for name, value in entries.items():
                if name == "step" and float(value) < 1:
                    raise ValueError("no step was taken")
                if name != "step" and not (is_whole(value) and value.shape == parameter.shape):
                    raise ValueError("another network's")
        own = self.optimizer.state_dict()["param_groups"]
        for group, saved in zip(own, param_groups, strict=True):
            group["lr"] = float(saved["lr"])
        return {"state": state, "param_groups": own}


def _state_names(group: dict[str, Any]) -> set[str]:
    """What an optimizer of ours keeps for a parameter of this group."""
    if "kernels" not in group:
        return {"step", "exp_avg", "exp_avg_sq"}
    return {"momentum"} if group["kernels"] else {"step", "mean", "square"}
