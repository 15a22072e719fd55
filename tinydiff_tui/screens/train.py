"""Train."""

from pathlib import Path

from tinydiff_tui.screens.base import ModeScreen


class TrainScreen(ModeScreen):
    MODE = "train"
    TITLE_TEXT = "Train"

    def dataset_chosen(self, name: str) -> None: ...
    def resume_run(self, folder: Path) -> None: ...
