"""The network of the judge and its training: a small classifier of the data set's own classes, or of quarter turns without them.

Where a set has fewer than two classes the network is told to say by which of four quarter turns a picture was turned (RotNet,
Gidaris et al. 2018, "Unsupervised Representation Learning by Predicting Image Rotations", arXiv:1803.07728). Who can say it has
found out what stands where in these pictures, without a label; and network, training and features are the same ones.
"""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.compute.seeds import generator_for, seeded
from core.data.datasets import ImageSet
from core.images import to_float
from core.network.muon import muon_and_adamw

FEATURES = 128
BATCH, IMAGES_SEEN = 128, 240_000
PEAK_LR, WEIGHT_DECAY, WARMUP, AVERAGE = 5e-3, 0.01, 50, 0.99
TURNS = 4
"""Quarter turns that a judge without classes tells apart: by 0, 90, 180 and 270 degrees."""
MOST_PASSES = 30  # of them: a few pictures seen more often are known by heart, and real ones no more told from spoilt ones


class Classifier(nn.Module):
    """Images (N, C, S, S) in [-1, 1] -> features (N, 128) -> logits (N, classes).

    It works at half the side and less: full-size layers would cost most of the time and add nothing on small pictures.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_block(channels, 32, kernel=6, stride=2),
            *_block(32, 64),
            nn.MaxPool2d(2),
            *_block(64, 128),
            *_block(128, FEATURES),
        )
        self.head = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """The mean of the last layer over the image, (N, 128); never negative."""
        return torch.as_tensor(self.body(x)).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, classes)."""
        return torch.as_tensor(self.head(self.features(x)))

    @torch.no_grad()
    def scale_features(self, factor: float) -> None:
        """Multiply the features and leave the logits as they are."""
        norm = self.body[-2]
        assert isinstance(norm, nn.BatchNorm2d)
        norm.weight.mul_(factor)  # ReLU and mean let a factor through
        norm.bias.mul_(factor)
        self.head.weight.div_(factor)


def new_classifier(channels: int, classes: int) -> Classifier:
    """An untrained network, always the same; the random numbers of others go on as if nothing was."""
    with seeded(0):
        return Classifier(channels, classes)


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


