"""How a page of pictures is laid out on a rectangle of cells: pure functions over sizes and arrays.

Fidelity comes before count: a picture is not drawn below its own resolution while showing fewer of them would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from tinydiff_tui.terminal.blocks import DOTS, block_cells
from tinydiff_tui.terminal.cells import NONE, Cells, Pixels, blank_cells, half_cells, pack, shade_cells
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.labels import write

LEAST_ROWS = 3  # of a tile; a smaller digit cannot be told from another


class Tile(NamedTuple):
    """How one picture is drawn: by which look, in how many cells, with how many dots (columns, rows)."""

    look: str
    columns: int
    rows: int
    dots: tuple[int, int]


class Layout(NamedTuple):
    """Where the pictures of a page stand: `across` x `down` tiles a band, each under a line of its own for a caption or a gap.

    With class columns a band has a heading, and picture k is of class k modulo `classes`; else there is one band. `margin` and
    `top`: columns left free at the left, and rows above.
    """

    tile: Tile
    across: int
    down: int
    classes: int = 0
    margin: int = 0
    top: int = 0

    @property
    def bands(self) -> int:
        return -(-self.classes // self.across) if self.classes and self.across else 1

    @property
    def room(self) -> int:
        return (self.classes or self.across) * self.down

    def centred(self, size: tuple[int, int], count: int) -> Layout:
        """The same with what a page of `count` pictures leaves free on size (columns, rows) of cells on all sides of it."""
        columns, rows = self.tile.columns + 1, self.tile.rows
        if self.classes:
            wide, high = self.across, self.bands * (1 + self.down * rows)
        else:
            wide = min(self.across, count)
            high = rows if self.room == 1 else min(self.down, -(-count // max(self.across, 1))) * (rows + 1)
        free = size[0] - wide * columns + 1
        return self._replace(margin=max(free // 2, min(free, 1), 0), top=max(0, size[1] - high) // 2)

    def page_of(self, index: int) -> int:
        """The first picture of the page that holds this one."""
        return index // self.room * self.room if self.room else 0

    def moved(self, index: int, dx: int, dy: int, count: int) -> int:
        """The picture so many places to the right in reading order and below, of `count`."""
        if not self.room or not count:
            return index
        index = min(max(index + dx, 0), count - 1)
        for _ in range(abs(dy)):
            found = self._below(index, count) if dy > 0 else self._above(index, count)
            index = index if found is None else found
        return index

    def _below(self, index: int, count: int) -> int | None:
        if not self.classes:
            same_row = index // self.across == (count - 1) // self.across
            return None if same_row else min(index + self.across, count - 1)
        label, first = index % self.classes, self.page_of(index)
        ways = [index + self.classes] if index + self.classes < first + self.room else []
        ways += [first + label + self.across] if label + self.across < self.classes else []
        ways += [first + self.room + label % self.across]
        return next((way for way in ways if way < count), None)

    def _above(self, index: int, count: int) -> int | None:
        if not self.classes:
            return index - self.across if index >= self.across else None
        label, first = index % self.classes, self.page_of(index)
        if index - self.classes >= first:
            return index - self.classes
        if label >= self.across:  # the lowest of the band above
            rows = range(self.down - 1, -1, -1)
            return next(k for k in (first + row * self.classes + label - self.across for row in rows) if k < count)
        lowest = range(label, self.classes, self.across)[-1]
        return first - self.classes + lowest if first else None


def alone(side: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """(columns, rows) of one picture of side (height, width) as large as whole pixels go on so many cells; all of them where its
    own resolution has no room."""
    (height, width), times = side, _times(side, size)
    return (times * width, -(-times * height // 2)) if times else size


def _times(side: tuple[int, int], size: tuple[int, int]) -> int:
    """How many times as large as it is a picture goes on so many cells, two pixels a cell; 0 where it has no room."""
    return min(size[0] // max(side[1], 1), size[1] * 2 // max(side[0], 1))


@lru_cache(maxsize=64)
def tiles(side: tuple[int, int], looks: tuple[str, ...], size: tuple[int, int]) -> tuple[tuple[Tile, ...], int]:
    """Every way to draw a picture of side (height, width), from large to small, and the index of the last at its own resolution.

    `looks` are those that the terminal can draw, the coarsest (half or shade) first; `size` bounds the largest.
    """
    height, width = side
    first, *finer = looks if "octant" not in looks else (looks[0], "octant")  # whose dots are square
    enlarged = range(max(_times(side, size), 1), 0, -1)
    found = [Tile(first, width * k, -(-height * k // 2), (width * k, height * k)) for k in enlarged]
    for look in finer:
        across, down = DOTS[look]
        rows = -(-height // down)
        if down == 2 * across:  # square dots, one a pixel
            found.append(Tile(look, -(-width // across), rows, (width, height)))
        elif rows < found[-1].rows:  # as wide as it must be not to look squeezed; of quadrants that is a half-block's size
            columns = max(1, round(rows * 2 * width / height))
            found.append(Tile(look, columns, rows, (columns * across, rows * down)))
    own = len(found) - 1
    across, down = DOTS.get(looks[-1], (1, 2))
    for rows in range(found[-1].rows - 1, LEAST_ROWS - 1, -1):
        columns = max(1, round(rows * 2 * width / height))
        found.append(Tile(looks[-1], columns, rows, (columns * across, rows * down)))
    return tuple(found), own


def fit(
    count: int,
    side: tuple[int, int],
    size: tuple[int, int],
    looks: tuple[str, ...],
    *,
    density: int = 0,
    classes: int = 0,
    least: int = 1,
) -> Layout:
    """The layout of `count` pictures on size (columns, rows) of cells: the largest tiles that show all of them, else as many as
    fit at their own resolution, but `least` at any. `density` asks for so many sizes less (or, negative, more). Classes for which
    there is no room at any size get no columns."""
    known, own = tiles(side, looks, size)
    count = max(count, 1)
    layouts = [_with(tile, count, size, classes) for tile in known]
    if classes and not any(layout.room for layout in layouts):
        layouts = [_with(tile, count, size, 0) for tile in known]
    whole = next((i for i, layout in enumerate(layouts) if layout.room >= count), None)
    chosen = min(own, len(layouts) - 1) if whole is None or whole > own else whole
    for wanted, step in ((min(least, count), density), (1, 0)):
        chosen = next((i for i in range(chosen, len(layouts)) if layouts[i].room >= wanted), len(layouts) - 1)
        chosen = min(max(chosen + step, 0), len(layouts) - 1)
    return layouts[chosen]


def _with(tile: Tile, count: int, size: tuple[int, int], classes: int) -> Layout:
    """As many of these tiles as fit and are needed."""
    width, height = size
    if count == 1:  # alone it needs no line of its own
        return Layout(tile, int(tile.columns <= width), int(tile.rows <= height), margin=max(0, width - tile.columns) // 2)
    across = min((width + 1) // (tile.columns + 1), classes or count)
    if not across:
        return Layout(tile, 0, 0)
    if not classes:
        down = min(height // (tile.rows + 1), -(-count // across))
    else:
        bands = -(-classes // across)
        across = -(-classes // bands)  # bands of one length
        down = max(0, min((height - bands) // (bands * tile.rows), -(-count // classes)))
    return Layout(tile, across, down, classes, int(across * (tile.columns + 1) <= width))


class Captions(Protocol):
    """Texts by their numbers."""

    def __len__(self) -> int: ...
    def __getitem__(self, place: int, /) -> str: ...


class Page(NamedTuple):
    """Pictures uint8 (N, H, W, C) with a caption each or a heading a class; `cursor` marks one."""

    images: Pixels
    captions: Captions = ()
    headings: Sequence[str] = ()
    cursor: int | None = None


def places(layout: Layout, count: int) -> list[tuple[int, int]]:
    """(column, row) of the cells where each of the `count` pictures of a page begins, if they fit."""
    tile = layout.tile
    found = []
    for k in range(min(count, layout.room)):
        if layout.classes:
            label, row = k % layout.classes, k // layout.classes
            band, column = divmod(label, layout.across)
            top = band * (1 + layout.down * tile.rows) + 1 + row * tile.rows
        else:
            row, column = divmod(k, layout.across)
            top = row * (tile.rows + 1)
        found.append((layout.margin + column * (tile.columns + 1), layout.top + top))
    return found


def arrange(page: Page, layout: Layout, size: tuple[int, int], background: int, ink: tuple[int, int], *, first: int = 0) -> Cells:
    """The pictures from `first` on as exactly `size` cells. `ink`: the colours of captions and of what is marked. NONE, for these
    and for the background, is the terminal's own."""
    columns, rows = size
    plain = layout.tile.look == "shade"
    cells = blank_cells((rows, columns), background)
    tile = layout.tile
    where = places(layout, len(page.images) - first)
    parts = drawn(page.images[first : first + len(where)], tile)
    if plain and background != NONE:  # light characters on black are as bright as the picture, whatever the theme is
        parts = [Cells(part.chars, np.full_like(part.fg, 0xFFFFFF), np.zeros_like(part.bg)) for part in parts]
    for k, ((x, y), part) in enumerate(zip(where, parts, strict=True), start=first):
        _put(cells, part, x, y)
        marked = k == page.cursor and layout.room > 1
        if not layout.classes and layout.room > 1:
            text = f"{'>' if plain else '▸'}{_caption(page, k)}" if marked else _caption(page, k)
            write(cells, text, x, y + tile.rows, tile.columns, ink[marked], plain=plain)
        if marked:
            _mark(cells, tile, x, y, ink[1])
    for label, heading in enumerate(page.headings[: layout.classes]):
        band, column = divmod(label, layout.across)
        left, top = layout.margin + column * (tile.columns + 1), layout.top + band * (1 + layout.down * tile.rows)
        write(cells, heading, left, top, tile.columns, ink[0], plain=plain, centred=True)
    return cells


