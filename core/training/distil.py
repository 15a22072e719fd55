"""Distilling: a student learns to draw in one or two evaluations what its teacher draws in several.

Noises are paired with the pictures that the teacher makes of them without a random number (reflow, Liu et al. 2022), and the
student learns the straight way between the two, half of the time from its very beginning, where one evaluation has to do. What a
mean over pictures would blur, a critic that knows real pictures demands (Lin et al. 2025, without its long course).
"""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import images
from core.compute.device import Compute
from core.compute.distributed import ProcessGroup
from core.compute.seeds import generator_for
from core.config import OF_TEACHER, SampleConfig, TrainConfig, without_teachers
from core.data.datasets import ImageSet
from core.diffusion.generate import timesteps_for, told, walk
from core.diffusion.model import Model
from core.diffusion.variance import split_variance
from core.errors import UserError
from core.files import user_path
from core.network.critic import Critic, steepness
from core.runs.checkpoint import config_of, load_checkpoint
from core.runs.folder import run_folder_of
from core.runs.models import require_model
from core.training.events import Drawn
from core.training.state import TrainState
from core.training.steps import Gradient, Stepper, by_quartile

FRESH = 16
"""Pairs that are drawn anew for each step; a batch holds each of them several times over its life."""
MOST_PAIRS = 8192
"""The newest of them, of which a batch is taken; fewer where they are more than MOST_BYTES."""
MOST_BYTES = 1 << 29
EVALUATIONS = 4
"""Of the teacher for a picture."""
REAL = 0.25
"""How hard the critic pulls at the pictures, of how hard the squared error does; by a fixed weight it would pull ever harder."""
SMOOTH, EVERY, SHIFT = 0.01, 2, 0.05
"""Weight of the critic's steepness, every how many steps it is looked at, and how far its pictures are shifted for that."""


def with_teacher(config: TrainConfig) -> tuple[TrainConfig, dict[str, Any] | None]:
    """The config of a new run with what is its teacher's, and the teacher's checkpoint; without a teacher as it is, and None.

    Of a folder of pictures, and of the folder of the data sets, the config may say where they lie now. Raises UserError.
    """
    if not config.teacher:
        return config, None
    path = user_path(config.teacher)
    require_model(path)
    if run_folder_of(path.resolve()) == user_path(config.output_dir).resolve():
        raise UserError(
            f"{config.output_dir} is the folder of the teacher's own run; choose another --output-dir for its student"
        )
    teacher = load_checkpoint(path)
    own = config_of(teacher)
    if own.teacher:
        raise UserError(f"{config.teacher} is distilled itself; give what it was distilled from, {own.teacher}")
    fields = {name: getattr(own, name) for name in OF_TEACHER}
    fields["data_dir"] = config.data_dir or (own.data_dir if Path(own.data_dir).is_dir() else "")
    if own.dataset.startswith("folder:") and config.dataset.startswith("folder:"):
        fields["dataset"] = config.dataset
    return TrainConfig.of(**(config.to_dict() | fields)), teacher


def as_taught(given: dict[str, Any]) -> TrainConfig:
    """The config of a new run with a teacher, by the fields that were given. Raises UserError also for one of these that the
    teacher has otherwise."""
    config, _ = with_teacher(TrainConfig.of(**without_teachers(given)))
    for name in OF_TEACHER:
        if name in given and name != "data_dir" and given[name] != getattr(config, name):
            flag = "--" + name.replace("_", "-")
            raise UserError(f"{flag} is the teacher's, {getattr(config, name)}, in a run that distils it; leave {flag} out")
    return config


