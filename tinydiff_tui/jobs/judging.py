"""The judge's verdict on a model, for `evaluate` and for the app: fetch or train the judge, draw images, have them judged."""

import contextlib
import dataclasses
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table
from rich.text import Text

from core.compute.device import Compute
from core.config import SampleConfig, TrainConfig
from core.data.datasets import UNNAMED, ImageSet, data_root, open_split
from core.diffusion.generate import Source, generate, source_pictures
from core.diffusion.model import Model
from core.errors import UserError
from core.files import notices
from core.images import Pixels, grid, save_png, to_uint8
from core.judge.copies import EXPECTED, Copies, find_copies
from core.judge.judge import FEW, NEAREST, SURE, Report
from core.judge.store import Ready, prepare_judge
from core.runs.folder import now, run_folder_of
from core.runs.remarks import Verdict, keep_verdict
from tinydiff_tui.text import duration, evaluations, printable

ACROSS = 10
"""Pairs in a row of a sheet."""
MEASURED = 20
"""Steps of a judge's training that tell how long it takes."""


@dataclass(frozen=True)
class Stage:
    """What is done now, how many of its steps or network evaluations are done, and the seconds that the rest takes.

    `asks`: it is no small thing, and whoever can ask a person does so before the next item is pulled.
    """

    title: str
    done: int = 0
    total: int = 0
    unit: str = ""
    eta_seconds: float = 0.0
    asks: bool = False


def judging(
    checkpoint: Path, model: Model, options: SampleConfig, compute: Compute, data_dir: str = "", sheet: Path | None = None
) -> Generator[Stage | Report, None, None]:
    """Stages, and the report as the last item; closing stops within one step, and keeps what a judge has learned.

    `model` is that of the checkpoint. The verdict is kept in the folder of its run; `sheet` is where the samples that are most
    like copies go, beside the training images. Raises UserError.
    """
    if model.config.dataset == UNNAMED:
        raise UserError("which pictures this model was trained on is not known, so nothing can say how near to them its own are")
    options.check(*model.known)
    options = options.resolve(*model.known)
    read: list[str] = []
    ready = yield from fetched(model.config, data_root(data_dir, model.config.data_dir), compute, read)
    title = f"{options.num_images} images, {options.sampler}, {evaluations(options.steps)}, {compute.describe()}"
    source = source_pictures(model, options, data_dir, read.append)
    yield from _titles(read)
    started = time.monotonic()
    pictures = yield from drawn(title, model, options, compute, source)
    yield Stage(f"{ready.judge.name} ({ready.path}) looks at them")
    report = ready.judge.report(pictures)
    _keep(checkpoint, model, options, report, time.monotonic() - started)
    training = open_split(model.config, "train", data_dir)
    copies = yield from searched(pictures, training, open_split(model.config, "test", data_dir), compute)
    if sheet is not None and copies is not None:
        save_pairs(sheet, copies, pictures, training)
    yield dataclasses.replace(report, copies=copies)


def searched(pictures: Pixels, training: ImageSet, held_out: ImageSet, compute: Compute) -> Generator[Stage, None, Copies | None]:
    """Which pictures are copies of training images, and a stage after each block of them; None where there are too few to say."""
    title, began = f"the nearest of {len(training):,} training images to each", time.monotonic()
    search = find_copies(pictures, training.images, held_out.images, compute.device)
    while True:
        try:
            done, total = next(search)
        except StopIteration as end:
            found: Copies | None = end.value
            return found
        yield Stage(title, done, total, "images", (time.monotonic() - began) / done * (total - done))


