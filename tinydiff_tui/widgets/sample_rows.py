"""How the same noises look as a network learns: a row of pictures a moment, the newest below, with the steps at their left."""

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.jobs.series import Row, spread
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import Layout, Page, Tile, tiles
from tinydiff_tui.text import short_count
from tinydiff_tui.widgets.pixel_grid import PixelGrid

LEAST_DOWN, LEAST_ACROSS = 3, 5
"""Rows and columns that must be seen for a change to be seen: below that, pictures are drawn smaller than they are."""


class Steps(Widget):
    """The step of each row, in the middle of its height."""

    DEFAULT_CSS = "Steps { width: 6; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._texts: dict[int, str] = {}

    def show(self, texts: dict[int, str]) -> None:
        """Texts by the line that they stand in."""
        if texts != self._texts:
            self._texts = texts
            self.refresh()

    def render_line(self, y: int) -> Strip:
        text = f"{self._texts.get(y, ''):>{max(self.size.width - 1, 0)}} "
        style = self.rich_style + Style(color=self.app.theme_variables.get("axis"))
        return Strip([Segment(text, style)]).adjust_cell_length(self.size.width, style)


class RowGrid(PixelGrid):
    """The pictures of the rows: as many columns and rows as fit without drawing them below their own resolution."""

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps
        self._rows: Sequence[Row] = ()
        self._headings: Sequence[str] = ()

    def take(self, rows: Sequence[Row], headings: Sequence[str]) -> None:
        """Show these rows from now on."""
        self._rows, self._headings = rows, headings
        self._redraw()

    def _redraw(self) -> None:
        if not self._rows or not self.size:
            self._page = None
            self._steps.show({})
            return
        layout = self._best()
        chosen = spread(self._rows, layout.down)
        if chosen and layout.across:
            pictures = np.concatenate([row.pictures[: layout.across] for row in chosen])
            self._page = Page(pictures, headings=self._headings)
        middle = 1 + (layout.tile.rows - 1) // 2
        self._steps.show({middle + n * layout.tile.rows: short_count(row.step) for n, row in enumerate(chosen)})
        super()._redraw()

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        return self._best()

    def _best(self) -> Layout:
        """At the pictures' own resolution, or as the keys of density ask; smaller where that shows no change."""
        size = (self.size.width, self.size.height)
        across, height, width, _ = self._rows[-1].pictures.shape
        known, own = tiles((height, width), self.looks, size)
        layouts = [_with(tile, across, size) for tile in known]
        enough = (min(LEAST_ACROSS, across), LEAST_DOWN)
        seen = (n for n, each in enumerate(layouts) if n >= own and each.across >= enough[0] and each.down >= enough[1])
        chosen = min(max(next(seen, len(known) - 1) + self.density, 0), len(known) - 1)
        return next((each for each in layouts[chosen:] if each.room), layouts[-1])


def _with(tile: Tile, most: int, size: tuple[int, int]) -> Layout:
    """Columns of one class each below a line of headings, rows without a gap."""
    across = min((size[0] + 1) // (tile.columns + 1), most)
    return Layout(tile, across, max(0, (size[1] - 1) // tile.rows), across)


class SampleRows(Horizontal):
    """`show` rows; they choose for themselves which of them there is room for."""

    def compose(self) -> ComposeResult:
        steps = Steps()
        yield steps
        yield RowGrid(steps)

    def show(self, rows: Sequence[Row], headings: Sequence[str]) -> None:
        self.query_one(RowGrid).take(rows, headings)
