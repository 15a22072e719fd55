"""Markdown with its formulas in the colours of meaning. Import it where it is shown: Textual's Markdown is slow to import."""

import re

from textual.content import Content
from textual.widgets import Markdown
from textual.widgets._markdown import MarkdownBlock, MarkdownParagraph

COLOURS = {
    "x0-hat": r"(?:predicted )?x̂(?:₀|_0)|predicted x(?:₀|_0)",
    "x0": r"x(?:₀|_0)",
    "x-t": r"x_t(?!\w)",
    "epsilon": r"ε|epsilon",
}
"""What stands in a formula for each quantity that has a colour, by the names of the theme's."""
_TERM = re.compile("|".join(f"(?P<{name.replace('-', '_')}>(?<!\\w){form})" for name, form in COLOURS.items()))


def coloured(text: Content) -> Content:
    """A text with every term of a formula in its colour; the name stands there for eyes that see none."""
    for found in _TERM.finditer(text.plain):
        assert found.lastgroup is not None
        text = text.stylize(f"${found.lastgroup.replace('_', '-')}", *found.span())
    return text


class _Paragraph(MarkdownParagraph):
    def set_content(self, content: Content) -> None:
        super().set_content(coloured(content))


class Prose(Markdown):
    """Markdown whose paragraphs and list items have their formulas coloured."""

    def get_block_class(self, block_name: str) -> type[MarkdownBlock]:
        block = super().get_block_class(block_name)
        return _Paragraph if block is MarkdownParagraph else block
