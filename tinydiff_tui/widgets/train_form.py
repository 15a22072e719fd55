"""The form of a training run, made from TrainConfig: fields in groups, checked while they are filled in."""

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Button, Input, Select, Static

from core.config import GROUPS, OF_TEACHER, SHAPE, TrainConfig, without_teachers
from core.data.datasets import default_data_dir
from core.errors import UserError
from core.files import unused
from core.names import NETWORKS
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.field_group import FieldGroup
from tinydiff_tui.widgets.field_row import FieldRow
from tinydiff_tui.widgets.form import Form

FIELDS = {f.name: f for f in dataclasses.fields(TrainConfig)}
OPEN = ("Data", "Model", "Time", "Batch")
"""The groups that are unfolded at first, where there is no room for all of them."""
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "1 minute": {"budget": "1m", "epochs": None},
    "10 minutes": {"budget": "10m", "epochs": None},
    "20 epochs": {"budget": None, "epochs": 20},
}
"""Lengths of a run at one key or click, and the fields that make them."""


class Presets(Horizontal):
    """A button for each preset, and the one that starts the run."""

    DEFAULT_CSS = """
    Presets { height: 1; }
    Presets Button { margin: 0 1 0 0; min-width: 8; width: auto; }
    Presets #gap { width: 1fr; }
    Presets #start { min-width: 13; margin: 0; }
    """

    def compose(self) -> ComposeResult:
        for number, title in enumerate(PRESETS):
            yield Button(title, id=f"preset-{number}", compact=True)
        yield Static("", id="gap")
        yield Button("Start", id="start", variant="primary", compact=True)


class TrainForm(Box):
    """All fields of a run, the presets and the button that starts it."""

    DEFAULT_CSS = """
    TrainForm { width: 1fr; height: 1fr; padding: 0; }
    TrainForm Presets { margin: 0 1; }
    TrainForm Form { height: 1fr; padding: 0 1; margin: 0; }
    TrainForm #problem { height: auto; padding: 0 1; color: $text-error; text-style: bold; }
    """

    class Started(Message):
        """The start button was pressed."""

    class Changed(Message):
        """A value is another one."""

    BINDINGS: ClassVar[list[BindingType]] = Form.BINDINGS

    def __init__(self) -> None:
        super().__init__(title="Recipe")
        self.resolved: dict[str, str] = {}
        """What defaults come to here that only a measurement tells, by field."""
        self.failure = ""

    def compose(self) -> ComposeResult:
        yield Presets()
        with Form():
            for group in GROUPS:
                fields = [FieldRow(field) for field in FIELDS.values() if field.metadata["group"] == group]
                if fields:
                    yield FieldGroup(group, *fields, folded=group not in OPEN and not self.screen.has_class("-tall"))
        yield Static("", id="problem", markup=False)

    def action_go_to(self, place: int) -> None:
        self.query_one(Form).action_go_to(place)

    def show_all(self, shown: bool) -> None:
        """Unfold every group, or fold those that are rarely changed."""
        for group in self.query(FieldGroup):
            group.folded = not shown and group.title not in OPEN

    @property
    def shows_all(self) -> bool:
        return not any(group.folded for group in self.query(FieldGroup))

    def rows(self) -> Iterator[FieldRow]:
        yield from self.query(FieldRow)

    def row(self, name: str) -> FieldRow:
        return next(row for row in self.rows() if row.field.name == name)

    def fill(self, values: Mapping[str, Any]) -> None:
        """Write these values, and the defaults everywhere else."""
        for row in self.rows():
            row.write(values.get(row.field.name))

    def take_preset(self, name: str) -> None:
        """Write the fields of a preset, and leave the others as they are."""
        for field, value in PRESETS[name].items():
            self.row(field).write(value)

    def resolve(self, words: Mapping[str, str]) -> None:
        """Tell what defaults come to that only a measurement tells."""
        if words != self.resolved:
            self.resolved = dict(words)
            self._check()  # nothing was written: what is said under the form stays

    @on(Input.Changed)
    @on(Select.Changed)
    def changed(self) -> None:
        """Check everything, in place, and say what is wrong."""
        self.say(self._check() or self.failure)
        self.post_message(self.Changed())

    def _check(self) -> str:
        """Show what every field comes to; returns what is wrong."""
        given, problem = self.given()
        try:
            decisive = ("model", "objective", "teacher", "epochs")
            defaults = TrainConfig.of(**{name: given[name] for name in decisive if name in given})
            own = NETWORKS[defaults.model].shape
            words = {name: f"{own.get(name, 'its own')}" for name in SHAPE}
            words |= {
                "data_dir": str(default_data_dir()),
                "budget": defaults.budget or "none",
                "log": "none",
                "teacher": "none",
                "image_size": "as they are",
            } | self.resolved
            if defaults.teacher:
                words |= dict.fromkeys(OF_TEACHER, "the teacher's") | {"data_dir": words["data_dir"]}
            for row in self.rows():
                row.offer(getattr(defaults, row.field.name), words)
                row.set_class(row.field.name in given, "-given")
            if not problem:
                TrainConfig.of(**given)
        except UserError as error:
            problem = str(error)
        for group in self.query(FieldGroup):
            group.summary = " · ".join(_short(row) for row in group.query(FieldRow))
        return problem

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        # The whole explanation of the field, which the line may be too short for.
        row = event.widget.parent
        self.figures = for_app(row.field.metadata["help"]) if isinstance(row, FieldRow) else ""

    def on_descendant_blur(self) -> None:
        self.figures = ""

    def fail(self, sentence: str) -> None:
        """Why a start failed, which stands there until the next, whatever is written into fields meanwhile; or empty."""
        self.failure = sentence
        self.say(sentence)

    def say(self, sentence: str) -> None:
        """A sentence under the form."""
        line = self.query_one("#problem", Static)
        line.update(for_app(sentence))
        line.display = bool(sentence)

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
        taught = given.keys() - without_teachers(given).keys()
        return given, problem or next((f"{name} is the teacher's; leave it empty" for name in given if name in taught), "")

    @on(Button.Pressed)
    def pressed(self, event: Button.Pressed) -> None:
        event.stop()
        if event.button.id == "start":
            self.post_message(self.Started())
        else:
            self.take_preset(str(event.button.label))

    @on(Input.Submitted)
    def submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.screen.focus_next()


def _short(row: FieldRow) -> str:
    """A field in the line of its folded group: a yes or no needs its name."""
    name = row.field.name.replace("_", " ")
    return row.shown if row.field.metadata["choices"] else f"{name} {row.shown}"


def free_output_dir(cwd: Path) -> str:
    """outputs, or the first of outputs-2, outputs-3, … that does not exist."""
    return unused(cwd, "outputs", mark="-").name
