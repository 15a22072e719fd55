"""What a run does beside its steps, on a clock and within a share of its time: the loss on images held out, and the pictures that
the same few noises become. Neither touches the random numbers of the training."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from core import images
from core.compute.device import Compute
from core.compute.seeds import generator_for
from core.config import SampleConfig, TrainConfig
from core.data.datasets import ImageSet, open_split
from core.diffusion.generate import classes_drawn, generate
from core.diffusion.model import Model
from core.diffusion.process import Diffusion
from core.errors import UserError
from core.network.own import AnyNetwork
from core.training.events import HeldOut, Preview
from core.training.steps import Stepper, by_quartile

SHARE_HELD_OUT, SHARE_PREVIEWS = 0.01, 0.02
"""Of the time of a training."""
HELD_OUT = 256  # images; at 256 the loss of another batch differs by about 2 %
FINE = 256  # draws of t for one that is taken: their quantiles
PREVIEWS, EVALUATIONS = 10, 4


class Allowance:
    """When something may be done that costs time: so that all of it takes at most `share` of the seconds trained in this session,
    and at the earliest `every` seconds after the last time."""

    def __init__(self, share: float, every: float) -> None:
        self.share = share
        self.every = every
        self.spent = 0.0
        self._cost: float | None = None
        self._last = 0.0

    def due(self, trained: float, guess: float) -> bool:
        """Whether it may be done now, if it costs what it cost last time (before the first time: what is guessed)."""
        cost = guess if self._cost is None else self._cost
        return trained >= self._last + self.every and self.spent + cost <= self.share * trained

    def done(self, trained: float, cost: float) -> None:
        """It was done, and took `cost` of the seconds trained."""
        self._cost, self._last = cost, trained
        self.spent += cost


class HeldOutLoss:
    """The training's loss on a fixed batch of images that it does not see, evenly over their classes (each several times where
    they are few), at noise levels spread as the training draws them, with fixed noises and as many hidden labels: the same for
    every run with these settings."""

    def __init__(self, config: TrainConfig, held_out: ImageSet, diffusion: Diffusion, device: torch.device) -> None:
        self.diffusion = diffusion
        self.batch_size = config.batch_size
        generator = generator_for("cpu", "held out")
        order = evenly(held_out.labels, generator)
        chosen = order.repeat(-(-HELD_OUT // len(order)))[:HELD_OUT]  # few images, each at several noise levels
        count = len(chosen)
        self.x0 = images.to_float(held_out.images[chosen]).to(device, memory_format=torch.channels_last)
        t = diffusion.draw_t(count * FINE, generator).sort().values[FINE // 2 :: FINE]
        self.t = t[torch.randperm(count, generator=generator)].to(device)
        self.noise = torch.randn(self.x0.shape, generator=generator).to(device)
        self.labels: Tensor | None = None
        if config.conditional and held_out.condition_classes:
            hidden = torch.rand(count, generator=generator) < config.label_dropout
            self.labels = held_out.labels[chosen].masked_fill(hidden, len(held_out.classes)).to(device)

    @torch.inference_mode()
    def measure(self, network: AnyNetwork, compute: Compute) -> tuple[float, tuple[float | None, ...]]:
        """The mean loss, and that by quarter of t (None where no image is)."""
        training = network.training
        network.eval()
        losses = []
        for part in torch.arange(len(self.t)).split(self.batch_size):
            labels = None if self.labels is None else self.labels[part]
            with compute.autocast():
                losses.append(self.diffusion.loss(network, self.x0[part], self.t[part], self.noise[part], labels))
        network.train(training)
        whole = torch.cat(losses)
        sums, counts = by_quartile(whole, self.t, self.diffusion.schedule.timesteps).tolist()
        quarters = tuple(total / count if count else None for total, count in zip(sums, counts, strict=True))
        return whole.mean().item(), quarters


def evenly(labels: Tensor, generator: torch.Generator) -> Tensor:
    """The indices of `labels` (N,) in random order, but so that the first k are as evenly of all classes as can be."""
    order = torch.randperm(len(labels), generator=generator)
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    place = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[by_class]]  # among those of its class
    return by_class[place.argsort(stable=True)]


class Aside:
    """What stands beside the steps of one session. `trained` tells the seconds of it so far."""

    def __init__(self, config: TrainConfig, data: ImageSet, stepper: Stepper, trained: Callable[[], float]) -> None:
        self.config = config
        self.data = data
        self.stepper = stepper
        self.state = stepper.state
        self._trained = trained
        self._previews = Allowance(SHARE_PREVIEWS, every=2.0)
        self._looks = Allowance(SHARE_HELD_OUT, every=2.0)
        self._held_out: HeldOutLoss | None = None
        self._nothing_held_out = bool(config.teacher)  # who has a teacher learns pictures of it, not those

    @property
    def share(self) -> float:
        """How much of the time went into it."""
        return (self._previews.spent + self._looks.spent) / max(self._trained(), 1e-9)

    def held_out(self) -> HeldOut | None:
        """The loss on images that are not trained on, by the weights that the loss of the training is of; None while it is not
        due. Raises UserError, once, where there are no such images."""
        if self._nothing_held_out or not self._looks.due(self._trained(), self._guess(HELD_OUT)):
            return None
        if self._held_out is None:
            self._held_out = self._opened()
        began = self._settled()
        loss, quartiles = self._held_out.measure(self.state.network, self.stepper.compute)
        now = self._settled()
        self._looks.done(now, now - began)
        return HeldOut(self.state.step, self.state.seconds, loss, quartiles) if math.isfinite(loss) else None

    def _opened(self) -> HeldOutLoss:
        config, self._nothing_held_out = self.config, True
        test = open_split(config, "test")
        if test.fingerprint == self.data.fingerprint:
            raise UserError(f"all pictures of {config.dataset} are trained on")
        self._nothing_held_out = False
        return HeldOutLoss(config, test, self.stepper.diffusion, self.stepper.compute.device)

    def preview_due(self) -> bool:
        return self._previews.due(self._trained(), self._guess(PREVIEWS * EVALUATIONS * (2 if self.config.conditional else 1)))

    def preview(self, model: Model) -> Preview:
        """The first PREVIEWS noises of the run's seed as pictures, in the time there is for it."""
        began = self._settled()
        try:
            return self.drawn(model)
        finally:
            now = self._settled()
            self._previews.done(now, now - began)

    def drawn(self, model: Model) -> Preview:
        """The same at any time, before the first step too: by a sampler that adds no noise of its own."""
        steps = min(EVALUATIONS, model.config.timesteps)
        options = SampleConfig(num_images=PREVIEWS, sampler="unipc", steps=steps, seed=model.config.seed)
        if model.config.teacher:
            options = SampleConfig(num_images=PREVIEWS, seed=model.config.seed)
        *_, last = generate(model, options, self.stepper.compute)
        labels = tuple(classes_drawn(model, options))
        return Preview(self.state.step, self.state.seconds, last.frame.x.cpu(), labels)

    def _settled(self) -> float:
        """The seconds trained, when all that is queued on the device is done."""
        self.state.epoch_loss.item()
        return self._trained()

    def _guess(self, evaluations: int) -> float:
        """Seconds of so many evaluations of the network, which a step does and goes back through for every image of its batch."""
        return self.state.seconds / max(self.state.step, 1) / self.config.batch_size / 3 * evaluations
