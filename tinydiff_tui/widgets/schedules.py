"""Where t stands on every schedule, and how the values of the pixels are spread there."""

from typing import TYPE_CHECKING

import numpy as np
from textual.app import ComposeResult
from textual.containers import Horizontal

from core.names import SCHEDULES
from tinydiff_tui.widgets.axes import Curve, Frame
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart

if TYPE_CHECKING:
    from tinydiff_tui.jobs.noising import Noising


class Schedules(Horizontal):
    """alpha-bar and the signal-to-noise ratio of every schedule over t, the present one bright; the values of x_t beside those
    of pure noise, which they become."""

    DEFAULT_CSS = """
    Schedules { height: 1fr; }
    Schedules Box { width: 1fr; height: 1fr; padding: 0; }
    Schedules #values-box { border-title-color: $x-t; }
    """

    def compose(self) -> ComposeResult:
        yield Box(Chart(id="alpha_bar"), title="ᾱ · every schedule")
        yield Box(Chart(id="snr"), title="signal to noise")
        yield Box(Chart(id="values"), title="pixel values of x_t", id="values-box")

    def show(self, schedule: str, t: int, noising: "Noising") -> None:
        """The present schedule, t, and image."""
        from tinydiff_tui.jobs.noising import TIMESTEPS, Learned, learned, middles, pure_noise, tables

        steps = np.arange(TIMESTEPS, dtype=np.float64)
        same = learned().spread == Learned().spread  # as cosine: two curves in one place
        others = [name for name, entry in SCHEDULES.items() if name != schedule and not (entry.learned and same)]
        names = [*others, schedule]  # the last one is in front

        def curves(which: int, bright: str) -> list[Curve]:
            return [Curve(steps, tables(name)[which], bright if name == schedule else "raw", name) for name in names]

        self.query_one("#alpha_bar", Chart).show(curves(0, "x0"), Frame("t", low=0.0, high=1.05, cursor=t))
        self.query_one("#snr", Chart).show(curves(1, "x-t"), Frame("t", log=True, low=-4.0, high=4.0, cursor=t))
        spread, beyond = noising.spread(schedule, t)
        values = [Curve(middles(), pure_noise(), "epsilon", "ε"), Curve(middles(), spread, "x-t", "x_t")]
        self.query_one("#values", Chart).show(values, Frame("value", low=0.0, high=1.0))
        self.query_one("#values-box", Box).figures = f"{beyond:.0%} beyond ±1"
