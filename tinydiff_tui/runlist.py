"""The runs below a folder as rows, and their loss curves, read in a worker thread."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from core.errors import UserError
from core.runs import RunDir, RunInfo, find_runs
from tinydiff_tui.feed import Series
from tinydiff_tui.text import ago, number, printable, short_count
from tinydiff_tui.widgets.loss_chart import LossCurve


@dataclass(frozen=True)
class RunRow:
    """One line of the list; `info` is None for a run that cannot be read, and `error` says why."""

    key: str
    name: str
    cells: tuple[str, ...]
    info: RunInfo | None
    live: bool
    error: str
    curve: LossCurve | None


@dataclass
class _Followed:
    """How far a metrics.jsonl was read."""

    offset: int = 0
    size: int = 0
    step: int = 0
    series: Series = field(default_factory=Series)


class RunList:
    """Reads again only what has grown. Use it from one thread at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._followed: dict[Path, _Followed] = {}

    def read(self) -> tuple[RunRow, ...]:
        """All rows, newest run first."""
        return tuple(self._row(run) for run in find_runs(self.root))

    def _row(self, run: RunInfo | UserError) -> RunRow:
        if isinstance(run, UserError):
            text = printable(str(run))
            return RunRow(text, text, ("unreadable", text, "", "", "", ""), None, False, text, None)
        name = run.path.name if run.path == self.root else str(run.path.relative_to(self.root))
        name = printable(name)
        followed = self._follow(run.path)
        losses = followed.series.losses
        config, step = run.config, max(run.step, followed.step)
        cells = (
            run.status,
            printable(config.dataset),
            f"{config.model} {config.objective}",
            f"{short_count(step)}/{short_count(run.total_steps)}",
            number(float(np.mean(losses[-10:])) if losses else float("nan")),
            ago(time.time() - run.started),
        )
        curve = LossCurve(name, np.array(followed.series.steps), np.array(losses))
        return RunRow(str(run.path), name, cells, run, run.status in ("running", "paused"), "", curve)

    def _follow(self, folder: Path) -> _Followed:
        run = RunDir(folder)
        followed = self._followed.setdefault(folder, _Followed())
        try:
            size = run.metrics.stat().st_size
            if size < followed.size:  # cut back by a resume, or overwritten
                followed = self._followed[folder] = _Followed()
            followed.size = size
            if size > followed.offset:
                for entry in run.follow_metrics(followed.offset):
                    followed.series.put(entry["step"], entry["loss"])
                    followed.offset, followed.step = entry["offset"], entry["step"]
        except OSError:
            pass
        return followed
