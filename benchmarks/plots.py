"""The pictures of the benchmarks."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def save_distances(
    path: Path,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    x: str,
    y: str,
    *,
    log_x: bool = False,
    floor: float | None = None,
) -> None:
    """A line of (x, distance) for each name, distances on a log scale, as PNG; `floor` is what real images get."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, points in curves.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    if floor is not None:
        axes.axhline(floor, color="0.6", linestyle="--", label="real images of the training split")
    axes.set(xscale="log" if log_x else "linear", yscale="log", xlabel=x, ylabel=y)
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    figure.savefig(path)
