"""A run directory: where its files are, who may write it, what it says of itself, and finding the runs below a folder.

Free of torch, so that listing runs is instant.
"""

import contextlib
import dataclasses
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import MOST_TEXT, REQUESTS, TrainConfig
from core.errors import UserError, printable
from core.extend.needs import NeedsFile, require_files
from core.files import read_json, require_folder, user_path, write_failure, write_json
from core.runs.metrics import MOST_LINE, MetricsReader, append_line, is_count, whole_entry

if TYPE_CHECKING:
    from filelock import FileLock

Stamp = tuple[int, int, int] | None
LIVE = ("running", "paused")
"""What a run is while a process trains it."""
STATUSES = (*LIVE, "stopped", "finished", "diverged")
MOST_SECONDS = 1e12
"""Of any time in a file, since 1970 or of training."""
_FOLDERS = ("checkpoints", "samples", "control", "tensorboard")
_OWN = (
    "run.json", "metrics.jsonl", "verdicts.jsonl", "run_note.txt", "model_final.pt", "training_loss.png", "train.log", ".lock",
    *_FOLDERS,
)  # fmt: skip
"""What is written in the folder of a run."""
_DEEPEST = 4  # levels below a folder at which runs are looked for


class RunDir:
    """The layout of one run. Nothing is created before `begin`."""

    def __init__(self, path: Path | str) -> None:
        self.path = user_path(path)
        self.run_json = self.path / "run.json"
        self.metrics = self.path / "metrics.jsonl"
        self.verdicts = self.path / "verdicts.jsonl"
        self.note = self.path / "run_note.txt"
        self.last = self.path / "checkpoints" / "last.pt"
        self.final = self.path / "model_final.pt"
        self.loss_plot = self.path / "training_loss.png"
        self.curves = self.path / "tensorboard"

    def samples(self, epoch: int) -> Path:
        return self.path / "samples" / f"epoch_{epoch:03d}.png"

    def checkpoint(self, epoch: int) -> Path:
        return self.path / "checkpoints" / f"model_epoch_{epoch:03d}.pt"

    def holds_run(self) -> bool:
        return self.run_json.exists() or self.metrics.exists() or self.last.exists() or self.final.exists()

    def check_free(self, *, resume: bool, overwrite: bool, locked: bool = False) -> None:
        """Raise UserError unless this folder may be written: free, or a run that is to be resumed or overwritten, which nobody
        trains. `locked`: this process holds its lock."""
        try:
            held = self.holds_run()
            whole = self.last.exists() or bool(self.epoch_checkpoints()) or self.final.exists()
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}; choose another --output-dir"
            ) from error
        if not locked:
            self.refuse_second()
        if held and not resume and not overwrite:
            raise UserError(
                f"{self.path} already holds a run; continue it with --resume, replace it with --overwrite, "
                "or choose another --output-dir"
            )
        if resume and not whole:
            raise UserError(f"{self.path} holds no run to resume (no {self.last.name}); leave --resume out to start one")
        require_folder(self.path)
        self.check_inside()

    def check_unchanged(self, seen: Stamp) -> None:
        """Raise UserError when another process has trained here since the resume point was `seen`. Call it under the lock."""
        if self.stamp() != seen:
            raise UserError(
                f"another process has trained in {self.path} meanwhile; continue from where it is now with --resume, "
                "or choose another --output-dir"
            )

    def stamp(self) -> Stamp:
        """What tells the resume point of now from every other: each is a file of its own."""
        try:
            found = self.last.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def check_inside(self) -> None:
        """Raise UserError when a link in this folder leads out of it, or something stands in the place of a file that would be
        waited for (a pipe, a device): what is read, written and deleted here is the run's own."""
        root = os.path.realpath(self.path)
        try:
            entries = [self.path / name for name in _OWN]
            for folder in _FOLDERS:
                if (self.path / folder).is_dir() and not (self.path / folder).is_symlink():
                    entries += map(Path, os.scandir(self.path / folder))
            leading_out = [e for e in entries if e.is_symlink() and not Path(os.path.realpath(e)).is_relative_to(root)]
            strange = [e for e in entries if not leading_out and not self._is_plain(e)]
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be read: {(error.strerror or str(error)).lower()}; check its permissions"
            ) from error
        if leading_out:
            raise UserError(
                f"{leading_out[0]} is a link that leads out of its run's folder; put the file itself there, or remove it"
            )
        if strange:
            raise UserError(f"{strange[0]} is no plain file, so this run cannot be read or written; remove it")

    def _is_plain(self, entry: Path) -> bool:
        """Whether what lies there, if anything does, answers at once; a folder for a file is an error when it is used."""
        try:
            mode = entry.stat().st_mode
        except FileNotFoundError:
            return True
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)

    def refuse_second(self) -> None:
        """Raise UserError while another process trains here. Not for one that holds the lock."""
        if self._held():
            raise UserError(self._taken)

    @property
    def _taken(self) -> str:
        return f"another process is training in {self.path}; wait for it, or choose another --output-dir"

    def lock(self) -> "FileLock":
        """The lock of the one writer of this folder, acquired; the system frees it when the process dies."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(write_failure(self.path, error)) from error
        self.check_inside()
        from filelock import FileLock, Timeout  # not before the app's first paint

        lock = FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=1)
        except Timeout as error:
            raise UserError(self._taken) from error
        except (OSError, NotImplementedError) as error:
            raise UserError(_lock_failure(self.path, error)) from error
        for folder in (self.path, self.path / "checkpoints", self.path / "samples"):
            with contextlib.suppress(OSError):  # what a killed writer was at; a run can do with it there
                for half in folder.glob(".*.tmp"):
                    half.unlink(missing_ok=True)
        return lock

    def is_live(self) -> bool:
        """Whether a process holds the lock of this folder now, or may hold it."""
        return self._held() is not False

    def _held(self) -> bool | None:
        """Whether a process holds the lock, this one too; None where that cannot be told."""
        if not (self.path / ".lock").exists():
            return False
        from filelock import FileLock, Timeout

        try:
            with FileLock(self.path / ".lock", timeout=0):
                return False
        except Timeout:
            return True
        except OSError:
            return None

    def prune(self, keep: int) -> None:
        """Delete all but the newest `keep` epoch checkpoints; 0 keeps all."""
        for path in self.epoch_checkpoints()[:-keep] if keep else []:
            path.unlink()

    def epoch_checkpoints(self) -> list[Path]:
        """The checkpoints of epochs, oldest first."""
        return sorted(self.path.glob("checkpoints/model_epoch_*.pt"), key=lambda p: (len(p.name), p.name))

    def ask(self, request: str) -> None:
        """Leave one of REQUESTS for the process that trains here; it is answered between two steps."""
        self.check_inside()
        control = self.path / "control"
        try:
            control.mkdir(exist_ok=True)
            (control / request).touch()
        except OSError as error:
            raise UserError(write_failure(control / request, error)) from error

    def take_requests(self) -> list[str]:
        """The requests that were left since the last look, each once: one that cannot be taken away is not answered."""
        taken = []
        for request in REQUESTS:
            with contextlib.suppress(OSError):
                (self.path / "control" / request).unlink()
                taken.append(request)
        return taken

    def clear(self) -> None:
        """Delete what a run wrote here, and nothing else."""
        self.check_inside()
        files = (self.run_json, self.metrics, self.verdicts, self.note, self.last, self.final, self.loss_plot)
        drawn = (*self.path.glob("samples/epoch_*.png"), *self.path.glob("tensorboard/events.out.tfevents.*"))
        for file in [*files, *drawn, *self.epoch_checkpoints()]:
            try:
                file.unlink(missing_ok=True)
            except OSError as error:
                raise UserError(
                    f"cannot delete {file}: {(error.strerror or str(error)).lower()}; choose another --output-dir"
                ) from error

    def write_info(self, info: dict[str, Any]) -> None:
        """Write run.json, once `read_run` would take it. Raises UserError."""
        _info(self.path, info)
        write_json(self.run_json, info)

    def sync_metrics(self) -> None:
        """Bring metrics.jsonl to the disk: a checkpoint that outlives a power cut finds the lines before it."""
        try:
            with self.metrics.open("rb") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(write_failure(self.metrics, error)) from error

    def append_metrics(self, entry: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl: the whole of it or nothing. Raises UserError."""
        append_line(self.metrics, entry)

    def truncate_metrics(self, step: int) -> None:
        """Cut metrics.jsonl back to lines of at most this step, and drop a torn last line. Raises UserError."""
        if not self.metrics.is_file():
            return
        kept = 0
        try:
            with self.metrics.open("rb+") as file:
                while line := file.readline(MOST_LINE):
                    entry = whole_entry(line)
                    if entry is None or entry["step"] > step:
                        break
                    kept += len(line)
                file.truncate(kept)
        except OSError as error:
            raise UserError(write_failure(self.metrics, error)) from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """All good lines of metrics.jsonl, as MetricsReader gives them."""
        return list(MetricsReader(self).read())


