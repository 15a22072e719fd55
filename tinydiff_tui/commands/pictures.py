"""Pictures in the terminal of a command: by rich-pixels, in the finest look that the terminal is known to draw."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.text import Text
from rich_pixels import Pixels as RichPixels

from core.errors import printable
from core.images import Pixels, to_pil
from tinydiff_tui.commands.output import show
from tinydiff_tui.terminal.blocks import DOTS
from tinydiff_tui.terminal.renderer import CellRenderer
from tinydiff_tui.terminal.support import LOOKS, colours_of, finest_look
from tinydiff_tui.terminal.tiling import Layout, Tile, fit, places

MOST_COLUMNS = 20  # of classes: more of them would be too narrow to tell apart
A_FEW = 6  # pictures are worth more than the exact pixels of fewer
_ROWS_LEFT = 3  # for what a command says, and the prompt after it


def show_pictures(images: Pixels, headings: Sequence[str] = ()) -> str:
    """Print pictures (N, H, W, C) as large as all of them fit, else as many as fit at their own resolution, or a few; says so.

    With `headings` picture k stands in column k modulo their number, under its heading.
    """
    console = Console()
    colours = colours_of(console.color_system, no_color=console.no_color)
    looks = ("shade",) if colours == "shades" else LOOKS[: LOOKS.index(finest_look()) + 1]
    size = (console.width, max(console.height - _ROWS_LEFT, 8))
    classes = len(headings) if 1 < len(headings) <= min(MOST_COLUMNS, len(images)) else 0
    layout = fit(len(images), (images.shape[1], images.shape[2]), size, looks, classes=classes, least=A_FEW)
    if layout.room:
        show(_page(images[: layout.room], [printable(name) for name in headings], layout, greys=colours == "greys"))
    return f" ({layout.room} of {len(images)} fit here)" if layout.room < len(images) else ""


def _page(images: Pixels, headings: Sequence[str], layout: Layout, *, greys: bool) -> RenderableType:
    tile = layout.tile
    across, down = DOTS.get(tile.look, (1, 2))
    at = places(layout, len(images))
    left = at[0][0]
    at = [(x - left, y) for x, y in at]  # on the left, as all that a command says
    columns, rows = max(x for x, _ in at) + tile.columns, max(y for _, y in at) + tile.rows
    canvas = Image.new("RGBA", (columns * across, rows * down))
    for image, (x, y) in zip(images, at, strict=True):
        canvas.paste(_dots(image, tile, (across, down)), (x * across, y * down))
    renderer = CellRenderer(tile.look, greys=greys)
    if not layout.classes:
        return Group(RichPixels.from_image(canvas, renderer=renderer))
    parts: list[RenderableType] = []
    for band, top in enumerate(range(0, rows, 1 + layout.down * tile.rows)):
        names = headings[band * layout.across : (band + 1) * layout.across]
        parts.append(Text(" ".join(_centred(name, tile.columns) for name in names)))
        cut = (0, (top + 1) * down, canvas.width, min(top + 1 + layout.down * tile.rows, rows) * down)
        parts.append(RichPixels.from_image(canvas.crop(cut), renderer=renderer))
    return Group(*parts)


def _dots(image: Pixels, tile: Tile, each: tuple[int, int]) -> Image.Image:
    """A picture in the dots of its tile; where its cells have more of them than it, the last ones are repeated."""
    picture = to_pil(image)
    larger = tile.dots[0] >= picture.width and tile.dots[1] >= picture.height
    dots = np.asarray(picture.resize(tile.dots, Image.Resampling.NEAREST if larger else Image.Resampling.BOX))
    missing = ((0, tile.rows * each[1] - dots.shape[0]), (0, tile.columns * each[0] - dots.shape[1]))
    return Image.fromarray(np.pad(dots, missing + ((0, 0),) * (dots.ndim - 2), mode="edge"))


def _centred(name: str, width: int) -> str:
    cut = set_cell_size(name, min(cell_len(name), width))
    return set_cell_size(" " * ((width - cell_len(cut)) // 2) + cut, width)
