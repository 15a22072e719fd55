"""The runs below a folder as rows with their loss curves, read in a worker thread; without torch."""

import math
import shutil
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from core.errors import UserError
from core.runs import pace
from core.runs.folder import LIVE, RunDir, RunInfo, UnreadableRun, find_runs
from core.runs.metrics import MetricsReader
from core.runs.remarks import Verdict, best, read_note, read_verdicts
from tinydiff_tui.jobs.series import NOTHING, Points, Series, mean
from tinydiff_tui.text import ago, duration, number, printable, short_count

MOST_LINES = 20_000  # of metrics that are read before what is known by then is shown


@dataclass(frozen=True)
class Told:
    """A distance that a judge told while a run was trained, and that of as many real images; nan and empty where a run of before
    kept the distance alone."""

    distance: float
    floor: float
    judge: str


@dataclass(frozen=True)
class RunRow:
    """One line of the list; `info` is None for a run that cannot be read, and `error` says why.

    `loss` is the mean of the last lines of metrics, `seconds` the time spent on training; both are nan while unknown. `verdict`
    is the judge's best, `nearest` the least distance that a judge told while the run was trained.
    """

    key: str
    name: str
    info: RunInfo | None = None
    error: str = ""
    step: int = 0
    loss: float = math.nan
    seconds: float = math.nan
    verdict: Verdict | None = None
    nearest: "Told | None" = None
    note: str = ""
    curve: Points = NOTHING
    held_out: Points = NOTHING
    pulse: str = ""
    """How a live run gets on: epoch, rate, time left, loss by quarter of t."""

    @property
    def status(self) -> str:
        return self.info.status if self.info else "unreadable"

    @property
    def distance(self) -> float:
        """What the judge says of the run where it was asked, else what it said while the run was trained."""
        return self.verdict.distance if self.verdict else self.nearest.distance if self.nearest else math.nan

    @property
    def floor(self) -> float:
        """What the same judge says of real images."""
        return self.verdict.floor if self.verdict else self.nearest.floor if self.nearest else math.nan

    @property
    def live(self) -> bool:
        return self.status in LIVE

    @property
    def cells(self) -> tuple[str, ...]:
        """What COLUMNS show, behind the name."""
        if self.info is None:
            return ("unreadable", *[""] * (len(COLUMNS) - 2))
        config = self.info.config
        return (
            self.status,
            number(self.loss),
            number(self.distance, ".2f"),
            f"{short_count(self.step)}/{short_count(self.info.total_steps)}",
            duration(self.seconds),
            ago(time.time() - self.info.started),
            printable(config.dataset),
            config.kind,
            self.note,
        )


COLUMNS = ("run", "status", "loss", "distance", "step", "trained", "age", "data set", "model", "note")
FALLING = frozenset(("step", "trained"))
"""Columns whose largest value comes first."""
_STATUSES = ("running", "paused", "stopped", "finished", "crashed", "diverged")


def arranged(rows: Sequence[RunRow], text: str, column: str, *, back: bool) -> tuple[RunRow, ...]:
    """The rows in which every word of a text is found, sorted by a column, the other way round if `back`; what has no value there
    comes last, and unreadable runs after that."""
    words = text.casefold().split()
    found = [row for row in rows if all(word in _words_of(row) for word in words)]
    valued = [row for row in found if row.info and _value(row, column) is not None]
    valued.sort(key=lambda row: cast("Any", _value(row, column)), reverse=back != (column in FALLING))
    known = {row.key for row in valued}
    rest = sorted((row for row in found if row.key not in known), key=lambda row: row.info is None)
    return (*valued, *rest)


def _words_of(row: RunRow) -> str:
    """What a filter looks at: name, status, data set, model and note."""
    status, *_, dataset, model, note = row.cells
    return "\n".join((row.name, status, dataset, model, note)).casefold()


def _value(row: RunRow, column: str) -> object:
    """What a row is sorted by; None where it has no such thing."""
    info = row.info
    assert info is not None
    numbers = {"loss": row.loss, "distance": row.distance, "step": row.step, "trained": row.seconds, "age": -info.started}
    if column in numbers:
        return None if math.isnan(numbers[column]) else numbers[column]
    if column == "status":
        return _STATUSES.index(info.status)
    shown = dict(zip(COLUMNS, (row.name, *row.cells), strict=True))[column]
    return shown.casefold() or None