@dataclass(frozen=True)
class RunInfo:
    """What run.json says, checked. `status` is one of STATUSES, or crashed (the process is gone)."""

    path: Path
    config: TrainConfig
    status: str
    started: float
    step: int
    total_steps: int
    device: str
    spread: tuple[float, ...] = ()
    """What a learned schedule is at this step."""

    @property
    def checkpoint(self) -> Path | None:
        """The newest file to sample from: the final model of a finished run, else the resume point; None before there is one."""
        run = RunDir(self.path)
        newest = (run.final, run.last) if self.status == "finished" else (run.last, run.final)
        return next((p for p in newest if p.exists()), None)


def read_run(path: Path) -> RunInfo:
    """Read run.json; its config.output_dir is where the run lies now, wherever it began.

    Raises UserError when it is missing or damaged, or when what lies in the folder leads out of it; NeedsFile for one that was
    trained with a file of a person's own that is not read now.
    """
    run = RunDir(path)
    run.check_inside()
    try:
        raw = read_json(run.run_json)
        if isinstance(raw, dict):
            require_files(raw.get("config"), raw.get("extend"), run.path)
        info = _info(path, raw)
        info = dataclasses.replace(info, config=dataclasses.replace(info.config, output_dir=str(run.path.absolute())))
    except NeedsFile:
        raise
    except (OSError, ValueError, UserError) as error:
        raise UserError(f"{run.run_json} cannot be read; the run's checkpoints may still be good") from error
    if info.status in LIVE and not run.is_live():
        return dataclasses.replace(info, status="crashed")
    return info


