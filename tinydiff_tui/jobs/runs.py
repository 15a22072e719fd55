"""The runs below a folder as rows, their loss curves and their newest samples, read in a worker thread; without torch."""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import UserError
from core.runs import pace
from core.runs.folder import RunDir, RunInfo, find_runs
from core.runs.metrics import MetricsReader
from tinydiff_tui.jobs.series import Series
from tinydiff_tui.jobs.training import LossCurve
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.text import ago, duration, number, printable, short_count

MOST_PIXELS = 1 << 24
MOST_LINES = 20_000  # of metrics that are read before what is known by then is shown
BACKGROUND = 32  # of the gaps, as core.images.grid leaves them


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
    pulse: str = ""
    """How a live run gets on: epoch, rate, time left, loss by quarter of t."""


@dataclass
class _Followed:
    """What was read of a metrics.jsonl; `behind` while more of it stands there."""

    reader: MetricsReader
    behind: bool = False
    series: Series = field(default_factory=Series)
    lately: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=pace.LINES))


class RunList:
    """Reads again only what has grown. Use it from one thread at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._followed: dict[Path, _Followed] = {}
        self._lines_left = 0

    def read(self) -> tuple[RunRow, ...]:
        """All rows, newest run first."""
        *_, rows = self.reading()
        return rows

    def reading(self) -> Iterator[tuple[RunRow, ...]]:
        """All rows, newest run first, and again while there is much to read, each time with more of the curves."""
        runs = find_runs(self.root)
        known = self._followed
        self._followed = {
            run.path: known.get(run.path) or _Followed(MetricsReader(RunDir(run.path)))
            for run in runs
            if isinstance(run, RunInfo)
        }
        self._lines_left = MOST_LINES
        rows = {place: self._row(run) for place, run in enumerate(runs)}
        yield tuple(rows.values())
        while behind := [place for place, run in enumerate(runs) if isinstance(run, RunInfo) and self._followed[run.path].behind]:
            self._lines_left = MOST_LINES
            rows |= {place: self._row(runs[place]) for place in behind}
            yield tuple(rows.values())

    def _row(self, run: RunInfo | UserError) -> RunRow:
        if isinstance(run, UserError):
            text = printable(str(run))
            return RunRow(text, text, ("unreadable", text, "", "", "", ""), None, False, text, None)
        name = run.path.name if run.path == self.root else str(run.path.relative_to(self.root))
        name = printable(name)
        followed = self._followed[run.path] = self._follow(self._followed[run.path])
        losses = followed.series.losses
        config, step = run.config, max(run.step, followed.reader.step)
        cells = (
            run.status,
            printable(config.dataset),
            f"{config.model} {config.objective}",
            f"{short_count(step)}/{short_count(run.total_steps)}",
            number(followed.lately[-1]["loss"] if followed.lately else math.nan),  # of the steps that the quarters are of
            ago(time.time() - run.started),
        )
        curve = LossCurve(name, np.array(followed.series.steps), np.array(losses))
        live = run.status in ("running", "paused")
        return RunRow(str(run.path), name, cells, run, live, "", curve, pulse(run, followed.lately) if live else "")

    def _follow(self, followed: _Followed) -> _Followed:
        """Read on, or from the start when it is another file by now, or cut back, or written over."""
        if followed.reader.is_stale():
            followed = _Followed(MetricsReader(followed.reader.run))
        followed.behind = self._lines_left <= 0
        for entry in () if followed.behind else followed.reader.read():
            followed.series.add(entry["step"], [entry["loss"]])
            followed.lately.append(entry)
            self._lines_left -= 1
            if self._lines_left <= 0:
                followed.behind = True
                break
        return followed


def pulse(run: RunInfo, lately: Sequence[dict[str, Any]]) -> str:
    """One line on a live run from the last lines of its metrics; what they do not tell is left out."""
    if not lately:
        return "no step is logged yet"
    last = lately[-1]
    epochs = "" if run.config.budget else f" of {run.config.epochs}"
    epoch = last.get("epoch")
    parts = [f"epoch {epoch}{epochs}"] if isinstance(epoch, int) else []
    step_seconds = pace.seconds_a_step([(line["step"], _seconds(line)) for line in lately])
    left = pace.seconds_left(run.config, last["step"], run.total_steps, _seconds(last), step_seconds)
    if math.isfinite(step_seconds):
        parts += [f"{run.config.batch_size / step_seconds:.0f} images/s", f"{duration(left)} left"]
    if run.status == "paused":
        parts.append("paused")
    quartiles = last.get("quartiles")
    if isinstance(quartiles, list) and len(quartiles) == 4:
        losses = " ".join(number(q if isinstance(q, float) else math.nan, ".3f") for q in quartiles)
        parts.append(f"loss by quarter of t {losses}")
    return " · ".join(parts)


def _seconds(entry: dict[str, Any]) -> float:
    value = entry.get("seconds")
    return value if isinstance(value, float) else math.nan


def newest_samples(folder: Path) -> Path | None:
    """The samples/epoch_*.png of a run's last epoch; links are passed over."""
    files = [path for path in folder.glob("samples/epoch_*.png") if path.is_file() and not path.is_symlink()]
    return max(files, key=lambda path: (len(path.name), path.name), default=None)  # by epoch: a copy has other times


def cut(tiled: Pixels) -> Pixels:
    """A grid of samples (H, W, C) as its images (N, h, w, C), row by row; one image when its gaps are not a grid's."""
    rows, columns = (_spans((tiled == BACKGROUND).all(axis=axes)) for axes in ((1, 2), (0, 2)))
    sizes = {(bottom - top, right - left) for top, bottom in rows for left, right in columns}
    if len(sizes) != 1:
        return tiled[None]
    return np.stack([tiled[top:bottom, left:right] for top, bottom in rows for left, right in columns])


def _spans(gap: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of what lies between the gaps."""
    edges = np.flatnonzero(np.diff(np.r_[True, gap, True]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def read_samples(path: Path, scale: int = 2) -> Pixels | None:
    """The images of a PNG that core.images.save_png wrote; None for a file that is none, or is too large."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS or picture.mode not in ("L", "RGB"):
                return None
            pixels = np.asarray(picture)
    except Exception:  # what Pillow says of a file that lies has no end of names
        return None
    return cut(pixels.reshape(*pixels.shape[:2], -1)[::scale, ::scale])
