"""Drawing images from a model: fixed batches, a seed for every image, one iterator of frames."""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from core.compute.device import Compute
from core.compute.distributed import ProcessGroup
from core.compute.seeds import SampleNoise
from core.config import SampleConfig
from core.data.datasets import data_root, open_dataset
from core.diffusion.model import Model
from core.diffusion.process import Denoise
from core.diffusion.samplers import Frame, Noise, spaced_timesteps
from core.diffusion.starts import interpolated, keep_outside, noised, region
from core.errors import UserError
from core.images import to_float
from core.names import SAMPLERS

MIDDLE = (0.25, 10.0)  # sigma; guidance above it costs variety, below it nothing is left to decide
BATCH = 64  # always cut alike, so that image k does not depend on how many are drawn after it


@dataclass(frozen=True)
class BatchFrame:
    """A sampler's frame for images first .. first + N - 1; `done` of `evaluations` network evaluations are behind us."""

    first: int
    frame: Frame
    done: int
    evaluations: int


class Source(NamedTuple):
    """Pictures to start from: uint8 (N, H, W, C), and the class of each, int64 (N,)."""

    images: Tensor
    labels: Tensor


def generate(
    model: Model, options: SampleConfig, compute: Compute, source: Source | None = None, processes: ProcessGroup | None = None
) -> Generator[BatchFrame, None, None]:
    """Draw options.num_images images, batch after batch; closing stops within one network evaluation.

    Of a group of several processes each draws every size-th batch, the same as one process would.

    `source`: options.num_images pictures, for start = image and inpaint; each keeps its class unless options.label is another.
    Raises UserError when the options do not fit the model.
    """
    options.check(*model.known)
    options = options.resolve(*model.known)
    timesteps = timesteps_for(model, options)
    processes = processes or ProcessGroup()
    classes = classes_drawn(model, options, source)
    numbers = range(processes.rank, math.ceil(options.num_images / BATCH), processes.size)
    for turn, number in enumerate(numbers):
        first = number * BATCH
        count = min(BATCH, options.num_images - first)
        noise = SampleNoise(options.seed, first, count, model.shape, compute.device)
        denoise = told(model, options, classes[first : first + count], compute)
        known = None if source is None else to_float(source.images[first : first + count].to(compute.device))
        x_T, denoise = _start(model, options, denoise, noise, first, known, timesteps[0])
        for frame in walk(model, options, compute, x_T, denoise, noise, timesteps):
            yield BatchFrame(first, frame, turn * frame.total + frame.index, len(numbers) * frame.total)


def told(model: Model, options: SampleConfig, classes: Sequence[int], compute: Compute) -> Denoise:
    """The model's denoiser for images of these classes (none for a model without), guided as the resolved options say."""
    labels = torch.tensor(classes, device=compute.device) if classes else None
    interval = MIDDLE if options.guidance_interval == "middle" else (0.0, math.inf)
    return model.diffusion.denoiser(
        model.network, labels=labels, guidance_scale=options.guidance_scale, guidance_interval=interval, early=model.early
    )


def walk(
    model: Model, options: SampleConfig, compute: Compute, x: Tensor, denoise: Denoise, noise: Noise, timesteps: Sequence[int]
) -> Generator[Frame, None, None]:
    """The frames of the resolved options' sampler from x (N, C, H, W) at timesteps[0] down to the images; closing stops within
    one network evaluation."""
    sampler = SAMPLERS[options.sampler]
    extras = {name: getattr(options, name) for name in sampler.options}
    frames = sampler.load()(denoise, x, model.diffusion.schedule, timesteps, noise, **extras)
    while True:
        with torch.inference_mode(), compute.autocast():
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def timesteps_for(model: Model, options: SampleConfig) -> list[int]:
    """The falling list of t for resolved options; SDEdit spreads its steps over the part of the schedule that it walks."""
    points = -(-options.steps // SAMPLERS[options.sampler].at_each_point)  # heun spends one on its last point
    length = model.diffusion.schedule.timesteps
    if options.start == "image":
        length = max(1, round(length * options.strength))
    return spaced_timesteps(length, min(points, length), options.spacing)


def _start(
    model: Model, options: SampleConfig, denoise: Denoise, noise: SampleNoise, first: int, known: Tensor | None, t: int
) -> tuple[Tensor, Denoise]:
    """The tensor that sampling starts from, and the denoiser that it goes on with."""
    count = len(noise.generators)
    if options.start == "interpolate":
        return interpolated(options, first, count, noise.shape, noise.device), denoise
    x_T = noise().contiguous(memory_format=torch.channels_last)
    if options.start == "noise":
        return x_T, denoise
    if known is None or known.shape != x_T.shape:
        raise UserError(
            f"--start {options.start} needs pictures of the model's size, {model.shape[1]}x{model.shape[2]}; check --data-dir"
        )
    if options.start == "image":
        return noised(known, x_T, model.diffusion.schedule, t), denoise
    mask = region(options.region, *model.shape[1:]).to(noise.device)
    return x_T, keep_outside(denoise, known, mask)


def source_pictures(
    model: Model, options: SampleConfig, data_dir: str = "", say: Callable[[str], object] = lambda line: None
) -> Source | None:
    """The test images that start = image and inpaint begin from; None for the other starts.

    `data_dir` is the folder of the data sets, or that of the pictures themselves for a model of folder:PATH, where they moved, or
    from elsewhere; `say` is told what was read. Raises UserError when the model's data set is not there or has fewer images.
    """
    if options.start not in ("image", "inpaint"):
        return None
    config = model.config
    dataset = f"folder:{data_dir}" if data_dir and config.dataset.startswith("folder:") else config.dataset
    try:
        data = open_dataset(dataset, "test", data_root(data_dir, config.data_dir), config.image_size)
    except UserError as error:
        raise UserError(f"{error}; if the pictures of this model lie elsewhere now, say where with --data-dir") from error
    say(data.describe())
    if options.num_images > len(data):
        raise UserError(f"{config.dataset} has {len(data)} test images to start from; ask for that many with --num-images")
    return Source(data.images[: options.num_images], data.labels[: options.num_images])


def classes_drawn(model: Model, options: SampleConfig, source: Source | None = None) -> list[int]:
    """The class of each image; none for a model without classes. Raises UserError.

    It is the one asked for, else that of the picture it starts from, else image k gets class k modulo the number of classes.
    """
    if not model.label_count:
        return []
    if options.label >= 0:
        return [options.label] * options.num_images
    if source is None:
        return [k % model.label_count for k in range(options.num_images)]
    own: list[int] = source.labels.tolist()
    if max(own) >= model.label_count:
        raise UserError(
            f"{model.config.dataset} has a class that the model, which knows {model.label_count}, was not trained on; "
            "check --data-dir, or choose a --class"
        )
    return own
