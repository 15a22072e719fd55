"""`tinydiff-tui sample`."""

import argparse
import time
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from core.compute.distributed import PATIENCE_SECONDS, join
from core.config import SampleConfig
from core.data.datasets import UNNAMED
from core.errors import UserError
from core.files import is_plain, require_folder, unused
from tinydiff_tui.commands.newest import checkpoint_of, pictures_folder
from tinydiff_tui.commands.options import check_compute, chosen_compute, given, output_path
from tinydiff_tui.commands.output import can_show, say
from tinydiff_tui.commands.progress import make_progress
from tinydiff_tui.text import evaluations

if TYPE_CHECKING:
    from core import images
    from core.diffusion.model import Model

MOST_STEPS_SHOWN = 20


def run(options: argparse.Namespace) -> int:
    """Draw images, write their grid and print it on a terminal; with --show-intermediate the way there too."""
    checkpoint = checkpoint_of(options, embedded=True)
    wanted = SampleConfig.asked(**given(options, SampleConfig))
    check_compute(options)
    output = output_path(options.output or pictures_folder(checkpoint) / "generated_samples.png", checkpoint)
    if options.show_intermediate:
        _require_steps_folder(output)

    import numpy as np

    from core import images
    from core.diffusion.generate import classes_drawn, generate, source_pictures
    from core.runs.checkpoint import load_model

    processes, compute = join(chosen_compute(options), 6 * PATIENCE_SECONDS)  # one may have a whole batch more to draw
    model = load_model(checkpoint, device=compute.device)
    if options.timesteps not in (None, model.config.timesteps):
        raise UserError(
            f"this model was trained with {model.config.timesteps} timesteps, not {options.timesteps}; leave --timesteps out, "
            "or use --steps to spend fewer network evaluations"
        )
    wanted.check(*model.known)
    wanted = wanted.resolve(*model.known)
    finished: list[tuple[int, images.Pixels]] = []
    steps: list[tuple[int, images.Pixels]] = []
    started = time.monotonic()
    at = f"guidance {wanted.guidance_scale:g} at {wanted.guidance_interval} noise levels, "
    guidance = at if wanted.guidance_scale != 1 else ""
    with make_progress(plain=options.plain, silent=not processes.first) as progress:
        progress.say(
            f"{wanted.num_images} images, {wanted.sampler}, {evaluations(wanted.steps)}, {guidance}{model.config.objective} "
            f"objective, {model.config.schedule} schedule; {compute.describe()}"
        )
        source = source_pictures(model, wanted, options.data_dir or "", progress.say)
        labels = classes_drawn(model, wanted, source)
        for batch in generate(model, wanted, compute, source, processes):
            frame = batch.frame
            if batch.done and (progress.due(batch.done, 10) or batch.done == batch.evaluations):
                left = (time.monotonic() - started) / batch.done * (batch.evaluations - batch.done)
                progress.update(batch.done, batch.evaluations, f"batch at image {batch.first}", left)
            if frame.t < 0:
                finished.append((batch.first, images.to_uint8(frame.x)))
            elif options.show_intermediate and batch.first == 0 and frame.index % max(1, frame.total // MOST_STEPS_SHOWN) == 0:
                steps.append((frame.t, images.class_grid(images.to_uint8(frame.x), labels[: len(frame.x)])))
        drawn = [pixels for _, pixels in sorted(chain.from_iterable(processes.gather(finished)), key=itemgetter(0))]
        processes.leave()
        if not processes.first:
            return 0
        pictures = np.concatenate(drawn)
        written = _write_sheets(output, pictures, labels, _caption(model, wanted) if options.caption else "")
        place = f"{len(written)} sheets, {output} to {written[-1]}" if len(written) > 1 else str(output)
        lines = [f"{wanted.num_images} images in {time.monotonic() - started:.1f} s: {place}"]
        if steps:
            folder = output.parent / "intermediate"
            _write_steps(folder, steps, images.class_grid(drawn[0], labels[: len(drawn[0])]))
            lines.append(f"{len(steps)} intermediate steps and denoising.gif: {folder}")
    if can_show() and not options.plain:
        from tinydiff_tui.commands.pictures import show_pictures

        lines[0] += show_pictures(pictures, _headings(model, labels))
    for line in lines:
        say(line)
    return 0


def _require_steps_folder(output: Path) -> None:
    folder = output.parent / "intermediate"
    if not is_plain(output):
        raise UserError(f"--show-intermediate writes a folder beside --output, and {output} is no file; name a file")
    if folder.is_symlink():
        raise UserError(f"{folder} is a link, and what was in it would be replaced; remove it, or give another --output")
    require_folder(folder)


def _caption(model: "Model", wanted: SampleConfig) -> str:
    """What the images were drawn with."""
    config = model.config
    parts = [
        model.about if config.dataset == UNNAMED else f"{config.dataset}, {config.model}, step {model.step:,}",
        f"{wanted.sampler}, {evaluations(wanted.steps)}",
        f"guidance {wanted.guidance_scale:g}" if wanted.guidance_scale != 1 else "",
        f"class {model.classes[wanted.label]}" if wanted.label >= 0 else "",
        f"seed {wanted.seed}",
    ]
    return " · ".join(part for part in parts if part)


def _headings(model: "Model", labels: list[int]) -> list[str]:
    """The names of the classes where the images are of all of them in turn."""
    classes = model.label_count
    return list(model.classes) if labels and labels == [k % classes for k in range(len(labels))] else []


def _write_sheets(output: Path, pictures: "images.Pixels", labels: list[int], caption: str) -> list[Path]:
    """One picture of all images; those that would be too large to look at are cut into more, with _2, _3, ... in their names."""
    from core import images

    written = []
    cuts = images.sheets(len(pictures), pictures.shape[1])
    if len(cuts) > 1 and not is_plain(output):
        raise UserError(f"{len(pictures)} images take {len(cuts)} sheets, and {output} is no file; name one, or draw fewer")
    for number, cut in enumerate(cuts, start=1):
        path = output if number == 1 else output.with_stem(f"{output.stem}_{number}")
        images.save_png(path, images.class_grid(pictures[cut.start : cut.stop], labels[cut.start : cut.stop]), caption=caption)
        written.append(path)
    return written


def _write_steps(folder: Path, steps: "list[tuple[int, images.Pixels]]", last: "images.Pixels") -> None:
    """step_0999.png ... and denoising.gif, in place of those of an earlier sampling; heun comes to a t twice, which gets a _2."""
    from core import images

    for stale in folder.glob("step_*.png"):
        stale.unlink()
    digits = max(4, len(str(max(t for t, _ in steps))))
    for t, shown in steps:
        images.save_png(unused(folder, f"step_{t:0{digits}d}", ".png"), shown)
    images.save_gif(folder / "denoising.gif", [*(shown for _, shown in steps), last])
