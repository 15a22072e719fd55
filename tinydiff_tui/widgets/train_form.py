"""The form of a training run, made from TrainConfig: one line a field, checked while it is filled in."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from textual import events, on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Button, Input, Label, Select, Static

from core.config import TrainConfig, check_value
from core.errors import UserError
from core.files import unused
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.form import Form

IMPORTANT = ("dataset", "model", "epochs", "budget", "batch_size", "lr", "objective", "output_dir")
FIELDS = {f.name: f for f in dataclasses.fields(TrainConfig)}


class FieldRow(Horizontal):
    """Name, value and explanation of one field. An empty value means the default, which is shown faintly."""

    def __init__(self, field: "dataclasses.Field[Any]") -> None:
        super().__init__()
        self.field = field

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

    def read(self) -> Any:
        """The value that was given, None for the default. Raises UserError."""
        control = self.query_one(f"#field-{self.field.name}")
        if isinstance(control, Select):
            return None if control.is_blank() else control.value
        assert isinstance(control, Input)
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
        """Fill in a value; None leaves the default."""
        control = self.query_one(f"#field-{self.field.name}")
        if isinstance(control, Select):
            control.value = Select.NULL if value is None else value
        elif isinstance(control, Input):
            short = f"{value:g}" if isinstance(value, float) else str(value)
            control.value = "" if value is None else short if short == str(value) or float(short) == value else str(value)

    def offer(self, default: Any) -> None:
        """Show what the default is now."""
        text = {True: "yes", False: "no"}[default] if isinstance(default, bool) else str(default) or "default"
        control = self.query_one(f"#field-{self.field.name}")
        if isinstance(control, Select) and control.prompt != text:
            control.prompt = text
        elif isinstance(control, Input) and control.placeholder != text:
            control.placeholder = text

    def complain(self, sentence: str) -> None:
        """Show what is wrong in place of the explanation; empty when nothing is."""
        self.set_class(bool(sentence), "-bad")
        self.query_one(".help", Static).update(for_app(sentence or self.field.metadata["help"]))


class TrainForm(Form):
    """All fields; `-advanced` shows those beyond the important ones."""

    DEFAULT_CSS = """
    TrainForm { height: 1fr; padding: 0 1; }
    TrainForm FieldRow { height: auto; }
    TrainForm Label { width: 19; color: $text; }
    TrainForm Select, TrainForm Input { width: 20; }
    TrainForm .help { width: 1fr; height: auto; padding: 0 0 0 1; color: $text-muted; }
    TrainForm .-bad .help { color: $text-error; text-style: bold; }
    TrainForm #more { display: none; height: auto; }
    TrainForm.-advanced #more { display: block; }
    TrainForm #folded { height: 1; color: $text-muted; }
    TrainForm #start { margin-top: 1; width: 24; }
    TrainForm #about { height: auto; color: $text-muted; }
    TrainForm #problem { height: auto; color: $text-error; }
    """

    class Started(Message):
        """The start button was pressed."""

    def compose(self) -> ComposeResult:
        for name in IMPORTANT:
            yield FieldRow(FIELDS[name])
        yield Static("", id="folded")
        with Vertical(id="more"):
            for name, field in FIELDS.items():
                if name not in IMPORTANT:
                    yield FieldRow(field)
        yield Button("Start", id="start", variant="primary", compact=True)
        yield Static("", id="about", markup=False)
        yield Static("", id="problem", markup=False)

    def on_mount(self) -> None:
        self.show_advanced(False)

    def show_advanced(self, shown: bool) -> None:
        """Unfold or fold the rest of the fields."""
        self.set_class(shown, "-advanced")
        rest = len(FIELDS) - len(IMPORTANT)
        self.query_one("#folded", Static).update(f"▾ {rest} more fields" if shown else f"▸ {rest} more fields (press a)")

    def rows(self) -> Iterator[FieldRow]:
        yield from self.query(FieldRow)

    def row(self, name: str) -> FieldRow:
        return next(row for row in self.rows() if row.field.name == name)

    def fill(self, values: dict[str, Any]) -> None:
        """Write these values, and the defaults everywhere else."""
        for row in self.rows():
            row.write(values.get(row.field.name))

    @on(Input.Changed)
    @on(Select.Changed)
    def changed(self) -> None:
        """Check everything, in place."""
        given, problem = self.given()
        try:
            defaults = TrainConfig.of(**{name: value for name, value in given.items() if name in ("model", "objective")})
            for row in self.rows():
                row.offer(getattr(defaults, row.field.name))
            if not problem:
                TrainConfig.of(**given)
        except UserError as error:
            problem = str(error)
        self.say(problem)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        # The whole explanation of the field, which the line may be too short for.
        row = event.widget.parent
        self.query_one("#about", Static).update(for_app(row.field.metadata["help"]) if isinstance(row, FieldRow) else "")

    def say(self, sentence: str) -> None:
        """A sentence under the form."""
        self.query_one("#problem", Static).update(for_app(sentence))

    def read(self) -> TrainConfig:
        """The config of what was changed; the rest is the model's recipe. Raises UserError."""
        given, problem = self.given()
        if problem:
            raise UserError(problem)
        return TrainConfig.of(**given)

    def given(self) -> tuple[dict[str, Any], str]:
        """What was changed and reads well, and the first complaint; all of them stand beside their fields."""
        given: dict[str, Any] = {}
        problem = ""
        for row in self.rows():
            try:
                value = row.read()
            except UserError as error:
                row.complain(str(error))
                problem = problem or str(error)
            else:
                row.complain("")
                if value is not None:
                    given[row.field.name] = value
        return given, problem

    @on(Button.Pressed, "#start")
    def pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.post_message(self.Started())

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()


def free_output_dir(cwd: Path) -> str:
    """outputs, or the first of outputs-2, outputs-3, … that does not exist."""
    return unused(cwd, "outputs", mark="-").name
