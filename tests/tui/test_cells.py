"""Cells decode to the pixels that went in."""

import io
from itertools import pairwise

import numpy as np
import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from rich.console import Console
from rich_pixels import Pixels as RichPixels

from tinydiff_tui.terminal import cells as px
from tinydiff_tui.terminal.renderer import CellRenderer

PICTURES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
    lambda shape: arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
)


def image_runs(picture: np.ndarray) -> list[list[px.Run]]:
    """(H, W, C) -> ceil(H / 2) rows of half-block runs."""
    cells = px.half_cells(px.pack(picture))
    return [px.row_runs(cells, row) for row in range(cells.shape[0])]


def decode(rows: list[list[px.Run]], height: int) -> np.ndarray:
    lines = []
    for row in rows:
        top, bottom = [], []
        for text, fg, bg in row:
            for char in text:
                top.append({" ": bg, px.UPPER: fg, px.LOWER: bg}[char])
                bottom.append({" ": bg, px.UPPER: bg, px.LOWER: fg}[char])
        lines += [top, bottom]
    return np.array(lines[:height])


@given(PICTURES)
def test_half_blocks_hold_every_pixel(picture: np.ndarray) -> None:
    rows = image_runs(picture)
    assert len(rows) == (picture.shape[0] + 1) // 2
    assert np.array_equal(decode(rows, picture.shape[0]), px.pack(picture))


@given(PICTURES)
def test_neighbours_of_one_style_are_merged(picture: np.ndarray) -> None:
    for row in image_runs(picture):
        assert sum(len(text) for text, _, _ in row) == picture.shape[1]
        assert all(a[1:] != b[1:] for a, b in pairwise(row))


@settings(deadline=None, max_examples=50)
@given(PICTURES)
def test_a_terminal_shows_the_pixels_that_rich_pixels_was_given(picture: np.ndarray) -> None:
    height, width, channels = picture.shape
    image = Image.fromarray(picture[:, :, 0] if channels == 1 else picture)
    out = io.StringIO()
    console = Console(file=out, color_system="truecolor", force_terminal=True, width=40, legacy_windows=False)
    console.print(RichPixels.from_image(image, renderer=CellRenderer()), end="")
    screen = pyte.Screen(40, 12)
    pyte.Stream(screen).feed(out.getvalue().replace("\n", "\r\n"))
    rgb = np.broadcast_to(picture, (height, width, 3))
    for y in range(height):
        for x in range(width):
            cell = screen.buffer[y // 2][x]
            front = (cell.data == px.UPPER) == (y % 2 == 0) and cell.data != " "
            assert (cell.fg if front else cell.bg) == bytes(rgb[y, x]).hex()


def test_transparent_pixels_leave_the_background() -> None:
    image = Image.new("RGBA", (2, 3), (0, 0, 0, 0))
    image.putpixel((0, 1), (255, 0, 0, 255))
    first, *_ = CellRenderer().render(image, None)
    assert first.text.startswith(px.LOWER)
    assert first.style is not None
    assert first.style.bgcolor is None
    filled, *_ = CellRenderer(default_color="blue").render(image, None)
    assert filled.style is not None
    assert filled.style.bgcolor is not None


@given(PICTURES)
def test_greys_are_the_nearest_of_the_terminal(picture: np.ndarray) -> None:
    levels = {16: 0, 231: 255} | {232 + i: 8 + 10 * i for i in range(24)}
    packed = px.pack(picture[:, :, :1], greys=True)
    for value, level in zip(packed.ravel().tolist(), picture[:, :, 0].ravel().tolist(), strict=True):
        assert value & px.NUMBERED
        assert abs(levels[value & 0xFF] - level) == min(abs(grey - level) for grey in levels.values())
    colour = np.zeros((1, 1, 3), dtype=np.uint8)
    colour[0, 0] = (10, 200, 30)
    assert px.pack(colour, greys=True).tolist() == [[0x0AC81E]]


def test_shades_run_from_blank_to_full() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256, 1).repeat(3, axis=0)
    cells = px.shade_cells(ramp)
    assert cells.shape == (2, 256)
    text = "".join(map(chr, cells.chars[0]))
    assert text.isascii()
    assert list(dict.fromkeys(text)) == list(px.ASCII_SHADES)
    assert (cells.fg == px.NONE).all()


@pytest.mark.parametrize("value", [0, 0xFFFFFF, 0x123456])
def test_styles_are_cached_and_carry_their_colours(value: int) -> None:
    style = px.style_of(value, px.NONE)
    assert style is px.style_of(value, px.NONE)
    assert style.bgcolor is None
    assert style.color is not None
    assert style.color.get_truecolor().hex == f"#{value:06x}"
