"""Kinds O, L and the reading half of M: files that lie, numbers without end, pipes in place of files; each with its answer."""

import io
import json
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import LARGEST, SampleConfig, TrainConfig
from core.errors import Diverged, UserError
from core.files import open_plain, read_json, user_path
from core.judge.store import Ready, cache_files, prepare_judge
from core.names import DATASETS, NETWORKS, OBJECTIVES
from core.runs.checkpoint import load_checkpoint, load_model, save_checkpoint
from core.runs.folder import RunDir, find_runs, read_run
from core.runs.metrics import MetricsReader
from core.runs.resume import load_or_offer
from core.training.trainer import Trainer
from tests.core.mutants import lies, saved, two_faced
from tinydiff_tui.app.settings import load_settings, settings_file
from tinydiff_tui.app.themes import DARK


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fail instead of hanging: a pipe that is opened waits for ever."""

    def late(*_: object) -> None:
        raise AssertionError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def sentence(action: Callable[[], object], error: type[UserError] = UserError) -> str:
    with within(30), pytest.raises(error) as caught:
        action()
    said = str(caught.value)
    assert said.isprintable() and len(said) < 2000
    return said


@pytest.fixture(scope="module")
def good(trained: Path) -> dict[str, Any]:
    """The content of a good checkpoint."""
    return load_checkpoint(trained / "model_final.pt")


# --- D1: one validator, before writing and after reading

NUMBERS = [
    (TrainConfig, "seed", 2**53, "--seed must be between 0 and 9007199254740991, got 9007199254740992"),
    (TrainConfig, "seed", -1, "--seed must be at least 0, got -1"),
    (TrainConfig, "seed", 10**5000, "--seed must be between 0 and 9007199254740991, got a larger number"),
    (TrainConfig, "seed", 1.0, "--seed takes a whole number, got 1.0"),
    (TrainConfig, "epochs", 2**53 + 1, "--epochs must be between 0 and 1000000000, got 9007199254740993"),
    (TrainConfig, "warmup", 2**63, "--warmup must be between 0 and 9007199254740991, got 9223372036854775808"),
    (TrainConfig, "batch_size", 10**30, "--batch-size must be between 1 and 9007199254740991, got a larger number"),
    (TrainConfig, "lr", 10**400, "--lr must be between 1e-08 and 1, got a larger number"),
    (TrainConfig, "grad_clip", math.inf, "--grad-clip must be between 0 and 9007199254740991, got inf"),
    (TrainConfig, "grad_clip", math.nan, "--grad-clip must be at least 0, got nan"),
    (TrainConfig, "checkpoint_seconds", -math.inf, "--checkpoint-seconds must be at least 1, got -inf"),
    (TrainConfig, "dataset", "folder:\x1b[2J", "--dataset takes a line of text without control characters"),
    (TrainConfig, "output_dir", "a\0b", "--output-dir takes a line of text without control characters"),
    (TrainConfig, "data_dir", "a\u202eb", "--data-dir takes a line of text without control characters"),
    (SampleConfig, "seed", 2**53, "--seed must be between 0 and 9007199254740991, got 9007199254740992"),
    (SampleConfig, "steps", 2**64, "--steps must be between 0 and 9007199254740991, got 18446744073709551616"),
    (SampleConfig, "num_images", 10**20, "--num-images must be between 1 and 1000000, got 100000000000000000000"),
]


@pytest.mark.parametrize(
    ("kind", "field", "value", "answer"), NUMBERS, ids=[f"{field}-{i}" for i, (_, field, *_) in enumerate(NUMBERS)]
)
def test_numbers_and_texts_without_bounds_are_refused_in_words(
    kind: type[TrainConfig] | type[SampleConfig], field: str, value: object, answer: str
) -> None:
    make = TrainConfig.of if kind is TrainConfig else SampleConfig.asked
    assert sentence(lambda: make(**{field: value})).startswith(answer)


NAMES = st.text(st.characters(blacklist_categories=["Cc", "Cs"]), max_size=20)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "dataset": st.sampled_from(list(DATASETS)) | NAMES.map("folder:".__add__),
    "data_dir": NAMES,
    "output_dir": NAMES,
    "image_size": st.integers(0, 600),
    "model": st.sampled_from(list(NETWORKS)),
    "objective": st.sampled_from(list(OBJECTIVES)),
    "epochs": st.integers(),
    "budget": st.sampled_from(["", "90s", "9999h999999m99999999s", "x", "1h30m"]),
    "batch_size": st.integers(0),
    "lr": st.floats(1e-9, 2.0),
    "grad_clip": st.floats(),
    "checkpoint_seconds": st.floats(),
    "timesteps": st.integers(0, 200_000),
    "keep_last": st.integers(),
    "warmup": st.integers(),
    "seed": st.integers() | st.just(LARGEST) | st.just(LARGEST + 1),
    "threads": st.integers(),
    "conditional": st.booleans(),
}


@settings(deadline=None, max_examples=200)
@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_what_a_config_takes_can_be_written_and_read_again(given: dict[str, Any]) -> None:
    try:
        config = TrainConfig.of(**given)
    except UserError as error:
        assert str(error).isprintable()
        return
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    read = torch.load(io.BytesIO(saved(config.to_dict())), weights_only=True)
    assert TrainConfig.from_dict(read) == config
    assert 0 <= config.steps(10**6, 10**6, 1e-12) <= LARGEST


@pytest.mark.usefixtures("small_glyphs")
def test_a_run_with_the_largest_numbers_can_be_read_and_resumed(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path, seed=LARGEST, epochs=1_000_000_000, warmup=LARGEST, keep_last=LARGEST, sample_interval=0)
    events = iter(Trainer(config))
    next(events)
    events.close()
    assert read_run(tmp_path).config == config
    assert load_model(tmp_path / "checkpoints" / "last.pt").config == config
    assert Trainer(config, resume=True).step == 1


# --- M: nothing that is not finite is written, and the newest whole one is offered


@pytest.mark.parametrize("where", ["model", "ema", "optimizers", "tally"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_not_written_over_a_good_checkpoint(
    good: dict[str, Any], tmp_path: Path, where: str, value: float
) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, good)
    before = path.read_bytes()
    bad = torch.load(io.BytesIO(before), weights_only=True)
    target: Any = bad[where]
    while not isinstance(target, torch.Tensor):
        target = (
            next(reversed(target.values()))
            if isinstance(target, dict) and "state" not in target
            else (target["state"] if isinstance(target, dict) else target[-1])
        )
    target.view(-1)[-1] = value
    assert "--resume" in sentence(lambda: save_checkpoint(path, bad), Diverged)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("small_glyphs")
def test_nan_weights_leave_the_resume_point_before_them(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path, sample_interval=0, epochs=100))
    events = iter(trainer)
    next(events)
    good = trainer.run.last.read_bytes()
    with torch.no_grad():
        next(trainer.state.network.parameters()).fill_(math.nan)
    trainer.stop()
    with pytest.raises(Diverged, match="--resume"):
        list(events)
    assert trainer.run.last.read_bytes() == good
    assert load_checkpoint(trainer.run.last)["step"] == 0


def test_a_resume_offers_the_whole_checkpoint_of_the_most_steps_whatever_their_times(
    good: dict[str, Any], tmp_path: Path
) -> None:
    run = RunDir(tmp_path)
    now = time.time()
    for k, (path, step) in enumerate([(run.checkpoint(2), 20), (run.checkpoint(10), 100), (run.final, 60)]):
        save_checkpoint(path, good | {"step": step})
        os.utime(path, (now - k * 1000, now - k * 1000))
    run.last.write_bytes(b"torn")
    assert sentence(lambda: load_or_offer(run.last, run)).endswith(f"--resume {run.checkpoint(10)}")
    torch.save(good | {"step": 100, "ema": {k: v * math.nan for k, v in good["ema"].items()}}, run.checkpoint(10))
    assert sentence(lambda: load_or_offer(run.last, run)).endswith(f"--resume {run.final}")
    run.final.unlink()
    assert sentence(lambda: load_or_offer(run.last, run)).endswith(f"--resume {run.checkpoint(2)}")
    save_checkpoint(run.last, good | {"step": 7})
    assert sentence(lambda: load_or_offer(tmp_path / "elsewhere.pt", run)).endswith(f"--resume {run.checkpoint(2)}")


# --- D3 and D11: checkpoints


def not_refused(path: Path, contents: Iterator[bytes]) -> list[str]:
    """The rows that were not refused with one sentence within 5 seconds."""
    bad = []
    for number, content in enumerate(contents):
        path.write_bytes(content)
        begun = time.process_time()
        try:
            load_checkpoint(path)
            bad.append(f"{number} was read")
        except UserError as error:
            if not str(error).isprintable() or not str(error).startswith(str(path)):
                bad.append(f"{number}: {error!r}")
        if time.process_time() - begun > 5:
            bad.append(f"{number} took long")
    return bad


def test_archives_of_two_contents_are_refused(good: dict[str, Any], tmp_path: Path) -> None:
    assert not_refused(tmp_path / "a.pt", two_faced({"format": "tinydiff-tui", "version": 1} | good)) == []


@pytest.mark.slow
def test_every_field_of_a_checkpoint_has_a_type_and_a_range(good: dict[str, Any], tmp_path: Path) -> None:
    assert not_refused(tmp_path / "a.pt", map(saved, lies({"format": "tinydiff-tui", "version": 1} | good))) == []


def test_what_is_read_is_what_was_checked_also_when_the_file_is_replaced_meanwhile(
    good: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real = tmp_path / "a.pt", torch.load
    save_checkpoint(path, good)

    def replaced(file: Any, **options: Any) -> Any:
        save_checkpoint(path, good | {"step": 99})  # another file has the name now
        return real(file, **options)

    monkeypatch.setattr(torch, "load", replaced)
    assert load_checkpoint(path)["step"] == good["step"]


def test_class_names_of_a_checkpoint_are_printable_wherever_they_go(good: dict[str, Any], tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.pt", good | {"classes": ["\x1b]0;title\x07", "\x9b2J", "a\u202eb"]})
    assert all(name.isprintable() for name in load_checkpoint(tmp_path / "a.pt")["classes"])


# --- D4 and D14: run.json and metrics.jsonl


def line(step: object, loss: object = 0.5, **more: object) -> str:
    return json.dumps({"step": step, "loss": loss} | more) + "\n"


METRICS: dict[str, tuple[str, list[tuple[int, float]]]] = {
    "in order": (line(10) + line(20), [(10, 0.5), (20, 0.5)]),
    "backwards": (line(10) + line(30) + line(20) + line(40), [(10, 0.5), (30, 0.5), (40, 0.5)]),
    "twice": (line(10) + line(10, 0.7) + line(20), [(10, 0.5), (20, 0.5)]),
    "step 2^53": (line(10) + line(2**53) + line(20), [(10, 0.5), (20, 0.5)]),
    "step 10^400": (line(10**400) + line(20), [(20, 0.5)]),
    "step as float": (line(10.0) + line(20), [(20, 0.5)]),
    "a negative step": (line(-10) + line(20), [(20, 0.5)]),
    "a loss of 1.7e308": (line(10, 1.7e308) + line(20), [(20, 0.5)]),
    "a negative one": (line(10, -1.7e308) + line(20), [(20, 0.5)]),
    "nan": (line(10, math.nan) + line(20), [(20, 0.5)]),
    "inf": (line(10, math.inf) + line(20), [(20, 0.5)]),
    "a loss of 10^400": (line(10, 10**400) + line(20), [(20, 0.5)]),
    "a loss as text": (line(10, "0.5") + line(20), [(20, 0.5)]),
    "a whole loss": (line(10, 1) + line(20), [(10, 1.0), (20, 0.5)]),
    "true": (line(10, True) + line(True) + line(20), [(20, 0.5)]),
    "no object": ("[]\n7\nnull\n" + line(20), [(20, 0.5)]),
    "no UTF-8": ("\udcff\udcfe\n" + line(20), [(20, 0.5)]),
    "deep": ("[" * 100_000 + "\n" + line(20), [(20, 0.5)]),
    "long, then good": ('{"step": 5, "a": "' + "x" * 10**5 + '"}\n' + line(20), [(20, 0.5)]),
    "without end": (line(10) + "x" * (3 << 20) + "\n" + line(20), [(10, 0.5)]),
    "torn": (line(10) + '{"step": 20, "loss": 0.5}', [(10, 0.5)]),
}


@pytest.mark.parametrize(("content", "answer"), METRICS.values(), ids=METRICS)
def test_no_consumer_of_metrics_sees_what_it_could_not_draw(
    tmp_path: Path, content: str, answer: list[tuple[int, float]]
) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_bytes(content.encode(errors="surrogateescape"))
    with within(30):
        assert [(entry["step"], entry["loss"]) for entry in run.read_metrics()] == answer


MORE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "good": (
        {"epoch": 1, "lr": 0.1, "quartiles": [0.1, None, 1, 2.5]},
        {"epoch": 1, "lr": 0.1, "quartiles": [0.1, None, 1.0, 2.5]},
    ),
    "seconds": ({"seconds": 1e308, "images": 10**30, "grad_norm": math.nan}, {}),
    "types": ({"epoch": "1", "lr": [1], "seconds": True, "quartiles": "abcd"}, {}),
    "quartiles": ({"quartiles": [math.inf, "a", 1e300, 0.5]}, {"quartiles": [None, None, None, 0.5]}),
    "too many": ({"quartiles": [0.5] * 5, "unknown": 1}, {}),
}


@pytest.mark.parametrize(("more", "answer"), MORE.values(), ids=MORE)
def test_the_other_numbers_of_a_line(tmp_path: Path, more: dict[str, Any], answer: dict[str, Any]) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_text(line(10, **more))
    assert run.read_metrics() == [{"step": 10, "loss": 0.5} | answer]


@pytest.mark.parametrize("how", ["removed", "another run", "cut back and grown", "a pipe"])
def test_metrics_that_were_replaced_between_two_looks_are_read_anew(tmp_path: Path, how: str) -> None:
    run = RunDir(tmp_path)
    run.metrics.write_text("".join(line(10 * k, 0.5) for k in range(1, 9)))
    reader = MetricsReader(run)
    assert len(list(reader.read())) == 8 and not reader.is_stale()
    if how == "cut back and grown":
        run.truncate_metrics(30)
        with run.metrics.open("a") as file:
            file.writelines(line(10 * k, 0.25) for k in range(4, 12))
    else:
        run.metrics.unlink()
        if how == "another run":
            run.metrics.write_text("".join(line(10 * k, 0.75) for k in range(1, 10)))
        elif how == "a pipe":
            os.mkfifo(run.metrics)
    with within(10):
        assert reader.is_stale()
        assert len(list(MetricsReader(run).read())) == {"another run": 9, "cut back and grown": 11}.get(how, 0)


@pytest.mark.slow
def test_a_million_lines_are_read_in_one_pass(tmp_path: Path) -> None:
    more = {"quartiles": [0.1] * 4, "epoch": 1, "images": 1, "lr": 0.1, "grad_norm": 0.1, "seconds": 0.1}
    pattern = line(0, **more)
    with (tmp_path / "metrics.jsonl").open("w") as file:
        file.writelines(pattern.replace('"step": 0', f'"step": {k}') for k in range(1_000_000))
    begun = time.process_time()
    assert sum(1 for _ in MetricsReader(RunDir(tmp_path)).read()) == 1_000_000
    assert time.process_time() - begun < 30


PLACES = [
    "run.json",
    "metrics.jsonl",
    "model_final.pt",
    "train.log",
    "checkpoints/last.pt",
    "samples/epoch_001.png",
    "control/stop",
]


@pytest.mark.usefixtures("small_glyphs")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", ["pipe", "socket", "zero"])
def test_a_pipe_in_a_run_folder_is_waited_for_by_nobody(
    tiny_config: Callable[..., Any], good: dict[str, Any], tmp_path: Path, place: str, what: str
) -> None:
    config, run = tiny_config(tmp_path), RunDir(tmp_path)
    save_checkpoint(run.last, good)
    run.write_info(
        {"config": config.to_dict(), "status": "stopped", "started": 1.0, "step": 12, "total_steps": 12, "device": "cpu"}
    )
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "socket":
        os.mknod(path, 0o600 | 0o140000)
    else:
        path.symlink_to("/dev/zero")
    for action in (
        lambda: read_run(tmp_path),
        lambda: Trainer(config, resume=True),
        lambda: Trainer(config, overwrite=True),
        lambda: run.ask("stop"),
        run.lock,
    ):
        assert str(path) in sentence(action)
    with within(10):
        assert [isinstance(found, UserError) for found in find_runs(tmp_path)] == [True]
        assert run.read_metrics() == []
        if place == "checkpoints/last.pt":
            sentence(lambda: load_checkpoint(path))


RUN_JSON: dict[str, bytes | dict[str, Any]] = {
    "empty": b"",
    "deep": b"[" * 100_000,
    "no UTF-8": b'{"status": "\xff"}',
    "UTF-16": json.dumps({"status": "finished"}).encode("utf-16"),
    "digits": b"9" * 10_000,
    "long": b" " * (2 << 20),
    "a list": b"[]",
    "step 2^53": {"step": 2**53},
    "step as float": {"step": 3.0},
    "step as text": {"step": "3"},
    "true": {"total_steps": True},
    "started at no time": {"started": math.nan},
    "started in a far future": {"started": 1e300},
    "started as text": {"started": "1"},
    "a status of its own": {"status": "\x1b[2J"},
    "status as list": {"status": ["finished"]},
    "device as list": {"device": ["cpu"]},
    "a long device": {"device": "x" * 10_000},
    "no config": {"config": None},
}


@pytest.mark.parametrize("change", RUN_JSON.values(), ids=RUN_JSON)
def test_a_run_json_that_makes_no_sense_is_one_sentence(
    tiny_config: Callable[..., Any], tmp_path: Path, change: bytes | dict[str, Any]
) -> None:
    config = tiny_config(tmp_path).to_dict()
    info = {"config": config, "status": "finished", "started": 1.0, "step": 3, "total_steps": 3, "device": "cpu"}
    run = RunDir(tmp_path)
    run.write_info(info)
    assert read_run(tmp_path).step == 3
    if isinstance(change, dict):
        sentence(lambda: run.write_info(info | change))  # what could not be read is not written
        assert read_run(tmp_path).step == 3
    run.run_json.write_bytes(json.dumps(info | change).encode() if isinstance(change, dict) else change)
    assert "cannot be read" in sentence(lambda: read_run(tmp_path))


# --- settings, small files, NUL


@contextmanager
def in_place_of(path: Path, what: bytes | str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "huge":
        with path.open("wb") as file:
            file.truncate(12 << 30)
    elif isinstance(what, str):
        path.symlink_to(what)
    else:
        path.write_bytes(what)
    try:
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


SMALL: dict[str, bytes | str] = {
    "pipe": "pipe", "folder": "folder", "12 GiB": "huge", "zero": "/dev/zero", "full": "/dev/full", "nowhere": "/none/at/all",
    "empty": b"", "deep": b"[" * 200_000, "no UTF-8": b'{"theme": "\xff"}', "digits": b'{"theme": ' + b"1" * 9999 + b"}",
    "list": b"[]", "number": b'{"theme": 7}', "null": b"null", "NUL": b"\0" * 100,
}  # fmt: skip


@pytest.mark.parametrize("what", SMALL.values(), ids=SMALL)
def test_settings_that_are_no_settings_are_none(what: bytes | str) -> None:
    with in_place_of(settings_file(), what), within(10):
        assert load_settings().theme == DARK
    with in_place_of(settings_file(), b'{"theme": "textual-light"}'):
        assert load_settings().theme == "textual-light"


@pytest.mark.parametrize("what", [value for value in SMALL.values() if value not in (b"[]", b"null", b'{"theme": 7}')])
def test_small_files_are_read_whole_or_not_at_all(tmp_path: Path, what: bytes | str) -> None:
    with in_place_of(tmp_path / "a.json", what), within(10), pytest.raises((OSError, ValueError)):
        read_json(tmp_path / "a.json")


def test_a_nul_in_a_path_is_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        open_plain(tmp_path / "a\0b")
    sentence(lambda: user_path(f"{tmp_path}/a\0b"))
    sentence(lambda: load_checkpoint(tmp_path / "a\0b"))
    sentence(lambda: load_model(tmp_path / "a\0b.pt"))
    sentence(lambda: read_run(tmp_path / "a\0b"))
    sentence(lambda: RunDir(tmp_path / "a\0b").check_free(resume=True, overwrite=False))


# --- the judge's cache


@pytest.mark.slow
@pytest.mark.usefixtures("hasty_judge")
def test_a_judge_of_another_kind_is_trained_anew(tmp_path: Path) -> None:
    assert isinstance(list(prepare_judge("glyphs"))[-1], Ready)
    path = cache_files("glyphs")[0]
    whole = path.read_bytes()
    header = int.from_bytes(whole[:8], "little")
    said = json.loads(json.loads(whole[8 : 8 + header])["__metadata__"]["tinydiff-tui judge"])
    tensors = safetensors.torch.load(whole)

    def of(changed: dict[str, Any], weights: dict[str, torch.Tensor] | None = None) -> bytes:
        described = {"tinydiff-tui judge": json.dumps(said | changed)}
        return safetensors.torch.save(tensors | (weights or {}), described)

    rng = random.Random(0)
    rows: dict[str, bytes | str] = {
        "pipe": "pipe", "zero": "/dev/zero", "12 GiB": "huge", "empty": b"", "torn": whole[:-1], "a header without end":
        (2**62).to_bytes(8, "little") + whole[8:], "noise": rng.randbytes(10_000), "deep": safetensors.torch.save(tensors, {
        "tinydiff-tui judge": "[" * 100_000}), "accuracy": of({"accuracy": "1"}), "no number": of({"accuracy": math.nan}),
        "classes": of({"classes": "0123456789"}), "one class": of({"classes": ["a"]}), "names": of({"classes": [1] * 10}),
        "features": of({}, {"test": torch.full_like(tensors["test"], math.nan)}), "shape": of({}, {"train": torch.zeros(3)}),
        "none": of({}, {"train": torch.zeros(())}), "kind": of({}, {"test": tensors["test"].double()}),
        "weights": of({}, {"network.head.bias": torch.full((10,), math.inf)}), "more": of({}, {"network.more": torch.zeros(1)}),
        "half": of({}, {"network.head.bias": torch.zeros(10).half()}),
    }  # fmt: skip
    for name, row in rows.items():
        with in_place_of(path, row), within(120):
            events = list(prepare_judge("glyphs"))
            assert len(events) == 3 and isinstance(events[-1], Ready), name  # two steps of training
    with in_place_of(path, of({"classes": ["\x1b[2J", *"123456789"]})):
        (ready,) = prepare_judge("glyphs")
        assert isinstance(ready, Ready) and all(map(str.isprintable, ready.judge.classes))
