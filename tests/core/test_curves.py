"""The figures of a run in TensorBoard's files, where that is installed; one sentence where it is not."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.errors import UserError
from core.runs.folder import RunDir
from core.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("small_glyphs")


def test_without_the_package_nothing_begins(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.runs.curves.PACKAGE", "no_such_tensorboard")
    with pytest.raises(UserError, match=r"tensorboard is not installed; .* or leave --log out"):
        Trainer(tiny_config(tmp_path / "run", log="tensorboard"))
    assert not (tmp_path / "run").exists()


def test_every_line_of_metrics_is_there_once_after_a_resume(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny_config(tmp_path / "run", log="tensorboard", sample_interval=0)
    trainer = Trainer(config)
    for _ in trainer:
        if trainer.step == 11:
            trainer.stop()
    for _ in Trainer(replace(config, epochs=5), resume=True):
        pass
    run = RunDir(config.output_dir)
    events = EventAccumulator(str(run.curves))
    events.Reload()
    lines = run.read_metrics()
    assert [(event.step, pytest.approx(event.value)) for event in events.Scalars("loss")] == [
        (line["step"], line["loss"]) for line in lines
    ]
    assert {"grad_norm", "lr", "loss by t/quarter 1"} <= set(events.Tags()["scalars"])
    with pytest.raises(UserError, match="already holds a run"):
        Trainer(config)
    fresh = Trainer(replace(config, log=""), overwrite=True)
    for _ in fresh:
        break
    assert not list(run.curves.iterdir())
