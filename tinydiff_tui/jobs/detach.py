"""A run in a process of its own, which outlives the terminal."""

import subprocess
import sys
import time
from collections.abc import Sequence

from core.errors import UserError
from core.files import write_failure
from core.runs.folder import RunDir, read_run

_START_SECONDS = 300


def start_detached(arguments: Sequence[str], run_dir: RunDir) -> "subprocess.Popen[bytes]":
    """The process, once it trains. Raises UserError with its last line when it ends before that."""
    run_dir.check_inside()
    run_dir.refuse_second()  # before its log is written over
    log = run_dir.path / "train.log"
    command = [sys.executable, "-m", "tinydiff_tui", *(a for a in arguments if a != "--detach"), "--plain"]
    try:
        run_dir.path.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
    except OSError as error:
        raise UserError(write_failure(log, error)) from error
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and not _trains(run_dir) and time.monotonic() < deadline:
        time.sleep(0.1)
    if process.poll():
        lines = log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        raise UserError(f"the run did not start: {lines[-1].removeprefix('tinydiff-tui: ')}")
    return process


def _trains(run_dir: RunDir) -> bool:
    try:
        return read_run(run_dir.path).status == "running"
    except UserError:  # not written yet
        return False
