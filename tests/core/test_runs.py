"""Run folders as they are read: torn, live, crashed, or nonsense."""

import dataclasses
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import UserError
from core.runs.folder import RunDir, RunInfo, find_runs, read_run
from core.runs.metrics import MetricsReader
from core.runs.remarks import Verdict, best, keep_verdict, read_note, read_verdicts, write_note

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


VERDICT = Verdict(
    time=1.0, checkpoint="model_final.pt", step=12, sampler="unipc", evaluations=6, guidance=1.75, seed=0, count=256,
    distance=3.5, floor=0.5, precision=0.8, recall=0.7, judge="glyphs judge CNN v1", version=1, accuracy=0.99, seconds=4.0,
)  # fmt: skip


def test_verdicts_are_kept_with_the_run_of_their_checkpoint(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    run = RunDir(write_run(tmp_path / "run", tiny_config(tmp_path)))
    assert read_verdicts(run) == [] and best([]) is None
    later = dataclasses.replace(VERDICT, distance=4.5, time=2.0)
    assert keep_verdict(run.final, VERDICT) == keep_verdict(run.last, later) == run.verdicts
    assert read_verdicts(run) == [VERDICT, later] and best([VERDICT, later]) == VERDICT
    other = dataclasses.replace(later, version=2, distance=9.0)
    assert best([VERDICT, later, other]) == other  # another judge has another scale
    assert keep_verdict(tmp_path / "elsewhere" / "model.safetensors", VERDICT) is None
    assert not (tmp_path / "elsewhere").exists()
    run.clear()
    assert not run.verdicts.exists()


def test_a_killed_writer_costs_no_verdict_but_its_own(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    run = RunDir(write_run(tmp_path, tiny_config(tmp_path)))
    keep_verdict(run.final, VERDICT)
    with run.verdicts.open("a") as file:
        file.write('{"time": 3.0, "checkpo')
    keep_verdict(run.final, VERDICT)
    assert read_verdicts(run) == [VERDICT] * 2


@settings(FUZZ, max_examples=60)
@given(content=st.binary(max_size=300) | JSON.map(lambda v: json.dumps(v).encode()), data=st.data())
def test_any_bytes_as_verdicts(tmp_path: Path, content: bytes, data: st.DataObject) -> None:
    good = dataclasses.asdict(VERDICT)
    key = data.draw(st.sampled_from(sorted(good)))
    strange = json.dumps(good | {key: data.draw(JSON)}).encode()
    run = RunDir(tmp_path)
    run.verdicts.write_bytes(b"\n".join([json.dumps(good).encode(), content, strange, json.dumps(good).encode(), b""]))
    found = read_verdicts(run)
    assert found[0] == found[-1] == VERDICT and len(found) <= 3
    assert all(v.distance >= 0 and math.isfinite(v.distance) and v.judge.isprintable() for v in found)


@pytest.mark.parametrize(
    ("text", "kept"),
    [("  a\tb\n c ", "a b c"), ("\x1b[2J", "\N{REPLACEMENT CHARACTER}[2J"), ("\u4e16" * 300, "\u4e16" * 200), ("[b]", "[b]")],
)
def test_a_note_is_a_line_of_text(tmp_path: Path, text: str, kept: str) -> None:
    run = RunDir(tmp_path)
    assert read_note(run) == ""
    write_note(run, text)
    assert read_note(run) == kept
    write_note(run, "")
    write_note(run, " ")
    assert read_note(run) == "" and list(tmp_path.iterdir()) == []


def test_what_is_no_note_is_none(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    run.note.write_bytes(b"\xff\xfe" + b"x" * 5)
    assert read_note(run).isprintable()
    run.note.write_bytes(b"x" * 5000)
    assert read_note(run) == ""
    run.note.unlink()
    run.note.mkdir()
    assert read_note(run) == ""
    for text in ("", "text"):
        with pytest.raises(UserError, match="run_note"):
            write_note(run, text)
    run.note.rmdir()
    run.note.symlink_to(tmp_path.parent / "elsewhere")
    with pytest.raises(UserError, match="leads out of"):
        write_note(run, "text")


def steps(reader: MetricsReader) -> list[int]:
    return [entry["step"] for entry in reader.read()]


def test_following_metrics_gives_each_line_once_and_waits_for_whole_ones(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    reader = MetricsReader(run)
    assert steps(reader) == []
    run.metrics.write_text(line(10) + line(20))
    assert steps(reader) == [10, 20]
    assert steps(reader) == []
    with run.metrics.open("a") as file:
        file.write(line(30)[:7])
    assert steps(reader) == []
    with run.metrics.open("a") as file:
        file.write(line(30)[7:])
    assert steps(reader) == [30]
    assert not reader.is_stale()


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


@pytest.mark.parametrize("status", ["running", "paused", "stopped", "finished", "diverged"])
@pytest.mark.parametrize("live", [False, True])
def test_every_status(tmp_path: Path, tiny_config: Callable[..., Any], status: str, live: bool) -> None:
    folder = write_run(tmp_path, tiny_config(tmp_path), status=status)
    lock = RunDir(folder).lock() if live else None
    gone = status in ("running", "paused") and not live
    assert read_run(folder).status == ("crashed" if gone else status)
    if lock:
        lock.release()


def test_an_unknown_status_is_no_run_of_ours(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        read_run(write_run(tmp_path, tiny_config(tmp_path), status="\x1b[2J"))


def test_text_of_run_json_carries_no_control_characters(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    info = read_run(write_run(tmp_path / "a", tiny_config(tmp_path), device="\x1b]0;title\x07\ncpu"))
    assert info.device.isprintable()
    (write_run(tmp_path / "\x1b[2J", tiny_config(tmp_path)) / "run.json").write_text("{")
    (error,) = (run for run in find_runs(tmp_path) if isinstance(run, UserError))
    assert str(error).isprintable()


def test_what_a_killed_writer_left_goes_with_the_next_lock(tmp_path: Path) -> None:
    run = RunDir(tmp_path)
    for folder in ("", "checkpoints", "samples"):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / ".last.pt.abc.tmp").write_text("half")
    (tmp_path / "mine.tmp").touch()
    run.lock().release()
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {".lock", "mine.tmp"}


LINKS = [
    "run.json", "metrics.jsonl", "verdicts.jsonl", "run_note.txt",
    "model_final.pt", "train.log", ".lock", "training_loss.png", "checkpoints", "samples", "control",
    "checkpoints/last.pt", "checkpoints/model_epoch_001.pt", "samples/epoch_001.png", "control/stop",
]  # fmt: skip


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("target", ["outside", "../outside", "missing"])
def test_a_link_out_of_a_run_folder_is_refused_and_what_it_names_stays(
    tmp_path: Path, tiny_config: Callable[..., Any], name: str, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for file in ("epoch_001.png", "model_epoch_001.pt", "stop", "last.pt"):
        (outside / file).write_text("mine")
    config = tiny_config(tmp_path / "run")
    run = RunDir(write_run(tmp_path / "run", config))
    link = run.path / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to({"outside": outside, "missing": tmp_path / "none"}.get(target, "../" * name.count("/") + target))
    actions: list[Callable[[], object]] = [
        lambda: read_run(run.path),
        lambda: run.check_free(resume=False, overwrite=True),
        run.lock,
        run.clear,
        lambda: run.ask("stop"),
    ]
    for action in actions:
        with pytest.raises(UserError, match="leads out of its run's folder"):
            action()
    assert all(isinstance(found, UserError) for found in find_runs(tmp_path))
    assert sorted(p.read_text() for p in outside.iterdir()) == ["mine"] * 4
    assert not (tmp_path / "none").exists()


def test_links_within_a_run_and_to_a_run_are_followed(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    folder = write_run(tmp_path / "run", tiny_config(tmp_path))
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "model_epoch_001.pt").touch()
    (folder / "checkpoints" / "last.pt").symlink_to("model_epoch_001.pt")
    (folder / "notes").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    assert read_run(folder).status == read_run(tmp_path / "link").status == "finished"


def test_a_pipe_is_no_run(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")
    os.mkfifo(tmp_path / "metrics.jsonl")
    with pytest.raises(UserError, match="cannot be read"):
        read_run(tmp_path)
    assert RunDir(tmp_path).read_metrics() == []


@pytest.mark.parametrize("change", [{"step": 10**400}, {"step": -1}, {"step": True}, {"loss": 10**400}, {"loss": None}], ids=str)
def test_lines_of_metrics_that_no_chart_could_draw(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "metrics.jsonl").write_text(line(1) + json.dumps({"step": 2, "loss": 0.5} | change) + "\n" + line(3))
    assert [e["step"] for e in RunDir(tmp_path).read_metrics()] == [1, 3]


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
    run.truncate_metrics(max(step, 1))
    assert run.read_metrics()[0]["step"] == 1
