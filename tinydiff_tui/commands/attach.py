"""`tinydiff-tui attach`: the live dashboard on a run of another process, or a request to it."""

import argparse

from core.errors import UserError
from core.files import user_path
from core.runs.folder import RunDir, read_run
from tinydiff_tui.commands.newest import newest_run
from tinydiff_tui.commands.output import say


def run(options: argparse.Namespace) -> int:
    """Open the app on the run in a folder; with --ask leave a request there for the process that trains it."""
    if options.folder is None:
        lacking = "no run lies below this folder; start one with 'tinydiff-tui train --detach', or name its folder"
        folder = newest_run(lambda _: True, lacking, live_first=True).path
    else:
        folder = user_path(options.folder)
    if not (folder / "run.json").exists():
        raise UserError(f"{folder} holds no run; 'tinydiff-tui runs' lists those that there are")
    status = read_run(folder).status
    if options.ask:
        if not RunDir(folder).is_live():
            raise UserError(f"no process trains in {folder} (it is {status}); continue it with 'tinydiff-tui train --resume'")
        RunDir(folder).ask(options.ask)
        say(f"asked the run in {folder} to {options.ask}")
        return 0

    from tinydiff_tui.app.launch import run_app

    return run_app(start="runs", cwd=folder)
