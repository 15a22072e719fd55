"""One field of a form made from a config: its name, its value and what it is for."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.suggester import SuggestFromList
from textual.widgets import Input, Label, Select, Static

from core.config import check_value
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.form import offer


class FieldRow(Horizontal):
    """Name, value and explanation of one field. An empty value means the default, which is shown faintly."""

    DEFAULT_CSS = """
    FieldRow { height: auto; }
    FieldRow Label { width: 22; padding: 0 0 0 2; color: $foreground; }
    FieldRow Select, FieldRow Input { width: 17; }
    FieldRow .help { width: 1fr; height: auto; padding: 0 0 0 1; color: $axis; }
    FieldRow.-given Label { text-style: bold; }
    FieldRow.-bad .help { color: $text-error; text-style: bold; }
    """

    def __init__(self, field: "dataclasses.Field[Any]") -> None:
        super().__init__()
        self.field = field
        self.default_text = str(field.default)
        """What the field is where nothing is given, in words."""

    def compose(self) -> ComposeResult:
        field = self.field
        yield Label(field.name.replace("_", " "))
        choices = field.metadata["choices"]
        if field.name != "dataset" and (choices or field.type is bool):
            options = [(choice, choice) for choice in choices] or [("yes", True), ("no", False)]
            yield Select[Any](options, prompt=str(field.default), id=f"field-{field.name}", compact=True)
        else:
            suggester = SuggestFromList(choices) if choices else None
            yield Input(id=f"field-{field.name}", compact=True, placeholder=str(field.default), suggester=suggester)
        yield Static(for_app(field.metadata["help"]), classes="help", markup=False)

    @property
    def control(self) -> Input | Select[Any]:
        found = self.query_one(f"#field-{self.field.name}")
        assert isinstance(found, Input | Select)
        return found

    @property
    def shown(self) -> str:
        """The value as it stands there, given or by default."""
        control = self.control
        given = control.value.strip() if isinstance(control, Input) else "" if control.is_blank() else _word(control.value)
        return given or self.default_text

    def read(self) -> Any:
        """The value that was given, None for the default. Raises UserError."""
        control = self.control
        if isinstance(control, Select):
            return None if control.is_blank() else control.value
        text = control.value.strip()
        if not text:
            return None
        kind = self.field.type if isinstance(self.field.type, type) else type(self.field.default)
        try:
            value = kind(text)
        except ValueError:
            value = text  # check_value says what it takes
        check_value(self.field, value)
        return value

    def write(self, value: Any) -> None:
        """Fill in a value; None leaves the default, and so does an empty choice."""
        control = self.control
        if isinstance(control, Select):
            control.value = Select.NULL if value in (None, "") else value
        else:
            short = f"{value:g}" if isinstance(value, float) else str(value)
            control.value = "" if value is None else short if short == str(value) or float(short) == value else str(value)

    def offer(self, default: Any, words: Mapping[str, str]) -> None:
        """Show what the default is now; `words` say what a default comes to that the value alone does not say."""
        text = self.default_text = words.get(self.field.name) or _word(default)
        control = self.control
        if isinstance(control, Select) and control.prompt != text:
            control.prompt = text
        elif isinstance(control, Input) and control.placeholder != text:
            control.placeholder = text

    def offer_choices(self) -> None:
        """List the names that there are now; the chosen one stays while it is among them."""
        control, choices = self.control, self.field.metadata["choices"]
        if isinstance(choices, dict) and isinstance(control, Select):
            offer(control, tuple(choices))
        elif isinstance(choices, dict) and isinstance(control, Input):
            control.suggester = SuggestFromList(choices)

    def complain(self, sentence: str) -> None:
        """Show what is wrong in place of the explanation; empty when nothing is."""
        self.set_class(bool(sentence), "-bad")
        self.query_one(".help", Static).update(for_app(sentence or self.field.metadata["help"]))


def _word(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
