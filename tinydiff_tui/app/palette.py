"""The command palette: every active binding is a command."""

from collections.abc import Callable
from functools import partial
from typing import Any

from textual import on
from textual.await_complete import AwaitComplete
from textual.command import CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.events import Mount
from textual.widgets import Input, OptionList

from tinydiff_tui.screens.once import Once


class Palette(Once, CommandPalette):
    """Textual's palette; two clicks beside it, or enter twice, close no more than it, and closed it looks for nothing more."""

    _late = False

    def _on_mount(self, event: Mount) -> None:
        if self is not self.app.screen:  # its mode was left in the packet that opened it: what it is over cannot be told
            event.prevent_default()
            self._late = True

    def on_screen_resume(self) -> None:
        if self._late:
            self.dismiss()

    @on(Input.Submitted)
    @on(OptionList.OptionSelected)
    def _run_once(self, event: Input.Submitted | OptionList.OptionSelected) -> None:
        """Textual would run the chosen command again for every enter that reaches the palette on its way out."""
        if self is not self.app.screen:
            event.stop()
            event.prevent_default()

    def dismiss(self, result: None = None) -> AwaitComplete:
        """Close it, and end its search: that would fail without its list."""
        self._cancel_gather_commands()
        return super().dismiss(result)

    def _gather_commands(self, search_value: str) -> Any:
        return super()._gather_commands(search_value) if self is self.app.screen else None


class BindingCommands(Provider):
    """The bindings of the focused widget, the screen and the app, under their descriptions."""

    def _commands(self) -> list[tuple[str, str, Callable[[], Any]]]:
        found: dict[str, tuple[str, str, Callable[[], Any]]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.system or not binding.description or not active.enabled or not binding.tooltip:
                continue
            title = f"{binding.description} ({self.app.get_key_display(binding)})"
            run = partial(self.app.run_action, binding.action, active.node)
            found.setdefault(f"{id(active.node)} {binding.action}", (title, binding.tooltip, run))
        return list(found.values())

    async def discover(self) -> Hits:
        """All commands."""
        for title, text, run in self._commands():
            yield DiscoveryHit(title, run, help=text)

    async def search(self, query: str) -> Hits:
        """The commands that match."""
        matcher = self.matcher(query)
        for title, text, run in self._commands():
            score = matcher.match(title)
            if score > 0:
                yield Hit(score, matcher.highlight(title), run, help=text)
