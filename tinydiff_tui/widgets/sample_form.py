"""The choices before sampling: checkpoint, sampler, steps, seed, class, guidance, number of images."""

from pathlib import Path
from typing import Any

from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Button, Input, Label, Select

from core.config import SAMPLERS, SampleConfig
from core.errors import UserError

NUMBERS: dict[str, tuple[str, type]] = {
    "steps": ("--steps", int),
    "seed": ("--seed", int),
    "guidance_scale": ("--guidance-scale", float),
    "num_images": ("--num-images", int),
}


class SampleForm(VerticalScroll):
    """Fields of SampleConfig, one a line; what is left empty is the model's own."""

    can_focus = False
    DEFAULT_CSS = """
    SampleForm { width: 32; height: 1fr; padding: 0 1 0 0; }
    SampleForm Horizontal { height: 1; }
    SampleForm Label { width: 10; color: $text-muted; }
    SampleForm Select, SampleForm Input { width: 1fr; }
    SampleForm #checkpoint { margin-bottom: 0; }
    SampleForm Button { margin-top: 1; width: 100%; }
    SampleForm .-conditional { display: none; }
    SampleForm.-classes .-conditional { display: block; }
    """

    def compose(self) -> ComposeResult:
        yield Select[Path]([], prompt="choose a checkpoint", id="checkpoint", compact=True)
        with Horizontal():
            yield Label("or a path")
            yield Input(placeholder="file.pt", id="path", compact=True)
        with Horizontal():
            yield Label("sampler")
            yield Select[str]([(name, name) for name in SAMPLERS], prompt="model's own", id="sampler", compact=True)
        with Horizontal():
            yield Label("steps")
            yield Input(placeholder="sampler's own", type="integer", id="steps", compact=True)
        with Horizontal():
            yield Label("seed")
            yield Input("0", type="integer", id="seed", compact=True)
        with Horizontal():
            yield Label("images")
            yield Input("16", type="integer", id="num_images", compact=True)
        with Horizontal(classes="-conditional"):
            yield Label("class")
            yield Select[int]([], prompt="all in turn", id="label", compact=True)
        with Horizontal(classes="-conditional"):
            yield Label("guidance")
            yield Input("2.0", type="number", id="guidance_scale", compact=True)
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
        select.set_options(options)
        if options:
            select.value = chosen if chosen is not None else options[0][1]

    def offer_classes(self, classes: tuple[str, ...], labels: int) -> None:
        """Show class and guidance for a conditional model, hide them for another."""
        self.set_class(labels > 0, "-classes")
        self.query_one("#label", Select).set_options([(name, i) for i, name in enumerate(classes[:labels])])

    def suggest_images(self, count: int, before: int) -> None:
        """Set the number of images unless it was changed from what was suggested before."""
        field = self.query_one("#num_images", Input)
        if field.value == str(before):
            field.value = str(count)

    def read(self) -> SampleConfig:
        """The options. Raises UserError for what cannot be read."""
        given: dict[str, Any] = {}
        for name, (flag, kind) in NUMBERS.items():
            text = self.query_one(f"#{name}", Input).value.strip()
            if name == "guidance_scale" and not self.has_class("-classes"):
                continue
            if text:
                try:
                    given[name] = kind(text)
                except ValueError as error:
                    raise UserError(f"{flag} takes a number, got '{text}'") from error
        for name in ("sampler", "label"):
            value = self.query_one(f"#{name}", Select).value
            if isinstance(value, (str, int)) and not isinstance(value, bool):
                given[name] = value
        options = SampleConfig(**given)
        options.check_values()
        return options
