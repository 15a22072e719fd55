"""A curve over t in braille dots, with the present t marked."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.widget import Widget

from tinydiff_tui.terminal import braille
from tinydiff_tui.terminal.support import ascii_only

Values = NDArray[np.float64]


def drawn(values: Values, width: int, height: int, low: float, high: float) -> list[str]:
    """Draw values (n,) from left to right on width x height characters; what is not finite is drawn at the edge."""
    across = np.linspace(0, len(values) - 1, width * 2)
    at = np.interp(across, np.arange(len(values)), np.clip(np.nan_to_num(values, neginf=low, posinf=high), low, high))
    span = (high - low) or 1.0
    y = np.round((high - at) / span * (height * 4 - 1)).astype(np.int64)
    dots = braille.line(y[::-1], height * 4)[:, ::-1]  # from right to left: a fall stands in the column where it begins
    return [braille.text(row) for row in braille.codes(dots)]


class Curve(Widget):
    """`show` a table over t; the title line carries the present value."""

    DEFAULT_CSS = "Curve { height: 1fr; width: 1fr; min-height: 3; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._values: Values = np.zeros(2)
        self._low, self._high = 0.0, 1.0
        self.marker = 0
        self.title = ""

    def show(self, title: str, values: Values, marker: int, low: float, high: float) -> None:
        """Draw values (T,) between low and high, with the marker at index `marker`."""
        self.title, self._values, self.marker, self._low, self._high = title, values, marker, low, high
        self.refresh()

    def render(self) -> Text:
        """Title, then the curve; the column of the marker is drawn in reverse."""
        width, height = self.size.width, max(self.size.height - 1, 1)
        text = Text(self.title[:width], style="bold", no_wrap=True, end="")
        if width < 2:
            return text
        column = round(self.marker / max(len(self._values) - 1, 1) * (width - 1))
        for line in drawn(self._values, width, height, self._low, self._high):
            if ascii_only():
                line = "".join(" " if ord(char) == braille.BLANK else "*" for char in line)  # noqa: PLW2901
            text.append("\n")
            text.append(line[:column], "not bold")
            text.append(line[column], "not bold reverse")
            text.append(line[column + 1 :], "not bold")
        return text
