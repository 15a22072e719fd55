"""The jump overlay: a letter on everything that takes the focus; the letter goes there."""

from collections.abc import Iterator, Mapping
from string import ascii_letters, digits
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from tinydiff_tui.screens.once import Once

LETTERS = "".join(dict.fromkeys("asdfghjkl" + ascii_letters + digits))


def targets(screen: Screen[None]) -> Iterator[Widget]:
    """What can take the focus and is seen, from top left to bottom right."""

    def seen(widget: Widget) -> bool:
        """Whether its first cell is on the screen: what is scrolled out of its frame has a place, but is clipped away."""
        return bool(widget.region) and screen.find_widget(widget).visible_region.contains_point(widget.region.offset)

    yield from sorted(filter(seen, screen.focus_chain), key=lambda widget: (widget.region.y, widget.region.x))


class Jump(Once, ModalScreen[Widget | None]):
    """Letters over a mode. The answer is the widget that was chosen, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+o", "close", "Close", tooltip="Stay where the focus is")]
    DEFAULT_CSS = """
    Jump { background: $background 40%; layers: letters; }
    Jump > .letter { position: absolute; width: 3; height: 1; background: $accent; color: $background; text-style: bold; }
    Jump > #how { dock: bottom; height: 1; width: 1fr; content-align: center middle; background: $panel; }
    """

    def __init__(self, choices: Mapping[str, Widget]) -> None:
        super().__init__()
        self.choices = choices

    def compose(self) -> ComposeResult:
        for letter, widget in self.choices.items():
            label = Static(f" {letter} ", classes="letter", markup=False)
            label.styles.offset = widget.region.offset
            yield label
        how = (
            "a letter goes there · escape stays"
            if self.choices
            else "nothing here takes the focus: every key works · escape closes"
        )
        yield Static(how, id="how", markup=False)

    def on_key(self, event: events.Key) -> None:
        chosen = self.choices.get(event.character or "")
        if chosen is not None:
            event.stop()
            self.dismiss(chosen)

    def on_click(self) -> None:
        self.action_close()

    def action_close(self) -> None:
        self.dismiss(None)


def jump_over(screen: Screen[None]) -> Jump:
    """The overlay for a mode as it stands now."""
    return Jump(dict(zip(LETTERS, targets(screen), strict=False)))
