"""Kind D: a run means the same files from everywhere, knows its pictures, and counts by steps."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core.config import SampleConfig, TrainConfig
from core.data.datasets import ImageSet
from core.diffusion.generate import source_pictures
from core.errors import UserError
from core.runs.checkpoint import load_checkpoint, load_model
from core.runs.embedded import embedded_model
from core.runs.folder import RunDir, read_run
from core.runs.resume import saved_config
from core.training.events import Noted, Step
from core.training.trainer import Trainer
from tinydiff_tui.cli import run as command
from tinydiff_tui.jobs.sampling import checkpoints
from tinydiff_tui.jobs.sheets import newest_samples

Config = Callable[..., TrainConfig]
FLAGS = ["--model", "tiny", "--batch-size", "8", "--threads", "1", "--device", "cpu", "--precision", "fp32",
         "--sample-interval", "0", "--plain"]  # fmt: skip


def pictures(folder: Path, seed: int = 0, count: int = 24) -> Path:
    """So many small pictures of noise."""
    folder.mkdir(parents=True)
    noise = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(folder / f"{number:03}.png")
    return folder


def train(*flags: str) -> int:
    return command(["train", *flags, *FLAGS])


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with `pics` and a run of one epoch on them in `run`, both named relative to it."""
    pictures(tmp_path / "old" / "pics")
    monkeypatch.chdir(tmp_path / "old")
    assert train("--dataset", "folder:pics", "--epochs", "1", "--output-dir", "run") == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "old"


def test_what_a_run_keeps_are_whole_paths(begun: Path) -> None:
    for config in (json.loads((begun / "run" / "run.json").read_text())["config"],
                   load_checkpoint(begun / "run" / "model_final.pt")["config"]):  # fmt: skip
        assert config["dataset"] == f"folder:{begun / 'pics'}"
        assert config["output_dir"] == str(begun / "run")
        assert config["data_dir"] == ""


def test_a_run_goes_on_from_another_working_directory(begun: Path) -> None:
    once = read_run(begun / "run").step
    assert train("--resume", "--epochs", "2", "--output-dir", str(begun / "run")) == 0
    assert read_run(begun / "run").step == 2 * once


def test_moved_pictures_are_named_anew(begun: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (begun / "pics").rename(begun / "pictures")
    again = ("--resume", "--epochs", "2", "--output-dir", str(begun / "run"))
    assert train(*again) == 2
    assert "say where with --dataset folder:PATH" in capsys.readouterr().err
    assert train(*again, "--dataset", "folder:../old/pictures") == 0
    assert "other pictures" not in capsys.readouterr().out
    assert read_run(begun / "run").config.dataset.endswith("pictures")


def test_a_moved_run_goes_on_where_it_is_now(begun: Path) -> None:
    (begun / "run").rename(begun / "moved")
    assert read_run(begun / "moved").config.output_dir == str(begun / "moved")
    assert train("--resume", "--epochs", "2", "--output-dir", str(begun / "moved")) == 0
    assert not (begun / "run").exists()
    run = read_run(begun / "moved")
    assert run.status == "finished" and run.config.epochs == 2


def test_other_pictures_in_the_same_place_are_refused_until_they_are_named(
    begun: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(begun / "pics")
    pictures(begun / "pics", seed=1)
    before = (begun / "run" / "run.json").read_text()
    again = ("--resume", "--epochs", "2", "--output-dir", str(begun / "run"))
    assert train(*again) == 2
    said = capsys.readouterr().err
    assert "are not those that the run" in said and f"--dataset folder:{begun / 'pics'}" in said
    assert (begun / "run" / "run.json").read_text() == before
    assert train(*again, "--dataset", f"folder:{begun / 'pics'}") == 0
    assert "going on with other pictures than before: " in capsys.readouterr().out
    fingerprint = json.loads((begun / "run" / "run.json").read_text())["fingerprint"]
    assert fingerprint == load_checkpoint(begun / "run" / "model_final.pt")["fingerprint"]
    assert fingerprint != json.loads(before)["fingerprint"]


def test_the_pictures_of_a_model_are_named_anew_to_sample(begun: Path) -> None:
    model = load_model(begun / "run" / "model_final.pt")
    options = SampleConfig(num_images=1, start="image")
    expected = source_pictures(model, options)
    assert expected is not None
    (begun / "pics").rename(begun / "pictures")
    with pytest.raises(UserError, match="say where with --data-dir"):
        source_pictures(model, options)
    found = source_pictures(model, options, str(begun / "pictures"))
    assert found is not None and torch.equal(found.images, expected.images)


CHANGES: dict[str, Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]] = {
    "a pixel": lambda images, labels: (images.index_fill(0, torch.tensor([1]), 3), labels),
    "a label": lambda images, labels: (images, labels.index_fill(0, torch.tensor([1]), 1)),
    "the order": lambda images, labels: (images.flip(0), labels),
    "the shape": lambda images, labels: (images.reshape(4, 2, 8, 1), labels),
    "one fewer": lambda images, labels: (images[1:], labels[1:]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_tells_pictures_apart_and_knows_a_copy(change: str) -> None:
    images = torch.arange(64, dtype=torch.uint8).reshape(4, 4, 4, 1)
    labels = torch.zeros(4, dtype=torch.int64)
    original = ImageSet("a", images, labels, ("x", "y"))
    assert original.fingerprint == ImageSet("folder:b", images.clone(), labels.clone(), ("x", "y")).fingerprint
    assert original.fingerprint != ImageSet("a", *CHANGES[change](images, labels), ("x", "y")).fingerprint


# --- a target that was passed


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"epochs": 1}, "has 12 of 6 steps already; ask for more --epochs than 1"),
        ({"epochs": 2}, "is finished already, after 12 steps"),
        ({"budget": "1s"}, "was trained for 100 s already; ask for a longer --budget than 1s"),
    ],
    ids=str,
)
def test_a_target_already_passed_is_refused_and_nothing_changes(
    tiny_run: Path, tiny_config: Config, tmp_path: Path, asked: dict[str, Any], said: str
) -> None:
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    if "budget" in asked:
        saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)
        torch.save(saved | {"seconds": 100.0}, folder / "checkpoints" / "last.pt")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(UserError) as error:
        Trainer(tiny_config(folder, **asked), resume=True)
    assert said in str(error.value) and "\n" not in str(error.value)
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("small_glyphs")
def test_a_run_stopped_at_an_earlier_target_ends_there(tiny_config: Config, tmp_path: Path) -> None:
    events = iter(Trainer(tiny_config(tmp_path / "run", sample_interval=0, epochs=3)))
    for event in events:
        if isinstance(event, Step) and event.step == 12:
            break
    events.close()
    list(Trainer(tiny_config(tmp_path / "run", sample_interval=0, epochs=2), resume=True))
    assert (read_run(tmp_path / "run").status, read_run(tmp_path / "run").step) == ("finished", 12)


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("content", ["", "{", '{"config": 7}', None])
def test_a_lost_run_json_is_no_loss(tiny_run: Path, tiny_config: Config, tmp_path: Path, content: str | None) -> None:
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    (folder / "run.json").unlink() if content is None else (folder / "run.json").write_text(content)
    own = saved_config(RunDir(folder))
    assert own["epochs"] == 2
    list(Trainer(TrainConfig.continued(own, {"epochs": 3, "output_dir": str(folder), "sample_interval": 0}), resume=True))
    assert read_run(folder).step == 18


