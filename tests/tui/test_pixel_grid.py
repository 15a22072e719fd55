"""The widget: what it fits in, that it shows the exact pixels, and that it repaints only what changed."""

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip

from tinydiff_tui.terminal.cells import LOWER, UPPER
from tinydiff_tui.terminal.tiling import fit
from tinydiff_tui.widgets.curve import Curve
from tinydiff_tui.widgets.pixel_grid import PixelGrid, changed_spans
from tinydiff_tui.widgets.scrubber import Scrubber


class GridApp(App[None]):
    def compose(self) -> ComposeResult:
        yield PixelGrid()

    @property
    def grid(self) -> PixelGrid:
        return self.query_one(PixelGrid)


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)


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
@pytest.mark.parametrize(("height", "width"), [(28, 28), (7, 5), (3, 9)])
async def test_half_blocks_show_the_exact_pixels(channels: int, height: int, width: int) -> None:
    app = GridApp()
    async with app.run_test(size=(60, 20)) as pilot:
        images = digits(2, height, width, channels)
        app.grid.show(images)
        await pilot.pause()
        scale = app.grid.tiling.scale
        screen = pixels_on_screen(app.grid)
        assert app.grid.shown == 2
        for i in range(2):
            top = i // app.grid.tiling.columns * (height * scale + 1)
            left = i % app.grid.tiling.columns * (width * scale + 1)
            found = screen[top : top + height * scale : scale, left : left + width * scale : scale]
            assert np.array_equal(found, np.broadcast_to(images[i], (height, width, 3)))


async def test_a_small_widget_shows_more_images_by_quadrants() -> None:
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        app.grid.show(digits(16))
        await pilot.pause()
        assert app.grid.tiling.look == "quad"
        assert app.grid.shown == 16
        app.grid.mode = "half"
        assert app.grid.tiling.look == "half"
        assert app.grid.shown == 2


async def test_a_resize_fits_the_picture_anew() -> None:
    app = GridApp()
    async with app.run_test(size=(100, 40)) as pilot:
        app.grid.show(digits(6))
        await pilot.pause()
        assert (app.grid.tiling.look, app.grid.shown) == ("half", 6)
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert app.grid._wanted is not None and app.grid._wanted.cells.shape == (20, 60)
        assert (app.grid.tiling.look, app.grid.shown) == ("quad", 6)


async def test_zoom_shows_one_image_in_whole_pixels() -> None:
    app = GridApp()
    async with app.run_test(size=(120, 30)) as pilot:
        images = digits(30)
        app.grid.show(images)
        app.grid.zoom(31)
        await pilot.pause()
        assert (app.grid.zoomed, app.grid.shown, app.grid.tiling.look, app.grid.tiling.scale) == (1, 1, "half", 2)
        assert np.array_equal(pixels_on_screen(app.grid)[0:56:2, 0:56:2, 0], images[1, :, :, 0])
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
        assert asked == [Region(3, 2, 1, 1)]


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


@given(st.integers(0, 300), st.integers(1, 64), st.integers(1, 64), st.integers(1, 250), st.integers(1, 80))
def test_what_is_said_to_fit_fits(count: int, height: int, width: int, columns: int, rows: int) -> None:
    for mode in ("auto", "half", "quad"):
        layout = fit(count, (height, width), (columns, rows), mode)
        if layout.look == "half":
            assert layout.columns * (width * layout.scale + 1) <= columns + 1 or not layout.room
            assert layout.rows * (height * layout.scale + 1) <= rows * 2 + 1 or not layout.room
        else:
            assert layout.columns * (layout.tile[0] + 1) <= columns * 2
            assert layout.rows * (layout.tile[1] + 1) <= rows * 2


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (200, 60)])
async def test_any_size_and_nothing_to_show(size: tuple[int, int]) -> None:
    app = GridApp()
    async with app.run_test(size=size) as pilot:
        for images in (digits(0), digits(5), digits(1, 64, 64, 3)):
            for mode in ("auto", "half", "quad"):
                app.grid.mode = mode
                app.grid.show(images)
                await pilot.pause()
                assert all(line.cell_length == size[0] for line in lines(app.grid))


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
            assert "@" in text or count == 16
            assert app.grid.shown == count


async def test_greys_by_number_with_256_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLORTERM")
    app = GridApp()
    async with app.run_test(size=(80, 18)) as pilot:
        app.grid.show(digits(1))
        await pilot.pause()
        colours = [style.color for _, style, _ in app.grid.render_line(0) if style and style.color]
        assert colours
        assert all(colour.number is not None for colour in colours)


@pytest.mark.parametrize("plain", [False, True])
async def test_slider_and_curve_without_unicode(monkeypatch: pytest.MonkeyPatch, plain: bool) -> None:
    for module in ("scrubber", "curve"):
        monkeypatch.setattr(f"tinydiff_tui.widgets.{module}.ascii_only", lambda: plain)
    app = ControlsApp()
    async with app.run_test(size=(40, 10)) as pilot:
        slider, curve = app.query_one(Scrubber), app.query_one(Curve)
        slider.label, slider.maximum, slider.value, slider.marks = "t", 99, 150, (50,)
        assert slider.value == 99
        curve.show("f", np.array([0.0, np.inf, -np.inf, 0.5]), 3, 0.0, 1.0)
        await pilot.pause()
        text = slider.render().plain + curve.render().plain
        assert text.isascii() == plain
        assert len(slider.render().plain) == 40
        await pilot.click(Scrubber, offset=(20, 0))


class ControlsApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Scrubber()
        yield Curve()
