"""A process that imports torch once and forks for every run, so that thirty runs can be killed in the time of a few starts.

It reads one job a line and answers with one line: how the run ended, after how long, and after how many file operations.
"""

import json
import os
import signal
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.config import TrainConfig
from core.names import DATASETS
from core.runs.folder import RunDir
from core.training.events import Step
from core.training.trainer import Trainer

DATASETS["glyphs"] = replace(DATASETS["glyphs"], size=96)
OPERATIONS = {"open", "os.rename", "os.chmod", "os.remove", "os.mkdir"}


def train(config: TrainConfig, die_at: int) -> int:
    """Start or resume the run, with a checkpoint after every step; SIGKILL before the file operation number `die_at`."""
    count = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal count
        if event in OPERATIONS and str(arguments[0]).startswith(config.output_dir):
            count += 1
            if count == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    resume = RunDir(config.output_dir).last.exists()
    trainer = Trainer(config, resume=resume, overwrite=not resume)
    for event in trainer:
        if isinstance(event, Step):
            trainer.checkpoint_now()
    return count


def attempt(job: dict[str, Any]) -> dict[str, Any]:
    """One run in a fork of this process, killed after job["seconds"] unless it ends before."""
    reader, writer = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            os.write(writer, str(train(TrainConfig.from_dict(job["config"]), job["die_at"])).encode())
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    os.close(writer)
    if not signal.sigtimedwait({signal.SIGCHLD}, job["seconds"]):
        os.kill(child, signal.SIGKILL)
        signal.sigwait({signal.SIGCHLD})
    _, status = os.waitpid(child, 0)
    said = os.read(reader, 100)
    os.close(reader)
    half = len(list(Path(job["config"]["output_dir"]).rglob(".*.tmp")))
    code = os.waitstatus_to_exitcode(status)
    return {"code": code, "seconds": time.monotonic() - started, "operations": int(said or 0), "half": half}


def warm_up() -> None:
    """Import what is imported late. One thread only (OMP_NUM_THREADS): a pool of threads would not outlive a fork."""
    import matplotlib.pyplot  # noqa: F401

    Trainer(TrainConfig.of(model="tiny", batch_size=16, device="cpu", precision="fp32", threads=1, output_dir="never-made"))


if __name__ == "__main__":
    warm_up()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line))), flush=True)
