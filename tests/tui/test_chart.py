"""Charts: round ticks, labels that tell them apart, and curves of any numbers in exactly the room there is."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rich.cells import cell_len

from tinydiff_tui.widgets.axes import (
    Curve,
    Frame,
    clock_label,
    clock_ticks,
    draw,
    log_ticks,
    number_label,
    ticks,
)

SPANS = st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(SPANS, st.integers(2, 12))
def test_ticks_are_round_and_inside(span: tuple[float, float], most: int) -> None:
    low, high = span
    found = ticks(low, high, most)
    assert 1 <= len(found) <= most + 1
    step = found[1] - found[0] if len(found) > 1 else abs(found[0]) or 1.0
    power = 10.0 ** math.floor(math.log10(step) + 1e-6)
    nearest = min((1, 2, 5), key=lambda factor: abs(step / power - factor)) * power
    assert len(found) == 1 or step == pytest.approx(nearest, rel=1e-5)
    step = nearest if len(found) > 1 else step
    assert all(low - step * 1e-6 <= tick <= high + step * 1e-6 for tick in found)
    assert all(abs(tick / step - round(tick / step)) < 1e-3 for tick in found)


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (0, 1.97, 5, ["0.0", "0.5", "1.0", "1.5"]),
        (0.11, 0.34, 5, ["0.15", "0.20", "0.25", "0.30"]),
        (0, 60_000, 4, ["0", "20k", "40k", "60k"]),
    ],
)
def test_labels_are_as_short_as_they_may_be(low: float, high: float, most: int, labels: list[str]) -> None:
    found = ticks(low, high, most)
    assert [number_label(tick, found[1] - found[0]) for tick in found] == labels


@pytest.mark.parametrize(
    ("high", "labels"), [(45, ["0", "15 s", "30 s", "45 s"]), (600, ["0", "5 min", "10 min"]), (9000, ["0", "1 h", "2 h"])]
)
def test_time_is_cut_as_a_clock_is(high: float, labels: list[str]) -> None:
    found = clock_ticks(0, high, 4)
    assert [clock_label(tick, found[1] - found[0]) for tick in found] == labels


def test_a_log_scale_has_powers_of_ten_or_two_and_five_between() -> None:
    assert [round(10**tick, 6) for tick in log_ticks(-1, 1, 9)] == [0.1, 0.2, 0.5, 1, 2, 5, 10]
    assert [round(10**tick, 6) for tick in log_ticks(-3, 3, 7)] == [0.001, 0.01, 0.1, 1, 10, 100, 1000]
    assert [round(10**tick, 6) for tick in log_ticks(math.log10(1.3), math.log10(3.3), 2)] == [2, 3]  # never one alone


ANY = arrays(np.float64, st.integers(0, 40), elements=st.floats(width=64, allow_nan=True, allow_infinity=True))


@settings(deadline=None)
@given(
    ANY, ANY, st.integers(0, 90), st.integers(0, 30), st.booleans(), st.booleans(), st.sampled_from(["step", "time", "images"])
)
def test_any_numbers_stay_in_the_room_there_is(
    x: np.ndarray, y: np.ndarray, width: int, height: int, log: bool, dots: bool, unit: str
) -> None:
    n = min(len(x), len(y))
    times = np.clip(np.nan_to_num(np.abs(x[:n])), 0, 2**53)
    curves = [Curve(times, y[:n], "loss", "name 写真", dots), Curve(times[: n // 2], y[: n // 2], "held")]
    rows = draw(curves, width, height, Frame(unit, log, cursor=float(times[0]) if n else None))
    assert len(rows) in (0, height)
    assert all(cell_len("".join(text for text, _ in row)) <= width for row in rows)


def test_a_curve_is_drawn_where_it_is_and_named_at_its_end() -> None:
    x = np.arange(100.0)
    rows = draw([Curve(x, 1 - x / 100, "loss", "training"), Curve(x, x / 100, "held", "held-out")], 60, 14)
    lines = ["".join(text for text, _ in row) for row in rows]
    assert lines[0].endswith("held-out") and "training" in lines[11]
    styles = [style for text, style in rows[0] if any(ord(char) > 0x2800 for char in text)]
    assert styles == ["loss", "held"]


def test_every_tick_of_the_y_axis_has_a_grid_line() -> None:
    rows = draw([Curve(np.arange(10.0), np.zeros(10), "loss")], 40, 10, Frame(low=0, high=1))
    ticked = [row for row in rows if any("┤" in text for text, _ in row)]
    assert len(ticked) >= 3
    assert all(any(style == "grid" and "·" in text for text, style in row) for row in ticked[:-1])


def test_one_point_alone_has_an_axis_whose_ticks_differ() -> None:
    """A run of four steps has one line of metrics."""
    *_, axis = ["".join(text for text, _ in row) for row in draw([Curve(np.array([4.0]), np.array([1.8]), "loss")], 60, 12)]
    labels = axis.split()
    assert len(labels) >= 3 and len(set(labels)) == len(labels) and labels[0] == "4"
