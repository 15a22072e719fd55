"""The last gate before the line: no text of a widget brings a control character or a bidi override to the terminal.

Whatever is shown is made printable where it leaves a file; this is for what was forgotten, and for what is typed and pasted.
"""

import re

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Gate(LineFilter):
    """Takes them out of every line that a widget draws; a terminal gives none of them a cell, so the rest stays in its place."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments without them; Textual's own sequences are made behind this, from their styles."""
        return [
            segment if segment.text.isprintable() else Segment(FORBIDDEN.sub("", segment.text), segment.style, segment.control)
            for segment in segments
        ]
