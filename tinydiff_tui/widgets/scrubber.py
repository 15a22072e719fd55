"""A slider over whole numbers: it shows where one stands; the keys belong to the screen, the mouse may click."""

from dataclasses import dataclass

from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from tinydiff_tui.terminal.support import ascii_only


class Scrubber(Widget):
    """`value` of 0 .. `maximum` on a line, with an optional name and marks; on a second line, where there is one, the numbers of
    the marks."""

    DEFAULT_CSS = "Scrubber { height: 1; width: 1fr; }"

    value: reactive[int] = reactive(0)
    maximum: reactive[int] = reactive(1)
    label: reactive[str] = reactive("")
    marks: reactive[tuple[int, ...]] = reactive(())

    @dataclass
    class Clicked(Message):
        """The mouse asked for a value."""

        value: int

    def validate_value(self, value: int) -> int:
        return max(0, min(value, self.maximum))

    def watch_maximum(self) -> None:
        self.value = self.validate_value(self.value)

    def render(self) -> Text:
        """The line: name, track with marks and knob, maximum."""
        before, after, track = self._parts()
        knob = self._column(self.value, track)
        marks = {self._column(mark, track) for mark in self.marks}
        line = "".join("●" if x == knob else "┿" if x in marks else "━" if x < knob else "─" for x in range(track))
        if ascii_only():
            line = line.translate(str.maketrans("●┿━─", "O+=-"))
        text = Text(before, no_wrap=True, end="")
        text.append(line[:knob], "bold")
        text.append(line[knob : knob + 1], "bold reverse")
        text.append(line[knob + 1 :], "dim")
        text.append(after)
        return text.append(f"\n{' ' * len(before)}{self._numbers(track)}", "dim") if self.size.height > 1 else text

    def _numbers(self, track: int) -> str:
        """The number of each mark, below it, where it has room."""
        line = ""
        for mark in self.marks:
            name = str(mark)
            start = min(max(0, self._column(mark, track) - len(name) // 2), track - len(name))
            if start > len(line) or not line:
                line = line.ljust(start) + name
        return line

    def on_click(self, event: events.Click) -> None:
        before, _, track = self._parts()
        share = (event.x - len(before)) / max(track - 1, 1)
        self.post_message(self.Clicked(round(max(0.0, min(1.0, share)) * self.maximum)))

    def _parts(self) -> tuple[str, str, int]:
        digits = len(str(self.maximum))
        before, after = f"{self.label} {self.value:>{digits}} ".lstrip(), f" {self.maximum}"
        return before, after, max(self.size.width - len(before) - len(after), 1)

    def _column(self, value: int, track: int) -> int:
        return round(value / max(self.maximum, 1) * (track - 1))
