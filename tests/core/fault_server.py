"""A process that imports torch once and forks for every run, so that hundreds of runs can be killed or failed in the time of a
few starts.

It reads one job a line and answers with one line: how the run ended, what it said, after how long, and after how many file
operations.
"""

import io
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import core.files
from core.config import TrainConfig
from core.errors import UserError
from core.names import DATASETS
from core.runs.folder import RunDir
from core.training.events import Noted, Step
from core.training.trainer import Trainer

AUDITED = {"open", "os.rename", "os.chmod", "os.remove", "os.mkdir", "os.truncate", "os.scandir"}
CHANGING = AUDITED - {"os.scandir"}


@dataclass
class Faults:
    """What befalls a file operation of a run: the one with the number `die_at` kills it, `fail_at` fails with `error`, and with
    `for_good` every later one too."""

    folder: str
    die_at: int = 0
    fail_at: int = 0
    error: int = 0
    for_good: bool = False
    count: int = 0

    def befall(self) -> None:
        self.count += 1
        if self.count == self.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fail_at and (self.count == self.fail_at or (self.for_good and self.count > self.fail_at)):
            raise OSError(self.error, os.strerror(self.error))

    def watch(self, event: str, arguments: tuple[Any, ...]) -> None:
        """For sys.addaudithook."""
        if event in (AUDITED if self.fail_at else CHANGING) and str(arguments[0]).startswith(self.folder):
            self.befall()

    def of_descriptors(self) -> None:
        """Have writes and fsync counted too, which no audit hook sees."""
        real_write, real_fsync = os.write, os.fsync

        def before(real: Callable[..., Any]) -> Callable[..., Any]:
            def call(descriptor: int, *rest: Any) -> Any:
                if str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith(self.folder):
                    self.befall()
                return real(descriptor, *rest)

            return call

        class Raw(io.FileIO):
            def write(raw, data: Any) -> int:  # noqa: N805 (self is the faults)
                self.befall()
                return super().write(data) or 0

        os.write, os.fsync = before(real_write), before(real_fsync)
        core.files.os.fdopen = lambda handle, mode: io.BufferedWriter(Raw(handle, "w"))  # type: ignore[attr-defined]


def train(config: TrainConfig, faults: Faults, images: int, every_step: bool) -> list[str]:
    """Start or resume the run on so many glyphs, with a checkpoint after every step or every odd one; what it noted."""
    DATASETS["glyphs"] = replace(DATASETS["glyphs"], size=images)
    sys.addaudithook(faults.watch)
    if faults.fail_at:
        faults.of_descriptors()
    resume = RunDir(config.output_dir).last.exists()
    trainer = Trainer(config, resume=resume, overwrite=not resume)
    notes = []
    for event in trainer:
        if isinstance(event, Step) and (every_step or event.step % 2):
            trainer.checkpoint_now()
        if isinstance(event, Noted):
            notes.append(event.text)
    return notes


def attempt(job: dict[str, Any]) -> dict[str, Any]:
    """One run in a fork of this process, killed after job["seconds"] unless it ends before."""
    reader, writer = os.pipe()
    started = time.monotonic()
    config = TrainConfig.from_dict(job["config"])
    child = os.fork()
    if not child:
        faults = Faults(config.output_dir, **job["faults"])
        code, said = 0, []
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            said = train(config, faults, job["images"], job["every_step"])
        except UserError as error:
            code, said = 2, [str(error)]
        except BaseException:
            code, said = 1, [traceback.format_exc()]
        faults.folder = "no folder"
        os.write(writer, json.dumps({"operations": faults.count, "said": said}).encode()[:60_000])
        os._exit(code)
    os.close(writer)
    if not signal.sigtimedwait({signal.SIGCHLD}, job["seconds"]):
        os.kill(child, signal.SIGKILL)
        signal.sigwait({signal.SIGCHLD})
    _, status = os.waitpid(child, 0)
    answer: dict[str, Any] = json.loads(os.read(reader, 65_536) or b'{"operations": 0, "said": []}')
    os.close(reader)
    half = len(list(Path(config.output_dir).rglob(".*.tmp")))
    code = os.waitstatus_to_exitcode(status)
    return answer | {"code": code, "seconds": time.monotonic() - started, "half": half}


def warm_up() -> None:
    """Import what is imported late. One thread only (OMP_NUM_THREADS): a pool of threads would not outlive a fork."""
    import matplotlib.pyplot  # noqa: F401

    Trainer(TrainConfig.of(model="tiny", batch_size=16, device="cpu", precision="fp32", threads=1, output_dir="never-made"))


if __name__ == "__main__":
    warm_up()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    for line in sys.stdin:
        print(json.dumps(attempt(json.loads(line))), flush=True)
