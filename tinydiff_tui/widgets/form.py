"""A form of fields, one a line: home and end go to the first and the last, where a field has no use for these keys."""

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll

from tinydiff_tui.widgets.field_group import GroupTitle


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
