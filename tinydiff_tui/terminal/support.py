"""What the terminal can show: characters beyond ASCII, colours, greys, block characters of which Unicode."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.widget import Widget

LOOKS = ("half", "quadrant", "sextant", "octant", "pixels")
"""From the coarsest to the finest: block characters, half-blocks being exact, and the terminal's own pixels."""
_OCTANTS = re.compile(r"(xterm-)?(kitty|ghostty|foot|wezterm)\b", re.IGNORECASE)
_PLACEHOLDERS = re.compile(r"(xterm-)?(kitty|ghostty)\b", re.IGNORECASE)
"""The terminals that show pictures by placeholders; others say yes to pictures, and print the placeholders."""
_OWN = {"KITTY_WINDOW_ID": "kitty", "GHOSTTY_RESOURCES_DIR": "ghostty", "WEZTERM_EXECUTABLE": "wezterm"}
"""Variables that these terminals set, also for what runs in tmux in them."""
_SEXTANTS = {"VTE_VERSION": 6200, "KONSOLE_VERSION": 220800}
"""Versions from which on these terminals draw sextants themselves, whatever the font."""
_VERSION = re.compile(r"(VTE|Konsole)\D*(\d+)(?:\.(\d+))?", re.IGNORECASE)


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


def names_of(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What the terminal may be called, by the environment."""
    told = [environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")]
    return told + [name for variable, name in _OWN.items() if environment.get(variable)]


def finest_look(environment: Mapping[str, str] = os.environ) -> str:
    """The finest blocks that this terminal is known to draw by itself; where nothing is known quadrants, which every font has.
    Not every tmux hands on octants."""
    if any(map(_OCTANTS.match, names_of(environment))):
        return "sextant" if environment.get("TMUX") else "octant"
    for name, least in _SEXTANTS.items():
        version = environment.get(name, "")
        if version.isdecimal() and int(version) >= least:
            return "sextant"
    return "quadrant"


def look_of(name: str) -> str:
    """The same by a terminal's own word for itself: kitty(0.36), VTE(7600), Konsole 24.02."""
    if _OCTANTS.match(name):
        return "octant"
    found = _VERSION.match(name)
    if found is None:
        return "quadrant"
    kind, major, minor = found.groups(default="0")
    recent = int(major) >= _SEXTANTS["VTE_VERSION"] if kind.upper() == "VTE" else (int(major), int(minor)) >= (22, 8)
    return "sextant" if recent else "quadrant"


def has_placeholders(names: Iterable[str]) -> bool:
    """Whether a terminal of one of these names shows pictures by placeholders."""
    return any(map(_PLACEHOLDERS.match, names))
