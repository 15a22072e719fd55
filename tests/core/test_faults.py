"""Runs that are killed at random moments, and disks that are full."""

import errno
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from core.errors import Diverged, UserError
from core.files import atomic_write, require_space
from core.runs.checkpoint import load_checkpoint
from core.runs.folder import RunDir, read_run
from core.training.events import Finished, RolledBack, Saved
from core.training.trainer import Trainer

from .compare import assert_same_run, same_tensors

KILLS = {"time": 60, "file operation": 30}

TRAIN = """
import json, resource, sys
from dataclasses import replace

from core.names import DATASETS
from core.config import TrainConfig
from core.errors import UserError
from core.runs.folder import RunDir
from core.training.trainer import Trainer

DATASETS["glyphs"] = replace(DATASETS["glyphs"], size=96)
config = TrainConfig.from_dict(json.loads(sys.argv[1]))
limit, resume = int(sys.argv[2]), RunDir(config.output_dir).last.exists()
trainer = Trainer(config, resume=resume, overwrite=not resume)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    for event in trainer:
        print(type(event).__name__, flush=True)
        if type(event).__name__ == "Step":
            trainer.checkpoint_now()
except UserError as error:
    print("refused:", error)
    sys.exit(2)
"""


def command(config: Any, limit: int = 0) -> list[str]:
    return [sys.executable, "-c", TRAIN, json.dumps(config.to_dict()), str(limit)]


class Server:
    """fault_server in a process of its own."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.core.fault_server"]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)

    def run(
        self, config: Any, seconds: float = 300.0, *, images: int = 96, every_step: bool = True, **faults: Any
    ) -> dict[str, Any]:
        """One attempt at a run; its code is 0 when it came to its end, 2 when it was refused and -9 when it was killed."""
        assert self.process.stdin and self.process.stdout
        job = {"config": config.to_dict(), "seconds": seconds, "images": images, "every_step": every_step, "faults": faults}
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        ended: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert ended["code"] in (0, 2, -signal.SIGKILL), ended
        return ended


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.communicate()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("moment", ["time", "file operation"])
def test_kills_at_random_moments_change_nothing(
    tiny_config: Callable[..., Any], tmp_path: Path, server: Server, moment: str
) -> None:
    """Runs with a checkpoint after each step are killed and resumed until KILLS have hit. By time a kill falls anywhere,
    about every third into a checkpoint; by file operation it falls before one that a checkpoint is written by."""
    once = {"threads": 1, "sample_interval": 2}
    whole = server.run(tiny_config(tmp_path / "whole", **once))
    assert whole["code"] == 0
    rng = random.Random(0)
    kills = finished = half = 0
    while kills < KILLS[moment]:
        killed = tiny_config(tmp_path / str(finished), **once)
        if moment == "time":
            ended = server.run(killed, seconds=rng.uniform(0, whole["seconds"] / 2))
        else:
            ended = server.run(killed, die_at=rng.randint(1, whole["operations"] // 2))
        half += ended["half"]
        assert ended["code"] != 2, ended
        if ended["code"]:
            kills += 1
        else:
            assert_same_run(tmp_path / "whole", tmp_path / str(finished))
            finished += 1
    killed = tiny_config(tmp_path / str(finished), **once)
    assert server.run(killed)["code"] == 0
    assert_same_run(tmp_path / "whole", tmp_path / str(finished))
    assert not list(tmp_path.rglob(".*.tmp")), "what the killed left is cleared away"
    print(f"{kills} kills, {half} of them inside a file being written, {finished + 1} runs compared")
    assert moment == "time" or half > 2  # these kills are the same on every machine


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("for_good", [False, True], ids=["once", "for good"])
def test_whichever_file_operation_fails_nothing_is_lost(
    tiny_config: Callable[..., Any], tmp_path: Path, server: Server, for_good: bool
) -> None:
    """Each file operation of a run of two epochs of two steps fails in turn. It ends with one sentence, or goes on and says what
    it did without; resumed, it comes to the same weights, with every checkpoint of an epoch."""
    short: dict[str, Any] = {"threads": 1, "sample_interval": 0}
    few: dict[str, Any] = {"images": 32, "every_step": False}
    whole = server.run(tiny_config(tmp_path / "whole", **short), **few, fail_at=10**6)
    assert whole["code"] == 0 and not whole["said"]
    final = load_checkpoint(RunDir(tmp_path / "whole").final)
    errors = (errno.ENOSPC, errno.EIO, errno.EDQUOT)
    refused = 0
    for number in range(1, whole["operations"] + 1):
        config = tiny_config(tmp_path / str(number), **short)
        error = errors[number % len(errors)]
        ended = server.run(config, **few, fail_at=number, error=error, for_good=for_good)
        assert all(text and "\n" not in text for text in ended["said"]), ended
        if ended["code"]:
            refused += 1
            again = server.run(config, **few)  # the last operation of all fails when everything is done
            assert again["code"] == 0 or "is finished already" in again["said"][0], again
        run = RunDir(tmp_path / str(number))
        found = load_checkpoint(run.final)
        assert all(same_tensors(found[key], final[key]) for key in ("step", "model", "ema", "optimizers")), (number, ended)
        assert [path.name for path in run.epoch_checkpoints()] == ["model_epoch_001.pt", "model_epoch_002.pt"], (number, ended)
        assert read_run(run.path).status == "finished"
        shutil.rmtree(run.path)
    print(f"{whole['operations']} operations, {refused} of them ended the run when they failed")
    assert refused > 20


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_loads(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0)
    with subprocess.Popen(command(config), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while (line := process.stdout.readline()) != "Saved\n":
            assert line, "it ended before it saved"
        process.kill()
    last = RunDir(tmp_path / "run").last
    step = load_checkpoint(last)["step"]
    assert step > 0
    result = subprocess.run(command(config, limit=last.stat().st_size // 2), capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert "last.pt: file too large" in result.stdout
    assert "Traceback" not in result.stderr
    assert load_checkpoint(last)["step"] == step


@pytest.mark.parametrize("call", ["fsync", "chmod", "replace", "open"])
def test_no_space_at_any_call_of_a_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    path = tmp_path / "a.pt"
    with atomic_write(path) as file:
        file.write(b"old")
    real, calls = getattr(os, call), []

    def full(*arguments: Any, **options: Any) -> Any:
        calls.append(call)
        if call == "open" and len(calls) > 1:
            return real(*arguments, **options)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, full)  # a disk that is full at just this moment cannot be had otherwise
    with (
        pytest.raises(UserError, match=r"^cannot write .*a\.pt: no space left on device; free some space"),
        atomic_write(path) as file,
    ):
        file.write(b"new")
    monkeypatch.undo()
    assert calls
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]


def test_space_is_looked_for_before_writing(tmp_path: Path) -> None:
    require_space(tmp_path / "run" / "a.pt", 1)
    with pytest.raises(UserError, match=r"it needs \d+ MiB and the disk has \d+; free some space"):
        require_space(tmp_path / "run" / "a.pt", 1 << 60)
    assert not (tmp_path / "run").exists()


# --- torn resume points


@pytest.fixture
def stopped(tiny_run: Path, tmp_path: Path) -> Path:
    """A copy of a run that may be written to."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def tear(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("damage", [tear, Path.unlink], ids=["torn", "gone"])
