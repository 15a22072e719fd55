"""The choices before sampling: checkpoint, sampler and its options, what to start from, class, guidance, number of images.

A field that is left as it is says what it will be: what the engine takes for this model and the other fields.
"""

import contextlib
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select, Static

from core.config import GUIDANCE, INTERVALS, REGIONS, SPACINGS, VARIANCES, SampleConfig
from core.errors import UserError, printable
from core.names import OBJECTIVES, SAMPLERS, STARTS
from tinydiff_tui.widgets.form import Form, offer
from tinydiff_tui.widgets.plain import plain
from tinydiff_tui.widgets.slider import Slider

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import ModelFacts

NUMBERS = {"steps": "evaluations", "seed": "seed", "num_images": "pictures"}
DEFAULTS = {field.name: field.default for field in dataclasses.fields(SampleConfig)}
GUIDED = ("middle t", "every t")


def _choice(name: str, values: tuple[str, ...], texts: tuple[str, ...] = ()) -> Select[str]:
    """A list to choose from; left as it is it takes the default, and says which that is."""
    shown = dict(zip(values, texts or values, strict=True))
    prompt = f"default: {shown.get(str(DEFAULTS[name]), '…')}"
    return Select([(text, value) for value, text in shown.items()], prompt=prompt, id=name, compact=True)


def _number(name: str) -> Input:
    """A field of a whole number; empty it is the default."""
    default = "…" if name == "steps" else DEFAULTS[name]  # those it has to be told of
    return Input(placeholder=f"default: {default}", type="integer", valid_empty=True, id=name, compact=True)


def _row(name: str, field: Widget, shown: str = "") -> Horizontal:
    """A field with its name; `shown` is the class of an option that is not always there."""
    return Horizontal(Label(name), field, classes=f"-option {shown}" if shown else None)


