"""Kinds P, E and M of a run: lock before looking, weights before logs, done after doing; by-products decide nothing; and no
checkpoint holds what is no number."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.compute.distributed import is_first
from core.config import TrainConfig
from core.errors import Diverged, UserError, out_of_memory
from core.plots import save_loss_plot, thinned
from core.runs.checkpoint import load_checkpoint
from core.runs.folder import RunDir, _lock_failure, read_run
from core.training.events import EpochEnd, Finished, Noted, RolledBack, Saved, Step
from core.training.trainer import Trainer
from tests.core.compare import assert_same_run, metrics
from tinydiff_tui.cli import run as command
from tinydiff_tui.jobs.jobs import Job
from tinydiff_tui.jobs.training import Training, headline

Config = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("small_glyphs")


def pull(trainer: Trainer, steps: int) -> Any:
    """The events of a run that has come to this step."""
    events = iter(trainer)
    for event in events:
        if isinstance(event, Step) and event.step >= steps:
            return events
    raise AssertionError("ended before")


# --- lock first, then look (D7)


def test_a_second_run_that_looked_before_the_first_began_replaces_nothing(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0)
    first, second = Trainer(config), Trainer(tiny_config(tmp_path / "run", sample_interval=0, seed=1))
    list(first)
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="already holds a run"):
        list(second)
    assert before == {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}


@pytest.mark.parametrize("checkpoint", [None, "model_epoch_001.pt"])
def test_a_late_resume_does_not_go_back(tiny_config: Config, tmp_path: Path, checkpoint: str | None) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0)
    pull(Trainer(config), 8).close()
    older = tmp_path / "run" / "checkpoints" / checkpoint if checkpoint else None
    late = Trainer(config, resume=True, checkpoint=older)
    list(Trainer(config, resume=True))
    with pytest.raises(UserError, match=r"another process has trained in .* meanwhile"):
        list(late)
    assert read_run(tmp_path / "run").status == "finished"
    assert [line["step"] for line in metrics(tmp_path / "run")] == [10, 12]
    assert load_checkpoint(RunDir(tmp_path / "run").last)["step"] == 12


# --- weights first, logs optional, the first error kept (D8)


def test_without_its_metrics_a_run_still_saves_at_the_end(tiny_config: Config, tmp_path: Path) -> None:
    events = pull(Trainer(tiny_config(tmp_path / "run", sample_interval=0)), 11)
    RunDir(tmp_path / "run").metrics.unlink()
    events.close()
    assert load_checkpoint(RunDir(tmp_path / "run").last)["step"] == 11


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_lines_that_cannot_be_written_are_said_once_and_go_into_the_next(tiny_config: Config, tmp_path: Path, kind: str) -> None:
    run = RunDir(tmp_path / "run")
    events = iter(Trainer(tiny_config(run.path, sample_interval=0, epochs=6)))
    next(events)
    run.metrics.mkdir() if kind == "folder" else os.mkfifo(run.metrics)
    seen: list[Any] = []
    for event in events:
        seen.append(event)
        if isinstance(event, Step) and event.step == 25:
            run.metrics.rmdir() if kind == "folder" else run.metrics.unlink()
    assert isinstance(seen[-1], Finished)
    assert sum(isinstance(event, Noted) and "a line of metrics" in event.text for event in seen) == 1
    losses = [event.loss.item() for event in seen if isinstance(event, Step)]
    first, *_ = lines = metrics(run.path)
    assert [line["step"] for line in lines] == [30, 36]
    assert first["loss"] == pytest.approx(np.mean([lines[0]["loss"]])) and len(losses) == 35
    assert first["loss"] == pytest.approx(np.mean(losses[:29]), rel=0.1), "of all thirty steps"


class Broken(Exception):
    """Of a consumer."""


def test_the_first_error_is_kept_and_the_later_ones_are_its_notes(tiny_config: Config, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    events = pull(Trainer(tiny_config(run.path, sample_interval=0)), 3)
    run.last.unlink()
    (run.last / "in the way").mkdir(parents=True)
    with pytest.raises(Broken) as error:
        events.throw(Broken("the first"))
    assert any("last.pt" in note for note in error.value.__notes__)
    assert read_run(run.path).status == "stopped", "the status is written all the same"


def test_a_stop_that_cannot_save_says_so(tiny_config: Config, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    events = pull(Trainer(tiny_config(run.path, sample_interval=0)), 3)
    run.last.unlink()
    (run.last / "in the way").mkdir(parents=True)
    with pytest.raises(UserError, match=r"last\.pt is a folder"):
        events.close()


# --- done after doing (D9)


def test_an_epoch_whose_checkpoint_failed_is_still_owed(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "run")
    trainer = Trainer(tiny_config(run.path))
    events = iter(trainer)
    next(events)
    (run.checkpoint(1) / "in the way").mkdir(parents=True)
    with pytest.raises(UserError, match=r"model_epoch_001\.pt is a folder"):
        list(events)
    shutil.rmtree(run.checkpoint(1))
    assert load_checkpoint(run.last)["step"] == 6
    rest = list(Trainer(tiny_config(run.path), resume=True))
    assert [event.epoch for event in rest if isinstance(event, EpochEnd)] == [1, 2]
    assert_same_run(tiny_run, run.path)


# --- by-products


def block_plot(run: RunDir) -> None:
    (run.loss_plot / "in the way").mkdir(parents=True)


def block_samples(run: RunDir) -> None:
    (run.path / "samples").write_text("in the way")


def block_pruning(run: RunDir) -> None:
    (run.checkpoint(0) / "in the way").mkdir(parents=True)


@pytest.mark.parametrize(
    ("block", "said"),
    [(block_plot, "no plot of the loss"), (block_samples, "no samples of epoch 1"), (block_pruning, "old checkpoints stay")],
)
def test_a_by_product_never_decides_the_outcome(
    tiny_config: Config, tmp_path: Path, block: Callable[[RunDir], None], said: str
) -> None:
    run = RunDir(tmp_path / "run")
    events = iter(Trainer(tiny_config(run.path, keep_last=1)))
    next(events)
    block(run)
    rest = list(events)
    assert isinstance(rest[-1], Finished)
    notes = [event.text for event in rest if isinstance(event, Noted)]
    assert any(note.startswith(said) and "\n" not in note for note in notes), notes
    assert read_run(run.path).status == "finished"


TITLES = ["$x$", r"$\frac{", r"\undefined $", "a_b^c", "猫 🐈", "100 %", "\x1b[31m", "[/]", "x" * 500, "$" * 7]


@pytest.mark.parametrize("title", TITLES)
def test_no_title_is_read_as_a_formula_and_nothing_is_printed(
    tmp_path: Path, title: str, capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    save_loss_plot(tmp_path / "loss.png", [1, 2, 3], [3.0, 2.0, 1.0], title)
    assert (tmp_path / "loss.png").stat().st_size > 1000
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings_of_a_user",
    [{"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {"MPLBACKEND": "qtagg"}, {"MPLCONFIGDIR": "/dev/null/no"}, {}],
    ids=str,
)
def test_no_setting_of_matplotlib_has_a_say(tmp_path: Path, settings_of_a_user: dict[str, str]) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: no such font\nnonsense: 7\nfigure.dpi: many\n")
    code = (
        "from pathlib import Path; from core.plots import save_loss_plot; save_loss_plot(Path('a.png'), [1, 2], [2.0, 1.0], '$x')"
    )
    path = {"PYTHONPATH": str(Path(__file__).parents[2])}
    env = os.environ | path | settings_of_a_user
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "a.png").exists()


@settings(deadline=None)
@given(losses=st.lists(st.floats(0, 10), max_size=300), most=st.integers(2, 50).map(lambda half: 2 * half))
def test_a_curve_takes_room_for_what_is_drawn_only(losses: list[float], most: int) -> None:
    steps, means = thinned(((10 * n, loss) for n, loss in enumerate(losses, start=1)), most)
    assert len(steps) == len(means) <= most
    assert steps == sorted(set(steps))
    if len(losses) < most:
        assert means == losses
    if means:
        share = steps[-1] // 10
        assert np.mean(means) == pytest.approx(np.mean(losses[:share])), "neighbours count alike"


# --- locks and requests


@pytest.mark.parametrize(
    ("number", "way"),
    [
        (errno.EACCES, "permission denied; check its permissions"),
        (errno.EROFS, "read-only file system; its file system can only be read"),
        (errno.ENOSPC, "no space left on device; free some space"),
        (errno.ENOLCK, "no locks available; its file system knows no locks"),
        (errno.ENOTSUP, "its file system knows no locks"),
        (errno.EIO, "input/output error; try again"),
    ],
)
def test_a_lock_that_cannot_be_had_names_its_cause(tmp_path: Path, number: int, way: str) -> None:
    said = _lock_failure(tmp_path, OSError(number, os.strerror(number)))
    assert way in said and said.endswith("or choose another --output-dir")
    assert ("free some space" in said) is (number == errno.ENOSPC)


def test_a_folder_in_place_of_the_lock_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match="cannot be locked for this run: is a directory; try again, or choose another"):
        RunDir(tmp_path).lock()


def test_a_request_that_cannot_be_taken_away_is_not_answered_for_ever(tmp_path: Path) -> None:
    (tmp_path / "control" / "stop").mkdir(parents=True)
    (tmp_path / "control" / "sample").touch()
    assert RunDir(tmp_path).take_requests() == ["sample"]
    assert RunDir(tmp_path).take_requests() == []


# --- numbers


def test_the_first_line_after_an_extension_is_the_mean_of_its_steps(tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "run", sample_interval=0)))
    more = list(Trainer(tiny_config(tmp_path / "run", sample_interval=0, epochs=4), resume=True))
    steps = [event for event in more if isinstance(event, Step)]
    lines = {line["step"]: line for line in metrics(tmp_path / "run")}
    assert sorted(lines) == [10, 12, 20, 24]
    assert lines[20]["loss"] == pytest.approx(np.mean([event.loss.item() for event in steps[:8]]), abs=1e-5)
    assert lines[20]["grad_norm"] == pytest.approx(np.mean([event.grad_norm.item() for event in steps[:8]]), rel=1e-4)
    assert lines[24]["loss"] == pytest.approx(np.mean([event.loss.item() for event in steps[8:]]), abs=1e-5)


SPOILT: dict[str, Callable[[Trainer], torch.Tensor]] = {
    "weights": lambda trainer: next(trainer.state.network.parameters()),
    "average": lambda trainer: next(trainer.state.ema.network.parameters()),
    "optimizer": lambda trainer: next(iter(trainer.state.optimizers[0].state.values()))["momentum"],
}


@pytest.mark.parametrize("what", SPOILT)
@pytest.mark.parametrize("at", [5, 6, 12], ids=["stop", "epoch", "end"])
def test_no_checkpoint_holds_what_is_no_number(tiny_config: Config, tmp_path: Path, what: str, at: int) -> None:
    run = RunDir(tmp_path / "run")
    trainer = Trainer(tiny_config(run.path, sample_interval=0))
    events = pull(trainer, 3)
    trainer.checkpoint_now()
    while not isinstance(next(events), Saved):
        pass
    good = load_checkpoint(run.last)["step"]
    while trainer.step < at:
        next(events)
    with torch.no_grad():
        SPOILT[what](trainer).fill_(torch.inf)
    with pytest.raises(Diverged, match="--resume and a lower --lr"):
        events.close() if at == 5 else list(events)
    assert read_run(run.path).status == "diverged"
    assert load_checkpoint(run.last)["step"] == good
    assert not run.final.exists()
    for path in run.epoch_checkpoints():
        saved = load_checkpoint(path)
        assert all(value.isfinite().all() for name in ("model", "ema") for value in saved[name].values())


def test_weights_that_are_no_numbers_at_an_epochs_end_are_rolled_back(tiny_config: Config, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, on_nan="rollback"))
    events = pull(trainer, 6)
    with torch.no_grad():
        next(trainer.state.ema.network.parameters()).fill_(torch.nan)
    rest = list(events)
    assert isinstance(rest[0], RolledBack) and rest[0].step == 0
    assert isinstance(rest[-1], Finished)
    assert all(value.isfinite().all() for value in load_checkpoint(tmp_path / "run" / "model_final.pt")["ema"].values())


def test_quarters_and_headline_cover_the_same_steps(tiny_config: Config, tmp_path: Path) -> None:
    training = Training(tiny_config(tmp_path / "run", sample_interval=0, epochs=5))
    for number, event in enumerate(training):
        if number % 7 == 0 or isinstance(event, Step):  # however often the screen looks
            view = training.snapshot(event)
        if isinstance(event, Step) and event.step == 20:
            break
    line = next(line for line in metrics(tmp_path / "run") if line["step"] == 20)
    assert view.loss == pytest.approx(line["loss"], abs=1e-5)
    assert view.quartiles == pytest.approx(line["quartiles"], abs=1e-5)


def test_a_headline_is_the_mean_of_its_steps() -> None:
    rows = [np.array([2.0, 4, 0, 0, 0, 2, 0, 0, 0]), np.array([4.0, 0, 8, 0, 0, 0, 2, 0, 0])]
    loss, quarters = headline(rows)
    assert loss == 3.0 and quarters[:2] == (2.0, 4.0) and np.isnan(quarters[2:]).all()
    assert np.isnan(headline([])[0])


GREEDY: dict[str, Callable[[], object]] = {
    "torch": lambda: torch.empty(1 << 50),
    "numpy": lambda: np.ones(1 << 50),
    "python": lambda: bytearray(1 << 60),
}


@pytest.mark.parametrize("kind", GREEDY)
def test_memory_that_runs_out_is_a_sentence_in_command_and_app(
    kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tinydiff_tui.commands.runs.run", lambda options: GREEDY[kind]())
    assert command(["runs"]) == 2
    assert capsys.readouterr().err == "tinydiff-tui: not enough memory; use a smaller batch, fewer images or a smaller model\n"
    said, _ = Job("any", None).pull(lambda: (GREEDY[kind]() for _ in range(1)), lambda item: item)  # type: ignore[arg-type]
    assert said == "not enough memory; use a smaller batch, fewer images or a smaller model"
    assert not out_of_memory(RuntimeError("a bug"))


# --- torchrun's environment (D12)


@pytest.mark.parametrize(
    ("name", "value"),
    [("WORLD_SIZE", "two"), ("WORLD_SIZE", "0"), ("WORLD_SIZE", "-1"), ("WORLD_SIZE", "9" * 30), ("RANK", "x"), ("RANK", "2"),
     ("RANK", ""), ("RANK", "٣"), ("LOCAL_RANK", "x"), ("LOCAL_RANK", "-1"), ("MASTER_PORT", "x"), ("MASTER_PORT", "0"),
     ("MASTER_PORT", "65536"), ("MASTER_PORT", None), ("RANK", None)],
)  # fmt: skip
def test_an_environment_that_makes_no_sense_is_one_sentence(
    name: str, value: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "29511"}
    for known, good in whole.items():
        monkeypatch.setenv(known, good)
    monkeypatch.delenv(name) if value is None else monkeypatch.setenv(name, value)
    for words in (["train", "--output-dir", str(tmp_path / "run")], ["train", "--detach", "--output-dir", str(tmp_path / "run")]):
        assert command(words) == 2
        said = capsys.readouterr().err
        assert said.startswith(f"tinydiff-tui: {name} of the environment must be a whole number from ")
        assert said.count("\n") == 1
    assert is_first()
    assert not (tmp_path / "run").exists()


def test_run_json_knows_its_pictures(tiny_run: Path) -> None:
    info = json.loads((tiny_run / "run.json").read_text())
    assert info["fingerprint"] == load_checkpoint(tiny_run / "model_final.pt")["fingerprint"]
