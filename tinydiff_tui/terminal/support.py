"""What the terminal can show: characters beyond ASCII, colours, greys."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.widget import Widget


def ascii_only() -> bool:
    """Whether the terminal's encoding has no block, line and braille characters."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return not encoding.lower().startswith("utf")


def terminal_look(widget: Widget) -> str:
    """What the terminal can show: colours, greys (256 colours: greys by number) or shades (ASCII, no colours)."""
    if widget.app.no_color or ascii_only():
        return "shades"
    system = widget.app.console.color_system
    if system in (None, "standard", "windows"):
        return "shades"
    return "greys" if system == "256" else "colours"
