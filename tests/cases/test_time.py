"""Kind J: the time of a run is that of its steps and samples, whatever it was stopped for, and everyone tells the same."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.config import TrainConfig
from core.runs.folder import RunDir, read_run
from core.runs.pace import seconds_a_step, seconds_left
from core.training.clock import STOPPED, TICK, Clock
from core.training.events import Finished, RolledBack, Samples, Step
from core.training.trainer import Trainer
from tests.core.test_faults import grow
from tinydiff_tui.jobs.runs import RunList
from tinydiff_tui.jobs.training import Training
from tinydiff_tui.text import duration

Config = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("small_glyphs")


class Watch:
    """A time that goes on when it is told to."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@given(spans=st.lists(st.tuples(st.floats(0, TICK), st.floats(STOPPED + 0.01, 1e4) | st.just(0.0)), max_size=40))
def test_a_clock_takes_out_what_the_process_was_stopped_for(spans: list[tuple[float, float]]) -> None:
    watch = Watch()
    clock = Clock(watch)
    began = ran = clock()
    for running, stopped in spans:
        watch.time += running + stopped
        ran += running
        clock()
    stops = sum(stopped > 0 for _, stopped in spans)
    assert clock() - began == pytest.approx(ran - began, abs=TICK * stops + 1e-6)


def test_what_a_consumer_does_with_an_event_is_no_training(tiny_config: Config, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0))
    watch = Watch()
    trainer._clock = Clock(watch)
    for event in trainer:
        if isinstance(event, Step):
            assert event.seconds == 0.0
        watch.time += 0.4  # below STOPPED: nothing but the pull itself tells
    assert trainer.state.seconds == 0.0


@pytest.mark.slow
def test_a_stopped_process_trains_no_longer_for_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--dataset", "glyphs", "--model", "tiny", "--threads", "1",
               "--batch-size", "8", "--sample-interval", "0", "--save-interval", "0", "--plain", "--budget", "6s",
               "--output-dir", "run"]  # fmt: skip
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while "eta" not in (line := process.stdout.readline()):
            assert line, "it ended before its first line"
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(8)
        process.send_signal(signal.SIGCONT)
        process.communicate()
    lines = [{"step": 0, "seconds": 0.0}, *RunDir(tmp_path / "run").read_metrics()]
    assert max(b["seconds"] - a["seconds"] for a, b in pairwise(lines)) < 5
    assert lines[-1]["seconds"] == pytest.approx(6, abs=2)


def test_a_budget_holds_for_the_samples_too(tiny_config: Config, tmp_path: Path) -> None:
    events = list(Trainer(tiny_config(tmp_path / "run", budget="4s", warmup=2, sample_interval=1000)))
    steps = [event for event in events if isinstance(event, Step)]
    whole_epochs = steps[-1].step % steps[-1].steps_per_epoch == 0  # whose samples are due every thousand
    assert isinstance(events[-1], Finished) and (whole_epochs or any(isinstance(event, Samples) for event in events))
    slowest = max((b.seconds - a.seconds for a, b in pairwise(steps)), default=steps[-1].seconds)
    assert steps[-1].seconds <= 4 + slowest, "something is kept for the samples"
    assert events[-1].seconds < 4 + 2 * slowest + 0.5 * (events[-1].seconds - steps[-1].seconds)


def test_the_seconds_of_a_run_are_those_of_the_steps_that_count(tiny_config: Config, tmp_path: Path) -> None:
    """After a rollback, and after a resume from an older checkpoint."""
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, on_nan="rollback", epochs=4))
    before: dict[int, float] = {}
    events = iter(trainer)
    for event in events:
        if isinstance(event, Step):
            before[event.step] = event.seconds
            if event.step == 12:
                trainer.checkpoint_now()
            if event.step == 18:
                grow(trainer, math.inf)
        if isinstance(event, RolledBack):
            break
    assert before[11] < trainer.state.seconds < before[14]
    step = next(event for event in events if isinstance(event, Step))
    assert step.step == 14 and before[12] < step.seconds
    assert step.images_per_second == pytest.approx(16 / seconds_a_step([(10, _seconds(tmp_path / "run", 10))]), rel=1e-6)
    events.close()


def _seconds(folder: Path, step: int) -> float:
    return next(float(line["seconds"]) for line in RunDir(folder).read_metrics() if line["step"] == step)


LATELY: list[tuple[list[tuple[int, float]], float]] = [
    ([], math.nan),
    ([(10, 5.0)], 0.5),
    ([(10, 25.0), (20, 30.0)], 0.5),
    ([(100, 1e3), (110, 1001.0), (120, 1002.0)], 0.1),
    ([(10, 5.0), (10, 5.0)], math.nan),
    ([(20, 5.0), (10, 9.0)], math.nan),
    ([(10, math.nan), (20, 3.0)], math.nan),
    ([(10, 5.0), (20, 1.0)], math.nan),
]


@pytest.mark.parametrize(("lately", "expected"), LATELY)
def test_the_pace_of_a_run(lately: list[tuple[int, float]], expected: float) -> None:
    assert seconds_a_step(lately) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("budget", "step", "seconds", "expected"),
    [("", 40, 20.0, 30.0), ("", 100, 50.0, 0.0), ("90s", 40, 20.0, 70.0), ("90s", 40, 95.0, 0.0)],
)
def test_the_time_that_is_left(budget: str, step: int, seconds: float, expected: float) -> None:
    assert seconds_left(TrainConfig.of(budget=budget), step, 100, seconds, 0.5) == expected


@pytest.mark.parametrize("change", [{}, {"budget": "1h"}], ids=str)
def test_the_dashboard_and_runs_tell_the_same_rate_and_the_same_end(
    tiny_config: Config, tmp_path: Path, change: dict[str, str]
) -> None:
    """Of a run that was stopped and resumed, at a line of its metrics."""
    config = tiny_config(tmp_path / "run", sample_interval=0, epochs=1000, **change)
    for stop, resume in ((15, False), (40, True)):
        training = Training(config, resume=resume)
        events = iter(training)
        for event in events:
            if isinstance(event, Step) and event.step == stop:
                view = training.snapshot(event)
                if resume:
                    info = json.loads((tmp_path / "run" / "run.json").read_text())
                    (tmp_path / "run" / "run.json").write_text(json.dumps(info | {"total_steps": view.total_steps}))
                    (row,) = RunList(tmp_path).read()
                break
        events.close()
    assert f"{view.images_per_second:.0f} images/s" in row.pulse
    assert f"{duration(view.eta_seconds)} left" in row.pulse
    assert row.curve.y[-1] == pytest.approx(view.loss, abs=1e-6)
    assert read_run(tmp_path / "run").step == 40
