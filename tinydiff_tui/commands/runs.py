"""`tinydiff-tui runs`."""

import argparse
from typing import Any

from rich.table import Table

from core.errors import UserError
from core.files import reason, user_path
from core.runs.folder import RunDir, RunInfo, find_runs
from tinydiff_tui.commands.output import say, say_json, show


def run(options: argparse.Namespace) -> int:
    """List the runs below a folder, newest first."""
    root = user_path(options.folder)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give one that holds runs")
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise UserError(f"{root} cannot be read: {reason(error)}; check its permissions, or give another folder") from error
    found = find_runs(root)
    if options.json:
        say_json({"folder": str(root), "runs": [_entry(item) for item in found]})
        return 0
    if not found:
        say(f"no runs below {root}; start one with: tinydiff-tui train")
        return 0
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("folder", "data set", "model", "status", "step"):
        table.add_column(heading, overflow="fold")
    for item in found:
        if isinstance(item, RunInfo):
            step = f"{item.step:,} of {item.total_steps:,}"
            cells = (str(item.path), item.config.dataset, item.config.model, item.status, step)
            table.add_row(*cells)
        else:
            table.add_row(str(item))
    show(table)
    return 0


def _entry(item: RunInfo | UserError) -> dict[str, Any]:
    """A run as JSON; one that cannot be read has its sentence in `error`, and null everywhere else."""
    names = (
        "folder", "dataset", "model", "objective", "status", "started", "step", "total_steps", "loss", "seconds", "device",
        "checkpoint", "error",
    )  # fmt: skip
    entry: dict[str, Any] = dict.fromkeys(names)
    if isinstance(item, UserError):
        return entry | {"error": str(item)}
    last: dict[str, Any] = next(reversed(RunDir(item.path).read_metrics()), {})
    config, checkpoint = item.config, item.checkpoint
    return entry | {
        "folder": str(item.path), "dataset": config.dataset, "model": config.model, "objective": config.objective,
        "status": item.status, "started": item.started, "step": max(item.step, last.get("step", 0)),
        "total_steps": item.total_steps, "loss": last.get("loss"), "seconds": last.get("seconds"), "device": item.device,
        "checkpoint": None if checkpoint is None else str(checkpoint),
    }  # fmt: skip