def save_pairs(path: Path, copies: Copies, pictures: Pixels, training: ImageSet) -> None:
    """Write a sheet of the pairs as PNG: samples, and below each the training image that it is nearest to. Raises UserError."""
    shown = copies.pairs[: len(copies.pairs) // ACROSS * ACROSS] or copies.pairs
    across = min(ACROSS, len(shown))
    rows: list[Pixels] = []
    for first in range(0, len(shown), across):
        line = shown[first : first + across]
        rows += [pictures[[pair.sample for pair in line]], training.images[[pair.training for pair in line]].numpy()]
    names = ["samples", "nearest"] * (len(rows) // 2)
    save_png(path, grid(np.concatenate(rows), across), rows=names, caption=f"{training.name} · {copies_in_words(copies)}")


def drawn(
    title: str, model: Model, options: SampleConfig, compute: Compute, source: Source | None = None
) -> Generator[Stage, None, Pixels]:
    """Images to be judged, and a stage after each network evaluation; closing stops within one."""
    finished, began = [], time.monotonic()
    with contextlib.closing(generate(model, options, compute, source)) as batches:
        for batch in batches:
            if batch.done:
                left = (time.monotonic() - began) / batch.done * (batch.evaluations - batch.done)
                yield Stage(title, batch.done, batch.evaluations, "evaluations", left)
            if batch.frame.t < 0:
                finished.append(to_uint8(batch.frame.x))
    return np.concatenate(finished)


def fetched(config: TrainConfig, root: Path | None, compute: Compute, read: list[str]) -> Generator[Stage, None, Ready]:
    """The judge of a training's data set. Where it must be trained, the first steps tell how long, and the person is asked."""
    missing = f"{config.dataset} has no judge here yet"
    first = 0
    with contextlib.closing(prepare_judge(config.dataset, root, compute.device, read.append, config.image_size)) as events:
        for event in events:
            yield from _titles(read)
            if isinstance(event, Ready):
                return event
            first = first or event.step
            measured = event.step - first
            if measured < MEASURED and event.step < event.total:
                yield Stage(f"{missing}: measuring how long it takes to train one")
                continue
            if measured == MEASURED:
                left = "the rest of its training" if first > 1 else "training one"
                asked = f"{missing}: {left} takes about {duration(event.eta_seconds)}, once; it is kept"
                yield Stage(asked, event.step, event.total, "steps", event.eta_seconds, asks=True)
            yield Stage(f"{missing}: training one, once", event.step, event.total, "steps", event.eta_seconds)
    raise AssertionError("prepare_judge ends in Ready")


def _keep(checkpoint: Path, model: Model, options: SampleConfig, report: Report, seconds: float) -> None:
    """Keep the verdict with the run; where that fails a notice is left, as the figures are good all the same."""
    folder = run_folder_of(checkpoint)
    verdict = Verdict(
        time=now(), checkpoint=str(checkpoint.relative_to(folder)), step=model.step, sampler=options.sampler,
        evaluations=options.steps, guidance=options.guidance_scale, seed=options.seed, count=report.samples.count,
        distance=report.samples.distance, floor=report.floor.distance, precision=report.samples.precision,
        recall=report.samples.recall, judge=report.judge, version=report.version, accuracy=report.accuracy, seconds=seconds,
    )  # fmt: skip
    try:
        keep_verdict(checkpoint, verdict)
    except UserError as error:
        notices.append(f"the verdict is not kept with its run: {error}")


def _titles(read: list[str]) -> Iterator[Stage]:
    """What was read of data sets since the last time, as stages of their own."""
    while read:
        yield Stage(read.pop(0))


def figures(report: Report) -> Table:
    """The scores beside those of as many real images."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for heading in ("generated", "floor: training split"):
        table.add_column(heading, justify="right", no_wrap=True)
    pair = (report.samples, report.floor)
    table.add_row("images", *(f"{s.count:,}" for s in pair))
    table.add_row(Text(f"Frechet distance ({printable(report.judge)})"), *(f"{s.distance:.3f}" for s in pair))
    table.add_row(f"precision (k = {NEAREST})", *(f"{s.precision:.3f}" for s in pair))
    table.add_row(f"recall (k = {NEAREST})", *(f"{s.recall:.3f}" for s in pair))
    if report.classes:
        table.add_row(f"sure (p > {SURE})", *(format(s.sure, ".1%") for s in pair))
        table.add_row("class imbalance (total variation)", *(format(s.imbalance, ".3f") for s in pair))
    if report.copies is not None:
        table.add_row("copies of training images", f"{report.copies.share:.1%}", f"{report.copies.expected:.1%}")
    return table


def copies_in_words(copies: Copies) -> str:
    """The share of copies, and what it means."""
    margin = 2 * copies.error
    more = copies.share > copies.expected + margin
    said = "which is more than chance: the model copies" if more else "which is no more than images get that nobody copied"
    others = f"{copies.held_out:,} held-out images" if copies.held_out else "these are to each other"
    return (
        f"copies: {copies.share:.1%} of {copies.count:,} samples are as near to one of {copies.training:,} training images, "
        f"against the others around it, as the nearest {EXPECTED:.0%} of {others} "
        f"({copies.expected:.1%} ± {margin:.1%}), {said}"
    )


def notes(report: Report) -> str:
    """The shares of the classes where there are any, and what the figures depend on."""
    shares = zip(report.classes, report.samples.shares or (), strict=True)
    classes = ", ".join(f"{printable(name)} {share:.1%}" for name, share in shares)
    right = f"right on {report.accuracy:.2%} of the test split"
    if not report.classes:
        right = f"learned without labels, to tell by which of four quarter turns a picture is turned (RotNet): {right}"
    lines = [f"classes: {classes}"] if classes else []
    lines += [
        f"{printable(report.judge)}: {right}; all figures against {report.references:,} test images, precision and recall with "
        f"at most {report.neighbours:,} of each; not comparable with Inception FID"
    ]
    if report.references < FEW:
        lines += [f"{report.references:,} test images are few: the figures say who is nearer, not how near"]
    return "\n".join([*lines, *([copies_in_words(report.copies)] if report.copies is not None else [])])
