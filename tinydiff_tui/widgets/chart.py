"""A chart of curves: widgets.axes in the colours of the theme.

The rows become segments here: a curve has hundreds of spans, and Textual's own way from text to cells takes 30 times as long.
"""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.widgets.axes import Curve, Frame, draw


class Chart(Widget):
    """`show` curves; an empty chart says what will fill it (`empty`)."""

    DEFAULT_CSS = "Chart { width: 1fr; height: 1fr; min-height: 3; }"

    def __init__(self, empty: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.curves: tuple[Curve, ...] = ()
        self.frame = Frame()
        self.empty = empty
        self._drawn: tuple[Size, list[Strip]] | None = None

    def show(self, curves: Sequence[Curve], frame: Frame | None = None) -> None:
        """Draw these curves from now on; only the rows that change are painted."""
        self.curves, self.frame = tuple(curves), frame or self.frame
        before, self._drawn = self._drawn, None
        if before is None or before[0] != self.size:
            self.refresh()
        else:
            changed = [y for y, (old, new) in enumerate(zip(before[1], self._strips, strict=True)) if old != new]
            if changed:
                self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn = None

    def render_line(self, y: int) -> Strip:
        """One row of the chart."""
        return self._strips[y] if y < len(self._strips) else Strip.blank(self.size.width, self.rich_style)

    @property
    def _strips(self) -> list[Strip]:
        """The rows as they are now."""
        if self._drawn is None or self._drawn[0] != self.size:
            base, (width, height) = self.rich_style, self.size
            rows = draw(self.curves, width, height, self.frame)
            if not rows and self.empty:
                rows = [[] for _ in range(height // 2)] + [[(self.empty.center(width)[:width], "axis")]]
            rows += [[] for _ in range(height - len(rows))]
            strips = [Strip(Segment(text, base + self._style(name)) for text, name in row) for row in rows]
            self._drawn = (self.size, [strip.adjust_cell_length(width, base) for strip in strips])
        return self._drawn[1]

    def _style(self, name: str) -> Style:
        """A colour of the theme by its name, or a colour as it is."""
        colour = self.app.theme_variables.get(name, name)
        return Style(color=colour) if colour.startswith("#") else Style()
