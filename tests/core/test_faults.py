"""Runs that are killed at random moments, and disks that are full."""

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from core.checkpoint import load_checkpoint
from core.runs import RunDir
from core.training import Trainer

from .compare import assert_same_run

pytestmark = pytest.mark.slow
KILLS = 8

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
    import json

    return [sys.executable, "-c", TRAIN, json.dumps(config.to_dict()), str(limit)]


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.timeout(600)
def test_kills_at_random_moments_change_nothing(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    whole = tiny_config(tmp_path / "whole", epochs=4)
    list(Trainer(whole))
    killed = tiny_config(tmp_path / "killed", epochs=4)
    rng = random.Random(0)
    for _ in range(KILLS):
        with subprocess.Popen(command(killed), stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(rng.randint(1, 14)):  # so many events later it may be in a step, in a sample or in a checkpoint
                process.stdout.readline()
            process.kill()
    subprocess.run(command(killed), check=True, stdout=subprocess.DEVNULL)
    assert_same_run(tmp_path / "whole", tmp_path / "killed")


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
