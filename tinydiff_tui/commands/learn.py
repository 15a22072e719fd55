"""`tinydiff-tui learn`: the app, opened at its lessons."""

import argparse


def run(_: argparse.Namespace) -> int:
    """Open the app at the mode Learn."""
    from tinydiff_tui.app.launch import run_app

    return run_app(start="learn")
