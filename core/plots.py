"""Curves of the loss: smoothed, and as a picture. Free of torch and numpy, so that the app's charts cost nothing more."""

import logging
import os
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from core.errors import printable
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


def thinned(points: Iterable[tuple[int, float]], most: int = 4000) -> tuple[list[int], list[float]]:
    """(steps, losses) of at most `most` points, each the mean of as many neighbours as it takes, in memory for no more."""
    steps: list[int] = []
    losses: list[float] = []
    stride, total, count = 1, 0.0, 0
    for step, loss in points:
        total, count = total + loss, count + 1
        if count < stride:
            continue
        steps.append(step)
        losses.append(total / count)
        total, count = 0.0, 0
        if len(steps) >= most:
            steps = steps[1::2]
            losses = [(a + b) / 2 for a, b in zip(losses[::2], losses[1::2], strict=False)]
            stride *= 2
    return steps, losses


def save_loss_plot(
    path: Path, steps: Sequence[int], losses: Sequence[float], title: str, held_out: Sequence[tuple[int, float]] = ()
) -> None:
    """Plot raw and smoothed loss against the step, and the (step, loss) of images held out, on a log scale, as PNG. No setting of
    the user's matplotlib has a say."""
    with _plain_matplotlib():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(steps, losses, color="0.75", linewidth=0.8, marker="" if len(losses) > 1 else ".", label="raw")
        axes.plot(steps, smooth(losses, len(losses) / 25), color="tab:blue", linewidth=1.8, label="smoothed")
        if held_out:
            axes.plot(*zip(*held_out, strict=True), color="tab:cyan", linewidth=1.4, marker=".", label="held out")
        axes.set(xlabel="step", ylabel="loss" if held_out else "training loss")
        axes.set_title(printable(title), parse_math=False)  # a data set may be called $x$
        if all(loss > 0 for loss in [*losses, *(loss for _, loss in held_out)]):
            axes.set_yscale("log")
        plain_ticks(axes)
        axes.grid(alpha=0.3)
        axes.legend()
        with atomic_write(path) as file:
            figure.savefig(file, format="png")


def plain_ticks(axes: Any) -> None:
    """Plain numbers at 1, 2 and 5 of each decade, or at steps of 1, 2 or 5 where less than one is shown."""
    from matplotlib import ticker

    class Number(ticker.Formatter):
        """As short as tells neighbours apart."""

        def __call__(self, value: float, _: int | None = None) -> str:
            return f"{value:,.0f}" if abs(value) >= 10 and value == round(value) else f"{value:.6g}"

    across = ticker.MaxNLocator(nbins=8, steps=(1, 2, 5, 10), integer=True, min_n_ticks=1)
    up: ticker.Locator = ticker.MaxNLocator(nbins=8, steps=(1, 2, 5, 10))
    low, high = axes.dataLim.intervaly
    if axes.get_yscale() == "log" and high > 5 * low:
        up = ticker.LogLocator(subs=(1, 2, 5))
        axes.set_ylim(bottom=max((tick for tick in up.tick_values(low, high) if tick <= low), default=low))
    for axis, locator in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_major_locator(locator)
        axis.set_major_formatter(Number())
        axis.set_minor_locator(ticker.NullLocator())


@contextmanager
def _plain_matplotlib() -> Iterator[None]:
    """matplotlib as it comes: MPLBACKEND (a notebook sets it) may name what is not there, a matplotlibrc may ask for TeX, and
    what its fonts lack, or where it keeps its cache, it says to its log and in warnings."""
    backend = os.environ.pop("MPLBACKEND", None)  # read once, at the import
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import matplotlib

            plain = {name: value for name, value in matplotlib.rcParamsDefault.items() if "backend" not in name}
            with matplotlib.rc_context(plain):
                yield
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