class Learner:
    """A classifier on its way, a step at a time: Muon, the learning rate falling to 0, every image bent anew each time.

    What `state` gives, `load` takes up again, and from there on everything is as if there had been no break.
    """

    def __init__(self, data: ImageSet, device: torch.device) -> None:
        self.data = data
        self.device = device
        self.network = _on(device, new_classifier(data.channels, data.condition_classes or TURNS))
        self.averaged = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.step = 0
        self.batch = min(BATCH, len(data))
        seen = IMAGES_SEEN if data.condition_classes else min(IMAGES_SEEN, MOST_PASSES * len(data))
        self.total = max(1, seen // self.batch)
        self._averages, self._weights = (  # of the running means and variances of BatchNorm too
            [value for value in n.state_dict().values() if value.is_floating_point()] for n in (self.averaged, self.network)
        )
        muon, adamw = muon_and_adamw(self.network.parameters(), self.network.head.parameters(), PEAK_LR, WEIGHT_DECAY)
        self._optimizers: dict[str, torch.optim.Optimizer] = {"muon": muon, "adamw": adamw}
        self._generator = generator_for("cpu", "judge", data.name)
        self._order = torch.empty(0, dtype=torch.int64)

    def advance(self) -> None:
        """One step."""
        data, step = self.data, self.step
        if len(self._order) < self.batch:
            self._order = torch.randperm(len(data), generator=self._generator)
        index, self._order = self._order[: self.batch], self._order[self.batch :]
        x, labels = to_float(data.images[index]), data.labels[index]
        if data.condition_classes:
            x = bent(x, self._generator, mirror=data.mirrored)
        else:  # bent after the turn, which would show in the bend else
            x, labels = turned(x, self._generator, mirror=data.mirrored)
            x = bent(x, self._generator)
        logits = self.network(x.to(self.device).contiguous(memory_format=torch.channels_last))
        F.cross_entropy(logits, labels.to(self.device)).backward()
        warmup = max(1, min(WARMUP, self.total // 10))
        for optimizer in self._optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LR * min(1, (step + 1) / warmup) * (1 - step / self.total)
            optimizer.step()
        self.network.zero_grad()
        torch._foreach_lerp_(self._averages, self._weights, 1 - min(AVERAGE, (1 + step) / (10 + step)))
        self.step += 1

    def state(self) -> dict[str, Tensor]:
        """All that the next step depends on, as tensors by name."""
        parts = {"network": self.network.state_dict(), "averaged": self.averaged.state_dict()}
        for name, optimizer in self._optimizers.items():
            for number, moments in optimizer.state_dict()["state"].items():
                parts[f"{name}.{number}"] = moments
        state = {f"{part}.{name}": value.detach().cpu() for part, values in parts.items() for name, value in values.items()}
        counts = {"step": torch.tensor(self.step), "order": self._order, "generator": self._generator.get_state()}
        return state | counts

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from what another's `state` gave, before the first step. Raises ValueError for what is no such state."""
        if {name: (v.shape, v.dtype) for name, v in state.items() if name != "order"} != self._shapes():
            raise ValueError("the state of another network")
        step, order = int(state["step"]), state["order"]
        if not 0 < step <= self.total or order.dim() != 1 or order.dtype != torch.int64 or len(order) > len(self.data):
            raise ValueError("no place in this training")
        if len(order) and not 0 <= int(order.min()) <= int(order.max()) < len(self.data):
            raise ValueError("images that are not there")
        if not all(value.isfinite().all() for value in state.values() if value.is_floating_point()):
            raise ValueError("no numbers")

        def part(prefix: str) -> dict[str, Tensor]:
            found = ((name.removeprefix(f"{prefix}."), v) for name, v in state.items() if name.startswith(f"{prefix}."))
            return {name: v.contiguous(memory_format=torch.channels_last) if v.dim() == 4 else v for name, v in found}

        try:
            self._generator.set_state(state["generator"])
        except RuntimeError as error:
            raise ValueError("no state of a generator") from error
        self.network.load_state_dict(part("network"))
        self.averaged.load_state_dict(part("averaged"))
        for name, optimizer in self._optimizers.items():
            count = sum(len(group["params"]) for group in optimizer.param_groups)
            moments = {number: part(f"{name}.{number}") for number in range(count)}
            optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
        self.step, self._order = step, order

    def _shapes(self) -> dict[str, tuple[torch.Size, torch.dtype]]:
        """Of what `state` gives after a step, all but the order."""
        known = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        known |= {f"averaged.{name}": value for name, value in self.averaged.state_dict().items()}
        known |= {"step": torch.tensor(0), "generator": self._generator.get_state()}
        for name, optimizer in self._optimizers.items():
            for number, p in enumerate(p for group in optimizer.param_groups for p in group["params"]):
                moments = ("momentum",) if name == "muon" else ("exp_avg", "exp_avg_sq")
                known |= {f"{name}.{number}.{moment}": p for moment in moments}
                known |= {f"{name}.{number}.step": torch.tensor(0.0)} if name == "adamw" else {}
        return {name: (value.shape, value.dtype) for name, value in known.items()}


def _on(device: torch.device, network: Classifier) -> Classifier:
    return network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Fitting:
    """The judge learns: `step` of `total` are done, the rest takes about `eta_seconds`."""

    step: int
    total: int
    eta_seconds: float


def fit(learner: Learner) -> Iterator[Fitting]:
    """Take the steps that are left, an event each; the averaged network is the classifier then."""
    first, spent = learner.step, 0.0
    while learner.step < learner.total:
        started = time.monotonic()
        learner.advance()
        spent += time.monotonic() - started
        yield Fitting(learner.step, learner.total, spent / (learner.step - first) * (learner.total - learner.step))


def bent(x: Tensor, generator: torch.Generator, *, mirror: bool = False) -> Tensor:
    """Images (N, C, S, S), each turned by up to 10 degrees, scaled and slanted by up to a tenth, shifted by up to 2 pixels."""

    def within(limit: float) -> Tensor:
        return (torch.rand(len(x), generator=generator) * 2 - 1) * limit

    angle, scale, slant, shift = within(math.radians(10)), 1 + within(0.1), within(0.1), 4 / x.shape[-1]
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    across = torch.stack([cosine, slant - sine, within(shift)], 1)
    down = torch.stack([sine, cosine, within(shift)], 1)
    if mirror:
        across[:, :2] *= within(1).sign()[:, None]
    grid = F.affine_grid(torch.stack([across, down], 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def turned(x: Tensor, generator: torch.Generator, *, mirror: bool = False) -> tuple[Tensor, Tensor]:
    """Squares (N, C, S, S) out of images (N, C, H, W), S their shorter side, each turned by some quarters: these are int64 (N,).

    Of an oblong the square lies anywhere along it: turned whole, its shape would give the turn away. Half are mirrored first,
    where images may be; mirrored after the turn, one by 90 degrees would look like one by 270.
    """
    side = min(x.shape[2:])
    top, left = (int(torch.randint(length - side + 1, (), generator=generator)) for length in x.shape[2:])
    squares = x[:, :, top : top + side, left : left + side].clone()
    if mirror:
        chosen = torch.rand(len(x), generator=generator) < 0.5
        squares[chosen] = squares[chosen].flip(3)
    quarters = torch.randint(TURNS, (len(x),), generator=generator)
    for number in range(1, TURNS):
        squares[quarters == number] = squares[quarters == number].rot90(number, (2, 3))
    return squares, quarters


def turned_all_ways(x: Tensor) -> tuple[Tensor, Tensor]:
    """The middle squares of images (N, C, H, W), each turned by 0 to 3 quarters, (4 N, C, S, S); and these, int64 (4 N,)."""
    side = min(x.shape[2:])
    top, left = ((length - side) // 2 for length in x.shape[2:])
    squares = x[:, :, top : top + side, left : left + side]
    quarters = torch.arange(TURNS, device=x.device).repeat_interleave(len(x))
    return torch.cat([squares.rot90(number, (2, 3)) for number in range(TURNS)]), quarters
