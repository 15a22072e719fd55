"""Play: steer a model by hand, draw with it, race its samplers. One model for all three, chosen here."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import ContentSwitcher, Static

from tinydiff_tui.jobs.messages import JobFinished
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.play_draw import Draw
from tinydiff_tui.screens.play_part import Part
from tinydiff_tui.screens.play_race import Race
from tinydiff_tui.screens.play_steer import Steer
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.film import PictureBox
from tinydiff_tui.widgets.key_bar import TabBar

if TYPE_CHECKING:
    from tinydiff_tui.jobs.sampling import ModelFacts

PARTS: dict[str, tuple[str, type[Part]]] = {"steer": ("Steer", Steer), "draw": ("Draw", Draw), "race": ("Race", Race)}
TURN = Binding.Group("Steer, Draw, Race")


class PlayScreen(ModeScreen):
    """The mode of what is done by hand. Its parts take the keys, so one of them always has the focus."""

    MODE = "play"
    TITLE_TEXT = "Play"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("before", "turn(-1)", "The part of Play before: Steer, Draw or Race", group=TURN),
        key("next", "turn(1)", "The next part of Play: Steer, Draw or Race", group=TURN),
        key("model", "model", "Choose the model: a checkpoint below this folder, or the one that comes with the program"),
    ]
    DEFAULT_CSS = """
    PlayScreen ContentSwitcher { height: 1fr; }
    PlayScreen #status { height: auto; max-height: 2; padding: 0 1; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[tuple[str, Path], ...] = ()
        self.path: Path | None = None
        self.facts: ModelFacts | None = None

    def compose_mode(self) -> ComposeResult:
        with Vertical():
            yield TabBar({name: title for name, (title, _) in PARTS.items()}, "screen.show_part")
            with ContentSwitcher(initial=next(iter(PARTS))):
                for name, (_, kind) in PARTS.items():
                    yield kind(id=name)
            yield Static(id="status", markup=False)

    @property
    def part(self) -> Part:
        """The one that is shown."""
        return self.query_one(f"#{self.query_one(ContentSwitcher).current}", Part)

    # --- the model

    def engine_loaded(self) -> None:
        self._find()

    def on_screen_resume(self) -> None:
        self.part.focus()
        self._find()
        self.part.shown()

    def on_screen_suspend(self) -> None:
        self.part.left()

    def on_descendant_blur(self) -> None:
        self.call_after_refresh(self._keep_focus)

    def _keep_focus(self) -> None:
        if self.is_current and self.focused is None:
            self.part.focus()

    def _find(self) -> None:
        if self.app.engine_ready and not self.app.jobs.running("play models"):
            from tinydiff_tui.jobs.sampling import checkpoints

            root = self.app.cwd
            self.app.jobs.start("play models", lambda: checkpoints(root), self)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "play models":
            self.found = cast("tuple[tuple[str, Path], ...]", message.snapshot or ())
            if message.error:
                self.say(message.error)
            elif self.path is None:
                self._choose(self.found[0][1])
        elif message.name == "play save":
            self.say(message.error or f"saved {message.snapshot}")
        elif message.name == "play model":
            self._was_read(message.error, cast("ModelFacts | None", message.snapshot))

    def _choose(self, path: Path) -> None:
        from tinydiff_tui.jobs.sampling import read_facts

        self.path = path
        self.app.jobs.replace("play model", lambda: read_facts(path), self)
        for name in ("#plane", "#canvas"):
            self.query_one(name, PictureBox).say(f"reading {self.name_of(path)} …")

    def _was_read(self, error: str | None, facts: "ModelFacts | None") -> None:
        if error:
            self.say(error)
            if self.facts is not None:
                self.path = self.facts.path  # the model of what is drawn is still the one before
            for name in ("#plane", "#canvas"):
                self.query_one(name, PictureBox).say(for_app(error))
        if facts is not None:
            self.facts = facts
            for part in self.query(Part):
                part.model_read(facts)

    def name_of(self, path: Path) -> str:
        """What a checkpoint is called in the list."""
        return next((name for name, its in self.found if its == path), path.name)

    def action_model(self) -> None:
        self.ask_model(self._choose)

    def ask_model(self, then: Callable[[Path], None]) -> None:
        """Ask for one of the checkpoints."""
        if not self.found:
            return
        from tinydiff_tui.screens.panels import Ask

        found = self.found  # as it is asked: another list may have come when it is answered

        def answered(answer: str | None) -> None:
            if answer:
                then(found[int(answer[1:])][1])

        self.app.push_screen(Ask("Which model?", {f"m{k}": name for k, (name, _) in enumerate(found)}), answered)

    # --- the parts

    def action_turn(self, step: int) -> None:
        names = list(PARTS)
        self.action_show_part(names[(names.index(str(self.part.id)) + step) % len(names)])

    def action_show_part(self, name: str) -> None:
        if name != self.part.id:
            self.part.left()
            self.say("")
            self.query_one(ContentSwitcher).current = name
            self.query_one(TabBar).mark(name)
            self.set_focus(self.part)  # at once: the next key is its
            self.part.shown()

    def explain_values(self) -> dict[str, str]:
        values = {"model": self.name_of(self.path) if self.path is not None else "…"}
        for part in self.query(Part):
            values |= part.explain_values()
        return values
