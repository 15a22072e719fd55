"""The keys that mean the same in every mode: one table, from which the modes take theirs."""

from typing import NamedTuple

from textual.binding import Binding


class Key(NamedTuple):
    """A key, its word in the bar of keys, and how it is written where its name is not what one reads on the keyboard."""

    keys: str
    label: str
    display: str | None = None


KEYS = {
    "play": Key("space", "Play"),
    "pause": Key("space", "Pause"),
    "go_on": Key("space", "Go on"),
    "mark": Key("m", "Mark"),
    "zoom": Key("z", "Zoom"),
    "denser": Key("v", "Smaller"),
    "sparser": Key("V", "Larger"),
    "look": Key("L", "Look"),
    "save": Key("w", "Save"),
    "save_motion": Key("W", "GIF"),
    "switch": Key("x", "x̂₀"),
    "stop": Key("X", "Stop"),
    "open": Key("o", "Open in Sample"),
    "new": Key("n", "New"),
    "note": Key("N", "Note"),
    "boxes": Key("b", "Boxes"),
    "sample": Key("s", "Sample now"),
    "checkpoint": Key("c", "Checkpoint"),
    "judge": Key("j", "Judge"),
    "distil": Key("T", "Distil"),
    "log": Key("l", "Log"),
    "fields": Key("a", "Fields"),
    "filter": Key("slash", "Filter", "/"),
    "sort": Key("greater_than_sign", "Sort", ">"),
    "sort_back": Key("less_than_sign", "Sort back", "<"),
    "before": Key("left_square_bracket", "Before", "["),
    "next": Key("right_square_bracket", "Next", "]"),
    "leave": Key("escape", "Leave"),
    "undo": Key("u,ctrl+z", "Undo", "u"),
    "model": Key("M", "Model"),
    "more": Key("plus,equals_sign", "More", "+"),
    "fewer": Key("minus,underscore", "Less", "-"),
    "class": Key("c", "Class"),
    "guidance": Key("g", "Guidance"),
    "present": Key("p", "Present"),
    "nearest": Key("i", "Nearest real"),
}
"""What may be done in more than one mode, by its name."""


def key(
    name: str, action: str, tooltip: str, *, label: str = "", group: Binding.Group | None = None, show: bool = True
) -> Binding:
    """The binding of a key of the table to a mode's action; `label` is a better word for it there."""
    entry = KEYS[name]
    return Binding(entry.keys, action, label or entry.label, tooltip=tooltip, key_display=entry.display, group=group, show=show)
