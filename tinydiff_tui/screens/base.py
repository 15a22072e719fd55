"""What the modes share: the bar of modes, the footer, the notice on a terminal that is too small, the engine's arrival.

A mode's BINDINGS are the one declaration of its actions: keys, footer, help and command palette are all made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, VerticalScroll
from textual.screen import Screen
from textual.widgets import Static

from core.names import Entry
from tinydiff_tui.screens.keys import key
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.key_bar import KeyBar, ModeBar

if TYPE_CHECKING:
    from tinydiff_tui.app.app import TinydiffApp

LEAST_WIDTH, LEAST_HEIGHT = 60, 18
WIDE = 160
"""Columns from which the explanation stands beside a mode."""
_EXPLAIN_SECONDS = 2.0
"""Between two looks at the numbers of the docked explanation."""


def listed(table: Mapping[str, Entry]) -> str:
    """The names of a table for an explanation, in Markdown: what each is, its formula and source, and its code."""
    lines = []
    for entry in table.values():
        source = f" ({entry.source})" if entry.source else ""
        formula = f": {entry.formula}" if entry.formula else ""
        lines.append(f"- **{entry.name}**, {entry.help}{formula}{source}, `{entry.place}`")
    return "\n".join(lines)


class ModeScreen(Screen[None]):
    """One mode. Subclasses give MODE, TITLE_TEXT, BINDINGS, compose_mode and, where they need torch, engine_loaded."""

    MODE: ClassVar[str] = ""
    TITLE_TEXT: ClassVar[str] = ""
    DEFAULT_CSS = """
    ModeScreen { layout: vertical; }
    ModeScreen > #body { height: 1fr; }
    ModeScreen > #body > #explained { dock: right; width: 56; }
    ModeScreen > #body > #explained Markdown { padding: 0; margin: 0; background: $background; }
    ModeScreen > #body > #explained MarkdownBlock { margin: 0 0 1 0; padding: 0; }
    ModeScreen > #small { display: none; height: 1fr; content-align: center middle; text-align: center; }
    ModeScreen.-small > #body, ModeScreen.-small > KeyBar { display: none; }
    ModeScreen.-small > #small { display: block; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        # At once, as every key goes to what is focused when it arrives: keys that come in one packet must not miss the field.
        Binding("tab", "app.focus_next", "Focus next", show=False, system=True, priority=True),
        Binding("shift+tab", "app.focus_previous", "Focus previous", show=False, system=True, priority=True),
        key("denser", "app.density(1)", "Smaller pictures, more of them; remembered", show=False),
        key("sparser", "app.density(-1)", "Larger pictures, fewer of them; remembered", show=False),
        key("look", "app.next_look", "What pictures are drawn with: the next coarser; remembered", show=False),
    ]
    AUTO_FOCUS = ""  # so that the keys of the modes work at once

    def __init__(self) -> None:
        super().__init__()
        self._engine_told = self._was_left = False
        self._explained: dict[str, str] | None = None
        # What Textual would find out after the first layout is known now: every widget is styled two times less.
        app = self.app
        for points, extent in ((app.HORIZONTAL_BREAKPOINTS, app.size.width), (app.VERTICAL_BREAKPOINTS, app.size.height)):
            self.add_class(*[name for least, name in points or () if extent >= least][-1:], update=False)
        self._css_update_count = app._css_update_count

    if TYPE_CHECKING:
        app: TinydiffApp  # Textual's own, by the type of ours

    def compose(self) -> ComposeResult:
        yield ModeBar(self.MODE)
        with Container(id="body"):
            yield from self.compose_mode()
        yield Static(id="small", markup=False)
        yield KeyBar()

    def compose_mode(self) -> ComposeResult:
        """The widgets of the mode."""
        yield from ()

    def on_mount(self) -> None:
        self.call_after_refresh(self.tell_engine)

    def tell_engine(self) -> None:
        """Call engine_loaded, once, when this screen is mounted and torch is imported."""
        if self.app.engine_ready and self.is_mounted and not self._engine_told:
            self._engine_told = True
            self.engine_loaded()
            self.dock_explanation(self.has_class("-wide"))
            self.set_interval(_EXPLAIN_SECONDS, self._explain_anew)

    def engine_loaded(self) -> None:
        """torch is there, and the screen is mounted: what needs the engine may be imported and shown."""

    def dataset_chosen(self, name: str) -> None:
        """A data set was chosen in another mode."""

    def names_changed(self) -> None:
        """The table of names holds other entries now: lists are made anew, and what is shown is drawn anew."""

    def say(self, sentence: str) -> None:
        """A sentence in the line of a mode that has one, in the words of the app."""
        self.query_one("#status", Static).update(for_app(sentence))

    def explain_values(self) -> dict[str, str]:
        """The current numbers, by the names that this mode's explanation uses."""
        return {}

    @property
    def explained(self) -> bool:
        """Whether the explanation stands beside the mode."""
        return bool(self.query("#explained"))

    def dock_explanation(self, shown: bool) -> None:
        """Put the explanation of this mode at its right, or take it away."""
        if shown and not self.explained:
            self.query_one("#body").mount(Box(VerticalScroll(can_focus=False), title=f"Explain {self.MODE}", id="explained"))
        elif not shown:
            self.query("#explained").remove()
        self._explained = None
        self.call_after_refresh(self._explain_anew)

    async def _explain_anew(self) -> None:
        """Bring the numbers of the docked explanation up to date."""
        places = self.query("#explained VerticalScroll")
        if not places or self is not self.app.screen or (values := self.explain_values()) == self._explained:
            return
        from tinydiff_tui.screens.panels import explanation
        from tinydiff_tui.widgets.prose import Prose  # a tenth of what the app would import before its first paint

        self._explained = values
        text = explanation(self.MODE, values)
        if old := places.first().query(Prose):
            await old.first().update(text)
        else:
            await places.first().mount(Prose(text))

    def _on_screen_resume(self, event: events.ScreenResume) -> None:  # a mode's own handler comes before, Textual's after
        event.refresh_styles &= self._was_left  # before that all was styled as it was composed
        self.query_one(ModeBar).tell(*self.app.training)
        self.call_after_refresh(self._explain_anew)

    def _on_screen_suspend(self) -> None:
        self._was_left = True

    def _compositor_refresh(self) -> None:
        if not self.app._batch_count:  # Textual would draw everything, then throw it away
            super()._compositor_refresh()

    def on_resize(self, event: events.Resize) -> None:
        width, height = event.size
        if self._engine_told and self.explained != (width >= WIDE):
            self.dock_explanation(width >= WIDE)
        self.set_class(width < LEAST_WIDTH or height < LEAST_HEIGHT, "-small")
        self.query_one("#small", Static).update(
            f"The terminal is too small: {width} x {height} cells.\ntinydiff-tui needs {LEAST_WIDTH} x {LEAST_HEIGHT}.\nq quits."
        )
