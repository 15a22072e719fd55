"""A run in a process of its own, which outlives the terminal."""

import contextlib
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from core.errors import UserError
from core.extend.files import flags
from core.files import write_failure
from core.runs.folder import RunDir

_START_SECONDS = 300
_TOLD = "TINYDIFF_STARTED"
"""Holds the descriptor at which the one who started this process waits for it to train."""


def start_detached(arguments: Sequence[str], run_dir: RunDir) -> "subprocess.Popen[bytes]":
    """The process, once it trains, with the files that extend this one. Raises UserError with its last line when it ends before
    that.

    Only the process itself is waited for: of two that are started on one folder, the one that does not get it says so.
    """
    run_dir.check_inside()
    run_dir.refuse_second()
    try:
        run_dir.path.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=run_dir.path, prefix="train.", suffix=".log")
    except OSError as error:
        raise UserError(write_failure(run_dir.path / "train.log", error)) from error
    log = Path(name)  # train.log once it trains: until then that is another one's
    try:
        with open(handle, "wb") as output:  # noqa: PTH123 (a descriptor)
            process, waiting = _start([*arguments, *flags(), "--plain"], output.fileno())
        if not _trains(process, waiting) and process.wait():
            lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
            raise UserError(f"the run did not start: {lines[-1].removeprefix('tinydiff-tui: ')}")
        log.replace(run_dir.path / "train.log")
        return process
    finally:
        log.unlink(missing_ok=True)


def say_started() -> None:
    """Tell the one who waits in `start_detached`, if there is one, that this process trains."""
    descriptor = os.environ.pop(_TOLD, "")
    if descriptor.isdecimal():
        with contextlib.suppress(OSError):
            os.write(int(descriptor), b".")
            os.close(int(descriptor))


def _start(arguments: Sequence[str], output: int) -> "tuple[subprocess.Popen[bytes], int]":
    """The process, and the descriptor at which it says that it trains; one that ends before closes it."""
    waiting, telling = os.pipe()
    environment = os.environ | {_TOLD: str(telling)}
    # -P: no module of the folder that it is started in takes the place of one of ours; we may lie there ourselves.
    root = str(Path(__file__).parents[2])
    if sys.path[0] == root:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "tinydiff_tui", *arguments],
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=environment, pass_fds=[telling], start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        os.close(waiting)
        raise UserError(f"a process of its own cannot be started: {error.strerror}; train without --detach") from error
    finally:
        os.close(telling)
    return process, waiting


def _trains(process: "subprocess.Popen[bytes]", waiting: int) -> bool:
    """Whether the process trains, or has had the time to begin; one that is no longer waited for (Ctrl-C) is ended."""
    with open(waiting, "rb", buffering=0) as pipe:
        try:
            ready = select.select([pipe], [], [], _START_SECONDS)[0]
        except BaseException:
            process.terminate()
            raise
        return not ready or bool(pipe.read(1))