def _caption(page: Page, k: int) -> str:
    """What stands under picture k; its class where there was no room for columns of classes."""
    if k < len(page.captions):
        return page.captions[k]
    return page.headings[k % len(page.headings)] if page.headings else ""


def _mark(cells: Cells, tile: Tile, x: int, y: int, ink: int) -> None:
    """A bar at either side of the picture under the cursor, in the columns that are free; seen without colours too."""
    sides = ("|", "|") if tile.look == "shade" else ("▐", "▌")
    for char, column in zip(sides, (x - 1, x + tile.columns), strict=True):
        if 0 <= column < cells.shape[1]:
            cells.chars[y : y + tile.rows, column] = ord(char)
            cells.fg[y : y + tile.rows, column] = ink


def drawn(images: Pixels, tile: Tile) -> list[Cells]:
    """Pictures (N, H, W, C), each in the cells of a tile."""
    if not len(images):
        return []
    (width, height), side = tile.dots, images.shape[1:3]
    if (height, width) == side:
        dots = images
    elif height % side[0] == 0 and width % side[1] == 0:
        dots = images.repeat(height // side[0], axis=1).repeat(width // side[1], axis=2)
    else:
        dots = np.stack([shrunk(image, tile.dots) for image in images])
    if tile.look == "shade":
        return [shade_cells(each) for each in dots]
    if tile.look == "half":
        return [half_cells(pack(each)) for each in dots]
    across, down = DOTS[tile.look]
    whole = np.pad(dots, ((0, 0), (0, -dots.shape[1] % down), (0, -dots.shape[2] % across), (0, 0)), mode="edge")
    cells = block_cells(whole.reshape(-1, *whole.shape[2:]), tile.look)  # one above the other, all at once
    rows = whole.shape[1] // down
    ends = range(rows, len(cells.chars) + 1, rows)
    return [Cells(cells.chars[end - rows : end], cells.fg[end - rows : end], cells.bg[end - rows : end]) for end in ends]


def shrunk(image: Pixels, dots: tuple[int, int]) -> Pixels:
    """An image (H, W, C) as so many (columns, rows) of dots, by box averaging."""
    from PIL import Image  # only now: exact pictures need none, and the first paint does not wait for it

    picture = Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    smaller: Pixels = np.asarray(picture.resize(dots, Image.Resampling.BOX))
    return smaller.reshape(dots[1], dots[0], -1)


def _put(cells: Cells, part: Cells, x: int, y: int) -> None:
    """Copy a part into the page where it is inside; what shows no colour of its own keeps that of the page."""
    rows, columns = (slice(y, y + part.shape[0]), slice(x, x + part.shape[1]))
    height, width = cells.chars[rows, columns].shape
    cells.chars[rows, columns] = part.chars[:height, :width]
    cells.fg[rows, columns] = part.fg[:height, :width]
    kept = part.bg[:height, :width] == NONE
    cells.bg[rows, columns] = np.where(kept, cells.bg[rows, columns], part.bg[:height, :width])
