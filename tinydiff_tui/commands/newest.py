"""The run that a command takes where none is named: the newest below the working folder, as `runs` finds them."""

import argparse
from collections.abc import Callable
from pathlib import Path

from core.compute.distributed import is_first
from core.errors import UserError
from core.files import user_path
from core.runs.embedded import embedded_model
from core.runs.folder import LIVE, RunInfo, find_runs
from core.runs.models import require_model, run_of
from tinydiff_tui.commands.output import say

Tell = Callable[[str], None]


def newest_run(fits: Callable[[RunInfo], object], lacking: str, tell: Tell = say, *, live_first: bool = False) -> RunInfo:
    """The newest run below the working folder that fits, which a line says; with `live_first` one that a process is training.

    Raises UserError, which says what is lacking.
    """
    found = [run for run in find_runs(Path()) if isinstance(run, RunInfo) and fits(run)]
    if not found:
        raise UserError(lacking)
    run = min(found, key=lambda run: live_first and run.status not in LIVE)
    if is_first():
        tell(f"the newest run here: {run.path} ({run.config.dataset}, {run.config.model}, {run.status})")
    return run


def checkpoint_of(options: argparse.Namespace, tell: Tell = say, *, embedded: bool = False) -> Path:
    """The checkpoint that was asked for, or the newest run's; where there is none and `embedded` will do, that of the program.

    Raises UserError where there is none.
    """
    if options.checkpoint is not None:
        checkpoint = user_path(options.checkpoint)
    else:
        lacking = "no run here has a checkpoint; train one with 'tinydiff-tui train', or name a file with --checkpoint"
        try:
            run = newest_run(lambda run: run.checkpoint, lacking, tell)
        except UserError:
            if not embedded:
                raise
            if is_first():
                tell("no run here has a checkpoint: drawing with the model of glyphs that comes with the program")
            return embedded_model()
        assert run.checkpoint is not None
        checkpoint = run.checkpoint
    require_model(checkpoint)
    return checkpoint


def pictures_folder(checkpoint: Path) -> Path:
    """Where images go: beside the run, and for a model that no run made into the working folder."""
    return run_of(checkpoint) or Path()
