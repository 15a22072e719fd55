"""Curves of the loss: smoothed, and as a picture. Free of torch and numpy, so that the app's charts cost nothing more."""

from collections.abc import Sequence
from pathlib import Path

from core.files import atomic_write


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Exponential moving average over about `span` values, at least 2, without the pull of its start (1 - weight^n, as Adam)."""
    weight = 1 - 1 / max(2.0, span)
    smoothed: list[float] = []
    total = 0.0
    for n, value in enumerate(values, start=1):
        total = weight * total + (1 - weight) * value
        smoothed.append(total / (1 - weight**n))
    return smoothed


def save_loss_plot(path: Path, steps: Sequence[int], losses: Sequence[float], title: str) -> None:
    """Plot raw and smoothed loss against the step, on a log scale, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(steps, losses, color="0.75", linewidth=0.8, label="raw")
    axes.plot(steps, smooth(losses, len(losses) / 25), color="tab:blue", linewidth=1.8, label="smoothed")
    axes.set(xlabel="step", ylabel="training loss", title=title)
    if all(loss > 0 for loss in losses):
        axes.set_yscale("log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
