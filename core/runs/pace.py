"""How fast a run goes and when it ends: one answer from the lines of its metrics, for the run itself and for whoever watches."""

import math
from collections.abc import Sequence

from core.config import TrainConfig

LINES = 12  # of metrics.jsonl that the pace is taken over


def seconds_a_step(lately: Sequence[tuple[int, float]]) -> float:
    """The pace over the (step, seconds) of the last lines, from the run's start where there is but one; nan while unknown."""
    if not lately:
        return math.nan
    (first, began), (last, now) = lately[0] if len(lately) > 1 else (0, 0.0), lately[-1]
    pace = (now - began) / (last - first) if last > first else math.nan
    return pace if 0 < pace < math.inf else math.nan


def seconds_left(config: TrainConfig, step: int, total_steps: int, seconds: float, pace: float) -> float:
    """Time to the end: what is left of a budget, else the steps that are left at this pace."""
    if config.budget:
        return max(0.0, config.budget_seconds - seconds)
    return (total_steps - step) * pace
