"""The widget: what it fits in, that it shows the exact pixels, and that it repaints only what changed."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from tinydiff_tui.app.themes import THEMES
from tinydiff_tui.terminal.ansi import paint
from tinydiff_tui.terminal.cells import LOWER, NONE, UPPER, row_runs
from tinydiff_tui.terminal.labels import write
from tinydiff_tui.terminal.support import LOOKS, finest_look
from tinydiff_tui.terminal.tiling import Page, Tile, arrange, fit, places
from tinydiff_tui.widgets.axes import Curve, Frame
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.cell_view import changed_spans
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.film import LEAST_FRAMES, Film, FilmStrip
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber


class GridApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.pointed: list[int] = []

    def compose(self) -> ComposeResult:
        yield PixelGrid()

    def on_pixel_grid_pointed(self, message: PixelGrid.Pointed) -> None:
        assert message.control is self.grid
        self.pointed.append(message.index)

    @property
    def grid(self) -> PixelGrid:
        return self.query_one(PixelGrid)


def digits(count: int, height: int = 28, width: int = 28, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def pixels_on_screen(grid: PixelGrid) -> np.ndarray:
    """RGB (2 rows, columns, 3) as the strips of the widget show them."""
    rows = []
    for y in range(grid.size.height):
        top, bottom = [], []
        for text, style, _ in grid.render_line(y):
            assert style is not None
            bg = style.bgcolor.get_truecolor() if style.bgcolor else None
            fg = style.color.get_truecolor() if style.color else None
            for char in text:
                top.append({" ": bg, UPPER: fg, LOWER: bg}[char])
                bottom.append({" ": bg, UPPER: bg, LOWER: fg}[char])
        rows += [top, bottom]
    return np.array(rows)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("height", "width"), [(28, 28), (8, 5), (4, 9)])
async def test_half_blocks_show_the_exact_pixels(channels: int, height: int, width: int) -> None:
    app = GridApp()
    async with app.run_test(size=(70, 30)) as pilot:
        images = digits(2, height, width, channels)
        app.grid.show(images)
        await pilot.pause()
        layout = app.grid.tiling
        assert app.grid.shown == 2 and layout.tile.look == "half"
        scale = layout.tile.dots[0] // width
        screen = pixels_on_screen(app.grid)
        for i, (x, y) in enumerate(places(layout, 2)):
            found = screen[2 * y : 2 * y + height * scale : scale, x : x + width * scale : scale]
            assert np.array_equal(found, np.broadcast_to(images[i], (height, width, 3)))


async def test_fidelity_comes_before_count_and_density_is_a_key() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        app.grid.look = "octant"
        app.grid.show(digits(16))
        await pilot.pause()
        assert app.grid.tiling.tile == Tile("octant", 14, 7, (28, 28))  # each pixel is a dot, and fewer are shown
        assert app.grid.shown == 10
        app.grid.density = 2
        assert app.grid.tiling.tile.rows == 5 and app.grid.shown == 16
        app.grid.density = -1
        assert app.grid.tiling.tile == Tile("half", 28, 14, (28, 28))  # never stretched where there are octants
        app.grid.density, app.grid.look = 0, "half"
        assert app.grid.tiling.tile == Tile("half", 28, 14, (28, 28))
        assert app.grid.shown == 2


async def test_classes_stand_in_columns_under_their_names() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.grid.look = "octant"
        names = [f"class {k}" for k in range(10)]
        app.grid.show(digits(20), headings=names)
        await pilot.pause()
        layout = app.grid.tiling
        assert (layout.across, layout.bands, layout.down, app.grid.shown) == (5, 2, 2, 20)
        text = ["".join(segment.text for segment in line) for line in lines(app.grid)]
        assert [text[0].index(name) // 15 for name in names[:5]] == [0, 1, 2, 3, 4]
        assert all(name in text[15] for name in names[5:])
        at = places(layout, 20)
        assert at[3][0] == at[13][0] == at[8][0]  # of one class below each other, of the next band too
        assert [app.grid.image_at(x + 3, y + 3) for x, y in at] == list(range(20))


async def test_captions_stand_under_their_pictures_and_the_cursor_beside_one() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.grid.show(digits(3), ["seven 1", "写真写真写真写真写真写真写真写真写真", "nine 3"], cursor=2)
        await pilot.pause()
        captions = ["".join(segment.text for segment in line) for line in lines(app.grid)]
        (_, row), _, (_, last) = places(app.grid.tiling, 3)
        rows = app.grid.tiling.tile.rows
        assert captions[row + rows].lstrip().startswith("seven 1")
        assert "写真写真写真写真写真写真写…" in captions[row + rows]  # 28 cells hold 13 letters and the sign
        assert captions[last + rows].lstrip().startswith("▸nine 3")
        assert all(cell_len(line) == 80 for line in captions)
        (x, y), columns = places(app.grid.tiling, 3)[2], app.grid.tiling.tile.columns
        assert {(line[x - 1], line[x + columns]) for line in captions[y : y + rows]} == {("▐", "▌")}


@pytest.mark.parametrize(
    ("caption", "most", "shown"),
    [
        ("seven", 5, "seven"),
        ("seven", 4, "sev…"),
        ("x" * 200, 9, "xxxxxxxx…"),
        ("写真写真", 7, "写真写…"),
        ("写真写真", 6, "写真…"),
        ("写真", 1, ""),
        ("e\u0301te\u0301", 3, "ete"),
        ("👩\u200d👧👍🏽🇩🇪", 6, "👩👧👍"),
        ("\u0301" * 200, 5, ""),
        ("שלום", 8, "שלום"),
        ("", 5, ""),
        ("anything", 0, ""),
    ],
)
def test_a_caption_is_cut_by_cells(caption: str, most: int, shown: str) -> None:
    cells = arrange(Page(digits(0)), fit(0, (28, 28), (30, 4), ("half",)), (30, 4), 0, (NONE, NONE))
    write(cells, caption, 3, 1, most, 0xFFFFFF)
    assert "".join(text for text, _, _ in row_runs(cells, 1)) == f"   {shown}".ljust(30 - cell_len(shown) + len(shown))
    assert not (cells.fg[1, 3 + most :] != NONE).any()


@pytest.mark.parametrize("x", [0, 6])
def test_letters_that_run_leftward_are_isolated(x: int) -> None:
    cells = arrange(Page(digits(0)), fit(0, (28, 28), (30, 1), ("half",)), (30, 1), 0, (NONE, NONE))
    write(cells, "שלום 7 مرحبا", x, 0, 30 - x, 0xFFFFFF)
    text = "".join(char for char in paint(cells, np.ones((1, 30), dtype=bool), (0, 0), True) if not char.isascii() or char == " ")
    before = " " * max(x, 1)
    assert text.rstrip() == f"{before}\u2068שלום  مرحبا\u2069"


async def test_the_page_with_the_cursor_is_shown_and_arrows_walk_over_all() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        grid, images = app.grid, digits(25)
        grid.look = "octant"
        grid.show(images, [f"number {k}" for k in range(25)], cursor=0)
        seen = {(grid.first, grid.shown)}
        for k in range(25):
            assert grid.cursor == k and grid.first <= k < grid.first + grid.shown
            x, y = places(grid.tiling, grid.shown)[k - grid.first]
            assert grid.image_at(x, y) == k
            assert f"▸number {k} " in "".join(line.text for line in lines(grid))
            grid.point(grid.move(1, 0))
            seen.add((grid.first, grid.shown))
        assert seen == {(0, 10), (10, 10), (20, 5)}
        assert grid.cursor == 24
        grid.point(grid.move(0, -1))
        assert grid.cursor == 19
        await pilot.pause()


async def test_a_click_says_which_picture() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        app.grid.look = "octant"
        app.grid.show(digits(25), cursor=12)
        await pilot.pause()
        x, y = places(app.grid.tiling, 10)[3]
        await pilot.click(PixelGrid, offset=(x + 2, y + 2))
        await pilot.click(PixelGrid, offset=(79, 2))  # beside them
        await pilot.pause()
        assert app.pointed == [13]


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 60), st.integers(0, 12), st.integers(20, 100), st.integers(6, 40), st.integers(0, 59))
def test_moves_stay_among_the_pictures_and_go_back(count: int, classes: int, columns: int, rows: int, start: int) -> None:
    layout = fit(count, (28, 28), (columns, rows), LOOKS[:4], classes=classes)
    start %= count
    for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        found = layout.moved(start, dx, dy, count)
        assert 0 <= found < count
        back = layout.moved(found, -dx, -dy, count)
        assert back == start or found == start or not layout.classes or count % layout.classes
    visited = {start}
    while (following := layout.moved(start, 0, 1, count)) != start:
        assert following not in visited
        visited.add(following)
        if layout.classes:
            assert following % layout.classes % layout.across == start % layout.classes % layout.across
        start = following


def test_classes_without_room_for_columns_are_captions() -> None:
    names = [f"class {k}" for k in range(100)]
    layout = fit(100, (28, 28), (78, 20), LOOKS[:4], classes=100)
    assert layout.room and not layout.classes
    cells = arrange(Page(digits(100), headings=names, cursor=3), layout, (78, 20), 0, (1, 2))
    assert "class 1" in "".join(text for y in range(20) for text, _, _ in row_runs(cells, y))


async def test_a_strip_shows_the_whole_way_at_any_density_and_size() -> None:
    app = StripApp()
    async with app.run_test(size=(118, 9)) as pilot:
        strip, seen = app.query_one(FilmStrip), set()
        strip.roll(Film(list(digits(20)), [f"t {k}" for k in range(20)], planned=50, present=13))
        for density in (-3, 0, 3):
            strip.density = density
            for width in (118, 70):
                await pilot.resize_terminal(width, 9)
                await pilot.pause()
                slots = [strip.frame_at(slot) for slot in range(len(strip.images))]
                assert (slots[0], slots[-1]) == (0, 49) and 13 in slots and len(slots) >= LEAST_FRAMES
                assert strip.shown == len(slots) and strip.density == density
                seen.add(len(slots))
        assert len(seen) > 2


async def test_a_resize_fits_the_picture_anew() -> None:
    app = GridApp()
    async with app.run_test(size=(100, 40)) as pilot:
        app.grid.show(digits(6))
        await pilot.pause()
        assert (app.grid.tiling.tile.look, app.grid.shown) == ("half", 6)
        await pilot.resize_terminal(60, 30)
        await pilot.pause()
        assert app.grid._wanted is not None and app.grid._wanted.shape == (30, 60)
        # Quadrants would show no more of a picture that is not squeezed.
        assert (app.grid.tiling.tile.look, app.grid.shown) == ("half", 4)


async def test_zoom_shows_one_image_in_whole_pixels() -> None:
    app = GridApp()
    async with app.run_test(size=(120, 30)) as pilot:
        images = digits(30)
        app.grid.show(images)
        app.grid.zoom(31)
        await pilot.pause()
        assert (app.grid.zoomed, app.grid.shown, app.grid.tiling.tile) == (1, 1, Tile("half", 56, 28, (56, 56)))
        assert np.array_equal(pixels_on_screen(app.grid)[2:58:2, 32:88:2, 0], images[1, :, :, 0])  # in the middle
        app.grid.zoom(None)
        assert app.grid.shown > 1


async def test_only_changed_spans_are_repainted(monkeypatch: pytest.MonkeyPatch) -> None:
    app = GridApp()
    async with app.run_test(size=(60, 20)) as pilot:
        images = digits(1)
        app.grid.show(images)
        await pilot.pause()
        asked: list[Region] = []
        monkeypatch.setattr(app.grid, "refresh", lambda *regions, **_: asked.extend(regions))
        app.grid.show(images.copy())
        assert asked == []
        changed = images.copy()
        changed[0, 5, 3] ^= 255
        app.grid.show(changed)
        assert asked == [Region(16 + 3, 3 + 2, 1, 1)]


@given(st.lists(st.lists(st.booleans(), min_size=40, max_size=40), min_size=1, max_size=4))
def test_spans_cover_exactly_the_changes_and_small_gaps(rows: list[list[bool]]) -> None:
    changed = np.array(rows)
    covered = np.zeros_like(changed)
    for x, y, width, height in changed_spans(changed):
        assert height == 1
        assert changed[y, x]
        assert changed[y, x + width - 1]
        covered[y, x : x + width] = True
    assert (covered | ~changed).all()


SHAPES = st.tuples(st.integers(1, 64), st.integers(1, 64), st.sampled_from([1, 3]))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 30), SHAPES, st.integers(1, 120), st.integers(1, 50),
    st.sampled_from([("shade",), LOOKS[:1], LOOKS[:2], LOOKS[:4]]), st.integers(-2, 3), st.integers(0, 12),
)  # fmt: skip
def test_any_page_fills_exactly_its_room(
    count: int, shape: tuple[int, int, int], columns: int, rows: int, looks: tuple[str, ...], density: int, classes: int
) -> None:
    images = digits(count, *shape)
    layout = fit(count, shape[:2], (columns, rows), looks, density=density, classes=classes)
    page = Page(images, [str(k) for k in range(count)], [f"c{k}" for k in range(classes)], 0)
    cells = arrange(page, layout, (columns, rows), 0, (NONE, NONE))
    assert cells.shape == (rows, columns)
    for x, y in places(layout, count):
        assert x + layout.tile.columns <= columns and y + layout.tile.rows <= rows


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (200, 60)])
async def test_any_size_and_nothing_to_show(size: tuple[int, int]) -> None:
    app = GridApp()
    async with app.run_test(size=size) as pilot:
        for images in (digits(0), digits(5), digits(1, 64, 64, 3)):
            for density in (-1, 0, 3):
                app.grid.density = density
                app.grid.show(images)
                await pilot.pause()
                assert all(line.cell_length == size[0] for line in lines(app.grid))


@pytest.mark.parametrize(
    ("environment", "look"),
    [
        ({"TERM": "xterm-256color"}, "quadrant"),
        ({"TERM": "xterm-kitty"}, "octant"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "octant"),
        ({"TERM": "tmux-256color", "KITTY_WINDOW_ID": "1", "TMUX": "x"}, "sextant"),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "ghostty"}, "octant"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7600"}, "sextant"),
        ({"TERM": "xterm-256color", "VTE_VERSION": "5200"}, "quadrant"),
        ({"TERM": "xterm-256color", "KONSOLE_VERSION": "nonsense"}, "quadrant"),
    ],
)
def test_what_a_terminal_is_known_to_draw(environment: dict[str, str], look: str) -> None:
    assert finest_look(environment) == look


def lines(grid: PixelGrid) -> Iterable[Strip]:
    return (grid.render_line(y) for y in range(grid.size.height))


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "linux")])
async def test_shades_without_colours(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.delenv("COLORTERM")
    monkeypatch.setenv(variable, value)
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        for count in (1, 16):
            app.grid.show(digits(count))
            await pilot.pause()
            text = "".join(line.text for line in lines(app.grid))
            assert text.isascii()
            assert "@" in text
            assert app.grid.shown == min(count, 2)  # at their own resolution


async def test_greys_by_number_with_256_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM")
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        app.grid.show(digits(1))
        await pilot.pause()
        colours = [style.color for _, style, _ in app.grid.render_line(2) if style and style.color]
        assert colours
        assert all(colour.number is not None for colour in colours)


@pytest.mark.parametrize("plain", [False, True])
async def test_slider_and_chart_without_unicode(monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    for module in ("scrubber", "axes"):
        monkeypatch.setattr(f"tinydiff_tui.widgets.{module}.ascii_only", lambda: plain)
    app = ControlsApp()
    async with app.run_test(size=(40, 12)) as pilot:
        slider, chart = app.query_one(Scrubber), app.query_one(Chart)
        slider.label, slider.maximum, slider.value, slider.marks = "t", 99, 150, (50,)
        assert slider.value == 99
        chart.show([Curve(np.arange(4.0), np.array([0.0, np.inf, -np.inf, 0.5]), "loss")], Frame("t", cursor=2))
        await pilot.pause()
        text = slider.render().plain + "".join(chart.render_line(y).text for y in range(chart.size.height))
        assert text.isascii() == plain
        assert len(slider.render().plain) == 40
        await pilot.click(Scrubber, offset=(20, 0))


async def test_a_slider_of_two_lines_names_its_marks() -> None:
    app = ControlsApp()
    async with app.run_test(size=(60, 12)) as pilot:
        slider = app.query_one(Scrubber)
        slider.label, slider.maximum, slider.value, slider.marks = "t", 999, 200, (0, 10, 200, 600, 999)
        slider.styles.height = 2
        await pilot.pause()
        line, numbers = slider.render().plain.splitlines()
        assert line.startswith("t 200 ") and line.endswith(" 999") and len(line) == 60
        assert numbers.split() == ["0", "200", "600", "999"]  # 10 has no room beside 0
        for mark in (200, 600):
            at = numbers.index(str(mark))
            assert set(line[at : at + 3]) & {"●", "┿"}


class BoxApp(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return THEMES[0].variables

    def compose(self) -> ComposeResult:
        with Box(title="Box", id="box"):
            yield PixelGrid()


async def test_words_in_the_frame_paint_their_rows_and_nothing_within() -> None:
    app = BoxApp()
    async with app.run_test(size=(60, 20)) as pilot:
        box, rows = app.query_one(Box), {0: Region(0, 0, 60, 1), 19: Region(0, 19, 60, 1)}
        for name, words in (("title", "other title"), ("figures", "other figures"), ("state", "running")):
            await pilot.pause()
            assert not box._repaint_regions
            setattr(box, name, words)
            assert box._repaint_regions == set(rows.values())
        await pilot.pause()
        shown = ["".join(segment.text for segment in strip) for strip in app.screen._compositor.render_strips()]
        assert "other title ● running" in shown[0] and "other figures" in shown[-1]
        box.refresh()
        assert Region(0, 0, 60, 20) in box._repaint_regions


class StripApp(App[None]):
    def compose(self) -> ComposeResult:
        yield FilmStrip()


class ControlsApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Scrubber()
        yield Chart()
