"""`tinydiff-tui train`."""

import argparse
import contextlib
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from core.compute.distributed import check_share, is_first, world_size
from core.config import TrainConfig, check_batch
from core.data.datasets import data_root, default_dataset, describe, require
from core.errors import UserError
from core.extend.files import words
from core.files import shell_word, take_notices, user_path
from core.runs.folder import RunDir
from tinydiff_tui.commands.options import given
from tinydiff_tui.commands.output import say
from tinydiff_tui.commands.progress import Plain, make_progress
from tinydiff_tui.jobs.detach import say_started, start_detached
from tinydiff_tui.jobs.signals import heeded
from tinydiff_tui.jobs.starting import train_flags
from tinydiff_tui.jobs.training import event_line

_LOOK_SECONDS = 0.25

if TYPE_CHECKING:
    from core.training.events import Event
    from core.training.trainer import Trainer
    from tinydiff_tui.jobs.quality import Quality


def run(options: argparse.Namespace) -> int:
    """Train, showing progress; a signal or a request to stop ends after the step in hand, with a checkpoint."""
    config = _checked_config(options)
    run_dir = RunDir(config.output_dir)
    if options.detach:
        if world_size() > 1:
            raise UserError("--detach is for a run of one process; leave it out and put torchrun itself into the background")
        ways = [f"--resume={options.resume}"] if isinstance(options.resume, str) else ["--resume"] * options.resume
        process = start_detached(["train", *ways, *["--overwrite"] * options.overwrite, *train_flags(config)], run_dir)
        folder = shell_word(run_dir.path)
        say(f"training in process {process.pid}; watch it with: tinydiff-tui attach {folder}")
        return 0

    from core.training.trainer import Trainer

    checkpoint = user_path(options.resume) if isinstance(options.resume, str) else None
    trainer = Trainer(
        config,
        resume=bool(options.resume),
        overwrite=options.overwrite,
        checkpoint=checkpoint,
        other_data=bool(given(options, TrainConfig, ("dataset", "data_dir"))),
    )
    if not trainer.processes.first:
        with stop_signals():  # the first process answers them for all
            for _ in trainer:
                pass
        trainer.processes.leave()
        return 0
    with stop_signals() as stop, make_progress(plain=options.plain) as progress:
        for line in [*take_notices(), f"{trainer.title}; {trainer.compute.describe()}", trainer.data.describe()]:
            progress.say(line)
        if options.resume:
            progress.say(f"resuming at step {trainer.step:,} of {trainer.total_steps:,}")
        _pull(trainer, progress, stop)
    trainer.processes.leave()
    folder = shell_word(run_dir.path)
    if trainer.step < trainer.total_steps:
        say(f"stopped after step {trainer.step:,}; continue with: tinydiff-tui train --resume --output-dir {folder}{words()}")
        return 128 + stop[0] if stop else 0
    say(f"next: tinydiff-tui sample --checkpoint {shell_word(run_dir.final)}{words()}")
    return 0


def _checked_config(options: argparse.Namespace) -> TrainConfig:
    """Everything that can be wrong with the flags is found here, before torch is imported."""
    fields = given(options, TrainConfig)
    root = user_path(fields["data_dir"]) if "data_dir" in fields else None
    run_dir = RunDir(fields.get("output_dir", TrainConfig.output_dir))
    if options.resume:
        if is_first():
            run_dir.check_free(resume=True, overwrite=False)
        from core.runs.resume import saved_config

        # A resume needs no flag but --output-dir: the rest is the run's own.
        checkpoint = user_path(options.resume) if isinstance(options.resume, str) else None
        config = TrainConfig.continued(saved_config(run_dir, checkpoint), fields | {"output_dir": str(run_dir.path)})
    else:
        if fields.get("teacher"):
            from core.training.distil import as_taught  # reads a checkpoint, which takes torch

            config = as_taught(fields)
        else:
            config = TrainConfig.of(**({"dataset": default_dataset(root)} | fields))
        if is_first():
            run_dir.check_free(resume=False, overwrite=options.overwrite)
    check_share(config.batch_size)
    try:
        require(config.dataset, data_root(config.data_dir))
    except UserError as error:
        if not options.resume and not config.teacher:
            raise
        flag = "--dataset folder:PATH" if config.dataset.startswith("folder:") else "--data-dir"
        raise UserError(f"{error}; if the pictures of this run lie elsewhere now, say where with {flag}") from error
    if not config.dataset.startswith("folder:"):
        check_batch(config.batch_size, config.dataset, describe(config.dataset, root).size)
    return config


def _pull(trainer: "Trainer", progress: Plain, stop: list[int]) -> None:
    """Pull the run to its end, or until a signal or a request ends it; have the judge look between two events when it is due."""
    from tinydiff_tui.jobs.quality import Quality

    quality = Quality(trainer)
    events = iter(trainer)
    for event in events:
        say_started()
        _report(event, trainer.run.path, progress)
        _rest(trainer, progress, stop)
        if quality.due and not stop:
            _judge(quality, progress, stop)
        if stop:
            progress.say(f"stopping after step {trainer.step:,}: writing {trainer.run.last}")
            break
    events.close()


def _rest(trainer: "Trainer", progress: Plain, stop: list[int]) -> None:
    """Answer what was asked through the run's folder, and wait while it is paused."""
    while trainer.attend(progress.say) and not stop:
        time.sleep(_LOOK_SECONDS)


def _judge(quality: "Quality", progress: Plain, stop: list[int]) -> None:
    """Have the judge look; where it has to be trained first, that is said, and what it learned is kept whatever happens."""
    from tinydiff_tui.jobs.judging import Stage

    said = ""
    with contextlib.closing(quality.look()) as items:
        for item in items:
            _rest(quality.trainer, progress, stop)
            if stop:
                break
            if not isinstance(item, Stage):
                progress.say(event_line(item, quality.trainer.run.path))
            elif item.title != said and item.unit != "evaluations":
                said = item.title
                progress.say(said)


def _report(event: "Event", folder: Path, progress: Plain) -> None:
    from core.training.events import Drawn, Saved, Step
    from core.training.trainer import LOG_EVERY

    if isinstance(event, Step):
        if progress.due(event.step, LOG_EVERY):
            speed = f"{event.images_per_second:.0f} images/s"
            text = f"epoch {event.epoch}/{event.epochs} loss {event.loss.item():.4f} {speed}"
            progress.update(event.step, event.total_steps, text, event.eta_seconds)
    elif isinstance(event, Drawn):
        if progress.due(event.done, 1024):
            progress.update(event.done, event.total, "drawing the teacher's pairs again", None)
    elif not (isinstance(event, Saved) and event.path == RunDir(folder).last) and (line := event_line(event, folder)):
        progress.say(line)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Collect stop signals that are heeded in a list, to be looked at between two events; a second Ctrl-C ends at once.

    Not under torchrun, which passes every Ctrl-C on to processes that had it from the terminal already.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT and world_size() == 1:
            raise KeyboardInterrupt
        received.append(number)

    before = {kind: signal.signal(kind, note) for kind in heeded("SIGINT", "SIGTERM", "SIGHUP")}
    try:
        yield received
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
