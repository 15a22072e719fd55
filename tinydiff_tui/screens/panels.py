"""Panels over a mode: a question with named answers, the help, the explanation and the code behind it."""

import importlib
import inspect
import re
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, ClassVar

from rich.style import Style
from rich.table import Column, Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tinydiff_tui.screens.once import Once
from tinydiff_tui.text import printable

REFERENCE = re.compile(r"`([\w/.-]+)\.py: ([\w.]+)`")


class Panel(Once, ModalScreen[str]):
    """A box over the mode that escape closes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", "Close", tooltip="Close this panel")]
    DEFAULT_CSS = """
    Panel { align: center middle; }
    Panel > Vertical { width: 90%; max-width: 110; height: auto; max-height: 92%; }
    Panel > Vertical { border: round $primary; padding: 0 1; background: $surface; }
    Panel > Vertical { border-title-color: $primary; border-title-style: bold; border-subtitle-color: $axis; }
    Panel OptionList, Panel OptionList:focus { height: auto; max-height: 12; border: none; }
    Panel VerticalScroll { height: auto; max-height: 100%; }
    """

    def frame(self, title: str, below: str = "escape closes") -> Vertical:
        """What the panel stands in, titled."""
        box = Vertical()
        box.border_title, box.border_subtitle = Content(title), Content(below)
        return box

    def action_close(self) -> None:
        self.dismiss("")


class Ask(Panel):
    """A question; the answer is the key of an option, or empty when it was closed."""

    def __init__(self, question: str, answers: Mapping[str, str], *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.question = question
        self.answers = answers

    def compose(self) -> ComposeResult:
        with self.frame("Question", "enter answers · escape closes"):
            yield Static(Text("\n".join(map(printable, self.question.splitlines()))))
            yield OptionList(*(Option(text, id=key) for key, text in self.answers.items()))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id or "")


class Help(Panel):
    """All keys that work now, with what they do: the focused widget's, the mode's, the app's."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("question_mark", "close", "Close", show=False)]

    def __init__(self, lines: list[tuple[str, list[tuple[str, str]]]]) -> None:
        super().__init__()
        self.lines = lines

    def compose(self) -> ComposeResult:
        colour = Style(color=self.app.theme_variables["primary"], bold=True)
        table = Table.grid(Column(width=12), Column(), padding=(0, 1))
        for heading, keys in self.lines:
            table.add_row(Text(heading, style="bold", no_wrap=True, overflow="fold"), "")
            for key, what in keys:
                table.add_row(Text(f"  {key}", style=colour), Text(what))
        with self.frame("Keys that work now"), VerticalScroll():
            yield Static(table)

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def key_groups(screen: Screen[Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(keys, help)]) for the screen, the focused widget and the app, from the bindings that are active now."""
    groups: dict[DOMNode, dict[str, tuple[list[str], str]]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        if binding.system or not (binding.description or binding.tooltip):
            continue
        text = binding.tooltip or binding.description
        if active.node not in (screen.focused, screen, screen.app) or binding.action == "screen.copy_text":
            continue  # what scrolls around the focused widget is clutter
        node = screen.app if binding.action.startswith("app.") else active.node
        groups.setdefault(node, {}).setdefault(binding.action, ([], text))[0].append(screen.app.get_key_display(binding))
    order = [node for node in dict.fromkeys((screen, screen.focused, screen.app)) if node in groups]
    return [(_title(node), [(" ".join(keys), text) for keys, text in groups[node].values()]) for node in order]


def _title(node: DOMNode) -> str:
    if isinstance(node, Screen):
        return getattr(node, "TITLE_TEXT", "") or "This panel"
    return "Everywhere" if node is node.app else f"Focused: {node.name or node.id or type(node).__name__}"


class Explain(Panel):
    """The idea behind what is on screen, with the current numbers; enter opens the code that computes it."""

    DEFAULT_CSS = """
    Explain > Vertical { max-height: 100%; }
    Explain VerticalScroll { max-height: 1fr; }
    Explain Markdown { padding: 0; margin: 0; }
    Explain MarkdownBlock { margin: 0 0 1 0; padding: 0; }
    Explain OptionList { max-height: 5; padding: 0; }
    Explain.-low > Vertical { height: 100%; }
    Explain.-low VerticalScroll { height: 1fr; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("e", "close", "Close", show=False)]

    def __init__(self, mode: str, values: Mapping[str, str]) -> None:
        super().__init__()
        self.text = explanation(mode, values)

    def compose(self) -> ComposeResult:
        from tinydiff_tui.widgets.prose import Prose  # a tenth of what the app would import before its first paint

        with self.frame("Explain", "enter opens the code · escape closes"):
            with VerticalScroll():
                yield Prose(self.text)
            yield Static("Where it is computed:", classes="caption")
            yield OptionList(*(Option(f"{m}.py: {name}", id=f"{m}:{name}") for m, name in references(self.text)))

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        module, _, name = (event.option_id or "").partition(":")
        if self is self.app.screen:  # enter twice in one packet opens it once
            self.app.push_screen(Code(module, name))


class Code(Panel):
    """The source of one function or class of the engine, to read."""

    DEFAULT_CSS = "Code > Vertical { width: 100%; max-width: 140; height: 100%; max-height: 100%; }"

    def __init__(self, module: str, name: str) -> None:
        super().__init__()
        self.module = module
        self.function = name

    def compose(self) -> ComposeResult:
        from rich.syntax import Syntax

        source = source_of(self.module, self.function)
        theme = "ansi_dark" if self.app.current_theme.dark else "ansi_light"
        with self.frame(f"{self.module}.py: {self.function}"), VerticalScroll():
            yield Static(Syntax(source, "python", theme=theme, word_wrap=True, background_color="default"))

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()


def explanation(mode: str, values: Mapping[str, str]) -> str:
    """The Markdown of a mode with {names} replaced by their values; a value that is not there yet stands as a dash."""
    text = files("tinydiff_tui").joinpath("explain", f"{mode}.md").read_text("utf-8")
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "–"), text)


def references(text: str) -> list[tuple[str, str]]:
    """(path, name) of every `path.py: name` in a text, each once, in order."""
    return list(dict.fromkeys(REFERENCE.findall(text)))


def source_of(module: str, name: str) -> str:
    """The source of a function, class or method; `module` is its path without .py."""
    from core.extend.files import source_of as own_source

    if own := own_source(module, name):
        return own
    thing: object = importlib.import_module(module.replace("/", "."))
    for part in name.split("."):
        thing = getattr(thing, part)
    return inspect.getsource(thing)  # type: ignore[arg-type]
