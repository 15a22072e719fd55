"""A question with answers to choose among, before it is known which is right; and afterwards what was computed."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from tinydiff_tui.widgets.key_bar import Bar


class Asked(NamedTuple):
    """A question and its choices, the one that is chosen, and once it is known the right one and what was computed."""

    question: str
    choices: Sequence[str]
    chosen: int = 0
    right: int | None = None
    said: str = ""


class Question(Bar):
    """`ask`, and `ask` again with what changed. A click on a choice runs screen.pick with its number."""

    DEFAULT_CSS = "Question { height: auto; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id, markup=False)
        self.asked = Asked("", ())

    def ask(self, asked: Asked) -> None:
        """Show this from now on."""
        self.asked = asked
        self.update(self._text())

    def on_resize(self) -> None:
        self.update(self._text())

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_attached:
            self.update(self._text())

    def _text(self) -> Text:
        """The question, the choices on as few lines as they fit on, and what was computed."""
        asked, width, colours = self.asked, max(self.size.width, 20), self.app.theme_variables
        text = Text(asked.question, Style(bold=True))
        used = width
        for number, choice in enumerate(asked.choices):
            sign, style = "○", Style()
            if asked.right is None and number == asked.chosen:
                sign, style = "●", Style(bold=True, color=colours["primary"], reverse=True)
            elif number == asked.right:
                sign, style = "✓", Style(bold=True, color=colours["success"])
            elif asked.right is not None and number == asked.chosen:
                sign, style = "✗", Style(color=colours["error"])
            elif asked.right is not None:
                style = Style(dim=True)
            piece = f" {sign} {choice} "
            if used + cell_len(piece) + 1 > width:
                text.append("\n", Style(bold=False))
                used = 0
            text.append(piece, Style(bold=False) + style + Style.from_meta({"@click": f"screen.pick({number})"}))
            text.append(" ", Style(bold=False))
            used += cell_len(piece) + 1
        if asked.said:
            text.append(f"\n{asked.said}", Style(bold=False))
        return text


class Contents(Bar):
    """The lessons on a line each: those that were run have a check. A click opens one by screen.open_lesson."""

    DEFAULT_CSS = "Contents { height: auto; }"

    def show(self, titles: Sequence[str], done: Sequence[bool], present: int) -> None:
        """These titles, the present one marked."""
        colours = self.app.theme_variables
        text = Text(no_wrap=True, overflow="ellipsis", end="")
        for number, (title, ran) in enumerate(zip(titles, done, strict=True)):
            here = Style(bold=True, color=colours["primary"]) if number == present else Style()
            text.append("\n" if number else "")
            text.append("✓ " if ran else "  ", Style(color=colours["success"]))
            text.append(f"{number + 1} {title}", here + Style.from_meta({"@click": f"screen.open_lesson({number})"}))
        self.update(text)