class Pairs:
    """Noises and what the teacher makes of them: pair k is a function of (seed, k), so none is saved. Step n has the newest
    of the first (n + 1) FRESH."""

    def __init__(self, teacher: Model, seed: int, compute: Compute) -> None:
        self.teacher = teacher
        self.seed = seed
        self.compute = compute
        asked = SampleConfig(num_images=FRESH, sampler="unipc", steps=min(EVALUATIONS, teacher.config.timesteps))
        self.options = asked.resolve(*teacher.known)
        self.most = max(FRESH, min(MOST_PAIRS, MOST_BYTES // math.prod(teacher.shape)) // FRESH * FRESH)
        self._drawn: dict[int, Tensor] = {}

    def span(self, step: int) -> range:
        """The numbers of the pairs of a step."""
        end = FRESH * (step + 1)
        return range(max(0, end - self.most), end)

    def missing(self, step: int) -> list[int]:
        """The first numbers of those, FRESH at a time, that are yet to be drawn."""
        span = self.span(step)
        self._drawn = {first: kept for first, kept in self._drawn.items() if first in span}
        return [first for first in span[::FRESH] if first not in self._drawn]

    def draw(self, first: int) -> None:
        """Let the teacher make the pictures of FRESH pairs from the first on."""
        numbers = range(first, first + FRESH)
        teacher, options = self.teacher, self.options
        denoise = told(teacher, options, self._classes(numbers), self.compute)
        steps = timesteps_for(teacher, options)
        *_, last = walk(teacher, options, self.compute, self._noises(numbers), denoise, _none, steps)
        self._drawn[first] = torch.from_numpy(images.to_uint8(last.x))

    def at(self, numbers: list[int]) -> tuple[Tensor, Tensor, Tensor | None]:
        """x_0 and noise (N, C, H, W), and the labels (N,) of a model with classes."""
        pictures = torch.stack([self._drawn[k - k % FRESH][k % FRESH] for k in numbers])
        x0 = images.to_float(pictures.to(self.compute.device)).contiguous(memory_format=torch.channels_last)
        classes = self._classes(numbers)
        return x0, self._noises(numbers), torch.tensor(classes, device=x0.device) if classes else None

    def _noises(self, numbers: range | list[int]) -> Tensor:
        drawn = [torch.randn(self.teacher.shape, generator=generator_for("cpu", self.seed, "pair", k)) for k in numbers]
        return torch.stack(drawn).to(self.compute.device).contiguous(memory_format=torch.channels_last)

    def _classes(self, numbers: range | list[int]) -> list[int]:
        count = self.teacher.label_count
        return [k % count for k in numbers] if count else []


def _none() -> Tensor:
    raise AssertionError("a sampler that adds no noise asked for some")


class Distiller(Stepper):
    """The steps of a run that has a teacher."""

    def __init__(
        self, config: TrainConfig, data: ImageSet, state: TrainState, compute: Compute, processes: ProcessGroup | None = None
    ) -> None:
        assert state.teacher is not None and state.critic is not None
        super().__init__(config, data, state, compute, processes)
        self.critic: Critic = state.critic
        own = dataclasses.replace(config, teacher="")
        self.pairs = Pairs(Model(state.teacher, state.diffusion, own, data.classes, 0, state.ema.early), config.seed, compute)

    def prepare(self) -> Iterator[Drawn]:
        """Draw the pairs of the present step that are yet to be drawn, where they are more than a step's own: after a resume."""
        missing = self.pairs.missing(self.state.step)[:-1]
        for done, first in enumerate(missing, 1):
            self.pairs.draw(first)
            yield Drawn(done * FRESH, len(missing) * FRESH)

    def gradient(self) -> Gradient:
        """The gradient of both, each left in its network, the student's clipped; what is told is the student's squared error."""
        self.critic.zero_grad(set_to_none=True)  # of a step that came to nothing
        for first in self.pairs.missing(self.state.step):
            self.pairs.draw(first)
        state, config = self.state, self.config
        real, real_labels, generator = self.batches.at(state.step)
        span = self.pairs.span(state.step)
        numbers = torch.randint(span.start, span.stop, (config.batch_size,), generator=generator, device=generator.device)
        x0, noise, labels = self.pairs.at(numbers.tolist())
        last = self.diffusion.schedule.timesteps - 1
        t = torch.randint(last + 1, (config.batch_size,), generator=generator, device=generator.device)
        t[: config.batch_size // 2] = last
        x_t = self.diffusion.q_sample(x0, t, noise)
        state.network.train()
        with self._drawing(), self.compute.autocast():
            output = split_variance(self.network(x_t, t, labels).float(), config.learn_variance)[0]
        losses = (output - self.diffusion.target(x0, t, noise)).square().flatten(1).mean(1)
        drawn = self.diffusion.to_x0(output, x_t, t)
        none = torch.full_like(t, state.network.null_label)
        of_drawn, of_real = (none if each is None else each for each in (labels, real_labels))
        looks = self._criticize(real, of_real, drawn.detach(), of_drawn, generator)
        nearer = _slope(losses.mean(), output)
        realer = _slope(F.softplus(looks - self.critic(drawn, of_drawn)).mean(), output)
        output.backward(nearer + REAL * nearer.norm() / realer.norm().clamp(min=1e-12) * realer)
        losses = losses.detach()
        norm = nn.utils.clip_grad_norm_(state.network.parameters(), config.grad_clip or math.inf)
        return Gradient(losses.mean(), norm, by_quartile(losses, t, config.timesteps))

    def _criticize(self, real: Tensor, of_real: Tensor, drawn: Tensor, of_drawn: Tensor, generator: torch.Generator) -> Tensor:
        """Leave the gradient of the relativistic loss in the critic (Jolicoeur-Martineau 2018; Huang et al. 2024); what it says
        of the real pictures, (N,)."""
        looks: Tensor = self.critic(real, of_real)
        seen: Tensor = self.critic(drawn, of_drawn)
        loss = F.softplus(seen - looks).mean()
        if self.state.step % EVERY == 0:
            for x, labels, said in ((real, of_real, looks), (drawn, of_drawn, seen)):
                shifts = SHIFT * torch.randn(x.shape, generator=generator, device=x.device)
                loss = loss + EVERY * SMOOTH * steepness(self.critic, x, labels, shifts, said)
        loss.backward()
        return looks.detach()

    def _learn(self) -> None:
        """A learned schedule stays as the teacher has it."""


def _slope(value: Tensor, output: Tensor) -> Tensor:
    """The gradient of a scalar by the network's output, like it; nothing is left anywhere."""
    (slope,) = torch.autograd.grad(value, output, retain_graph=True)
    return slope


def stepper(
    config: TrainConfig, data: ImageSet, state: TrainState, compute: Compute, processes: ProcessGroup | None = None
) -> Stepper:
    """What takes the steps of a run, with a teacher or without. Raises UserError for several processes with a teacher."""
    if config.teacher and processes is not None and processes.size > 1:
        raise UserError("a model is distilled by one process; start it without torchrun")
    return (Distiller if config.teacher else Stepper)(config, data, state, compute, processes)
