"""`tinydiff-tui evaluate`."""

import argparse
import dataclasses

from core.config import SampleConfig
from core.errors import UserError
from core.files import write_json
from tinydiff_tui.commands.newest import checkpoint_of
from tinydiff_tui.commands.options import check_compute, chosen_compute, given, output_path
from tinydiff_tui.commands.output import finite, remark, say, say_json, show
from tinydiff_tui.commands.progress import make_progress

FEWEST = 100  # below it the distance says more about the number of images than about the images


def run(options: argparse.Namespace) -> int:
    """Draw images, have them judged, print the figures, as JSON on request; with --output write them as JSON too."""
    checkpoint = checkpoint_of(options, remark if options.json else say)
    wanted = SampleConfig.asked(**given(options, SampleConfig))
    if wanted.num_images < FEWEST:
        raise UserError(f"--num-images must be at least {FEWEST} to judge, got {wanted.num_images}")
    check_compute(options)
    output, sheet = (output_path(file, checkpoint) if file else None for file in (options.output, options.copies))

    from core.judge.judge import Report
    from core.runs.checkpoint import load_model
    from tinydiff_tui.jobs.judging import figures, judging, notes

    compute = chosen_compute(options)
    model = load_model(checkpoint, device=compute.device)
    wanted = wanted.resolve(*model.known)
    report, title = None, ""
    with make_progress(plain=options.plain, aside=options.json) as progress:
        for event in judging(checkpoint, model, wanted, compute, options.data_dir or "", sheet):
            if isinstance(event, Report):
                report = event
                continue
            if event.title != title:
                title = event.title
                progress.say(title)
            if event.total and (progress.due(event.done, 100) or event.done == event.total):
                progress.update(event.done, event.total, event.unit, event.eta_seconds)
    assert report is not None
    drawn = {"checkpoint": str(checkpoint), "step": model.step, "sampling": dataclasses.asdict(wanted)}
    document = drawn | dataclasses.asdict(report)
    if output is not None:
        write_json(output, finite(document))
    if options.json:
        say_json(document)
        return 0
    show(figures(report))
    for line in notes(report).splitlines():
        say(line)
    if sheet is not None:
        found = f"the samples most like copies, beside their training images: {sheet}"
        say(found if report.copies is not None else f"too few training images to say what is a copy; there is no {sheet}")
    return 0
