"""What is written to the terminal decodes to exactly the pixels that went in, whole or as changes."""

import asyncio
from typing import Any

import numpy as np
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from textual.app import App, ComposeResult
from textual.containers import Horizontal
from textual.drivers.headless_driver import HeadlessDriver
from textual.screen import ModalScreen
from textual.widgets import Static

from tinydiff_tui.terminal import cells as px
from tinydiff_tui.terminal.ansi import paint, row_text
from tinydiff_tui.terminal.buffer import ScreenBuffer
from tinydiff_tui.terminal.writer import Pace, TerminalWriter
from tinydiff_tui.widgets.cell_view import TOLERANCE
from tinydiff_tui.widgets.pixel_grid import PixelGrid

LEVELS = st.sampled_from([0, 8, 18, 127, 128, 238, 255]) | st.integers(0, 255)
FILMS = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=LEVELS)
)


class Screen:
    """A terminal that takes texts; `pixels` reads them back, two a cell."""

    def __init__(self, columns: int, rows: int) -> None:
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.Stream(self.screen)

    def write(self, text: str) -> None:
        self.stream.feed(text)

    def flush(self) -> None:
        pass

    def pixels(self, x: int, y: int, width: int, height: int) -> np.ndarray:
        """RGB (2 height, width, 3)."""
        found = np.zeros((2 * height, width, 3), dtype=np.uint8)
        for row in range(height):
            for column in range(width):
                cell = self.screen.buffer[y + row][x + column]
                front, back = (bytes.fromhex(colour) for colour in (cell.fg if cell.data != " " else cell.bg, cell.bg))
                upper, lower = (front, back) if cell.data == px.UPPER else (back, front)
                found[2 * row, column], found[2 * row + 1, column] = list(upper), list(lower)
        return found


def drawing(picture: np.ndarray, *, greys: bool = False) -> px.Cells:
    return px.half_cells(px.pack(np.pad(picture, ((0, picture.shape[0] % 2), (0, 0), (0, 0)), mode="edge"), greys=greys))


def pixels_of(cells: px.Cells) -> np.ndarray:
    """RGB (2 rows, columns, 3) of half-blocks."""
    upper = np.where(cells.chars == ord(px.UPPER), cells.fg, cells.bg)
    lower = np.where(cells.chars == ord(px.LOWER), cells.fg, cells.bg)
    both = np.stack([upper, lower], axis=1).reshape(2 * cells.shape[0], cells.shape[1])
    return np.stack([both >> 16, both >> 8 & 0xFF, both & 0xFF], axis=2).astype(np.uint8)


def test_characters_of_every_length_are_utf8() -> None:
    text = "aéש▀写\U0001cd00"
    chars = np.array([[ord(char) for char in text]], dtype=np.uint32)
    colours = np.zeros(chars.shape, dtype=np.int32)
    assert text in paint(px.Cells(chars, colours, colours), np.ones(chars.shape, dtype=bool), (0, 0), True)


