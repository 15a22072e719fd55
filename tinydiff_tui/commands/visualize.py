"""`tinydiff-tui visualize`: a table of pictures, one row an image, one column a timestep."""

import argparse

from core.config import TrainConfig
from core.data.datasets import default_dataset, require
from core.errors import UserError
from core.files import user_path
from tinydiff_tui.commands.options import given, output_path
from tinydiff_tui.commands.output import say

MARKS = (0, 50, 100, 200, 400, 600, 800, 999)


def run(options: argparse.Namespace) -> int:
    """Write the forward diffusion of the first images of a data set as a PNG."""
    fields = given(options, TrainConfig)
    root = user_path(fields["data_dir"]) if "data_dir" in fields else None
    fields.setdefault("dataset", default_dataset(root))
    fields.setdefault("schedule", "linear")
    config = TrainConfig.of(objective="v", **fields)
    if not 1 <= options.num_images <= 1000:
        raise UserError(f"--num-images must be between 1 and 1000, got {options.num_images}")
    require(config.dataset, root)
    path = output_path(options.save_path)

    import torch

    from core import images
    from core.compute.seeds import SampleNoise
    from core.data.datasets import open_dataset
    from core.diffusion.model import make_diffusion

    data = open_dataset(config.dataset, "train", root, config.image_size)
    count = min(options.num_images, len(data))
    x0 = images.to_float(data.images[:count])
    noise = SampleNoise(config.seed, 0, count, tuple(x0.shape[1:]), x0.device)()
    # The marks of the brief on a schedule of 1000 steps, at the same places on any other.
    marks = [round(mark * (config.timesteps - 1) / 999) for mark in MARKS]
    diffusion = make_diffusion(config)
    columns = [images.to_uint8(diffusion.q_sample(x0, torch.full((count,), t), noise)) for t in marks]
    cells = [columns[column][row] for row in range(count) for column in range(len(marks))]
    import numpy as np

    scale = max(1, 64 // data.side)
    most = images.MOST_PIXELS // (len(marks) * ((data.side + images.GAP) * scale) ** 2)
    if count > most:
        raise UserError(f"{count} images of side {data.side} are too large a picture; use --num-images {most} or fewer")
    picture = images.grid(np.stack(cells), len(marks)).repeat(scale, axis=0).repeat(scale, axis=1)
    width = (data.side + images.GAP) * scale
    columns_at = [images.GAP * scale + i * width for i in range(len(marks))]
    labelled = images.label_row(picture, [f"t={t}" for t in marks], columns_at)
    images.save_png(path, labelled, scale=1)
    say(f"{data.describe()}; the first {count} at t = {', '.join(map(str, marks))} ({config.schedule}): {path}")
    return 0
