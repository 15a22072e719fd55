"""torchrun: many processes are one run, equal to the run of one process with the same global batch."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import TrainConfig
from core.runs.folder import RunDir, read_run
from core.training.events import Step
from core.training.trainer import Trainer

pytestmark = pytest.mark.slow  # two processes that import torch, on two cores that do more
FLAGS = (
    "--dataset", "glyphs", "--model", "tiny", "--batch-size", "64", "--threads", "1", "--device", "cpu", "--precision", "fp32",
    "--sample-interval", "0", "--seed", "5",
)  # fmt: skip


def together(
    *arguments: str, cwd: Path, processes: int = 2, program: tuple[str, ...] = ("-m", "tinydiff_tui")
) -> "subprocess.Popen[str]":
    """Start `tinydiff-tui ARGUMENTS` in so many processes."""
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
        *program, *arguments,
    ]  # fmt: skip
    env = os.environ | {"XDG_CACHE_HOME": str(cwd / "cache"), "XDG_DATA_HOME": str(cwd / "data"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def alone(output_dir: Path) -> TrainConfig:
    """The run of FLAGS in this process."""
    return TrainConfig.of(
        dataset="glyphs", model="tiny", batch_size=64, threads=1, device="cpu", precision="fp32", sample_interval=0, seed=5,
        epochs=1000, output_dir=str(output_dir),
    )  # fmt: skip


def wait_for_step(step: int, process: "subprocess.Popen[str]") -> str:
    """Read what the run says until it has come to this step."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if line.startswith(f"{step}/"):
            return said
    raise AssertionError(said + process.communicate()[1])


def test_two_processes_lose_what_one_process_loses(tmp_path: Path) -> None:
    process = together("train", *FLAGS, "--epochs", "1000", "--output-dir", "two", cwd=tmp_path)
    run = RunDir(tmp_path / "two")
    out = wait_for_step(40, process)
    run.ask("stop")
    rest, error = process.communicate()
    assert process.returncode == 0, error
    assert (out + rest).count("on glyphs") == 1, "one process speaks"
    two = {entry["step"]: entry for entry in run.read_metrics()}
    config = alone(tmp_path / "one")
    for event in Trainer(config):
        if isinstance(event, Step) and event.step == 40:
            break
    for entry in RunDir(tmp_path / "one").read_metrics()[:2]:
        assert two[entry["step"]]["loss"] == pytest.approx(entry["loss"], abs=1e-5)
        assert two[entry["step"]]["grad_norm"] == pytest.approx(entry["grad_norm"], rel=1e-3)
        assert two[entry["step"]]["quartiles"] == pytest.approx(entry["quartiles"], abs=1e-4)


@pytest.mark.parametrize("victim", [0, 1])
def test_when_one_process_is_killed_the_other_says_so_and_the_run_goes_on_with_one(tmp_path: Path, victim: int) -> None:
    process = together("train", *FLAGS, "--epochs", "1000", "--checkpoint-seconds", "1", "--output-dir", "run", cwd=tmp_path)
    run = RunDir(tmp_path / "run")
    step = 30
    wait_for_step(step, process)
    while not read_run(run.path).step:  # the first checkpoint is written, and run.json after it
        step += 10
        wait_for_step(step, process)
    os.kill(by_rank(process)[victim], signal.SIGKILL)
    error = process.communicate()[1]
    assert process.returncode != 0
    assert "another process of this run is gone" in error
    assert "--resume" in error
    assert read_run(run.path).status == ("crashed" if victim == 0 else "stopped")
    step = run.read_metrics()[-1]["step"]
    config = alone(run.path)
    trainer = Trainer(config, resume=True)
    assert trainer.step > 0
    for event in trainer:
        if isinstance(event, Step) and event.step > step + 10:
            break
    assert run.read_metrics()[-1]["step"] > step


HASTY = """
import sys
import core.compute.distributed as distributed
distributed.PATIENCE_SECONDS, distributed.BEAT_SECONDS = 15.0, 1.0
from tinydiff_tui.cli import run
sys.exit(run(sys.argv[1:]))
"""


def hasty(cwd: Path) -> "subprocess.Popen[str]":
    """The run of FLAGS in two processes that wait 15 s for one another and no longer."""
    (cwd / "hasty.py").write_text(HASTY)
    return together("train", *FLAGS, "--epochs", "1000", "--output-dir", "run", cwd=cwd, program=(str(cwd / "hasty.py"),))


def test_a_process_that_stands_still_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    process = hasty(tmp_path)
    wait_for_step(20, process)
    os.kill(by_rank(process)[1], signal.SIGSTOP)
    error = process.communicate(timeout=300)[1]
    assert process.returncode != 0
    assert "is gone or stands still" in error and "--resume" in error
    assert read_run(tmp_path / "run").status == "stopped"


def test_a_pause_may_last_longer_than_that(tmp_path: Path) -> None:
    process = hasty(tmp_path)
    wait_for_step(20, process)
    run = RunDir(tmp_path / "run")
    run.ask("pause")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(25)
    assert read_run(run.path).status == "paused"
    run.ask("resume")
    wait_for_step(run.read_metrics()[-1]["step"] + 50, process)
    run.ask("stop")
    error = process.communicate(timeout=300)[1]
    assert process.returncode == 0, error


def test_samples_of_two_processes_are_those_of_one(tmp_path: Path) -> None:
    config = alone(tmp_path / "run")
    for event in Trainer(config):
        if isinstance(event, Step) and event.step == 5:
            break
    flags = [
        "--checkpoint",
        "run/checkpoints/last.pt",
        "--num-images",
        "150",
        "--steps",
        "4",
        "--threads",
        "1",
        "--device",
        "cpu",
    ]
    process = together("sample", *flags, "--output", "two.png", cwd=tmp_path)
    out, error = process.communicate()
    assert process.returncode == 0, error
    assert out.count("150 images in") == 1
    subprocess.run(
        [sys.executable, "-m", "tinydiff_tui", "sample", *flags, "--output", "one.png"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    assert np.array_equal(np.asarray(Image.open(tmp_path / "one.png")), np.asarray(Image.open(tmp_path / "two.png")))


def test_a_batch_that_cannot_be_shared_is_one_sentence(tmp_path: Path) -> None:
    process = together("train", *FLAGS, "--epochs", "1", "--batch-size", "63", "--output-dir", "run", cwd=tmp_path)
    error = process.communicate()[1]
    assert process.returncode != 0
    assert "must be a multiple of 2" in error
    assert "tinydiff_tui" not in "".join(line for line in error.splitlines() if "Traceback" in line)
    assert json.dumps(sorted(p.name for p in tmp_path.iterdir())).count("run") == 0


def by_rank(process: "subprocess.Popen[str]") -> dict[int, int]:
    """The processes of a run by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {_rank(child): int(child) for child in children}


def _rank(pid: str) -> int:
    environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return next(int(entry.split(b"=")[1]) for entry in environment if entry.startswith(b"RANK="))
