"""train --judge-seconds: the judge looks between two steps, which changes nothing of the run."""

import re
from pathlib import Path

import pytest
from PIL import Image

from core.runs.folder import RunDir
from tests.core.compare import assert_same_run
from tinydiff_tui.cli import run

FLAGS = (
    "--dataset", "glyphs", "--model", "tiny", "--batch-size", "32", "--epochs", "2", "--timesteps", "100", "--device", "cpu",
    "--precision", "fp32", "--sample-interval", "0", "--save-interval", "0", "--plain",
)  # fmt: skip


@pytest.mark.usefixtures("hasty_judge")
def test_the_judge_looks_on_its_clock_and_changes_no_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tinydiff_tui.jobs.quality.IMAGES", 24)
    for name, more in (("plain", ()), ("judged", ("--judge-seconds", "0.05"))):
        assert run(["train", *FLAGS, *more, "--output-dir", str(tmp_path / name)]) == 0
    said = capsys.readouterr().out
    assert "glyphs has no judge here yet" in said
    told = re.findall(r"^step (\d+): distance ([\d.]+), real images ([\d.]+)$", said, re.M)
    assert told and all(float(distance) > float(floor) > 0 for _, distance, floor in told)
    assert_same_run(tmp_path / "plain", tmp_path / "judged")
    lines = RunDir(tmp_path / "judged").read_metrics()
    assert [line["distance"] for line in lines if "distance" in line]
    assert not any("distance" in line for line in RunDir(tmp_path / "plain").read_metrics())


def test_a_set_without_a_judge_is_said_once_and_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(40):
        Image.new("L", (16, 16), number * 6).save(pictures / f"{number}.png")
    arguments = [*FLAGS, "--dataset", f"folder:{pictures}", "--batch-size", "8", "--judge-seconds", "0.01"]
    assert run(["train", *arguments, "--output-dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"^no distance: folder:.* has no judge: ", said, re.M)) == 1
    assert "finished in" in said
