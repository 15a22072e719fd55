"""The panel in which a person writes a line on a run."""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.widgets import Input

from core.runs.remarks import MOST_NOTE
from tinydiff_tui.screens.panels import Panel
from tinydiff_tui.text import printable


class Note(Panel):
    """The note on a run, to be changed; enter gives it to `keep`, escape leaves it as it was."""

    def __init__(self, name: str, text: str, keep: Callable[[str], object]) -> None:
        super().__init__()
        self.keep = keep
        self.run_name = name
        self.text = text

    def compose(self) -> ComposeResult:
        with self.frame(f"Note on {printable(self.run_name)}", "enter keeps it · escape leaves it as it was"):
            yield Input(self.text, max_length=MOST_NOTE, placeholder="what this run is about", compact=True)

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.keep(event.value)
        self.dismiss("")
