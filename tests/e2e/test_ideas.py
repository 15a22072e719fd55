"""A stranger's file through real processes: killed and resumed, detached, under torchrun, refused without the flag."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.extend import files
from core.runs.checkpoint import load_checkpoint
from core.runs.folder import RunDir, read_run
from tests.core.compare import same_tensors
from tests.core.test_extend import EXAMPLE
from tests.e2e.test_commands import tinydiff
from tests.e2e.test_torchrun import together

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("own_names")]

FLAGS = (
    "--extend", str(EXAMPLE), "--model", "patches", "--schedule", "steep", "--objective", "v", "--dataset", "spirals",
    "--batch-size", "200", "--epochs", "3", "--device", "cpu", "--precision", "fp32", "--threads", "1", "--sample-interval", "0",
)  # fmt: skip


def test_a_run_that_is_killed_goes_on_bit_for_bit_and_not_without_the_file(tmp_path: Path) -> None:
    whole = tinydiff("train", *FLAGS, "--output-dir", "whole", "--plain", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert f"tinydiff-tui sample --checkpoint whole/model_final.pt --extend {EXAMPLE}" in whole.stdout
    command = [
        sys.executable,
        "-m",
        "tinydiff_tui",
        "train",
        *FLAGS,
        "--output-dir",
        "cut",
        "--plain",
        "--checkpoint-seconds",
        "1",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    run = RunDir(tmp_path / "cut")
    files.load([str(EXAMPLE)])
    while not run.last.exists() or load_checkpoint(run.last)["step"] < 3:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_run(run.path).status == "crashed"
    for arguments in (["train", "--resume", "--output-dir", "cut"], ["sample", "--checkpoint", "cut/checkpoints/last.pt"]):
        refused = tinydiff(*arguments, "--plain", cwd=tmp_path)
        assert refused.returncode == 2
        assert "needs ideas.py" in refused.stderr and f"start with --extend {EXAMPLE}" in refused.stderr
        assert refused.stderr.count("\n") == 1
    resumed = tinydiff("train", "--resume", "--output-dir", "cut", "--extend", str(EXAMPLE), "--plain", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    for part in ("model", "ema"):
        assert same_tensors(load_checkpoint(run.final)[part], load_checkpoint(tmp_path / "whole" / "model_final.pt")[part])
    drawn = tinydiff(
        "sample", "--checkpoint", "cut/model_final.pt", "--num-images", "4", "--sampler", "restart", "--steps", "3", "--plain",
        cwd=tmp_path, TINYDIFF_EXTEND=str(EXAMPLE),
    )  # fmt: skip
    assert drawn.returncode == 0, drawn.stderr


def test_a_detached_run_has_the_file_too(tmp_path: Path) -> None:
    started = tinydiff("train", *FLAGS, "--epochs", "1", "--output-dir", "run", "--detach", cwd=tmp_path)
    assert started.returncode == 0, started.stderr
    files.load([str(EXAMPLE)])
    end = time.monotonic() + 300
    while read_run(tmp_path / "run").status in ("running", "crashed"):
        assert time.monotonic() < end, (tmp_path / "run" / "train.log").read_text()
        time.sleep(0.1)
    assert read_run(tmp_path / "run").status == "finished"
    assert load_checkpoint(tmp_path / "run" / "model_final.pt")["extend"][0]["path"] == str(EXAMPLE)


def test_two_processes_train_an_own_network(tmp_path: Path) -> None:
    process = together("train", *FLAGS, "--epochs", "1", "--output-dir", "two", cwd=tmp_path)
    out, error = process.communicate()
    assert process.returncode == 0, out + error
    files.load([str(EXAMPLE)])
    assert read_run(tmp_path / "two").status == "finished"