def short_names(rows: Sequence[RunRow]) -> dict[str, str]:
    """The names of a few runs by their keys: without their folders, where that still tells them apart."""
    last = [row.name.rpartition("/")[2] for row in rows]
    apart = len(set(last)) == len(last)
    return {row.key: short if apart else row.name for row, short in zip(rows, last, strict=True)}


def differences(rows: Sequence[RunRow]) -> list[tuple[str, tuple[str, ...]]]:
    """The fields in which runs differ, by the names of the form, and the value of each run."""
    configs = [row.info.config.to_dict() for row in rows if row.info]
    if not configs:
        return []
    own = ("output_dir", "data_dir")  # of every run, whatever it does
    differing = [name for name in configs[0] if name not in own and any(c[name] != configs[0][name] for c in configs)]
    return [(name.replace("_", " "), tuple(in_form(config[name]) for config in configs)) for name in differing]


def in_form(value: object) -> str:
    """A value of a field as the form shows it; what is left empty is automatic."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else printable(str(value)) or "–"


@dataclass
class _Followed:
    """What was read of a run's folder; `behind` while more of its metrics stands there."""

    reader: MetricsReader
    behind: bool = False
    series: Series = field(default_factory=Series)
    held_out: Series = field(default_factory=Series)
    lately: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=pace.LINES))
    nearest: Told | None = None
    remarked: tuple[object, ...] = ()
    verdict: Verdict | None = None
    note: str = ""

    def read_remarks(self) -> None:
        """Verdicts and note, again when their files are others by now."""
        run = self.reader.run
        now = (_stamp(run.verdicts), _stamp(run.note))
        if now != self.remarked:
            self.remarked, self.verdict, self.note = now, best(read_verdicts(run)), read_note(run)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


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

    def _row(self, run: RunInfo | UnreadableRun) -> RunRow:
        name = printable(run.path.absolute().name if run.path == self.root else str(run.path.relative_to(self.root)))
        if isinstance(run, UnreadableRun):
            return RunRow(str(run.path), name, error=str(run))
        followed = self._followed[run.path] = self._follow(self._followed[run.path])
        followed.read_remarks()
        lately = followed.lately
        return RunRow(
            key=str(run.path),
            name=name,
            info=run,
            step=max(run.step, followed.reader.step),
            loss=mean([entry["loss"] for entry in lately]),
            seconds=_seconds(lately[-1]) if lately else math.nan,
            verdict=followed.verdict,
            nearest=followed.nearest,
            note=followed.note,
            curve=followed.series.points,
            held_out=followed.held_out.points,
            pulse=pulse(run, lately) if run.status in LIVE else "",
        )

    def _follow(self, followed: _Followed) -> _Followed:
        """Read on, or from the start when it is another file by now, or cut back, or written over."""
        if followed.reader.is_stale():
            followed = _Followed(MetricsReader(followed.reader.run))
        followed.behind = self._lines_left <= 0
        for entry in () if followed.behind else followed.reader.read():
            followed.series.add(entry["step"], [entry["loss"]])
            if "held_out" in entry:
                followed.held_out.add(entry["step"], [entry["held_out"]])
            if "distance" in entry:
                told, before = Told(entry["distance"], entry.get("floor", math.nan), entry.get("judge", "")), followed.nearest
                # What another judge said before is no match for it.
                if before is None or told.judge != before.judge or told.distance < before.distance:
                    followed.nearest = told
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


def delete_run(run: RunDir, keep: Path) -> None:
    """Delete what a run wrote; its folder too when nothing else is in it, but never `keep`. Raises UserError for a live one."""
    if run.is_live():
        raise UserError("this run is being trained now; stop it before deleting it")
    try:
        run.clear()
        for leftover in (run.path / ".lock", run.path / "train.log"):
            leftover.unlink(missing_ok=True)
        shutil.rmtree(run.path / "control", ignore_errors=True)
        for folder in (run.path / "samples", run.path / "checkpoints", run.path):
            if folder.is_dir() and folder != keep and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise UserError(f"{run.path} could not be deleted whole: {error.strerror}") from error
