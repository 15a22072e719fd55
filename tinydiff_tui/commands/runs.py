"""`tinydiff-tui runs`."""

import argparse
from typing import TYPE_CHECKING, Any

from rich.table import Table

from core.errors import UserError
from core.files import reason, user_path
from core.runs.folder import RunInfo, find_runs
from tinydiff_tui.commands.output import say, say_json, show

if TYPE_CHECKING:
    from tinydiff_tui.jobs.runs import RunRow


def run(options: argparse.Namespace) -> int:
    """List the runs below a folder, newest first."""
    root = user_path(options.folder)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give one that holds runs")
    try:
        next(root.iterdir(), None)
    except OSError as error:
        raise UserError(f"{root} cannot be read: {reason(error)}; check its permissions, or give another folder") from error
    if options.json:
        from tinydiff_tui.jobs.runs import RunList

        say_json({"folder": str(root), "runs": [_entry(row) for row in RunList(root).read()]})
        return 0
    found = find_runs(root)
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


def _entry(row: "RunRow") -> dict[str, Any]:
    """A run as JSON; of one that cannot be read only its folder and why are known."""
    info = row.info
    config, checkpoint = (info.config, info.checkpoint) if info else (None, None)
    return {
        "folder": row.key, "dataset": config and config.dataset, "model": config and config.model,
        "objective": config and config.objective, "status": row.status, "started": info and info.started,
        "step": row.step if info else None, "total_steps": info and info.total_steps, "loss": row.loss, "seconds": row.seconds,
        "distance": row.verdict and row.verdict.distance, "floor": row.verdict and row.verdict.floor,
        "judge": row.verdict and row.verdict.judge, "note": row.note or None,
        "device": info and info.device, "checkpoint": checkpoint and str(checkpoint), "error": row.error or None,
    }  # fmt: skip