@settings(deadline=None)
@given(FILMS, st.integers(0, 5), st.integers(0, 3))
def test_a_terminal_shows_every_pixel_whole_and_after_changes(film: np.ndarray, x: int, y: int) -> None:
    screen = Screen(20, 12)
    buffer = ScreenBuffer((film.shape[1] + 1) // 2, film.shape[2], 0)
    for number, picture in enumerate(film):
        wanted = drawing(picture)
        changed = buffer.differing(wanted)
        assert changed.all() or number
        screen.write(paint(wanted, changed, (x, y), True))
        buffer.take(changed, wanted)
        height, width = changed.shape
        assert np.array_equal(screen.pixels(x, y, width, height), pixels_of(wanted))
    assert (screen.screen.cursor.x, screen.screen.cursor.y) == (0, 0)


@settings(deadline=None)
@given(FILMS, st.integers(0, 200))
def test_a_picture_in_motion_is_off_by_the_tolerance_at_most(film: np.ndarray, tolerance: int) -> None:
    screen = Screen(20, 12)
    buffer = ScreenBuffer((film.shape[1] + 1) // 2, film.shape[2], 0)
    for picture in film:
        wanted = drawing(picture)
        changed = buffer.moved(wanted, tolerance, 10_000)
        screen.write(paint(wanted, changed, (0, 0), True))
        buffer.take(changed, wanted)
        height, width = changed.shape
        off = np.abs(screen.pixels(0, 0, width, height).astype(int) - pixels_of(wanted))
        assert off.max() <= tolerance


@settings(deadline=None)
@given(FILMS)
def test_a_row_alone_shows_every_pixel(film: np.ndarray) -> None:
    screen, wanted = Screen(20, 12), drawing(film[0])
    width = film.shape[2]
    for y in range(wanted.shape[0]):
        cut = y % width
        for start, end in ((0, cut), (cut, width)):
            screen.write(row_text(wanted, y, start, end, True))
        screen.write("\r\n")
    found = screen.pixels(0, 0, width, wanted.shape[0])
    assert np.array_equal(found, pixels_of(wanted))


def test_when_too_much_moved_the_worst_is_painted() -> None:
    buffer = ScreenBuffer(2, 4, 0)
    before = drawing(np.zeros((4, 4, 1), dtype=np.uint8))
    buffer.take(buffer.differing(before), before)
    after = drawing(np.arange(10, 170, 10, dtype=np.uint8).reshape(4, 4, 1))
    assert buffer.moved(after, 0, 8).all()
    assert buffer.moved(after, 0, 4).sum() == 3
    assert buffer.moved(after, 0, 4)[1, 1:].all()


def test_colours_that_stay_and_cells_that_stay_cost_nothing() -> None:
    wanted = drawing(np.full((2, 8, 3), 200, dtype=np.uint8))
    changed = np.ones((1, 8), dtype=np.bool_)
    changed[0, 3:7] = False
    assert paint(wanted, changed, (2, 1), True) == "\x1b7\x1b[m\x1b[2;3H\x1b[48;2;200;200;200m   \x1b[4C \x1b[m\x1b8"
    assert "\x1b[48;5;" in paint(wanted, changed, (2, 1), False)
    assert paint(wanted, ~changed & changed, (0, 0), True) == ""


class Steady(Pace):
    """A line of one speed, always free."""

    def wait(self, now: float) -> float:
        return 0.0

    def drained(self, count: int, seconds: float) -> None:
        pass


class Terminal(HeadlessDriver):
    """Textual's driver of tests, with a line to a terminal that remembers."""

    is_headless = False
    rate = 4e6

    def start_application_mode(self) -> None:
        super().start_application_mode()
        self.screen = Screen(60, 20)
        self.writer = TerminalWriter(self.screen, self._app)  # type: ignore[arg-type]
        self.writer.pace = Steady()
        self.writer.pace.rate = self.rate

    def write(self, data: str) -> None:
        self.writer.write(data)

    def close(self) -> None:
        self.writer.close()


class GridApp(App[None]):
    CSS = "#side { width: 7; } PixelGrid { margin: 1 0 0 2; } #over { layer: top; offset: 20 4; width: 10; height: 3; }"

    def compose(self) -> ComposeResult:
        with Horizontal():
            yield Static("side", id="side")
            yield PixelGrid()


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> type[Terminal]:
    monkeypatch.setattr("textual.drivers.headless_driver.HeadlessDriver", Terminal)
    return Terminal


async def finished(app: Any) -> None:
    """Wait until the grid holds what it wants and the terminal has taken it."""
    grid = app.query_one(PixelGrid)
    while grid._buffer is None or grid._buffer.differing(grid._wanted).any() or not app._driver.writer.room:
        await asyncio.sleep(0)


def shown(app: Any) -> np.ndarray:
    grid = app.query_one(PixelGrid)
    pixels: np.ndarray = app._driver.screen.pixels(*grid.region)
    return pixels


def intended(grid: PixelGrid) -> np.ndarray:
    """What `shown` is to be in the end."""
    assert grid._wanted is not None
    return pixels_of(grid._wanted)


@pytest.mark.parametrize("rate", [4e6, 1e5])
async def test_the_widget_writes_exactly_what_it_was_given_on_fast_and_slow_lines(
    driver: type[Terminal], monkeypatch: pytest.MonkeyPatch, rate: float
) -> None:
    monkeypatch.setattr(driver, "rate", rate)
    app = GridApp()
    chance = np.random.default_rng(0)
    async with app.run_test(size=(60, 20)) as pilot:
        grid = app.query_one(PixelGrid)
        for shape in ((1, 30, 40, 1), (6, 7, 5, 3), (1, 31, 41, 1), (2, 3, 9, 3)):
            film = [chance.integers(0, 256, shape, dtype=np.uint8) for _ in range(3)]
            for images in (*film, film[-1] ^ np.uint8(1)):
                grid.show(images)
            grid._settle()
            await finished(app)
            assert np.array_equal(shown(app), intended(grid))
        # Textual paints the same, and text beside it costs the picture nothing.
        app.screen.refresh()
        await pilot.pause()
        await finished(app)
        assert np.array_equal(shown(app), intended(grid))
        assert grid._buffer is not None
        known = grid._buffer.known.all()
        app.query_one("#side", Static).update("other")
        await pilot.pause()
        assert known and grid._buffer.known[1:].all()
        await finished(app)
        # What lies over it stays whole, and what comes to light is right.
        app.push_screen(ModalScreen())
        await pilot.pause()
        grid.show(chance.integers(0, 256, (1, 30, 40, 1), dtype=np.uint8))
        await pilot.pause()
        app.pop_screen()
        await pilot.pause()
        grid._settle()
        await finished(app)
        assert np.array_equal(shown(app), intended(grid))
        await pilot.resize_terminal(51, 17)
        await pilot.pause()
        grid._settle()
        await finished(app)
        assert np.array_equal(shown(app), intended(grid))


def alone(app: Any) -> np.ndarray:
    """The pixels (30, 40, 3) of the one picture on the screen."""
    layout = app.query_one(PixelGrid).tiling
    return shown(app)[2 * layout.top : 2 * layout.top + 30, layout.margin : layout.margin + 40]


async def test_a_widget_on_top_is_not_painted_over(driver: type[Terminal]) -> None:
    app = GridApp()
    images = np.random.default_rng(0).integers(0, 256, (1, 30, 40, 1), dtype=np.uint8)
    async with app.run_test(size=(60, 20)) as pilot:
        grid = app.query_one(PixelGrid)
        grid.show(images)
        await app.screen.mount(Static("over", id="over"))
        app.screen.styles.layers = "default top"
        await pilot.pause()
        for change in (64, 128):
            grid.show(images ^ np.uint8(change))
            grid._settle()
            await finished(app)
            assert isinstance(app._driver, Terminal)
            assert "over" in app._driver.screen.screen.display[4]
        await app.query_one("#over").remove()
        await pilot.pause()
        await finished(app)
        assert np.array_equal(alone(app)[..., :1], images[0] ^ 128)


async def test_in_motion_the_widget_is_nearly_right_until_it_rests(driver: type[Terminal]) -> None:
    app = GridApp()
    images = np.full((1, 30, 40, 1), 100, dtype=np.uint8)
    async with app.run_test(size=(60, 20)) as pilot:
        grid = app.query_one(PixelGrid)
        await pilot.pause()
        grid.show(images)
        grid._settle()
        await finished(app)
        grid.show(images)
        grid.show(images + TOLERANCE)
        assert grid._moving
        assert (alone(app) == 100).all()
        grid._settle()
        await finished(app)
        assert (alone(app) == 100 + TOLERANCE).all()


@pytest.mark.parametrize("side", ["width", "height"])
async def test_a_picture_that_comes_to_rest_without_room_waits_for_some(driver: type[Terminal], side: str) -> None:
    app = GridApp()
    async with app.run_test(size=(60, 20)) as pilot:
        grid = app.query_one(PixelGrid)
        for images in np.random.default_rng(0).integers(0, 256, (2, 1, 30, 40, 1), dtype=np.uint8):
            grid.show(images)
        setattr(grid.styles, side, 0)
        await pilot.pause()
        assert not grid.size
        for _ in range(2):
            grid._settle()
            await pilot.pause()
        setattr(grid.styles, side, "1fr")
        await pilot.pause()
        await finished(app)
        assert np.array_equal(shown(app), intended(grid))


@settings(deadline=None)
@given(FILMS)
def test_greys_by_number_are_near_in_motion_and_exact_when_told(film: np.ndarray) -> None:
    film = film[..., :1]
    rows, columns = (film.shape[1] + 1) // 2, film.shape[2]
    screen, buffer = Screen(20, 12), ScreenBuffer(rows, columns, 0)
    for picture in film:
        wanted = drawing(picture)
        changed = buffer.moved(wanted, TOLERANCE, 10**9, greys=True)
        screen.write(paint(wanted, changed, (0, 0), True, greys=True))
        buffer.take(changed, wanted, rough=True)
        off = np.abs(screen.pixels(0, 0, columns, rows).astype(int) - pixels_of(wanted))
        assert off.max() <= 9 + TOLERANCE  # half the way between black and the first grey, or white and the last, and what waits
    left = buffer.differing(wanted)
    screen.write(paint(wanted, left, (0, 0), True))
    buffer.take(left, wanted)
    assert np.array_equal(screen.pixels(0, 0, columns, rows), pixels_of(wanted))
    assert not buffer.differing(wanted).any()
