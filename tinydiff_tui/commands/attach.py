"""`tinydiff-tui attach`: the live dashboard on the runs of other processes."""

import argparse
from pathlib import Path

from core.runs import read_run


def run(options: argparse.Namespace) -> int:
    """Open the app on the runs below a folder, or on the one run that the folder is."""
    folder = Path(options.folder)
    read_run(folder)  # says so when there is none

    from tinydiff_tui.start import run_app

    return run_app(start="runs", cwd=folder)
