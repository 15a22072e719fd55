"""The smoothed loss and its picture."""

from pathlib import Path

import pytest
from PIL import Image

from core.plots import save_loss_plot, smooth


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
