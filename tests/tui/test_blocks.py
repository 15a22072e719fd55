"""Quadrants, sextants and octants: the characters of Unicode, and the two colours of a cell that fit its dots best."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tinydiff_tui.terminal.blocks import DOTS, block_cells, characters
from tinydiff_tui.terminal.cells import NONE, Cells, Pixels

LOOKS = st.sampled_from(sorted(DOTS))
PICTURES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(lambda shape: arrays(np.uint8, shape))


def shown(cells: Cells, look: str, shape: tuple[int, ...]) -> Pixels:
    """The dots that cells show, (H, W, 3)."""
    across, down = DOTS[look]
    patterns = {ord(char): pattern for pattern, char in enumerate(characters(look))}
    height, width = shape[:2]
    out = np.zeros((height, width, 3), dtype=np.uint8)
    for y in range(height):
        for x in range(width):
            cell = y // down, x // across
            lit = patterns[int(cells.chars[cell])] >> ((y % down) * across + x % across) & 1
            value = int(cells.fg[cell] if lit else cells.bg[cell])
            out[y, x] = value >> 16, value >> 8 & 0xFF, value & 0xFF
    return out


@pytest.mark.parametrize(
    ("look", "dots", "char"),
    [
        ("quadrant", "1", "▘"),
        ("quadrant", "24", "▐"),
        ("sextant", "1", "\U0001fb00"),
        ("sextant", "135", "▌"),
        ("sextant", "136", "\U0001fb23"),
        ("sextant", "23456", "\U0001fb3b"),
        ("octant", "3", "\U0001cd00"),
        ("octant", "23", "\U0001cd01"),
        ("octant", "5", "\U0001cd09"),
        ("octant", "25", "\U0001cd0b"),
        ("octant", "1234", "▀"),
        ("octant", "78", "▂"),
        ("octant", "1", "\U0001cea8"),
        ("octant", "2345678", "\U0001cde5"),
    ],
)
def test_a_pattern_has_the_character_of_its_name(look: str, dots: str, char: str) -> None:
    assert characters(look)[sum(1 << int(dot) - 1 for dot in dots)] == char  # as in BLOCK OCTANT-25


@pytest.mark.parametrize("look", DOTS)
def test_every_pattern_has_a_character_of_its_own(look: str) -> None:
    across, down = DOTS[look]
    assert len(set(characters(look))) == 1 << across * down


@given(PICTURES, LOOKS)
def test_two_colours_are_shown_exactly(picture: Pixels, look: str) -> None:
    two = np.where(picture > 127, np.uint8(250), np.uint8(5))
    two[:] = two[..., :1]
    assert np.array_equal(shown(block_cells(two, look), look, two.shape), np.broadcast_to(two[..., :1], (*two.shape[:2], 3)))


@given(arrays(np.uint8, (4, 2, 1)))
def test_greys_are_cut_where_the_error_is_least(picture: Pixels) -> None:
    values = np.sort(picture.ravel().astype(float))
    best = min(values[:n].var() * n + values[n:].var() * (8 - n) for n in range(1, 8))
    error = float(
        np.square(shown(block_cells(picture, "octant"), "octant", picture.shape)[..., :1] - picture.astype(float)).sum()
    )
    assert error <= best + 8 * 0.25 + 1e-2  # colours are whole numbers: each dot may be off by a half more


@given(arrays(np.uint8, (2, 2, 3)))
def test_colours_come_near_the_best_of_all_cuts(picture: Pixels) -> None:
    dots = picture.reshape(4, 3).astype(float)
    sides = [list(side) for n in (1, 2) for side in combinations(range(4), n)]
    best = min(
        sum(float(np.square(part - part.mean(0)).sum()) for part in (dots[side], np.delete(dots, side, axis=0))) for side in sides
    )
    whole = float(np.square(dots - dots.mean(0)).sum())
    error = float(np.square(shown(block_cells(picture, "quadrant"), "quadrant", picture.shape) - picture.astype(float)).sum())
    assert error <= best + 0.5 * (whole - best) + 12 * 0.25 + 1


def test_a_flat_cell_is_blank_in_its_colour() -> None:
    cells = block_cells(np.full((4, 2, 3), 77, dtype=np.uint8), "octant")
    assert (chr(cells.chars[0, 0]), int(cells.fg[0, 0]), int(cells.bg[0, 0])) == (" ", NONE, 0x4D4D4D)
