"""The titled round panel that everything in a mode stands in, and the hatched place where something is still missing."""

from typing import Self

from rich.cells import cell_len, set_cell_size
from textual.app import RenderResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.reactive import reactive
from textual.widget import Widget

from tinydiff_tui.text import printable

BADGES = {
    "running": ("●", "$text-success"),
    "paused": ("‖", "$text-warning"),
    "failed": ("✗", "$text-error"),
    "finished": ("✓", "$text-success"),
    "stopped": ("■", "$text-muted"),
}
"""Sign and colour of a state; its name stands beside, for terminals and eyes that see no colours."""


def badge(state: str) -> Content:
    """● running, ‖ paused, ✗ failed, ✓ finished, ■ stopped; nothing for no state."""
    if state not in BADGES:
        return Content(printable(state))
    sign, colour = BADGES[state]
    return Content.styled(f"{sign} {state}", colour)


class Box(Vertical):
    """A round panel: `title` and the badge of `state` in the frame above, `figures` below; it lights up with the focus inside."""

    DEFAULT_CSS = """
    Box {
        border: round $frame; background: $background; padding: 0 1;
        border-title-color: $foreground; border-title-style: bold; border-subtitle-color: $axis;
    }
    Box:focus, Box:focus-within { border: round $primary; border-title-color: $primary; }
    """

    title: reactive[str] = reactive("", init=False, repaint=False)
    figures: reactive[str] = reactive("", init=False, repaint=False)
    state: reactive[str] = reactive("", init=False, repaint=False)

    def __init__(self, *children: Widget, title: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*children, id=id, classes=classes)
        self._row: int | None = None
        self.set_reactive(Box.title, title)
        self._frame()

    def watch_title(self) -> None:
        self._frame()

    def watch_figures(self) -> None:
        self._frame()

    def watch_state(self) -> None:
        self._frame()

    def _frame(self) -> None:
        parts = [Content(printable(self.title)), badge(self.state)]
        self._row = 0
        self.border_title = Content(" ").join(part for part in parts if part)
        self._row = self.outer_size.height - 1
        self.border_subtitle = Content(printable(self.figures))
        self._row = None

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        """As every widget's; but words in the frame paint their row of it, and not all that stands in the panel: figures change
        with every picture and every loss."""
        if self._row is not None and self.outer_size:
            regions = (Region(0, self._row, self.outer_size.width, 1).translate(-self.content_offset),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


class Empty(Widget):
    """A hatched place, and in its middle the sentence that says what will fill it."""

    DEFAULT_CSS = """
    Empty { width: 1fr; height: 1fr; hatch: right $grid; color: $axis; content-align: center middle; text-align: center; }
    """

    def __init__(self, text: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.text = text

    def say(self, text: str) -> None:
        """Another sentence from now on; the same one again draws nothing: a poll says it every second."""
        if text != self.text:
            self.text = text
            self.refresh()

    def render(self) -> RenderResult:
        """The sentence with a blank around it, wrapped to the widget."""
        width = max(1, self.size.width - 4)
        lines: list[str] = []
        for word in printable(self.text).split():
            if lines and cell_len(f"{lines[-1]} {word}") <= width:
                lines[-1] += f" {word}"
            else:
                lines.append(set_cell_size(word, min(cell_len(word), width)))
        return Content("\n".join(f" {line} ".replace(" ", "\N{NO-BREAK SPACE}") for line in lines))  # which are not hatched
