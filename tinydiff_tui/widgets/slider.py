"""A slider that is a field of a form: arrow keys and the mouse move it."""

from typing import ClassVar

from textual import on
from textual.binding import Binding, BindingType

from tinydiff_tui.widgets.scrubber import Scrubber


class Slider(Scrubber, can_focus=True):
    """`number` of 0 .. `high` in equal `steps`, with one or two digits after the point; what it begins with is its default."""

    DEFAULT_CSS = "Slider:focus { background: $boost; color: $accent; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", "Less", show=False, tooltip="A step less"),
        Binding("right", "turn(1)", "More", show=False, tooltip="A step more"),
        Binding("home", "turn(-1000)", "Least", show=False, tooltip="The least value"),
        Binding("end", "turn(1000)", "Most", show=False, tooltip="The greatest value"),
    ]

    def __init__(self, number: float, high: float, steps: int, *, id: str) -> None:
        super().__init__(id=id)
        self._step = high / steps
        self._digits = 2 if self._step < 0.1 else 1
        self.maximum = steps
        self.number = number
        self._default = self.value

    @property
    def number(self) -> float:
        """The value in the field's own unit."""
        return round(self.value * self._step, 2)

    @number.setter
    def number(self, number: float) -> None:
        self.value = round(number / self._step)

    def action_turn(self, steps: int) -> None:
        self.value += steps

    @on(Scrubber.Clicked)
    def _click(self, event: Scrubber.Clicked) -> None:
        event.stop()
        self.value = event.value

    def _parts(self) -> tuple[str, str, int]:
        before, after = f"{self.number:.{self._digits}f} ", " default" if self.value == self._default else ""
        return before, after, max(self.size.width - len(before) - len(after), 1)
