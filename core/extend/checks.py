"""What a schedule, a network and a sampler of a person's own have to do, tried out when they are registered."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from core.errors import UserError

if TYPE_CHECKING:
    from core.diffusion.samplers import Frame
    from core.network.own import OwnNetwork

POINTS = 1000
START, END = 0.98, 0.05  # where alpha_bar has to begin above, and end below
_IMAGES, _SIDE, _CLASSES, _TIMESTEPS = 2, 28, 3, 100


def check_alpha_bar(alpha_bar: Callable[[float], Any]) -> None:
    """Raise UserError unless it falls from 1 to 0 over u = 0 .. 1."""
    values = []
    for i in range(POINTS + 1):
        given = alpha_bar(i / POINTS)
        try:
            value = float(given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"gives a {type(given).__name__} at u = {i / POINTS:g}; alpha_bar is a number") from error
        if not math.isfinite(value) or not -1e-9 <= value <= 1 + 1e-9:
            raise UserError(f"gives {value:g} at u = {i / POINTS:g}; alpha_bar lies between 0 and 1")
        values.append(value)
    if values[0] < START:
        raise UserError(f"starts at {values[0]:.3g}; alpha_bar must fall from 1, the clean image, to 0, pure noise")
    for i, (before, after) in enumerate(pairwise(values)):
        if after > before + 1e-9:
            raise UserError(
                f"rises from {before:.3g} at u = {i / POINTS:g} to {after:.3g} at u = {(i + 1) / POINTS:g}; alpha_bar must fall "
                "from 1 to 0"
            )
        if before <= 0:
            raise UserError(f"is 0 at u = {i / POINTS:g} already; alpha_bar stays above 0 until u = 1")
    if values[-1] > END:
        raise UserError(f"ends at {values[-1]:.3g}; alpha_bar must fall from 1, the clean image, to 0, pure noise")


def check_network(make: Callable[..., "OwnNetwork"]) -> None:
    """Raise UserError unless the network takes pictures, with classes and without, and can be trained, saved and read again."""
    import torch

    from core.compute.seeds import seeded

    for classes in (0, _CLASSES):
        with seeded(0):
            network = make((_SIDE, _SIDE), 1, classes)
            odd = [
                f"'{name.removeprefix('own.')}' in {value.dtype}"
                for name, value in network.state_dict().items()
                if value.dtype != torch.float32
            ]
            if odd:
                raise UserError(
                    f"holds {odd[0].replace('torch.', '')}, and a checkpoint keeps float32 alone; register other buffers "
                    "with persistent=False"
                )
            parameters = dict(network.named_parameters())
            if not any(parameter.requires_grad for parameter in parameters.values()):
                raise UserError("has no parameter to train")
            x = torch.randn(_IMAGES, 1, _SIDE, _SIDE)
            labels = torch.tensor([0, classes]) if classes else None
            output = network(x, torch.tensor([0, _TIMESTEPS - 1]), labels)
            output.square().mean().backward()
    idle = [name for name, parameter in parameters.items() if parameter.requires_grad and parameter.grad is None]
    if idle:
        raise UserError(f"does not use its '{idle[0].removeprefix('own.')}', so nothing can train it; use it or take it out")


def check_sampler(sampler: Callable[..., Iterator["Frame"]], steps: int) -> None:
    """Raise UserError unless the sampler comes from noise to pictures in the evaluations that it says it takes."""
    import torch

    from core.diffusion.process import Prediction
    from core.diffusion.samplers import spaced_timesteps
    from core.diffusion.schedule import NoiseSchedule

    spent = 0

    def denoise(x: Any, t: int) -> Prediction:
        nonlocal spent
        spent += 1
        return Prediction((x / 2).clamp(-1, 1))

    x = torch.randn(_IMAGES, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    schedule = NoiseSchedule("cosine", max(_TIMESTEPS, steps))
    timesteps = spaced_timesteps(schedule.timesteps, steps)
    with torch.inference_mode():
        *_, last = sampler(denoise, x, schedule, timesteps, lambda: torch.zeros_like(x))
    if last.x.shape != x.shape or not bool(last.x.isfinite().all()):
        raise UserError("ends with pictures of another size than the noise, or with what is no number")
    if spent != last.total:
        raise UserError(f"says that it takes {last.total} evaluations, and takes {spent}")


def whole_frames(name: str, frames: Any) -> Iterator["Frame"]:
    """The frames of a sampler as they come. Raises UserError for what is none, and when the closing one is missing."""
    from core.diffusion.samplers import Frame

    last = None
    if not isinstance(frames, Iterator):
        raise UserError(f"sampler '{name}' gives a {type(frames).__name__}; it is a generator, which yields frames")
    for frame in frames:
        if not isinstance(frame, Frame):
            raise UserError(f"sampler '{name}' yields a {type(frame).__name__}; it yields core.diffusion.samplers.Frame")
        last = frame
        yield frame
    if last is None or last.t != -1 or last.index != last.total:
        raise UserError(
            f"sampler '{name}' ends without its closing frame: Frame(total, total, -1, x, x), whose x are the finished pictures"
        )
