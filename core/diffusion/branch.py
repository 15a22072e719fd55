"""A way out of noise that is left in the middle: x_t is painted, and two branches run on."""

from collections.abc import Callable, Generator
from itertools import chain, zip_longest

from torch import Tensor

from core.compute.device import Compute
from core.compute.seeds import SampleNoise
from core.config import SampleConfig
from core.diffusion.generate import classes_drawn, generate, timesteps_for, told, walk
from core.diffusion.model import Model
from core.diffusion.samplers import Frame
from core.diffusion.schedule import NoiseSchedule


def painted(frame: Frame, schedule: NoiseSchedule, paint: Tensor, where: Tensor) -> Tensor:
    """x_t with another picture under the same noise where the mask (H, W) is 1: x_t + a_t (paint - predicted x_0).

    paint: (C, H, W) or (1, H, W) in [-1, 1]. x_t = a x_0 + s epsilon with x_0 exchanged and epsilon kept.
    """
    a = schedule.point(frame.t)[0]
    return frame.x + where.to(frame.x) * a * (paint.to(frame.x) - frame.x0)


def branches(
    model: Model, options: SampleConfig, compute: Compute, at: int, paint: Callable[[Frame], Tensor]
) -> Generator[tuple[Frame, Frame], None, None]:
    """The frames that `generate` gives for these options, beside those of a branch that leaves it at evaluation `at` with
    paint(frame) for x_t. Before that both are the same; a branch that is done stays at its images.

    The first is generate's own iterator, so that painting changes no bit of it. The other starts its sampler anew at that t: one
    that remembers earlier predictions has none to remember, as those were of another way. Fresh noise is the same in both.
    """
    options = options.resolve(*model.known)
    untouched = generate(model, options, compute)
    try:
        for item in untouched:
            if item.frame.index == at or item.frame.t < 0:
                break
            yield item.frame, item.frame
        left = item.frame
        if left.t < 0:
            yield left, left
            return
        timesteps = timesteps_for(model, options)
        noise = SampleNoise(options.seed, 0, options.num_images, model.shape, compute.device)
        for _ in range(1 + at):  # x_T, and what the steps until here drew
            noise()
        denoise = told(model, options, classes_drawn(model, options), compute)
        rest = timesteps[timesteps.index(left.t) :]
        other = walk(model, options, compute, paint(left), denoise, noise, rest)
        first, second = left, left
        for mine, its in zip_longest(chain([item], untouched), other):
            first, second = first if mine is None else mine.frame, its or second
            yield first, second
    finally:
        untouched.close()
