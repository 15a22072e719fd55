"""The judge's verdict on a model, for `evaluate` and for the app: fetch or train the judge, draw images, have them judged."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from rich.text import Text

from core.compute.device import Compute
from core.config import SampleConfig
from core.data.datasets import data_root
from core.diffusion.generate import generate, source_pictures
from core.diffusion.model import Model
from core.images import to_uint8
from core.judge.judge import NEAREST, SURE, Ready, Report, prepare_judge
from tinydiff_tui.text import printable


@dataclass(frozen=True)
class Stage:
    """What is done now, how many of its steps or network evaluations are done, and the seconds that the rest takes."""

    title: str
    done: int
    total: int
    unit: str
    eta_seconds: float


def judging(model: Model, options: SampleConfig, compute: Compute, data_dir: str = "") -> Iterator[Stage | Report]:
    """Stages, and the report as the last item; closing stops within one step. Raises UserError."""
    options.check(model.config, model.label_count)
    options = options.resolve(model.config, model.label_count)
    root = data_root(data_dir, model.config.data_dir)
    ready: Ready | None = None
    read: list[str] = []
    for event in prepare_judge(model.config.dataset, root, compute.device, read.append):
        yield from _titles(read)
        if isinstance(event, Ready):
            ready = event
        else:
            title = f"{model.config.dataset} has no judge here yet: training one, once"
            yield Stage(title, event.step, event.total, "steps", event.eta_seconds)
    assert ready is not None, "prepare_judge ends in Ready"
    title = f"{options.num_images} images, {options.sampler}, {options.steps} evaluations, {compute.describe()}"
    finished = []
    source = source_pictures(model, options, data_dir, read.append)
    yield from _titles(read)
    started = time.monotonic()
    for batch in generate(model, options, compute, source):
        if batch.done:
            left = (time.monotonic() - started) / batch.done * (batch.evaluations - batch.done)
            yield Stage(title, batch.done, batch.evaluations, "evaluations", left)
        if batch.frame.t < 0:
            finished.append(to_uint8(batch.frame.x))
    yield Stage(f"{ready.judge.name} ({ready.path}) looks at them", 0, 0, "", 0.0)
    yield ready.judge.report(np.concatenate(finished))


def _titles(read: list[str]) -> Iterator[Stage]:
    """What was read of data sets since the last time, as stages of their own."""
    while read:
        yield Stage(read.pop(0), 0, 0, "", 0.0)


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
    table.add_row(f"sure (p > {SURE})", *(f"{s.sure:.1%}" for s in pair))
    table.add_row("class imbalance (total variation)", *(f"{s.imbalance:.3f}" for s in pair))
    return table


def notes(report: Report) -> str:
    """The shares of the classes, and what the figures depend on."""
    shares = ", ".join(
        f"{printable(name)} {share:.1%}" for name, share in zip(report.classes, report.samples.shares, strict=True)
    )
    return (
        f"classes: {shares}\n{report.judge}: right on {report.accuracy:.2%} of the test split; all figures against "
        f"{report.references:,} test images, precision and recall with at most {report.neighbours:,} of each; "
        "not comparable with Inception FID"
    )