class SampleForm(Form):
    """Fields of SampleConfig, one a line; what is left empty is the model's own."""

    DEFAULT_CSS = """
    SampleForm { height: 1fr; scrollbar-size-vertical: 1; }
    SampleForm Horizontal { height: 1; }
    SampleForm Label { width: 12; color: $axis; }
    SampleForm Select, SampleForm Input { width: 1fr; }
    SampleForm Button { margin-top: 1; width: 100%; }
    SampleForm #about { margin-top: 1; color: $axis; }
    SampleForm .-option { display: none; }
    SampleForm.-classes .-conditional, SampleForm.-takes-eta .-eta, SampleForm.-takes-variance .-variance { display: block; }
    SampleForm.-guides .-guidance, SampleForm.-takes-strength .-strength, SampleForm.-takes-region .-region { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.facts: ModelFacts | None = None
        self.suggested = 16
        self._names: dict[Path, str] = {}

    def compose(self) -> ComposeResult:
        yield Select[Path]([], prompt="choose a checkpoint", id="checkpoint", compact=True)
        yield _row("or a path", Input(placeholder="file.pt", id="path", compact=True))
        yield _row("sampler", _choice("sampler", tuple(SAMPLERS)))
        yield _row("eta", Slider(0.0, 1.0, 20, id="eta"), "-eta")
        yield _row("variance", _choice("variance", VARIANCES), "-variance")
        yield _row("evaluations", _number("steps"))
        yield _row("spacing", _choice("spacing", SPACINGS))
        yield _row("guidance", Slider(GUIDANCE, 8.0, 160, id="guidance_scale"), "-guidance")
        yield _row("guided at", _choice("guidance_interval", INTERVALS, GUIDED), "-guidance")
        yield _row("class", Select[int]([], prompt="default: in turn", id="label", compact=True), "-conditional")
        yield _row("pictures", _number("num_images"))
        yield _row("seed", _number("seed"))
        yield _row("start", _choice("start", tuple(STARTS)))
        yield _row("strength", Slider(0.6, 1.0, 50, id="strength"), "-strength")
        yield _row("redraw", _choice("region", REGIONS), "-region")
        yield Button("g  Generate", id="generate", variant="primary", compact=True)
        yield Static(id="about", markup=False)

    def on_mount(self) -> None:
        for slider in self.query(Slider):
            self.watch(slider, "value", self._tell_defaults, init=False)

    # --- the model

    @property
    def checkpoint(self) -> Path | None:
        """The chosen checkpoint."""
        value = self.query_one("#checkpoint", Select).value
        return value if isinstance(value, Path) else None

    @property
    def checkpoint_name(self) -> str:
        """What the list calls it."""
        return self._names.get(self.checkpoint or Path(), "")

    def offer(self, found: tuple[tuple[str, Path], ...], chosen: Path | None) -> None:
        """List checkpoints; `chosen` stays, or the first one is taken."""
        options = list(found)
        if chosen is not None and chosen not in [path for _, path in found]:
            options.insert(0, (str(Path(*chosen.parts[-3:])), chosen))
        self._names = {path: printable(name) for name, path in options}
        select = self.query_one("#checkpoint", Select)
        with self.prevent(Select.Changed) if options else contextlib.nullcontext():  # that the choice was empty for a moment
            select.set_options([(plain(name), path) for name, path in options])
        if options:
            select.value = chosen if chosen is not None else options[0][1]

    def offer_samplers(self) -> None:
        """List those that there are now; the chosen one stays while it is among them."""
        offer(self.query_one("#sampler", Select), tuple(SAMPLERS))

    def offer_model(self, facts: "ModelFacts") -> None:
        """Show the classes of a model that was read, and what its defaults are."""
        self.facts = facts
        config = facts.config
        about = f"{config.objective} on the {config.schedule} schedule, {config.timesteps:,} timesteps: "
        self.query_one("#about", Static).update(f"{about}{OBJECTIVES[config.objective].formula}")
        self.offer_classes(facts.classes, facts.labels)
        self.set_class(facts.guides, "-guides")
        self._tell_defaults()

    def offer_classes(self, classes: tuple[str, ...], labels: int) -> None:
        """Show the class for a conditional model, hide it for another."""
        self.set_class(labels > 0, "-classes")
        self.query_one("#label", Select).set_options([(plain(name), i) for i, name in enumerate(classes[:labels])])

    # --- what will be

    @property
    def pictures(self) -> int:
        """How many pictures are drawn where no number is given: as many as suit the screen, and of each class as many."""
        labels = self.facts.labels if self.facts is not None else 0
        return -(-self.suggested // labels) * labels if 0 < labels <= self.suggested else self.suggested

    def suggest_images(self, count: int) -> None:
        """So many pictures suit the screen."""
        self.suggested = count
        self._tell_defaults()

    @on(Input.Changed)
    @on(Select.Changed)
    def _tell_defaults(self) -> None:
        """Show what the engine takes for each field that is left as it is, and only what sampler and start have a use for."""
        taken: set[str] = set()
        for name, table in (("sampler", SAMPLERS), ("start", STARTS)):
            entry = table.get(str(self.query_one(f"#{name}", Select).value))
            taken |= set(entry.options if entry else ())
        for option in ("eta", "variance", "strength", "region"):
            self.set_class(option in taken, f"-takes-{option}")
        self.query_one("#num_images", Input).placeholder = f"default: {self.pictures}"
        own = "its own" if self.query_one("#start", Select).value in ("image", "inpaint") else "in turn"
        self.query_one("#label", Select).prompt = f"default: {own}"
        if self.facts is None:
            return
        with contextlib.suppress(UserError):  # it is said when pictures are asked for
            given = self.read()
            sampler = self.facts.resolved(dataclasses.replace(given, sampler="")).sampler
            steps = self.facts.resolved(dataclasses.replace(given, steps=0)).steps
            self.query_one("#sampler", Select).prompt = f"default: {sampler}"
            self.query_one("#steps", Input).placeholder = f"default: {steps}"

    def summary(self) -> str:
        """The options in a line. Raises UserError for what cannot be read."""
        options = self.read()
        parts = [self.checkpoint_name]
        if self.facts is not None:
            options = self.facts.resolved(options)
            parts.append(f"{options.sampler} {options.steps}")
            if self.facts.guides:
                parts.append(f"guidance {options.guidance_scale:g}")
        if options.start != "noise":
            parts.append(f"from {STARTS[options.start].help}")
        return " · ".join([*parts, f"{options.num_images} pictures", f"seed {options.seed}"])

    def next_seed(self) -> None:
        """One more than the seed that is there."""
        field = self.query_one("#seed", Input)
        with contextlib.suppress(ValueError):
            field.value = str(int(field.value.strip() or str(DEFAULTS["seed"])) + 1)

    def read(self) -> SampleConfig:
        """The options. Raises UserError for what cannot be read."""
        given: dict[str, Any] = {"num_images": self.pictures}
        for name, shown in NUMBERS.items():
            text = self.query_one(f"#{name}", Input).value.strip()
            if text:
                try:
                    given[name] = int(text)
                except ValueError as error:
                    raise UserError(f"{shown} takes a number, got '{text}'") from error
        for field in (field for row in self.query(Horizontal) if row.display for field in row.query("Slider, Select")):
            if isinstance(field, Slider):
                given[str(field.id)] = field.number
            elif isinstance(field, Select) and not field.is_blank():
                given[str(field.id)] = field.value
        return SampleConfig.asked(**given)
