"""`tinydiff-tui evaluate`."""

import argparse
import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from core.config import DEVICES, PRECISIONS, SampleConfig
from core.errors import UserError
from core.files import require_checkpoint, write_json
from tinydiff_tui.cli import given
from tinydiff_tui.progress import Plain, make_progress

if TYPE_CHECKING:
    from core.checkpoint import Model
    from core.device import Compute
    from core.images import Pixels
    from core.quality import Judge, Report

FEWEST = 100  # below it the distance says more about the number of images than about the images


def run(options: argparse.Namespace) -> int:
    """Draw images, have them judged, print the figures; with --output write them as JSON too."""
    checkpoint = Path(options.checkpoint)
    require_checkpoint(checkpoint)
    wanted = SampleConfig.asked(**given(options, SampleConfig))
    if wanted.num_images < FEWEST:
        raise UserError(f"--num-images must be at least {FEWEST} to judge, got {wanted.num_images}")
    for name, known in (("device", DEVICES), ("precision", PRECISIONS)):
        if getattr(options, name, "auto") not in known:
            raise UserError(f"unknown {name} '{getattr(options, name)}'; choose one of {', '.join(known)}")

    from core.checkpoint import load_model
    from core.device import choose_compute

    compute = choose_compute(
        getattr(options, "device", "auto"), getattr(options, "precision", "auto"), getattr(options, "threads", 0)
    )
    model = load_model(checkpoint, device=compute.device)
    wanted.check(model.config, model.label_count)
    wanted = wanted.resolve(model.config, model.label_count)
    data_dir = options.data_dir or model.config.data_dir
    with make_progress(plain=options.plain) as progress:
        judge = _judge(model.config.dataset, Path(data_dir).expanduser() if data_dir else None, compute, progress)
    with make_progress(plain=options.plain) as progress:
        images = _draw(model, wanted, compute, progress)
        progress.say(f"{judge.name} looks at them")
        report = judge.report(images)
    _print(report)
    if options.output:
        drawn = {"checkpoint": str(checkpoint), "step": model.step, "sampling": dataclasses.asdict(wanted)}
        write_json(Path(options.output), drawn | dataclasses.asdict(report))
    return 0


def _judge(dataset: str, root: Path | None, compute: "Compute", progress: Plain) -> "Judge":
    from core.quality import Ready, prepare_judge

    for event in prepare_judge(dataset, root, compute.device):
        if isinstance(event, Ready):
            progress.say(f"{event.judge.name}: {event.path}")
            return event.judge
        if event.step == 1:
            progress.say(f"{dataset} has no judge here yet: training one, once")
        if progress.due(event.step, 100):
            progress.update(event.step, event.total, "training the judge", event.eta_seconds)
    raise AssertionError("prepare_judge ends in Ready")


def _draw(model: "Model", wanted: SampleConfig, compute: "Compute", progress: Plain) -> "Pixels":
    """The images, uint8 (N, H, W, C)."""
    import numpy as np

    from core.images import to_uint8
    from core.sampling import generate

    progress.say(f"{wanted.num_images} images, {wanted.sampler}, {wanted.steps} evaluations, {compute.describe()}")
    finished = []
    started = time.monotonic()
    for batch in generate(model, wanted, compute):
        seconds = time.monotonic() - started
        if batch.done and (progress.due(batch.done, 100) or batch.done == batch.evaluations):
            left = seconds / batch.done * (batch.evaluations - batch.done)
            progress.update(batch.done, batch.evaluations, f"drawing images from {batch.first}", left)
        if batch.frame.t < 0:
            finished.append(to_uint8(batch.frame.x))
    progress.say(f"{wanted.num_images} images in {time.monotonic() - started:.1f} s")
    return np.concatenate(finished)


def _print(report: "Report") -> None:
    from core.quality import NEAREST, SURE

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("generated", "floor: training split"):
        table.add_column(heading, justify="right", no_wrap=True)
    pair = (report.samples, report.floor)
    table.add_row("images", *(f"{s.count:,}" for s in pair))
    table.add_row(f"Frechet distance ({report.judge})", *(f"{s.distance:.3f}" for s in pair))
    table.add_row(f"precision (k = {NEAREST})", *(f"{s.precision:.3f}" for s in pair))
    table.add_row(f"recall (k = {NEAREST})", *(f"{s.recall:.3f}" for s in pair))
    table.add_row(f"sure (p > {SURE})", *(f"{s.sure:.1%}" for s in pair))
    table.add_row("class imbalance (total variation)", *(f"{s.imbalance:.3f}" for s in pair))
    console = Console(highlight=False)
    console.print(table)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(report.classes, report.samples.shares, strict=True))
    console.print(f"classes: {shares}", markup=False, soft_wrap=True)
    console.print(
        f"{report.judge}: right on {report.accuracy:.2%} of the test split; all figures against {report.references:,} test "
        f"images, precision and recall with at most {report.neighbours:,} of each; not comparable with Inception FID",
        markup=False, soft_wrap=True,
    )  # fmt: skip
