"""The line of modes and the keys of what is focused, made from the active bindings."""

from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.style import Style
from rich.text import Text
from textual import events
from textual.app import App
from textual.screen import Screen
from textual.widgets import Static

from tinydiff_tui.widgets.box import BADGES

MODES = {
    "data": "Data", "noise": "Noise", "train": "Train", "sample": "Sample", "runs": "Runs", "play": "Play", "learn": "Learn",
}  # fmt: skip
NUMBERS = "1234567"
"""The keys of the modes."""

RIGHT = (
    "? help  e explain  ctrl+o jump  v V size  L look  t theme  ctrl+p palette  q quit ",
    "? help  e explain  ctrl+o jump  t theme  ctrl+p palette  q quit ",
    "? help  e explain  ctrl+o jump  q quit ",
    "? help  e explain  q quit ",
    "? help  q quit ",
    "? help ",
)
"""The keys that always work: as many as fit."""


class Bar(Static):
    """A line of words that can be clicked, in colours of its own."""

    @property
    def link_style(self) -> Style:
        """Nothing on top of a word's own style."""
        return Style()


class ModeBar(Bar):
    """1 Data  2 Noise  …, with the present mode marked, and the keys that always work."""

    DEFAULT_CSS = "ModeBar { height: 1; background: $panel; color: $foreground; }"

    def __init__(self, mode: str) -> None:
        super().__init__(markup=False)
        self.mode = mode
        self.training = ("", "")

    def tell(self, state: str, progress: str) -> None:
        """Show the state of the training that runs here and its progress; an empty state shows none."""
        self.training = (state, progress)
        self.refresh()

    def render(self) -> Text:
        """One line."""
        text = Text(no_wrap=True, overflow="crop", end="")
        for number, (mode, title) in zip(NUMBERS, MODES.items(), strict=True):
            style = Style(bold=True, reverse=True, color=self.app.theme_variables["primary"]) if mode == self.mode else Style()
            click = Style.from_meta({"@click": f"app.switch_mode('{mode}')"})
            text.append(f" {number} {title} ", style + click)
        state, progress = self.training
        room = self.size.width - cell_len(text.plain)
        if state:
            sign, colour = BADGES[state]
            said = f"  {sign} {progress} "
            text.append(set_cell_size(said, min(cell_len(said), room)), self.app.theme_variables.get(colour.lstrip("$"), ""))
            room = self.size.width - cell_len(text.plain)
        right = next((line for line in RIGHT if cell_len(line) < room), "")
        if right:
            text.append(" " * (room - cell_len(right)) + right, "dim")
        return text


MOST_LINES = 3


class KeyBar(Bar):
    """The shown bindings of the focused widget and the screen, on as many lines as they need, at most three."""

    DEFAULT_CSS = "KeyBar { height: auto; max-height: 3; background: $panel; color: $axis; }"  # MOST_LINES

    def __init__(self) -> None:
        super().__init__(markup=False)

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self._changed())
        self.app.theme_changed_signal.subscribe(self, lambda _: self._changed())
        self._changed()

    def on_resize(self, _: events.Resize) -> None:
        self._changed()

    def _changed(self) -> None:
        if self.is_attached and self.screen is self.app.screen:
            text = key_text(self.screen, self.app, self.screen.size.width)
            if text != self.content:  # a new text is a new layout of the screen
                self.update(text)
                self.call_after_refresh(self._changed)
            elif self.size.height != min(len(text.plain.splitlines()), MOST_LINES):  # a layout that was under way took no notice
                self.refresh(layout=True)


def key_text(screen: Screen[Any], app: App[Any], width: int) -> Text:
    """The shown bindings, wrapped between items; those of a group are one item."""
    items: dict[object, list[Text]] = {}
    shown: set[str] = set()
    for active in screen.active_bindings.values():
        binding = active.binding
        if not binding.show or active.node is app or binding.action in shown:
            continue
        shown.add(binding.action)
        click = Style.from_meta({"@click": f"screen.{binding.action}"}) if active.node is screen else Style()
        style = click + Style(bold=True, dim=not active.enabled, color=app.theme_variables["accent"])
        title = Text(f" {binding.group.description if binding.group else binding.description} ", click)
        *keys, _ = items.get(binding.group or binding.action, [title])
        key = Text(app.get_key_display(binding), style)
        between = [Text("/", style)] if keys and len(key) > 2 else []
        items[binding.group or binding.action] = [*keys, *between, key, title]
    text = Text(no_wrap=True, end="")
    used = 0
    for pieces in items.values():
        length = 1 + sum(piece.cell_len for piece in pieces)
        if used and used + length > width:
            text.append("\n")
            used = 0
        text.append(" ")
        for piece in pieces:
            text.append_text(piece)
        used += length
    return text


class TabBar(Bar):
    """The parts of a mode on a line, the present one marked; a click runs `action` with the name of one."""

    DEFAULT_CSS = "TabBar { height: 1; padding: 0 1; }"

    def __init__(self, titles: Mapping[str, str], action: str) -> None:
        super().__init__(markup=False)
        self._titles = titles
        self._action = action
        self._marked = next(iter(titles))

    def mark(self, name: str) -> None:
        """This is the one that is shown."""
        self._marked = name
        self.refresh()

    def render(self) -> Text:
        text = Text(no_wrap=True, overflow="crop", end="")
        here = Style(bold=True, underline=True, color=self.app.theme_variables["primary"])
        for name, title in self._titles.items():
            style = here if name == self._marked else Style()
            text.append(title, style + Style.from_meta({"@click": f"{self._action}('{name}')"}))
            text.append("   ")
        return text
