"""Runs that are killed at random moments, and disks that are full."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint import load_checkpoint
from core.runs import RunDir

from .compare import assert_same_run

pytestmark = pytest.mark.slow
KILLS = {"time": 30, "file operation": 15}

TRAIN = """
import json, resource, sys
import core.datasets
from core.config import TrainConfig
from core.errors import UserError
from core.runs import RunDir
from core.training import Trainer

core.datasets.GLYPHS_TRAIN = 96
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

    def run(self, config: Any, seconds: float = 300.0, die_at: int = 0) -> dict[str, Any]:
        """One attempt at a run; its code is 0 when it came to its end and -9 when it was killed."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({"config": config.to_dict(), "seconds": seconds, "die_at": die_at}) + "\n")
        self.process.stdin.flush()
        ended: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert ended["code"] in (0, -signal.SIGKILL), ended
        return ended


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.process.communicate()


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


def test_a_full_disk_is_one_sentence_and_the_last_checkpoint_loads(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0)
    with subprocess.Popen(command(config), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while process.stdout.readline() != "Saved\n":
            pass
        process.kill()
    last = RunDir(tmp_path / "run").last
    step = load_checkpoint(last)["step"]
    assert step > 0
    result = subprocess.run(command(config, limit=last.stat().st_size // 2), capture_output=True, text=True, check=False)
    assert result.returncode == 2, result.stderr
    assert "free some space" in result.stdout
    assert "Traceback" not in result.stderr
    assert load_checkpoint(last)["step"] == step
