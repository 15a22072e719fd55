"""Drawing images from a model: fixed batches, a seed for every image, one iterator of frames."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.checkpoint import Model
from core.config import SampleConfig
from core.device import Compute
from core.samplers import SAMPLERS, Frame, spaced_timesteps
from core.seeds import SampleNoise

BATCH = 64  # always cut alike, so that image k does not hang on how many are drawn after it


@dataclass(frozen=True)
class BatchFrame:
    """A sampler's frame for images first .. first + N - 1; `done` of `evaluations` network evaluations are behind us."""

    first: int
    frame: Frame
    done: int
    evaluations: int


def generate(model: Model, options: SampleConfig, compute: Compute) -> Iterator[BatchFrame]:
    """Draw options.num_images images, batch after batch; closing stops within one network evaluation.

    Raises UserError when the options do not fit the model.
    """
    options.check(model.config, model.label_count)
    options = options.resolve(model.config)
    schedule = model.diffusion.schedule
    # Heun spends two evaluations on every point but the last.
    points = (options.steps + 1) // 2 if options.sampler == "heun" else options.steps
    timesteps = spaced_timesteps(schedule.timesteps, points, options.spacing)
    extras: dict[str, dict[str, object]] = {"ddim": {"eta": options.eta}, "ddpm": {"variance": options.variance}}
    extra = extras.get(options.sampler, {})
    batches = math.ceil(options.num_images / BATCH)
    for number in range(batches):
        first = number * BATCH
        count = min(BATCH, options.num_images - first)
        noise = SampleNoise(options.seed, first, count, model.shape, compute.device)
        denoise = model.diffusion.denoiser(
            model.network,
            labels=labels_for(model, options, first, count, compute.device),
            guidance_scale=options.guidance_scale,
        )
        x_T = noise().contiguous(memory_format=torch.channels_last)
        frames = SAMPLERS[options.sampler](denoise, x_T, schedule, timesteps, noise, **extra)
        while True:
            with torch.inference_mode(), compute.autocast():
                frame = next(frames, None)
            if frame is None:
                break
            yield BatchFrame(first, frame, number * frame.total + frame.index, batches * frame.total)


def labels_for(model: Model, options: SampleConfig, first: int, count: int, device: torch.device) -> Tensor | None:
    """The class of each image: the one asked for, else image k gets class k modulo the number of classes."""
    if not model.label_count:
        return None
    if options.label >= 0:
        return torch.full((count,), options.label, device=device)
    return torch.arange(first, first + count, device=device) % model.label_count
