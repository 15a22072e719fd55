"""The network of the judge and its training: a small classifier of the data set's own classes."""

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.compute.seeds import generator_for
from core.data.datasets import ImageSet
from core.images import to_float
from core.names import DATASETS
from core.network.muon import muon_and_adamw

FEATURES = 128
BATCH, IMAGES_SEEN = 128, 240_000
PEAK_LR, WEIGHT_DECAY, WARMUP, AVERAGE = 5e-3, 0.01, 50, 0.99


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Classifier(channels, classes)


def _block(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU()


@dataclass(frozen=True)
class Fitting:
    """The judge learns: `step` of `total` are done, the rest takes about `eta_seconds`."""

    step: int
    total: int
    eta_seconds: float


def fit(data: ImageSet, device: torch.device) -> Iterator[Fitting | Classifier]:
    """Train on a labelled set: an event a step, and the averaged network, in evaluation mode, as the last item.

    Muon, the learning rate falling to 0; every image is turned, scaled and shifted anew each time (`bent`).
    """
    network = new_classifier(data.channels, len(data.classes)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    averaged = copy.deepcopy(network).eval().requires_grad_(False)
    averages, weights = (  # of the running means and variances of BatchNorm too
        [value for value in n.state_dict().values() if value.is_floating_point()] for n in (averaged, network)
    )
    optimizers = muon_and_adamw(network.parameters(), network.head.parameters(), PEAK_LR, WEIGHT_DECAY)
    batch = min(BATCH, len(data))
    total = max(1, IMAGES_SEEN // batch)
    warmup = max(1, min(WARMUP, total // 10))
    generator = generator_for("cpu", "judge", data.name)
    order = torch.empty(0, dtype=torch.int64)
    started = time.monotonic()
    for step in range(total):
        if len(order) < batch:
            order = torch.randperm(len(data), generator=generator)
        index, order = order[:batch], order[batch:]
        x = bent(to_float(data.images[index]), generator, mirror=data.name in DATASETS and DATASETS[data.name].mirrored)
        logits = network(x.to(device).contiguous(memory_format=torch.channels_last))
        F.cross_entropy(logits, data.labels[index].to(device)).backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = PEAK_LR * min(1, (step + 1) / warmup) * (1 - step / total)
            optimizer.step()
        network.zero_grad()
        torch._foreach_lerp_(averages, weights, 1 - min(AVERAGE, (1 + step) / (10 + step)))
        yield Fitting(step + 1, total, (time.monotonic() - started) / (step + 1) * (total - step - 1))
    yield averaged


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
