"""`tinydiff-tui runs`."""

import argparse

from rich.table import Table

from core.errors import UserError
from core.files import reason, user_path
from core.runs.folder import RunInfo, find_runs
from tinydiff_tui.commands.output import say, show


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
