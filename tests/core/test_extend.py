"""A person's own file: what it registers stands in the table, trains, resumes and samples; a checkpoint never runs it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.compute.device import choose_compute
from core.config import SampleConfig, TrainConfig
from core.data.datasets import describe, open_dataset
from core.diffusion.generate import generate
from core.diffusion.schedule import NoiseSchedule
from core.errors import UserError
from core.extend import files, needs, schedule
from core.files import take_notices
from core.names import DATASETS, NETWORKS, OWN_FILES, SAMPLERS, SCHEDULES
from core.runs.checkpoint import export_safetensors, load_checkpoint, load_model
from core.runs.folder import RunDir, read_run
from core.training.trainer import Trainer
from tests.core.compare import same_tensors

EXAMPLE = Path(__file__).parents[2] / "examples" / "ideas.py"
OWN = {"model": "patches", "schedule": "steep", "dataset": "spirals", "objective": "v", "batch_size": 200, "epochs": 1}

pytestmark = pytest.mark.usefixtures("own_names")


def forget() -> None:
    """As in a program that was started without the flag."""
    for file in files.files():
        files.take(replace(file, entries=()))
    OWN_FILES.clear()


@pytest.fixture
def config(tiny_config: Callable[..., Any], tmp_path: Path) -> TrainConfig:
    files.load([str(EXAMPLE)])
    made: TrainConfig = tiny_config(tmp_path / "run", **OWN)
    return made


def trained(config: TrainConfig, **how: Any) -> Path:
    for _ in Trainer(config, **how):
        pass
    return RunDir(config.output_dir).final


def test_the_example_registers_one_of_each() -> None:
    files.load([str(EXAMPLE), str(EXAMPLE)])
    assert take_notices() == []
    assert len(files.files()) == 1
    assert {SCHEDULES["steep"].place, NETWORKS["patches"].place} == {"ideas.py: steep", "ideas.py: patches"}
    assert "Consistency models" in files.source_of("ideas", "restart") == SAMPLERS["restart"].text
    assert describe("spirals").status == "own file"
    data = open_dataset("spirals", "test")
    assert (len(data), data.side, data.classes) == (400, 28, ("left", "right"))
    path = NoiseSchedule("steep", 50)
    assert torch.all(path.alpha_bar.diff() < 0) and path.alpha_bar[0] > 0.999 and path.alpha_bar[-1] < 0.01
    assert torch.all(path.s > 0)


def test_an_own_run_stops_and_goes_on_as_if_it_had_not(config: TrainConfig, tmp_path: Path) -> None:
    whole = trained(config)
    parted = replace(config, output_dir=str(tmp_path / "parted"))
    trainer = Trainer(parted)
    for _ in trainer:
        if trainer.step == 4:
            trainer.stop()
    torch.rand(7)  # what else draws from torch's own generator must not matter to a dropout
    again = trained(parted, resume=True)
    assert same_tensors(load_checkpoint(whole)["model"], load_checkpoint(again)["model"])
    assert same_tensors(load_checkpoint(whole)["ema"], load_checkpoint(again)["ema"])


def test_muon_trains_an_own_network_too(config: TrainConfig) -> None:
    content = load_checkpoint(trained(replace(config, optimizer="muon")))
    assert len(content["optimizers"]) == 2


def test_a_checkpoint_says_what_it_needs_and_runs_nothing(config: TrainConfig, tmp_path: Path) -> None:
    final = trained(config)
    export_safetensors(final, tmp_path / "model.safetensors")
    digest = files.files()[0].digest
    assert load_checkpoint(final)["extend"] == [{"path": str(EXAMPLE), "digest": digest}]
    forget()
    assert "steep" not in SCHEDULES and "spirals" not in DATASETS
    for read in (load_checkpoint, load_model):
        for path in (final, tmp_path / "model.safetensors"):
            with pytest.raises(
                needs.NeedsFile, match=rf"needs ideas.py, .*'patches'.*'steep'.*'spirals'; start with --extend {EXAMPLE}"
            ):
                read(path)
    with pytest.raises(needs.NeedsFile, match="--extend"):
        read_run(final.parent)
    with pytest.raises(needs.NeedsFile, match="--extend"):
        trained(config, resume=True)
    files.load([str(EXAMPLE)])
    assert load_model(tmp_path / "model.safetensors").config.model == "patches"
    assert read_run(final.parent).config == config


def test_an_own_sampler_draws_from_a_model_of_the_program(tiny_run: Path) -> None:
    files.load([str(EXAMPLE)])
    model = load_model(tiny_run / "model_final.pt")
    options = SampleConfig(num_images=3, sampler="restart", steps=4)
    *_, last = generate(model, options, choose_compute("cpu", "fp32", 2))
    assert last.evaluations == 4 and last.frame.x.shape == (3, 1, 28, 28)
    assert (
        "extend" not in load_checkpoint(tiny_run / "model_final.pt") or not load_checkpoint(tiny_run / "model_final.pt")["extend"]
    )


def test_another_digest_is_said(config: TrainConfig, tmp_path: Path) -> None:
    copy = tmp_path / "mine.py"
    copy.write_text(EXAMPLE.read_text())
    final = trained(config)
    forget()
    files.load([str(copy)])
    load_model(final)
    assert take_notices() == [], "the same text elsewhere is the same"
    copy.write_text(EXAMPLE.read_text() + "\n# another one\n")
    forget()
    files.load([str(copy)])
    load_model(final)
    assert take_notices() == [f"{copy} changed since this run was trained with it"]


def test_what_is_read_again_takes_the_old_place_but_not_a_trainings(tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    text = "from core.extend import schedule\n@schedule('{}')\ndef f(u): return 1 - u ** {}\n"
    mine.write_text(text.format("bent", 2))
    files.load([str(mine)])
    before = SCHEDULES["bent"]
    mine.write_text(text.format("bent", 3))
    files.take(files.read(mine), keep=[before])
    assert SCHEDULES["bent"] is before
    files.take(files.read(mine))
    assert SCHEDULES["bent"] is not before
    assert NoiseSchedule("bent", 10).alpha_bar[4].item() == pytest.approx(1 - 0.5**3)
    mine.write_text(text.format("other", 3))
    files.take(files.read(mine))
    assert "bent" not in SCHEDULES and "other" in SCHEDULES


def test_the_decorators_do_nothing_while_nobody_reads_a_file() -> None:
    assert schedule("linear")(abs)(-2) == 2
    assert SCHEDULES["linear"].origin == ""


def test_a_learned_variance_is_not_for_an_own_network(config: TrainConfig) -> None:
    with pytest.raises(UserError, match="no output for a variance"):
        TrainConfig.of(model="patches", objective="epsilon", learn_variance=True)
