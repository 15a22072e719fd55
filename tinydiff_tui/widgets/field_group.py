"""A group of the fields of a form under a line of its own, which says what is in it, and folds and unfolds it."""

from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget
from textual.widgets import Static

from tinydiff_tui.text import printable


class GroupTitle(Static, can_focus=True):
    """The line above a group: enter, space or a click folds it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "fold", "Fold", show=False, tooltip="Fold or unfold this group of fields")
    ]
    DEFAULT_CSS = """
    GroupTitle { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; pointer: pointer; }
    GroupTitle:focus, GroupTitle:hover { background: $panel; }
    """

    def action_fold(self) -> None:
        group = self.parent
        assert isinstance(group, FieldGroup)
        group.folded = not group.folded

    def on_click(self, event: events.Click) -> None:
        event.stop()
        self.action_fold()


class FieldGroup(Vertical):
    """Fields under their title; `summary` stands beside it while they are folded."""

    DEFAULT_CSS = """
    FieldGroup { height: auto; }
    FieldGroup > .fields { height: auto; }
    FieldGroup.-folded > .fields { display: none; }
    """

    folded: reactive[bool] = reactive(False, init=False)
    summary: reactive[str] = reactive("", init=False)

    def __init__(self, title: str, *fields: Widget, folded: bool = False) -> None:
        super().__init__(classes="-folded" if folded else None)
        self.title = title
        self._fields = fields
        self.set_reactive(FieldGroup.folded, folded)

    def compose(self) -> ComposeResult:
        yield GroupTitle(self._line())
        with Vertical(classes="fields"):
            yield from self._fields

    def watch_folded(self) -> None:
        self.set_class(self.folded, "-folded")
        self._tell()

    def watch_summary(self) -> None:
        self._tell()

    def _tell(self) -> None:
        if self.is_mounted:
            self.query_one(GroupTitle).update(self._line())

    def _line(self) -> Content:
        sign = "▸" if self.folded else "▾"
        title = Content.styled(f"{sign} {self.title}", "bold $primary")
        return Content.assemble(title, ("  " + printable(self.summary), "$axis")) if self.folded else title
