"""Commands with a model that diffusers saved: drawn from like a checkpoint, and one sentence for what cannot be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from core import images
from tinydiff_tui.cli import run

FIXED = ("--device", "cpu", "--threads", "1", "--precision", "fp32", "--plain")


def test_sample_draws_from_a_folder_into_the_working_folder(elsewhere: Path) -> None:
    before = sorted(elsewhere.rglob("*"))
    command = ["sample", "--checkpoint", "elsewhere", "--num-images", "4", "--sampler", "ddim", "--steps", "5", "--caption"]
    result = subprocess.run(
        [sys.executable, "-m", "tinydiff_tui", *command, *FIXED],
        cwd=elsewhere.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0 and not result.stderr, result
    assert "4 images, ddim, 5 evaluations, v objective, linear schedule" in result.stdout
    with Image.open(elsewhere.parent / "generated_samples.png") as file:
        saved = images.saved_picture(file)
    assert saved is not None and saved.caption == "UNet2DModel of diffusers · ddim, 5 evaluations · seed 0"
    assert sorted(elsewhere.rglob("*")) == before


def test_a_race_of_its_samplers(elsewhere: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(elsewhere.parent)
    assert (
        run(["race", "--checkpoint", "elsewhere", "--samplers", "ddim,unipc", "--steps", "3", "--num-images", "2", "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert [lane["checkpoint"] for lane in document["lanes"]] == ["elsewhere"] * 2 and document["judge"] is None
    assert (elsewhere.parent / "race.png").exists()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sample", "--checkpoint", "elsewhere", "--start", "image"], "does not say which it was trained on"),
        (["sample", "--checkpoint", "elsewhere/unet"], "it is a folder, and no model of diffusers"),
        (["evaluate", "--checkpoint", "elsewhere"], "which pictures this model was trained on is not known"),
        (["export", "--checkpoint", "elsewhere"], "does not train or write"),
    ],
    ids=["start", "a part", "evaluate", "export"],
)
def test_what_cannot_be_is_one_sentence(
    elsewhere: Path, command: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(elsewhere.parent)
    assert run(command) == 2
    errors = capsys.readouterr().err
    assert said in errors and errors.count("\n") == 1
    assert [path.name for path in elsewhere.parent.iterdir()] == ["elsewhere"]


def test_no_network_of_ours_is_one_of_diffusers(
    tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tiny_run.rglob("*"))
    assert run(["export", "--checkpoint", str(tiny_run / "model_final.pt"), "--format", "diffusers", "--output", "model"]) == 2
    assert "cannot be written for diffusers: in its UNet2DModel the embedding of t" in capsys.readouterr().err
    assert sorted(tiny_run.rglob("*")) == before and not list(tmp_path.iterdir())
