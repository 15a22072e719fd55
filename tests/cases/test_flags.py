"""Kind L, flags mean what they say: whole flags only, and a config that comes out of its flags as it went in."""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from core.config import TrainConfig, without_teachers
from core.errors import UserError, printable
from core.files import user_path
from core.runs.folder import RunDir, read_run
from tests.conftest import TINY
from tinydiff_tui import cli
from tinydiff_tui.app.themes import THEMES
from tinydiff_tui.cli import parse
from tinydiff_tui.commands.options import given as given_flags
from tinydiff_tui.jobs.starting import train_flags
from tinydiff_tui.widgets.train_form import FIELDS, TrainForm

# --- a config and its flags

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
PATHS = TEXT.filter(lambda text: bool(text.strip()) and printable(text) == text)


def values(field: "dataclasses.Field[Any]") -> st.SearchStrategy[Any]:
    """Any valid value of a field."""
    low, high = field.metadata["low"], field.metadata["high"]
    if field.name == "dataset":
        return st.sampled_from(list(field.metadata["choices"])) | PATHS.map("folder:{}".format)
    if field.name in ("output_dir", "data_dir", "teacher"):
        return PATHS if field.name == "output_dir" else st.just("") | PATHS
    if field.name == "budget":
        return st.sampled_from(["", "1s", "90s", "5m", "1h30m", "0h0m1s", "9999h"])
    if field.name in ("channel_multipliers", "attention"):
        return (
            st.sampled_from(["", "1", "1,2", "2,1,8"])
            if field.name == "channel_multipliers"
            else st.sampled_from(["", "1", "none"])
        )
    if field.metadata["choices"]:
        return st.sampled_from(list(field.metadata["choices"]))
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, int):
        return st.integers(int(low), int(high) if high is not None else 2**31)
    assert isinstance(field.default, float)
    return st.floats(low, high if high is not None else 1e6)


ANY = st.fixed_dictionaries({name: values(field) for name, field in FIELDS.items()})


def valid(fields: dict[str, Any]) -> TrainConfig:
    """The config of these fields, if they go together."""
    try:
        return TrainConfig.of(**fields)
    except UserError:
        assume(False)
        raise


def parsed(flags: list[str]) -> TrainConfig:
    return TrainConfig.of(**given_flags(parse(["train", *flags]), TrainConfig))


def said(config: TrainConfig) -> dict[str, Any]:
    """What is said of a run: all fields, or those that are not its teacher's."""
    return without_teachers(config.to_dict())


@settings(max_examples=300)
@given(ANY)
@example(TrainConfig().to_dict() | {"output_dir": "-x", "data_dir": "--resume", "dataset": "folder:--detach"})
@example(TrainConfig().to_dict() | {"output_dir": "a b=c_d\n", "data_dir": "~nobody/ü", "lr": 0.1 + 0.2 - 0.2})
@example(TrainConfig().to_dict() | {"dataset": "glyphs", "model": "reference", "epochs": 1, "budget": "5m"})
def test_a_config_comes_out_of_its_flags_as_it_went_in(fields: dict[str, Any]) -> None:
    config = valid(fields)
    assert said(parsed(train_flags(config))) == said(config)
    assert json.loads(json.dumps(config.to_dict())) == config.to_dict()


