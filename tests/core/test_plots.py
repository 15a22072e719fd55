"""The smoothed loss and its picture."""

from pathlib import Path

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from core.plots import plain_ticks, save_loss_plot, smooth


def test_smoothing_of_a_constant_is_that_constant_from_the_start() -> None:
    assert smooth([3.0] * 50, 2) == pytest.approx([3.0] * 50)
    assert smooth([], 0) == []
    noisy = smooth([0.0, 2.0] * 200, 16)
    assert noisy[-1] == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("losses", [[0.5, 0.4, 0.3], [0.5], [0.0, 1.0, -1.0]])
def test_the_loss_plot_is_a_png(tmp_path: Path, losses: list[float]) -> None:
    save_loss_plot(tmp_path / "loss.png", range(1, len(losses) + 1), losses, "a title")
    with Image.open(tmp_path / "loss.png") as file:
        file.load()
        assert file.width > 500


TICKS = {
    "a decade and more": ([1.5, 0.6, 0.12], ["0.1", "0.2", "0.5", "1"]),
    "a part of one": ([0.21, 0.205, 0.2], ["0.2", "0.202", "0.204", "0.206", "0.208", "0.21"]),
    "large": ([2e6, 1e6, 5e5], ["500,000", "1,000,000", "1,500,000", "2,000,000"]),
    "many": ([1.0, 1e-3], ["0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
}


@pytest.mark.parametrize(("losses", "expected"), TICKS.values(), ids=TICKS)
def test_ticks_are_round_and_plain(losses: list[float], expected: list[str]) -> None:
    figure = Figure()
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1200, 2400][: len(losses)], losses)
    axes.set_yscale("log")
    plain_ticks(axes)
    figure.canvas.draw()
    shown: dict[str, list[str]] = {}
    for name, axis, (low, high) in (("x", axes.xaxis, axes.get_xlim()), ("y", axes.yaxis, axes.get_ylim())):
        ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        shown[name] = [tick.label1.get_text() for tick in ticks]
        assert not axis.get_minor_ticks()
    assert shown["y"] == expected
    assert shown["x"][0] == "0" and all(set(text) <= set("0123456789,") for text in shown["x"])
