"""What the terminal can show: characters beyond ASCII, colours, greys, block characters of which Unicode."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.widget import Widget

LOOKS = ("half", "quadrant", "sextant", "octant")
"""From the coarsest to the finest; half-blocks are exact."""
_DRAW_OCTANTS = ("KITTY_WINDOW_ID", "GHOSTTY_RESOURCES_DIR", "WEZTERM_EXECUTABLE")
_OCTANT_TERMS = ("xterm-kitty", "xterm-ghostty", "foot", "wezterm")
_DRAW_SEXTANTS = {"VTE_VERSION": 6200, "KONSOLE_VERSION": 220800}
"""Versions from which on these terminals draw sextants themselves, whatever the font."""


def ascii_only() -> bool:
    """Whether the terminal's encoding has no block, line and braille characters."""
    encoding = getattr(sys.__stdout__, "encoding", None) or "utf-8"
    return not encoding.lower().startswith("utf")


def terminal_look(widget: Widget) -> str:
    """What the terminal of the app can show, as `colours_of` says it."""
    return colours_of(widget.app.console.color_system, no_color=widget.app.no_color)


def colours_of(system: str | None, *, no_color: bool) -> str:
    """What a terminal of Rich's colour system shows: colours, greys (of 256: by number) or shades (ASCII, no colours)."""
    if no_color or ascii_only() or system in (None, "standard", "windows"):
        return "shades"
    return "greys" if system == "256" else "colours"


def finest_look(environment: Mapping[str, str] = os.environ) -> str:
    """The finest look that this terminal is known to draw by itself; where nothing is known quadrants, which every font has."""
    term = environment.get("TERM", "")
    if any(environment.get(name) for name in _DRAW_OCTANTS) or term.startswith(
        ("xterm-kitty", "xterm-ghostty", "foot", "wezterm")
    ):
        return "octant"
    for name, least in _DRAW_SEXTANTS.items():
        version = environment.get(name, "")
        if version.isdecimal() and int(version) >= least:
            return "sextant"
    return "quadrant"
