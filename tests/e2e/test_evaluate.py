"""The evaluate command, on a tiny model and a judge that learned for two steps."""

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.data.datasets import open_dataset
from core.images import saved_picture
from core.judge.store import cache_files
from core.runs.checkpoint import load_checkpoint, save_checkpoint
from tinydiff_tui.cli import run
from tinydiff_tui.jobs.sheets import cut

pytestmark = pytest.mark.usefixtures("hasty_judge")


def test_evaluate_names_its_judge_and_gives_the_floor(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", "--checkpoint", str(tiny_run / "model_final.pt"), "--num-images", "150", "--steps", "2",
                 "--precision", "fp32", "--device", "cpu"]  # fmt: skip
    assert run([*arguments, "--output", str(tmp_path / "figures.json")]) == 0
    said = capsys.readouterr().out
    assert "glyphs has no judge here yet: training one, once" in said and str(cache_files("glyphs")[0]) in said
    assert "150 images, unipc, 2 evaluations" in said and re.search(r"^6/6 evaluations eta 0 s$", said, re.M)
    assert re.search(r"^Frechet distance \(glyphs judge CNN v1\) +\d+\.\d{3} +\d+\.\d{3}$", said, re.M)
    assert re.search(r"^images +150 +150$", said, re.M) and "floor: training split" in said
    assert re.search(r"right on [\d.]+% of the test split; all figures against 200 test images", said)
    assert "not comparable with Inception FID" in said and "\x1b" not in said
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["judge"] == "glyphs judge CNN v1" and figures["sampling"]["steps"] == 2
    assert figures["samples"]["count"] == figures["floor"]["count"] == 150
    assert figures["samples"]["distance"] > figures["floor"]["distance"] >= 0
    assert len(figures["samples"]["shares"]) == len(figures["classes"]) == 10

    copies, sheet = figures["copies"], tmp_path / "copies.png"
    assert re.search(rf"^copies of training images +{copies['share']:.1%} +1\.0%$", said, re.M)
    assert (copies["count"], copies["training"], copies["held_out"], copies["expected"]) == (150, 300, 200, 0.01)
    assert len(copies["pairs"]) == 40 and copies["pairs"][0].keys() == {"sample", "training", "distance", "ratio"}

    assert run([*arguments, "--output", str(tmp_path / "again.json"), "--copies", str(sheet)]) == 0
    with Image.open(sheet) as file:
        saved = saved_picture(file)
    assert saved is not None and "copies: " in saved.caption
    pairs, training = cut(saved.picture), open_dataset("glyphs").images.numpy()
    assert len(pairs) == 80  # ten pairs in two rows
    assert np.array_equal(pairs[10:20], training[[pair["training"] for pair in copies["pairs"][:10]]])
    distance = np.sqrt(((pairs[:10].astype(float) - pairs[10:20]) ** 2).mean(axis=(1, 2, 3)))
    assert distance == pytest.approx([pair["distance"] for pair in copies["pairs"][:10]])
    assert "training one" not in capsys.readouterr().out
    assert json.loads((tmp_path / "again.json").read_text()) == figures
    assert run([*arguments, "--seed", "1", "--output", str(tmp_path / "other.json")]) == 0
    other = json.loads((tmp_path / "other.json").read_text())
    assert other["samples"] != figures["samples"] and other["floor"] == figures["floor"]


def test_a_set_that_is_not_on_disk_is_one_sentence(tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = load_checkpoint(tiny_run / "model_final.pt")
    content["config"]["dataset"] = "mnist"
    save_checkpoint(tmp_path / "mnist.pt", content)
    assert run(["evaluate", "--checkpoint", str(tmp_path / "mnist.pt"), "--data-dir", str(tmp_path), "--precision", "fp32"]) == 2
    captured = capsys.readouterr()
    assert f"mnist is not in {tmp_path}" in captured.err and captured.err.count("\n") == 1
    assert "evaluations" not in captured.out  # nothing was drawn for nothing


def test_figures_that_cannot_be_written_are_one_sentence(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    arguments = ["--num-images", "100", "--steps", "1", "--precision", "fp32", "--output", str(tmp_path / "file" / "x.json")]
    assert run(["evaluate", "--checkpoint", str(tiny_run / "model_final.pt"), *arguments]) == 2
    captured = capsys.readouterr()
    assert "cannot write" in captured.err and captured.err.count("\n") == 1
    assert captured.out == ""  # before anything is drawn


def test_json_is_one_document_and_all_else_goes_to_standard_error(
    tiny_run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the newest run, where none is named; a figure that is no number is null."""
    monkeypatch.chdir(tiny_run)
    monkeypatch.setattr("core.judge.judge.frechet_distance", lambda *_: math.nan)
    assert run(["evaluate", "--json", "--num-images", "100", "--steps", "1", "--precision", "fp32", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    figures = json.loads(captured.out, parse_constant=pytest.fail)
    assert figures["checkpoint"] == "model_final.pt" and figures["samples"]["count"] == 100
    assert figures["samples"]["distance"] is None and 0 <= figures["samples"]["precision"] <= 1
    assert captured.err.startswith("the newest run here: . (glyphs, tiny, finished)\n") and "100 images" in captured.err
