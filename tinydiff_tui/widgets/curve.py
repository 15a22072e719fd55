"""A curve over t in braille dots, with the present t marked."""

import numpy as np
from numpy.typing import NDArray
from rich.text import Text
from textual.widget import Widget

from tinydiff_tui.widgets.pixel_grid import ascii_only

_BLANK = 0x2800
# Bits of a braille character at (row, column) of its 4 x 2 dots.
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])

Values = NDArray[np.float64]


def braille(values: Values, width: int, height: int, low: float, high: float) -> list[str]:
    """Draw values (n,) from left to right on width x height characters; what is not finite is drawn at the edge."""
    dots = np.zeros((height * 4, width * 2), dtype=bool)
    across = np.linspace(0, len(values) - 1, width * 2)
    at = np.interp(across, np.arange(len(values)), np.clip(np.nan_to_num(values, neginf=low, posinf=high), low, high))
    span = (high - low) or 1.0
    y = np.round((high - at) / span * (height * 4 - 1)).astype(int)
    for x, (here, following) in enumerate(zip(y, [*y[1:], y[-1]], strict=True)):
        step = 1 if following >= here else -1
        # Fill towards the next point, so that a steep fall stays a line.
        dots[here:following:step, x] = True
        dots[here, x] = True
    cells = dots.reshape(height, 4, width, 2).transpose(0, 2, 1, 3)
    codes = _BLANK + (cells * _DOTS).sum(axis=(2, 3))
    return ["".join(chr(code) for code in row) for row in codes]


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
        for line in braille(self._values, width, height, self._low, self._high):
            if ascii_only():
                line = "".join(" " if ord(char) == _BLANK else "*" for char in line)  # noqa: PLW2901
            text.append("\n")
            text.append(line[:column], "not bold")
            text.append(line[column], "not bold reverse")
            text.append(line[column + 1 :], "not bold")
        return text