# --- by step, not by the time of a file


def test_order_is_by_step_and_never_by_the_time_of_a_file(tiny_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    for epoch in (1000, 999, 3):  # the later the epoch, the older the file
        for place in (folder / "samples" / f"epoch_{epoch:03d}.png", RunDir(folder).checkpoint(epoch)):
            shutil.copy(tiny_run / "samples" / "epoch_001.png", place)
            os.utime(place, (10_000 - epoch, 10_000 - epoch))
    newest = newest_samples(folder)
    assert newest is not None and newest.name == "epoch_1000.png"
    names = [path.name for path in RunDir(folder).epoch_checkpoints()]
    assert names == [f"model_epoch_{epoch:03d}.pt" for epoch in (1, 2, 3, 999, 1000)]
    listed = [path.name for _, path in next(checkpoints(tmp_path))]
    assert listed == ["model_final.pt", *reversed(names), embedded_model().name]


@pytest.mark.usefixtures("small_glyphs")
def test_the_newest_weights_of_a_run_that_goes_on_are_not_those_it_once_ended_with(
    tiny_run: Path, tiny_config: Config, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_run, tmp_path / "run")
    events = iter(Trainer(tiny_config(folder, epochs=3, sample_interval=0), resume=True))
    next(events)
    events.close()
    os.utime(folder / "model_final.pt")
    assert read_run(folder).checkpoint == folder / "checkpoints" / "last.pt"
    list(Trainer(tiny_config(folder, epochs=3, sample_interval=0), resume=True))
    os.utime(folder / "checkpoints" / "last.pt")
    assert read_run(folder).checkpoint == folder / "model_final.pt"


@pytest.mark.usefixtures("small_glyphs")
def test_pictures_that_were_named_anew_are_said_by_the_engine_too(tiny_config: Config, tmp_path: Path) -> None:
    pictures(tmp_path / "a")
    pictures(tmp_path / "b", seed=1, count=40)
    first = tiny_config(tmp_path / "run", dataset=f"folder:{tmp_path / 'a'}", sample_interval=0, batch_size=8)
    list(Trainer(first))
    second = tiny_config(tmp_path / "run", dataset=f"folder:{tmp_path / 'b'}", sample_interval=0, batch_size=8, epochs=3)
    events = list(Trainer(second, resume=True))
    assert isinstance(events[0], Noted) and "other pictures than before" in events[0].text
    assert read_run(tmp_path / "run").status == "finished"
