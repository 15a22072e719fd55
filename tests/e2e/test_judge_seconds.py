"""train --judge-seconds: the judge looks between two steps, which changes nothing of the run."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.runs.folder import RunDir
from core.runs.remarks import read_verdicts
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
    told = re.findall(r"^step (\d+): distance ([\d.]+), real images ([\d.]+) \(glyphs judge CNN v1\)$", said, re.M)
    assert told and all(float(distance) > float(floor) > 0 for _, distance, floor in told)
    assert_same_run(tmp_path / "plain", tmp_path / "judged")
    lines = RunDir(tmp_path / "judged").read_metrics()
    judged = [(line["floor"], line["judge"]) for line in lines if "distance" in line]
    assert judged and all(floor > 0 and judge == "glyphs judge CNN v1" for floor, judge in judged)
    assert not any("distance" in line for line in RunDir(tmp_path / "plain").read_metrics())


def pictures(folder: Path, count: int) -> str:
    """A folder of pictures without classes, bright above and dark below."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        picture = random.integers(0, 60, (16, 16), dtype=np.uint8)
        picture[: random.integers(5, 11)] += 150
        Image.fromarray(picture).save(folder / f"{number}.png")
    return f"folder:{folder}"


def test_pictures_without_labels_are_judged_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a model of them trains, and after it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 2000)
    monkeypatch.setattr("tinydiff_tui.jobs.quality.IMAGES", 24)
    arguments = [*FLAGS, "--dataset", pictures(tmp_path / "views", 80), "--batch-size", "8", "--judge-seconds", "0.01"]
    assert run(["train", *arguments, "--output-dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    told = re.findall(r"^step \d+: distance ([\d.]+), real images ([\d.]+) \(views judge RotNet v1 \w{6}\)$", said, re.M)
    assert told and all(float(distance) > float(floor) for distance, floor in told)
    checkpoint = str(tmp_path / "run" / "model_final.pt")
    drawn = ["evaluate", "--checkpoint", checkpoint, "--num-images", "100", "--steps", "2", "--precision", "fp32", "--plain"]
    assert run(drawn) == 0
    said = capsys.readouterr().out
    assert re.search(r"^Frechet distance \(views judge RotNet v1 \w{6}\) +[\d.]+ +[\d.]+$", said, re.M)
    assert "learned without labels" in said and "test images are few" in said
    assert "classes:" not in said and "sure" not in said and "imbalance" not in said
    assert run([*drawn, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["learned"], figures["version"], figures["classes"]) == ("turns", 1, [])
    assert figures["samples"]["distance"] > figures["floor"]["distance"] > 0
    for scores in (figures["samples"], figures["floor"]):
        assert scores["sure"] is scores["shares"] is scores["imbalance"] is None and 0 <= scores["precision"] <= 1
    (verdict, _) = read_verdicts(RunDir(tmp_path / "run"))
    assert verdict.judge == figures["judge"] and verdict.floor == figures["floor"]["distance"]


def test_a_set_that_no_judge_can_be_made_of_is_said_once_and_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*FLAGS, "--dataset", pictures(tmp_path / "few", 20), "--batch-size", "8", "--judge-seconds", "0.01"]
    assert run(["train", *arguments, "--output-dir", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"^no distance: folder:.* has too few images for a judge", said, re.M)) == 1
    assert "finished in" in said
