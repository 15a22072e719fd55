"""`tinydiff-tui sample`."""

import argparse
import time
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from core.compute.distributed import PATIENCE_SECONDS, join
from core.config import SampleConfig
from core.errors import UserError
from core.files import require_checkpoint, user_path
from core.runs.folder import run_folder_of
from tinydiff_tui.commands.options import check_compute, chosen_compute, given
from tinydiff_tui.commands.progress import make_progress

if TYPE_CHECKING:
    from core import images

MOST_STEPS_SHOWN = 20


def run(options: argparse.Namespace) -> int:
    """Draw images and write their grid; with --show-intermediate the way there too."""
    checkpoint = user_path(options.checkpoint)
    require_checkpoint(checkpoint)
    wanted = SampleConfig.asked(**given(options, SampleConfig))
    output = user_path(options.output) if options.output else run_folder_of(checkpoint) / "generated_samples.png"
    check_compute(options)

    import numpy as np

    from core import images
    from core.diffusion.generate import generate, source_pictures
    from core.runs.checkpoint import load_model

    processes, compute = join(chosen_compute(options), 6 * PATIENCE_SECONDS)  # one may have a whole batch more to draw
    model = load_model(checkpoint, device=compute.device)
    if options.timesteps not in (None, model.config.timesteps):
        raise UserError(
            f"this model was trained with {model.config.timesteps} timesteps, not {options.timesteps}; leave --timesteps out, "
            "or use --steps to spend fewer network evaluations"
        )
    wanted.check(model.config, model.label_count)
    wanted = wanted.resolve(model.config, model.label_count)
    source = source_pictures(model, wanted, options.data_dir)
    rows = model.label_count if wanted.label < 0 else 0
    finished: list[tuple[int, images.Pixels]] = []
    steps: list[tuple[int, images.Pixels]] = []
    started = time.monotonic()
    levels = f" at {wanted.guidance_interval} noise levels" if wanted.guidance_scale != 1 else ""
    guidance = f"guidance {wanted.guidance_scale:g}{levels}, " if model.label_count else ""
    with make_progress(plain=options.plain, silent=not processes.first) as progress:
        progress.say(
            f"{wanted.num_images} images, {wanted.sampler}, {wanted.steps} evaluations, {guidance}{model.config.objective} "
            f"objective, {model.config.schedule} schedule; {compute.describe()}"
        )
        for batch in generate(model, wanted, compute, source, processes):
            frame = batch.frame
            if batch.done and (progress.due(batch.done, 10) or batch.done == batch.evaluations):
                left = (time.monotonic() - started) / batch.done * (batch.evaluations - batch.done)
                progress.update(batch.done, batch.evaluations, f"batch at image {batch.first}", left)
            if frame.t < 0:
                finished.append((batch.first, images.to_uint8(frame.x)))
            elif options.show_intermediate and batch.first == 0 and frame.index % max(1, frame.total // MOST_STEPS_SHOWN) == 0:
                steps.append((frame.t, images.class_grid(images.to_uint8(frame.x), rows)))
        drawn = [pixels for _, pixels in sorted(chain.from_iterable(processes.gather(finished)), key=itemgetter(0))]
        processes.leave()
        if not processes.first:
            return 0
        images.save_png(output, images.class_grid(np.concatenate(drawn), rows))
        progress.say(f"{wanted.num_images} images in {time.monotonic() - started:.1f} s: {output}")
        if steps:
            folder = output.parent / "intermediate"
            _write_steps(folder, steps, images.class_grid(drawn[0], rows))
            progress.say(f"{len(steps)} intermediate steps and denoising.gif: {folder}")
    return 0


def _write_steps(folder: Path, steps: "list[tuple[int, images.Pixels]]", last: "images.Pixels") -> None:
    """step_0999.png ... and denoising.gif, in place of those of an earlier sampling."""
    from core import images

    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and what was in it would be replaced; remove it, or give another --output")
    for stale in folder.glob("step_*.png"):
        stale.unlink()
    for t, shown in steps:
        images.save_png(folder / f"step_{t:04d}.png", shown)
    images.save_gif(folder / "denoising.gif", [*(shown for _, shown in steps), last])
