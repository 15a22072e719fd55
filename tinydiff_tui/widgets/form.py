"""A form of fields, one a line: home and end go to the first and the last, where a field has no use for these keys."""

from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Select

from tinydiff_tui.widgets.field_group import GroupTitle


def offer(field: Select[Any], values: tuple[str, ...]) -> None:
    """List other values to choose from; the chosen one stays while it is among them."""
    chosen = field.value
    field.set_options([(value, value) for value in values])
    if chosen in values:
        field.value = chosen


class Form(VerticalScroll):
    """What the forms of Train and Sample are made from."""

    can_focus = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("home", "go_to(0)", "First field", show=False, tooltip="The first field"),
        Binding("end", "go_to(-1)", "Last field", show=False, tooltip="The last field"),
    ]

    def action_go_to(self, place: int) -> None:
        inside = [widget for widget in self.screen.focus_chain if self in widget.ancestors]
        fields = [widget for widget in inside if not isinstance(widget, GroupTitle)]
        if fields:
            self.screen.set_focus(fields[place])
