"""Runs."""

from tinydiff_tui.screens.base import ModeScreen


class RunsScreen(ModeScreen):
    MODE = "runs"
    TITLE_TEXT = "Runs"
