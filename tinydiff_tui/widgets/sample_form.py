"""The choices before sampling: checkpoint, sampler and its options, what to start from, class, guidance, number of images."""

from pathlib import Path
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Button, Input, Label, Select

from core.config import GUIDANCE, INTERVALS, REGIONS, SPACINGS, VARIANCES, SampleConfig
from core.errors import UserError
from core.names import SAMPLERS, STARTS
from tinydiff_tui.widgets.form import Form
from tinydiff_tui.widgets.plain import plain
from tinydiff_tui.widgets.slider import Slider

NUMBERS = {"steps": "steps", "seed": "seed", "num_images": "images"}


def _choice(name: str, values: tuple[str, ...], texts: tuple[str, ...] = ()) -> Select[str]:
    return Select(list(zip(texts or values, values, strict=True)), allow_blank=False, id=name, compact=True)


def _number(name: str, value: str, default: str) -> Input:
    """A field of a whole number; empty it is the default."""
    return Input(value, placeholder=default, type="integer", valid_empty=True, id=name, compact=True)


def _row(name: str, field: Widget, shown: str = "") -> Horizontal:
    """A field with its name; `shown` is the class of an option that is not always there."""
    return Horizontal(Label(name), field, classes=f"-option {shown}" if shown else None)


class SampleForm(Form):
    """Fields of SampleConfig, one a line; what is left empty is the model's own."""

    DEFAULT_CSS = """
    SampleForm { width: 32; height: 1fr; padding: 0 1 0 0; }
    SampleForm Horizontal { height: 1; }
    SampleForm Label { width: 10; color: $text-muted; }
    SampleForm Select, SampleForm Input { width: 1fr; }
    SampleForm #checkpoint { margin-bottom: 0; }
    SampleForm Button { margin-top: 1; width: 100%; }
    SampleForm .-option { display: none; }
    SampleForm.-classes .-conditional, SampleForm.-takes-eta .-eta, SampleForm.-takes-variance .-variance { display: block; }
    SampleForm.-takes-strength .-strength, SampleForm.-takes-region .-region { display: block; }
    """

    def compose(self) -> ComposeResult:
        yield Select[Path]([], prompt="choose a checkpoint", id="checkpoint", compact=True)
        yield _row("or a path", Input(placeholder="file.pt", id="path", compact=True))
        samplers = [(name, name) for name in SAMPLERS]
        yield _row("sampler", Select[str](samplers, prompt="model's own", id="sampler", compact=True))
        yield _row("steps", _number("steps", "", "sampler's own"))
        yield _row("seed", _number("seed", "0", "0"))
        yield _row("images", _number("num_images", "16", "64"))
        yield _row("class", Select[int]([], prompt="all in turn", id="label", compact=True), "-conditional")
        yield _row("guidance", Slider(GUIDANCE, 8.0, 160, id="guidance_scale"), "-conditional")
        yield _row("guided at", _choice("guidance_interval", INTERVALS, ("middle noise", "all noise")), "-conditional")
        yield _row("eta", Slider(0.0, 1.0, 20, id="eta"), "-eta")
        yield _row("variance", _choice("variance", VARIANCES), "-variance")
        yield _row("spacing", _choice("spacing", SPACINGS))
        yield _row("start", _choice("start", tuple(STARTS), tuple(start.help for start in STARTS.values())))
        yield _row("strength", Slider(0.6, 1.0, 50, id="strength"), "-strength")
        yield _row("redraw", _choice("region", REGIONS), "-region")
        yield Button("Generate (g)", id="generate", compact=True)

    @property
    def checkpoint(self) -> Path | None:
        """The chosen checkpoint."""
        value = self.query_one("#checkpoint", Select).value
        return value if isinstance(value, Path) else None

    def offer(self, found: tuple[tuple[str, Path], ...], chosen: Path | None) -> None:
        """List checkpoints; `chosen` stays, or the first one is taken."""
        options = list(found)
        if chosen is not None and chosen not in [path for _, path in found]:
            options.insert(0, (str(Path(*chosen.parts[-3:])), chosen))
        select = self.query_one("#checkpoint", Select)
        select.set_options([(plain(name), path) for name, path in options])
        if options:
            select.value = chosen if chosen is not None else options[0][1]

    def offer_classes(self, classes: tuple[str, ...], labels: int) -> None:
        """Show class and guidance for a conditional model, hide them for another."""
        self.set_class(labels > 0, "-classes")
        self.query_one("#label", Select).set_options([(plain(name), i) for i, name in enumerate(classes[:labels])])

    @on(Select.Changed, "#sampler")
    @on(Select.Changed, "#start")
    def _show_options(self) -> None:
        """Only what the sampler and the start have a use for."""
        taken: set[str] = set()
        for name, table in (("sampler", SAMPLERS), ("start", STARTS)):
            entry = table.get(str(self.query_one(f"#{name}", Select).value))
            taken |= set(entry.options if entry else ())
        for option in ("eta", "variance", "strength", "region"):
            self.set_class(option in taken, f"-takes-{option}")

    def suggest_images(self, count: int, before: int) -> None:
        """Set the number of images unless it was changed from what was suggested before."""
        field = self.query_one("#num_images", Input)
        if field.value == str(before):
            field.value = str(count)

    def read(self) -> SampleConfig:
        """The options. Raises UserError for what cannot be read."""
        given: dict[str, Any] = {}
        for name, shown in NUMBERS.items():
            text = self.query_one(f"#{name}", Input).value.strip()
            if text:
                try:
                    given[name] = int(text)
                except ValueError as error:
                    raise UserError(f"{shown} takes a number, got '{text}'") from error
        for slider in self.query(Slider):
            if slider.id and isinstance(slider.parent, Horizontal) and slider.parent.display:
                given[slider.id] = slider.number
        for name in ("sampler", "label", "spacing", "start", "variance", "region", "guidance_interval"):
            value = self.query_one(f"#{name}", Select).value
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                given[name] = value
        return SampleConfig.asked(**given)
