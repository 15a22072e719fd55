"""What is said of a run beside its training: the verdicts of judges, and a person's note. Kept in its folder; free of torch."""

import contextlib
import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import UserError, printable
from core.files import atomic_write, read_bytes, write_failure
from core.runs.folder import RunDir, run_folder_of
from core.runs.metrics import MOST_NAME, append_line, is_count, is_number

MOST_NOTE = 200
"""Characters of a note."""
_MOST_BYTES = 4 << 20  # of a file


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What a judge said of a checkpoint, and of what images.

    `checkpoint` is named from the run's folder, `step` is of its training. `count` images were drawn with the seed, by the
    sampler in so many evaluations each, at this guidance. `distance` is the Frechet distance of their features, `floor` that of
    as many real images, `accuracy` the judge's own on real ones. `seconds` went into drawing and judging.
    """

    time: float
    checkpoint: str
    step: int
    sampler: str
    evaluations: int
    guidance: float
    seed: int
    count: int
    distance: float
    floor: float
    precision: float
    recall: float
    judge: str
    version: int
    accuracy: float
    seconds: float


def keep_verdict(checkpoint: Path, verdict: Verdict) -> Path | None:
    """Add a verdict to those of the run that a checkpoint belongs to, and say where; None where it lies in no run.

    Raises UserError when it cannot be written.
    """
    run = RunDir(run_folder_of(checkpoint))
    if not run.run_json.is_file():
        return None
    run.check_inside()
    append_line(run.verdicts, dataclasses.asdict(verdict))
    return run.verdicts


def read_verdicts(run: RunDir) -> list[Verdict]:
    """The verdicts on a run, oldest first; a damaged line is none."""
    try:
        lines = read_bytes(run.verdicts, _MOST_BYTES).splitlines()
    except (OSError, ValueError):
        return []
    return [verdict for verdict in map(_verdict, lines) if verdict is not None]


def best(verdicts: Sequence[Verdict]) -> Verdict | None:
    """The one of least distance among those of the last judge: what another judge said cannot be compared with it."""
    last = [v for v in verdicts if (v.judge, v.version) == (verdicts[-1].judge, verdicts[-1].version)]
    return min(last, key=lambda verdict: verdict.distance, default=None)


def _verdict(line: bytes) -> Verdict | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fields = dataclasses.fields(Verdict)
    if not isinstance(entry, dict) or not all(_fits(f.type, entry.get(f.name)) for f in fields):
        return None
    values: dict[str, Any] = {f.name: f.type(entry[f.name]) for f in fields if isinstance(f.type, type)}
    values |= {name: printable(value) for name, value in values.items() if isinstance(value, str)}
    return Verdict(**values)


def _fits(kind: object, value: object) -> bool:
    if kind is str:
        return isinstance(value, str) and len(value) <= MOST_NAME
    return is_count(value) if kind is int else is_number(value) and value >= 0  # type: ignore[operator]


def read_note(run: RunDir) -> str:
    """The note on a run; empty where there is none."""
    try:
        return as_note(read_bytes(run.note, 8 * MOST_NOTE).decode(errors="replace"))
    except (OSError, ValueError):
        return ""


def write_note(run: RunDir, text: str) -> None:
    """Keep a note on a run; an empty one takes it away. Raises UserError."""
    run.check_inside()
    note = as_note(text)
    if note:
        with atomic_write(run.note) as file:
            file.write(f"{note}\n".encode())
        return
    try:
        with contextlib.suppress(FileNotFoundError):
            run.note.unlink()
    except OSError as error:
        raise UserError(write_failure(run.note, error)) from error


def as_note(text: str) -> str:
    """A text as one line of at most MOST_NOTE characters."""
    return printable(" ".join(text.split()))[:MOST_NOTE]
