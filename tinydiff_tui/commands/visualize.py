"""`tinydiff-tui visualize`: a table of pictures, one row an image, one column a timestep."""

import argparse
import math

from core.config import TrainConfig
from core.data.datasets import default_dataset, require
from core.errors import UserError
from core.files import user_path
from tinydiff_tui.commands.options import given, output_path
from tinydiff_tui.commands.output import can_show, say

MARKS = (0, 50, 100, 200, 400, 600, 800, 999)


def run(options: argparse.Namespace) -> int:
    """Write the forward diffusion of the first images of a data set as a PNG, and print it on a terminal."""
    fields = given(options, TrainConfig)
    root = user_path(fields["data_dir"]) if "data_dir" in fields else None
    fields.setdefault("dataset", default_dataset(root))
    fields.setdefault("schedule", "linear")
    config = TrainConfig.of(objective="v", **fields)
    if not 1 <= options.num_images <= 1000:
        raise UserError(f"--num-images must be between 1 and 1000, got {options.num_images}")
    require(config.dataset, root)
    path = output_path(options.save_path)

    import numpy as np
    import torch

    from core import images
    from core.compute.seeds import SampleNoise
    from core.data.datasets import open_dataset
    from core.diffusion.model import make_diffusion

    data = open_dataset(config.dataset, "train", root, config.image_size)
    count = min(options.num_images, len(data))
    most = images.MOST_PIXELS // (len(MARKS) * math.prod(side + images.GAP for side in data.size))
    if count > most:
        raise UserError(
            f"{count} images of {data.size[0]}x{data.size[1]} are too large a picture; use --num-images {most} or fewer"
        )
    x0 = images.to_float(data.images[:count])
    noise = SampleNoise(config.seed, 0, count, tuple(x0.shape[1:]), x0.device)()
    # The marks of the brief on a schedule of 1000 steps, at the same places on any other.
    marks = [round(mark * (config.timesteps - 1) / 999) for mark in MARKS]
    diffusion = make_diffusion(config)
    columns = [images.to_uint8(diffusion.q_sample(x0, torch.full((count,), t), noise)) for t in marks]
    pictures, headings = np.stack(columns, axis=1).reshape(-1, *columns[0].shape[1:]), [f"t={t}" for t in marks]
    images.save_png(path, images.grid(pictures, len(marks)), headings=headings)
    fit_here = ""
    if can_show() and not options.plain:
        from tinydiff_tui.commands.pictures import show_pictures

        fit_here = show_pictures(pictures, headings)
    say(f"{data.describe()}; the first {count} at t = {', '.join(map(str, marks))} ({config.schedule}): {path}{fit_here}")
    return 0