def test_flags_do_not_depend_on_the_data_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "glyphs" became MNIST where MNIST is on disk."""
    marker = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    marker.parent.mkdir(parents=True)
    marker.touch()
    monkeypatch.setenv("TINYDIFF_DATA_DIR", str(tmp_path))
    config = TrainConfig.of(dataset="glyphs")
    assert "--dataset=glyphs" in train_flags(config) and parsed(train_flags(config)).dataset == "glyphs"


class FormOf(App[None]):
    def get_theme_variable_defaults(self) -> dict[str, str]:
        return THEMES[0].variables

    def compose(self) -> ComposeResult:
        yield TrainForm()


FORMS: list[dict[str, Any]] = [
    {"lr": 0.00123456789, "ema_decay": 0.9991234, "grad_clip": 0.1 + 0.2},
    {"dataset": "folder:my photos/a=b", "output_dir": "-x y", "data_dir": "~/ü"},
    {"model": "reference", "epochs": 1, "conditional": True, "seed": 123_456_789, "budget": "1h30m"},
    {"weight_decay": 1e-17, "lr": 1e-8, "checkpoint_seconds": 86_400.0},
]


@pytest.mark.parametrize("fields", FORMS, ids=[" ".join(fields) for fields in FORMS])
async def test_a_form_gives_what_was_filled_in(fields: dict[str, Any]) -> None:
    config = TrainConfig.of(**fields)
    app = FormOf()
    async with app.run_test():
        form = app.query_one(TrainForm)
        form.fill(config.to_dict())
        assert form.read() == config == parsed(train_flags(form.read()))


@pytest.mark.slow
@settings(max_examples=12, deadline=None)
@given(ANY)
@example(TrainConfig().to_dict() | {"teacher": "=", "image_size": 300, "epochs": 3})
async def test_any_form_gives_its_config_through_the_flags(fields: dict[str, Any]) -> None:
    config = valid({name: value.strip() if isinstance(value, str) else value for name, value in fields.items()})
    assume(not any("\n" in value or "\r" in value for value in fields.values() if isinstance(value, str)))  # a field is one line
    assume(not config.teacher or config.budget or config.epochs)  # an empty form of a student is one with a budget
    app = FormOf()
    async with app.run_test():
        form = app.query_one(TrainForm)
        form.fill(said(config))
        assert said(parsed(train_flags(form.read()))) == said(config)


@pytest.mark.slow
def test_a_detached_run_has_the_config_that_was_seen_wherever_it_starts(tmp_path: Path) -> None:
    """In a folder with modules of our names, where MNIST is "on disk", with names that look like flags."""
    for name in ("core/__init__.py", "torch.py", "tinydiff_tui/__init__.py", "numpy.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('another one')")
    marker = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    marker.parent.mkdir(parents=True)
    marker.touch()
    asked = {"output_dir": "-o ut=ü", "lr": 0.00123456789, "sample_interval": 0, "save_interval": 0, "threads": 1}
    config = TrainConfig.of(**(TINY | asked | {"batch_size": 10_000, "epochs": 1}))
    program = "import sys; sys.argv[0:1] = []; from tinydiff_tui.__main__ import main; sys.exit(main())"
    command = [sys.executable, "-P", "-c", program, "tinydiff-tui", "train", "--detach", *train_flags(config)]
    root = str(Path(__file__).parents[2])
    env = os.environ | {"TINYDIFF_DATA_DIR": str(tmp_path), "PYTHONPATH": root}
    result = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result
    run = RunDir(tmp_path / config.output_dir)
    assert read_run(run.path).config.to_dict() == config.to_dict() | {"output_dir": read_run(run.path).config.output_dir}


# --- what a flag is

REFUSED = {
    "an abbreviation that respawned for ever": (["train", "--det"], "unrecognized arguments: --det"),
    "of a value": (["train", "--epoch", "3"], "unrecognized arguments: --epoch 3"),
    "of another command": (["sample", "--check", "a.pt"], "unrecognized arguments: --check a.pt"),
    "with an equals sign": (["train", "--batch=3"], "unrecognized arguments: --batch=3"),
    "too many digits": (["train", "--epochs", "9" * 5000], "--epochs: 99999999999999999999… is too large a number"),
    "too many for Python": (["visualize", "--num-images", "1" * 10_000], "--num-images: 11111111111111111111… is too large"),
    "of evaluate": (["evaluate", "--checkpoint", "x", "--num-images", "-" + "1" * 5000], "is too large a number"),
    "of sample": (["sample", "--checkpoint", "x", "--timesteps", "8" * 4301], "--timesteps: 88888888888888888888… is too large"),
    "a long word": (["train", "--lr", "x" * 5000], "invalid float value: 'xxx"),
    "half a number": (["train", "--epochs", "1.5"], "invalid int value: '1.5'"),
    "a long path": (["train", "--output-dir", "d" * 300], "is too long for a path"),
    "a deep path": (["runs", "d/" * 3000], "is too long for a path"),
    **{
        f"an empty {flag or 'folder'} of {command[0]}": ([*command, *([flag] if flag else []), ""], "it is empty; give a path")
        for command, flag in [
            (["train"], "--output-dir"),
            (["train"], "--data-dir"),
            (["train"], "--resume"),
            (["sample"], "--checkpoint"),
            (["sample", "--checkpoint", "x"], "--output"),
            (["sample", "--checkpoint", "x"], "--data-dir"),
            (["evaluate", "--checkpoint", "x"], "--output"),
            (["export", "--checkpoint", "x"], "--output"),
            (["visualize"], "--save-path"),
            (["datasets"], "--data-dir"),
            (["runs"], ""),
            (["attach"], ""),
        ]
    },
}


@pytest.mark.parametrize("arguments, sentence", REFUSED.values(), ids=REFUSED)
def test_what_a_flag_does_not_say_is_one_short_sentence(
    arguments: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(arguments) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and len(said) < 500
    assert not list(tmp_path.iterdir())


def options(*arguments: str) -> argparse.Namespace:
    return parse(arguments)


def test_an_underscore_is_a_hyphen_in_flags_and_nowhere_else() -> None:
    assert options("train", "--batch_size=3", "--output_dir", "my_dir").batch_size == 3
    assert options("train", "--output_dir=my_dir").output_dir == "my_dir"
    assert options("train", "--output-dir=--my_dir").output_dir == "--my_dir"
    assert options("runs", "--", "--my_folder").folder == "--my_folder"


def test_no_path_is_what_no_system_has() -> None:
    for text, sentence in (
        ("a\0b", "NUL"),
        ("\ud800", "no path of this system"),
        ("x" * 256, "too long"),
        ("x/" * 2049, "too long"),
    ):
        with pytest.raises(UserError, match=sentence):
            user_path(text)
    assert user_path("x" * 255) == Path("x" * 255)
    assert user_path("a\nb") == Path("a\nb")
