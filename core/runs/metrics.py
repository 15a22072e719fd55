"""The figures of a run as lines of JSON, metrics.jsonl above all: written whole or not at all, read whatever stands there."""

import errno
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.config import LARGEST
from core.errors import UserError, printable
from core.files import open_plain, write_failure

if TYPE_CHECKING:
    from core.runs.folder import RunDir

MOST_LINE = 1 << 20
"""Bytes of a line of metrics.jsonl; ours take about 200."""
MOST_NAME = 300
"""Letters of a judge's name."""
_NUMBERS = ("loss", "grad_norm", "lr", "seconds", "held_out", "distance", "floor")
"""Of a line; the last three stand in few of them."""
_MOST_LOSS = 3.4e38  # what float32 holds


def append_line(path: Path, entry: dict[str, Any]) -> None:
    """Add a line of JSON to a file: the whole of it or nothing, and not to what a killed writer left of one. Raises UserError."""
    line = (json.dumps(entry) + "\n").encode()
    try:
        # Not to wait for a reader, should a pipe lie there.
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0), 0o666)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError(errno.EINVAL, "it is no file")
            if found.st_size and os.pread(file, 1, found.st_size - 1) != b"\n":
                line = b"\n" + line
            if os.write(file, line) < len(line):
                os.truncate(file, found.st_size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(file)
    except OSError as error:
        raise UserError(write_failure(path, error)) from error


class MetricsReader:
    """Reads the metrics.jsonl of a run, and later on from where it was left.

    What it gives can be drawn and computed with: steps rise from entry to entry, "step", "epoch" and "images" are whole numbers
    up to LARGEST, every other number is finite and one that float32 holds, and "judge" is a name that can be printed. Whatever
    else stands in a line is left out, and so is a line without a step and a loss.
    """

    def __init__(self, run: "RunDir") -> None:
        self.run = run
        self.step = -1
        self._offset = 0
        self._last = b""  # the line before the offset
        self._file = (0, 0)

    def is_stale(self) -> bool:
        """Whether what was read so far lies there no more: the file is gone, another one, or was cut back and grew anew."""
        if not self._offset:
            return False
        try:
            with open_plain(self.run.metrics) as file:
                file.seek(self._offset - len(self._last))
                return _identity(file) != self._file or file.read(len(self._last)) != self._last
        except OSError:
            return True

    def read(self) -> Iterator[dict[str, Any]]:
        """The whole lines since the last look; none when no plain file is there."""
        try:
            file = open_plain(self.run.metrics)
        except OSError:
            return
        with file:
            self._file = _identity(file)
            file.seek(self._offset)
            while (line := file.readline(MOST_LINE)).endswith(b"\n"):  # a torn line may grow, an endless one is not ours
                self._offset, self._last = self._offset + len(line), line
                entry = whole_entry(line)
                if entry is not None and entry["step"] > self.step and is_number(entry.get("loss")):
                    self.step = entry["step"]
                    yield _clean(entry)


def _identity(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_dev, status.st_ino


def whole_entry(line: bytes) -> dict[str, Any] | None:
    """The entry of a line that is one of ours, as far as its step says."""
    try:
        entry = json.loads(line) if line.endswith(b"\n") else None
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and is_count(entry.get("step")) else None


def _clean(entry: dict[str, Any]) -> dict[str, Any]:
    clean = {name: entry[name] for name in ("step", "epoch", "images") if is_count(entry.get(name))}
    clean |= {name: float(entry[name]) for name in _NUMBERS if is_number(entry.get(name))}
    if isinstance(judge := entry.get("judge"), str) and len(judge) <= MOST_NAME:
        clean["judge"] = printable(judge)
    for name in ("quartiles", "held_out_quartiles"):
        quartiles = entry.get(name)
        if isinstance(quartiles, list) and len(quartiles) == 4:
            clean[name] = [float(q) if is_number(q) else None for q in quartiles]
    return clean


def is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def is_number(value: object) -> bool:
    return type(value) in (int, float) and -_MOST_LOSS <= value <= _MOST_LOSS  # type: ignore[operator]
