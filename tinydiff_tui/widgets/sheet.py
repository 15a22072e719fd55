"""Rows of pictures with a name before each: what several runs made of the same noises, one column a noise."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.tiling import Layout, Page, Tile, tiles
from tinydiff_tui.text import cut
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.run_table import tail

FEW = 5
"""Columns for which pictures are drawn by finer blocks."""


@dataclass(frozen=True)
class Label:
    """What stands before a row: a name, with a dot in a colour of the theme, and lines below it as far as there is room."""

    name: str
    colour: str
    lines: tuple[str, ...] = ()


def row_tile(rows: int, columns: int, side: tuple[int, int], size: tuple[int, int], looks: tuple[str, ...], density: int) -> Tile:
    """How the pictures are drawn. All rows are there to be compared, so they come before fidelity; fidelity before columns, but
    for the last FEW; pictures larger than they are only where all columns are there."""
    known, own = tiles(side, looks, size)

    def across(tile: Tile) -> bool:
        wanted = columns if tile.dots[1] > side[0] else min(columns, FEW)
        return wanted * (tile.columns + 1) <= size[0] + 1

    fitting = [i for i, tile in enumerate(known) if 1 + rows * tile.rows <= size[1] and tile.columns <= size[0]]
    least = fitting[0] if fitting else len(known) - 1
    chosen = next((i for i in fitting if i <= own and across(known[i])), max(own, least))
    return known[min(max(chosen + density, 0), len(known) - 1)]


class SheetGrid(PixelGrid):
    """The pictures of a Sheet: every row whole, of the columns as many as fit."""

    class Drawn(Message):
        """The rows stand elsewhere by now."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: Pixels = np.zeros((0, 0, 1, 1, 1), dtype=np.uint8)
        self.headings: Sequence[str] = ()

    def show_rows(self, rows: Pixels, headings: Sequence[str]) -> None:
        """Pictures uint8 (rows, columns, H, W, C), and what stands above the columns."""
        self.rows, self.headings = rows, headings
        self._redraw()

    def _redraw(self) -> None:
        if self.rows.size and self.size:
            columns, headings = self._chosen()
            chosen = columns.reshape(-1, *self.rows.shape[2:])
            self._page = Page(chosen, headings=headings)
            if self.zoomed is not None and self.zoomed >= len(chosen):
                self.zoomed = None
        super()._redraw()
        self.post_message(self.Drawn())

    def _chosen(self) -> tuple[Pixels, Sequence[str]]:
        """The columns that are shown, and what stands above them."""
        return self.rows[:, : self._layout().across], self.headings

    def _layout(self) -> Layout:
        rows, columns, height, width, _ = self.rows.shape
        size = (self.size.width, self.size.height)
        tile = row_tile(rows, columns, (height, width), size, self.looks, self.density)
        across = max(1, min(columns, (size[0] + 1) // (tile.columns + 1)))
        return Layout(tile, across, max(0, min(rows, (size[1] - 1) // tile.rows)), across)

    def laid_out(self, page: Page, size: tuple[int, int]) -> Layout:
        return super().laid_out(page, size) if self.zoomed is not None else self._layout()


class SpreadGrid(SheetGrid):
    """The same for columns that are a way from the first to the last: where not all have room, some evenly, both ends among them,
    on pictures as large as leaves FEW."""

    def _chosen(self) -> tuple[Pixels, Sequence[str]]:
        columns = self.rows.shape[1]
        places = [round(k) for k in np.linspace(0, columns - 1, self._layout().across)]
        return self.rows[:, places], [self.headings[k] for k in places] if self.headings else ()

    def _layout(self) -> Layout:
        rows, columns, height, width, _ = self.rows.shape
        size, least = (self.size.width, self.size.height), min(columns, FEW)
        known = tiles((height, width), self.looks, size)[0]
        fitting = (n for n, t in enumerate(known) if 1 + rows * t.rows <= size[1] and least * (t.columns + 1) <= size[0] + 1)
        tile = known[min(max(next(fitting, len(known) - 1) + self.density, 0), len(known) - 1)]
        across = max(1, min(columns, (size[0] + 1) // (tile.columns + 1)))
        return Layout(tile, across, max(0, min(rows, (size[1] - 1) // tile.rows)), across)


class Labels(Widget):
    """The names before the rows of a SheetGrid."""

    DEFAULT_CSS = "Labels { width: 25; height: 1fr; } Sheet.-narrow Labels { width: 14; }"

    def __init__(self, grid: SheetGrid) -> None:
        super().__init__()
        self.grid = grid
        self.labels: Sequence[Label] = ()

    def render_line(self, y: int) -> Strip:
        """The line of the label that stands there."""
        width, base = self.size.width, self.rich_style
        tile_rows = self.grid.tiling.tile.rows
        row, line = divmod(y - 1, tile_rows) if tile_rows and y else (-1, 0)
        if self.grid.zoomed is not None or not 0 <= row < min(len(self.labels), self.grid.tiling.down):
            return Strip.blank(width, base)
        label = self.labels[row]
        texts = (tail(label.name, width - 3), *label.lines)
        text = cut(texts[line], width - 3) if line < len(texts) else ""
        themed = self.app.theme_variables
        style = base + Style(color=themed.get(label.colour)) if not line else base + Style(color=themed.get("axis"))
        return Strip([Segment("● " if not line else "  ", style), Segment(text, style)]).adjust_cell_length(width, base)


class Sheet(Horizontal):
    """`show` rows of pictures with their labels; a click on a picture shows it alone, another one all of them."""

    DEFAULT_CSS = "Sheet { height: 1fr; }"

    def __init__(self, grid: type[SheetGrid] = SheetGrid) -> None:
        super().__init__()
        self._grid = grid

    def compose(self) -> ComposeResult:
        grid = self._grid()
        yield Labels(grid)
        yield grid

    def show(self, rows: Pixels, labels: Sequence[Label], headings: Sequence[str]) -> None:
        """Pictures uint8 (rows, columns, H, W, C), a label a row and a heading a column."""
        self.query_one(Labels).labels = labels
        self.query_one(SheetGrid).show_rows(rows, headings)

    @property
    def hidden(self) -> int:
        """Rows for which there is no room."""
        grid = self.query_one(SheetGrid)
        return max(0, len(grid.rows) - grid.tiling.down) if grid.zoomed is None else 0

    def on_sheet_grid_drawn(self) -> None:
        self.query_one(Labels).refresh()

    def on_pixel_grid_pointed(self, event: PixelGrid.Pointed) -> None:
        event.stop()
        event.grid.zoom(event.index if event.grid.zoomed is None else None)
