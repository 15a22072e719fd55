"""Run folders as they are read: torn, live, crashed, or nonsense."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.runs import RunDir, RunInfo, find_runs, read_run

FUZZ = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
NUMBERS = st.integers() | st.floats() | st.just(10**400) | st.just(-(10**400))
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def line(step: int) -> str:
    return json.dumps({"step": step, "loss": 0.5}) + "\n"


def write_run(folder: Path, base: Any, **changes: Any) -> Path:
    """A run.json with these changes."""
    info = {"config": base.to_dict(), "status": "finished", "started": 1.0, "step": 3, "total_steps": 3, "device": "cpu"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run.json").write_text(json.dumps(info | changes))
    return folder


@pytest.mark.parametrize("torn", ["", '{"step": 40, "lo', '{"step": 40, "loss": 1}', "\0\0\0\0\n", '"text"\n', "[]\n"])
def test_metrics_are_cut_back_to_a_step_and_rid_of_torn_lines(tmp_path: Path, torn: str) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_text(line(10) + line(20) + line(30) + torn)
    assert [e["step"] for e in run.read_metrics()] == [10, 20, 30]
    run.truncate_metrics(30)
    assert run.metrics.read_text() == line(10) + line(20) + line(30)
    run.truncate_metrics(25)
    assert run.metrics.read_text() == line(10) + line(20)
    run.truncate_metrics(0)
    assert run.metrics.read_text() == ""


def test_metrics_that_are_not_there(tmp_path: Path) -> None:
    RunDir(tmp_path).truncate_metrics(5)
    assert RunDir(tmp_path).read_metrics() == []
    assert list(tmp_path.iterdir()) == []


def test_following_metrics_gives_each_line_once_and_waits_for_whole_ones(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_text(line(10) + line(20))
    first = list(run.follow_metrics(0))
    assert [e["step"] for e in first] == [10, 20]
    assert [e["offset"] for e in first] == [len(line(10)), len(line(10) + line(20))]
    end = first[-1]["offset"]
    assert list(run.follow_metrics(end)) == []
    with run.metrics.open("a") as file:
        file.write(line(30)[:7])
    assert list(run.follow_metrics(end)) == []
    with run.metrics.open("a") as file:
        file.write(line(30)[7:])
    assert [e["step"] for e in run.follow_metrics(end)] == [30]


def test_finding_runs_newest_first_with_the_unreadable_ones_as_errors(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    config = tiny_config(tmp_path)
    write_run(tmp_path / "a", config, started=1.0)
    write_run(tmp_path / "deep" / "er" / "b", config, started=2.0)
    (write_run(tmp_path / "bad", config) / "run.json").write_text("{")
    (tmp_path / ".hidden").mkdir()
    write_run(tmp_path / ".hidden" / "c", config)
    found = find_runs(tmp_path)
    assert [run.path.name for run in found if isinstance(run, RunInfo)] == ["b", "a"]
    errors = [run for run in found if isinstance(run, UserError)]
    assert len(errors) == 1
    assert "bad" in str(errors[0])
    assert find_runs(tmp_path / "none") == []


def test_a_running_run_without_its_process_has_crashed(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    folder = write_run(tmp_path, tiny_config(tmp_path), status="running")
    assert read_run(folder).status == "crashed"
    lock = RunDir(folder).lock()
    assert read_run(folder).status == "running"
    lock.release()
    assert read_run(folder).status == "crashed"


def test_the_checkpoint_of_a_run_is_its_final_model(tiny_run: Path) -> None:
    info = read_run(tiny_run)
    assert info.checkpoint == tiny_run / "model_final.pt"
    assert (info.step, info.total_steps, info.status) == (12, 12, "finished")


def read_or_refuse(folder: Path) -> None:
    try:
        read_run(folder)
    except UserError as error:
        assert "\n" not in str(error)
    find_runs(folder)


@FUZZ
@given(content=st.binary(max_size=200))
def test_any_bytes_as_run_json(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.json").write_bytes(content)
    read_or_refuse(tmp_path)


@settings(FUZZ, max_examples=60)
@given(data=st.data())
def test_any_values_in_run_json(tmp_path: Path, tiny_config: Callable[..., Any], data: st.DataObject) -> None:
    config = tiny_config(tmp_path)
    key = data.draw(st.sampled_from(["config", "status", "started", "step", "total_steps", "device"]))
    write_run(tmp_path, config, **{key: data.draw(JSON)})
    read_or_refuse(tmp_path)
    field = data.draw(st.sampled_from(sorted(config.to_dict())))
    write_run(tmp_path, config, config=config.to_dict() | {field: data.draw(JSON)})
    read_or_refuse(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"config": ' * 50_000, "9" * 10_000], ids=["lists", "dicts", "digits"])
def test_deep_and_long_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    (tmp_path / "metrics.jsonl").write_text(content + "\n" + line(1))
    read_or_refuse(tmp_path)
    assert [e["step"] for e in RunDir(tmp_path).read_metrics()] == [1]


@FUZZ
@given(content=st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode() + b"\n"), step=st.integers(0, 100))
def test_any_bytes_as_metrics(tmp_path: Path, content: bytes, step: int) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_bytes(line(1).encode() + content)
    assert run.read_metrics()[0]["step"] == 1
    list(run.follow_metrics(3))
    run.truncate_metrics(max(step, 1))
    assert run.read_metrics()[0]["step"] == 1