def test_a_lost_resume_point_names_the_newest_good_checkpoint(
    tiny_config: Callable[..., Any], stopped: Path, tiny_run: Path, damage: Callable[[Path], None]
) -> None:
    config, run = tiny_config(stopped), RunDir(stopped)
    damage(run.last)
    with pytest.raises(UserError) as error:
        Trainer(config, resume=True)
    assert str(error.value).endswith(f"{run.checkpoint(2)} is good, continue from it with --resume {run.checkpoint(2)}")
    tear(run.checkpoint(2))
    with pytest.raises(UserError) as error:
        Trainer(config, resume=True)
    assert str(error.value).endswith(f"--resume {run.final}")
    tear(run.final)
    with pytest.raises(UserError) as error:
        Trainer(config, resume=True)
    assert str(error.value).endswith(f"--resume {run.checkpoint(1)}")
    events = iter(Trainer(config, resume=True, checkpoint=run.checkpoint(1)))
    next(events)
    events.close()  # from here on last.pt is the resume point again
    list(Trainer(config, resume=True))
    assert_same_run(tiny_run, stopped)


@pytest.mark.usefixtures("small_glyphs")
def test_without_any_good_checkpoint_one_sentence_says_what_to_do(tiny_config: Callable[..., Any], stopped: Path) -> None:
    run = RunDir(stopped)
    for path in [*run.epoch_checkpoints(), run.final]:
        path.unlink()
    tear(run.last)
    with pytest.raises(UserError, match="no older checkpoint of this run is good, so start again with --overwrite"):
        Trainer(tiny_config(stopped), resume=True)
    run.last.unlink()
    with pytest.raises(UserError, match="holds no run to resume"):
        Trainer(tiny_config(stopped), resume=True)


# --- divergence


def stem(trainer: Trainer) -> Any:
    """The first kernel of the network."""
    return trainer.state.network.stem


def grow(trainer: Trainer, factor: float) -> None:
    """Once, the gradient of one kernel is multiplied; the loss stays finite."""
    weight = stem(trainer).weight

    def once(gradient: Tensor) -> Tensor:
        handle.remove()
        return gradient * factor

    handle = weight.register_hook(once)


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("factor", [math.inf, math.nan])
def test_a_gradient_without_end_stops_before_it_reaches_the_weights(
    tiny_config: Callable[..., Any], tmp_path: Path, factor: float
) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0))
    events = iter(trainer)
    for _ in range(3):
        next(events)
    trainer.checkpoint_now()
    while not isinstance(next(events), Saved):
        pass
    good = trainer.step
    grow(trainer, factor)
    with pytest.raises(Diverged, match=f"at step {good + 1}; .*--resume and a lower --lr"):
        list(events)
    last = load_checkpoint(trainer.run.last)
    assert last["step"] == good
    assert all(v.isfinite().all() for v in last["model"].values())
    assert read_run(tmp_path / "run").status == "diverged"


@pytest.mark.usefixtures("small_glyphs")
def test_rollback_returns_to_the_checkpoint_with_half_the_lr(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0, on_nan="rollback")
    trainer = Trainer(config)
    events = iter(trainer)
    while trainer.step < 8:
        next(events)
    grow(trainer, math.inf)
    rest = list(events)
    (back,) = (event for event in rest if isinstance(event, RolledBack))
    assert (back.step, back.lr) == (0, config.lr / 2)
    assert isinstance(rest[-1], Finished) and rest[-1].step == 12
    assert trainer.state.lr_factor == 0.5
    assert [entry["step"] for entry in RunDir(config.output_dir).read_metrics()] == [10, 12]


@pytest.mark.usefixtures("small_glyphs")
def test_a_run_that_diverges_again_and_again_gives_up(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, on_nan="rollback"))
    stem(trainer).weight.register_hook(lambda gradient: gradient * math.nan)
    with pytest.raises(Diverged):
        list(trainer)
    assert load_checkpoint(trainer.run.last)["step"] == 0
