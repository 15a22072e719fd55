"""A row of a widget that is drawn only when it is painted: Textual asks a widget for all its rows whenever anything changes."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from rich.console import Console
from rich.segment import Segment
from textual.strip import Strip


class RowStrip(Strip):
    """Columns `start` to `end` of a row; `text` and `segments` are called with such a pair."""

    def __init__(
        self, text: Callable[[int, int], str], segments: Callable[[int, int], list[Segment]], start: int, end: int
    ) -> None:
        super().__init__((), end - start)
        self.part = (start, end)
        self._text = text
        self._make = segments

    @property
    def _segments(self) -> list[Segment]:  # what every other method of Strip reads
        return self._make(*self.part)

    @_segments.setter
    def _segments(self, _: list[Segment]) -> None:
        pass

    def _piece(self, start: int, end: int) -> Strip:
        left = self.part[0]
        return RowStrip(self._text, self._make, left + start, left + end)

    def divide(self, cuts: Iterable[int]) -> Sequence[Strip]:
        """The pieces up to each cut."""
        return [self._piece(*ends) for ends in pairwise([0, *(cut for cut in cuts if cut <= self.cell_length)])]

    def crop(self, start: int, end: int | None = None) -> Strip:
        """The columns from start to end."""
        start, end = max(0, start), self.cell_length if end is None else min(self.cell_length, end)
        return self._piece(start, max(start, end))

    def render(self, console: Console) -> str:
        """What goes to the terminal."""
        return self._text(*self.part)
