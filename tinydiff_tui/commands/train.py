"""`tinydiff-tui train`."""

import argparse
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from core.config import TrainConfig, check_batch
from core.datasets import default_dataset, describe, require
from core.runs import RunDir
from tinydiff_tui.cli import given
from tinydiff_tui.progress import make_progress


def run(options: argparse.Namespace) -> int:
    """Train, showing progress; a signal stops after the step in hand, with a checkpoint."""
    fields = given(options, TrainConfig)
    root = Path(fields["data_dir"]) if "data_dir" in fields else None
    run_dir = RunDir(fields.get("output_dir", TrainConfig.output_dir))
    if options.resume:
        run_dir.check_free(resume=True, overwrite=False)
        config = _stored(run_dir, fields)
    else:
        fields.setdefault("dataset", default_dataset(root))
        config = TrainConfig.of(**fields)
        run_dir.check_free(resume=False, overwrite=options.overwrite)
    require(config.dataset, root)
    if not config.dataset.startswith("folder:"):
        check_batch(config.batch_size, config.dataset, describe(config.dataset, root).count)

    from core.events import EpochEnd, Finished, Samples, Saved, Step
    from core.training import LOG_EVERY, Trainer

    trainer = Trainer(config, resume=options.resume, overwrite=options.overwrite)
    events = iter(trainer)
    step = trainer.step
    with _signals() as stop, make_progress(plain=options.plain) as progress:
        progress.say(trainer.describe())
        if options.resume:
            progress.say(f"resuming at step {step:,} of {trainer.total_steps:,}")
        for event in events:
            match event:
                case Step():
                    step = event.step
                    if progress.due(event.step, LOG_EVERY):
                        speed = f"{event.images_per_second:.0f} images/s"
                        text = f"epoch {event.epoch}/{event.epochs} loss {event.loss.item():.4f} {speed}"
                        progress.update(event.step, event.total_steps, text, event.eta_seconds)
                case EpochEnd():
                    progress.say(f"epoch {event.epoch}/{event.epochs}: mean loss {event.loss:.4f}")
                case Samples():
                    progress.say(f"samples: {event.path}")
                case Saved() if event.path != run_dir.last:
                    progress.say(f"checkpoint: {event.path}")
                case Finished():
                    progress.say(f"finished in {event.seconds:.0f} s: {event.path}")
            if stop:
                break
        if stop:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            progress.say(f"stopping after step {step:,}: writing {run_dir.last}")
            events.close()  # type: ignore[attr-defined]
    if stop:
        folder = shlex.quote(str(run_dir.path))
        print_line(f"stopped; continue with: tinydiff-tui train --resume --output-dir {folder}")
        return 130 if stop[0] == signal.SIGINT else 128 + stop[0]
    print_line(f"next: tinydiff-tui sample --checkpoint {shlex.quote(str(run_dir.final))}")
    return 0


def print_line(text: str) -> None:
    """One line on standard output, which may be gone after a hang-up."""
    import contextlib
    import sys

    with contextlib.suppress(OSError):
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _stored(run_dir: RunDir, fields: dict[str, object]) -> TrainConfig:
    """The config of the run in the folder, with what was given on top: a resume needs no flag but --output-dir."""
    from core.runs import read_run

    return TrainConfig.of(**(read_run(run_dir.path).config.to_dict() | fields))


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Collect stop signals in a list, to be looked at between two events; a second Ctrl-C ends at once."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if received and number == signal.SIGINT:
            raise KeyboardInterrupt
        received.append(number)

    kinds = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {kind: signal.signal(kind, note) for kind in kinds}
    try:
        yield received
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