def _info(path: Path, raw: object) -> RunInfo:
    """What run.json says, checked before it is written and after it is read. Raises UserError."""
    if not isinstance(raw, dict):
        raise UserError(f"{path} is no run of this program's")
    config = TrainConfig.from_dict(raw.get("config"))
    said: list[Any] = [raw.get(name) for name in ("status", "started", "device", "step", "total_steps")]
    status, started, device, step, total = said
    good = status in STATUSES and type(started) in (int, float) and 0 <= started <= MOST_SECONDS
    if not good or not isinstance(device, str) or len(device) > MOST_TEXT or not is_count(step) or not is_count(total):
        raise UserError(f"what {path} says of its run makes no sense")
    spread = raw.get("spread", [])
    if type(spread) is not list or len(spread) > MOST_TEXT or not all(type(share) is float for share in spread):
        raise UserError(f"what {path} says of its schedule makes no sense")
    return RunInfo(path, config, status, float(started), step, total, printable(device), tuple(spread))


def run_folder_of(checkpoint: Path) -> Path:
    """The run that a checkpoint belongs to: checkpoints/ lies one level down."""
    parent = checkpoint.parent
    return parent.parent if parent.name == "checkpoints" else parent


def holds_file(path: Path) -> bool:
    """Whether this path is, or would become, one of the files that a run's folder consists of."""
    path = Path(os.path.realpath(path))
    return any((folder / "run.json").exists() and path.relative_to(folder).parts[0] in _OWN for folder in path.parents[:2])


class UnreadableRun(UserError):
    """Why the run in a folder cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(why)
        self.path = path


def find_runs(root: Path) -> list[RunInfo | UnreadableRun]:
    """Every run below `root`, newest first; an unreadable one stands in the list as its error."""
    found: list[RunInfo | UnreadableRun] = []
    for folder in folders_below(root, lambda _, files: "run.json" in files):
        try:
            found.append(read_run(folder))
        except UserError as error:
            found.append(UnreadableRun(folder, str(error)))
    return sorted(found, key=lambda run: -run.started if isinstance(run, RunInfo) else 0.0)


def folders_below(root: Path, is_one: Callable[[Path, list[str]], bool]) -> Iterator[Path]:
    """`root` and the folders below it that are what is sought, by their path and the names of their files; none inside of one."""
    for name, subfolders, files in os.walk(root):
        folder = Path(name)
        level = len(folder.relative_to(root).parts)
        subfolders[:] = [] if level >= _DEEPEST else sorted(d for d in subfolders if not d.startswith("."))
        if is_one(folder, files):
            subfolders[:] = []
            yield folder


def now() -> float:
    """Seconds since the epoch, to the millisecond, as run.json stores them."""
    return round(time.time(), 3)


def _lock_failure(folder: Path, error: Exception) -> str:
    """The sentence for a lock that cannot be had, with the way out that its cause has."""
    number = error.errno if isinstance(error, OSError) else errno.ENOSYS
    reason = (os.strerror(number) if number else str(error)).lower()
    if number in (errno.EACCES, errno.EPERM):
        way = "check its permissions"
    elif number == errno.EROFS:
        way = "its file system can only be read"
    elif number in (errno.ENOSPC, errno.EDQUOT):
        way = "free some space"
    elif number in (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL):
        way = "its file system knows no locks"
    else:
        way = "try again"
    return f"{folder} cannot be locked for this run: {reason}; {way}, or choose another --output-dir"
