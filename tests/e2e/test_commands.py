"""The commands as a user runs them: real processes, real files, exit codes and sentences."""

import argparse
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core import images
from core.config import GROUPS, TrainConfig, default_words
from core.names import NETWORKS, OBJECTIVES
from core.runs.folder import RunDir, read_run
from tests.core.compare import metrics, same_tensors
from tests.e2e.terminal import Terminal
from tinydiff_tui import cli
from tinydiff_tui.commands.flags import OUTPUT, SHELLS, make_parser
from tinydiff_tui.commands.train import stop_signals

FIXED = ("--threads", "1", "--precision", "fp32")  # what is measured on a busy machine may differ between two runs
TINY = ("--model", "tiny", "--batch-size", "256", "--device", "cpu", *FIXED)


def tinydiff(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tinydiff_tui", *arguments]
    env = os.environ | {"XDG_CACHE_HOME": str(cwd / "cache"), "XDG_DATA_HOME": str(cwd / "data")} | environment
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 small colour images in two classes, and one file that is no image."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for k in range(600):
        path = folder / ("red" if k % 2 else "blue") / f"{k:04d}.png"
        path.parent.mkdir(exist_ok=True)
        picture = np.zeros((16, 16, 3), np.uint8)
        picture[4:12, 4:12, 0 if k % 2 else 2] = generator.integers(150, 255)
        Image.fromarray(picture).save(path)
    (folder / "red" / "broken.png").write_bytes(b"not an image")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """A finished run of two epochs on the colour images."""
    folder = tmp_path_factory.mktemp("run")
    result = tinydiff(
        "train", "--dataset", f"folder:{photos}", "--epochs", "2", "--sample_interval", "1", "--save_interval", "1",
        "--output_dir", "out", "--seed", "3", *TINY, cwd=folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "next: tinydiff-tui sample --checkpoint out/model_final.pt" in result.stdout
    assert "\x1b" not in result.stdout
    return folder


def test_a_run_is_distilled_and_its_student_drawn_from(run: Path) -> None:
    fast = ("--batch-size", "64", "--device", "cpu", *FIXED)
    ways = ("train", "--teacher", "out/model_final.pt", "--output-dir", "student", *fast)
    result = tinydiff(*ways, "--dataset", "glyphs", cwd=run)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "--dataset is the teacher's, folder:" in result.stderr and not (run / "student").exists()
    result = tinydiff(*ways, "--epochs", "1", "--sample-interval", "0", cwd=run)
    assert result.returncode == 0, result.stderr
    result = tinydiff("sample", "--checkpoint", "student/model_final.pt", "--num-images", "8", cwd=run)
    assert result.returncode == 0 and "8 images, euler, 2 evaluations" in result.stdout, result.stderr
    result = tinydiff(*ways, "--teacher", "student/model_final.pt", "--output-dir", "again", cwd=run)
    assert result.returncode == 2 and "is distilled itself" in result.stderr


def test_train_leaves_every_file(run: Path) -> None:
    names = {str(p.relative_to(run / "out")) for p in (run / "out").rglob("*") if p.is_file()}
    assert names >= {
        "run.json", "metrics.jsonl", "samples/epoch_001.png", "samples/epoch_002.png", "checkpoints/model_epoch_001.pt",
        "checkpoints/model_epoch_002.pt", "checkpoints/last.pt", "model_final.pt", "training_loss.png",
    }  # fmt: skip
    info = json.loads((run / "out" / "run.json").read_text())
    assert info["status"] == "finished" and info["seed"] == 3 and info["step"] == info["total_steps"] > 0
    assert Image.open(run / "out" / "training_loss.png").size[0] > 500
    assert Image.open(run / "out" / "samples" / "epoch_001.png").mode == "RGB"


def test_sample_writes_grid_steps_and_gif(run: Path) -> None:
    arguments = ("--checkpoint", "out/model_final.pt", "--num-images", "6", "--sampler", "ddim", "--steps", "5", *FIXED)
    result = tinydiff("sample", *arguments, "--show-intermediate", cwd=run)
    assert result.returncode == 0, result.stderr
    assert Image.open(run / "out" / "generated_samples.png").size == ((3 * 18 + 2) * 11, (2 * 18 + 2) * 11)
    steps = sorted(p.name for p in (run / "out" / "intermediate").glob("step_*.png"))
    assert len(steps) == 5 and steps[-1] == "step_0999.png"
    assert getattr(Image.open(run / "out" / "intermediate" / "denoising.gif"), "n_frames", 0) >= 2
    again = tinydiff("sample", *arguments, "--output", "again.png", cwd=run)
    assert again.returncode == 0
    assert (run / "again.png").read_bytes() == (run / "out" / "generated_samples.png").read_bytes()


@pytest.mark.slow
def test_export_gives_the_same_pictures(run: Path) -> None:
    assert tinydiff("export", "--checkpoint", "out/model_final.pt", "--output", "m.safetensors", cwd=run).returncode == 0
    for checkpoint, output in (("m.safetensors", "a.png"), ("out/model_final.pt", "b.png")):
        arguments = ("--checkpoint", checkpoint, "--num-images", "4", "--steps", "3", "--output", output, *FIXED)
        result = tinydiff("sample", *arguments, cwd=run)
        assert result.returncode == 0, result.stderr
    assert (run / "a.png").read_bytes() == (run / "b.png").read_bytes()


def test_visualize_writes_a_column_for_each_mark(tmp_path: Path) -> None:
    result = tinydiff("visualize", "--dataset", "glyphs", "--num_images", "3", "--save_path", "v.png", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "t = 0, 50, 100, 200, 400, 600, 800, 999" in result.stdout
    picture = np.asarray(Image.open(tmp_path / "v.png").convert("L")).astype(float)
    assert picture.shape == ((3 * 30 + 2) * 3 + 24, (8 * 30 + 2) * 3)
    first, last = picture[30:114, 6:90], picture[30:114, -90:-6]
    assert np.abs(np.diff(last, axis=1)[:, 2::3]).mean() > 3 * np.abs(np.diff(first, axis=1)[:, 2::3]).mean()


def test_runs_lists_what_is_there(run: Path) -> None:
    (run / "bad").mkdir(exist_ok=True)
    (run / "bad" / "run.json").write_text("{")
    result = tinydiff("runs", cwd=run, COLUMNS="200")
    assert result.returncode == 0
    assert re.search(r"out\s+folder:\S+\s+tiny\s+finished", result.stdout)
    assert "cannot be read" in result.stdout


def test_datasets_says_where_each_stands(tmp_path: Path) -> None:
    result = tinydiff("datasets", cwd=tmp_path, COLUMNS="120", TINYDIFF_DATA_DIR="")
    assert re.search(r"glyphs .* embedded", result.stdout)
    assert re.search(r"mnist .* can be downloaded", result.stdout)


@pytest.mark.parametrize(
    "number", [signal.SIGINT, *(pytest.param(n, marks=pytest.mark.slow) for n in (signal.SIGTERM, signal.SIGHUP))]
)
def test_signal_stops_with_a_checkpoint_and_says_how_to_resume(tmp_path: Path, photos: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--dataset", f"folder:{photos}", "--epochs", "500", *TINY]
    env = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    with subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if " loss " in line:
                break
        process.send_signal(number)
        rest, errors = process.stdout.read(), process.stderr.read()
    assert process.returncode == 128 + number, errors
    assert "tinydiff-tui train --resume --output-dir outputs" in rest and not errors
    info = json.loads((tmp_path / "outputs" / "run.json").read_text())
    assert info["status"] == "stopped" and info["step"] > 0
    epochs = str(info["step"] // 2 + 1)
    resumed = tinydiff("train", "--resume", "--epochs", epochs, cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert f"resuming at step {info['step']:,}" in resumed.stdout


BAD = {
    "no such command": (["fly"], "invalid choice: 'fly'"),
    "no such flag": (["train", "--fly"], "unrecognized arguments: --fly"),
    "no number": (["train", "--lr", "fast"], "invalid float value: 'fast'"),
    "unknown data set": (["train", "--dataset", "nope"], "unknown dataset 'nope'"),
    "no such folder": (["train", "--dataset", "folder:nowhere"], "there is no folder nowhere"),
    "folder without images": (["train", "--dataset", "folder:empty"], "holds no images"),
    "not on disk": (["train", "--dataset", "cifar10"], "--download cifar10"),
    "missing checkpoint": (["sample", "--checkpoint", "nope.pt"], "there is no checkpoint nope.pt"),
    "beta reaches 1": (["train", "--objective", "epsilon", "--timesteps", "20"], "at least 21 timesteps"),
    "beta reaches 1 in visualize": (["visualize", "--timesteps", "10"], "at least 21 timesteps"),
    "batch too large": (["train", "--batch-size", "30000"], "larger than glyphs, which has 20000"),
    "budget without a unit": (["train", "--budget", "5"], "--budget takes a time such as 90s, 5m or 1h30m"),
    "fewer epochs than none": (["train", "--epochs", "-1"], "--epochs must be at least 0"),
    "nothing to resume": (["train", "--resume"], "holds no run to resume"),
    "unwritable folder": (["train", "--output-dir", "file/run"], "cannot be written"),
    "epsilon at zero snr": (["train", "--objective", "epsilon", "--zero-terminal-snr"], "use --objective v"),
    "eta out of range": (["sample", "--checkpoint", "file", "--eta", "2"], "--eta must be between 0 and 1"),
    "negative steps": (["sample", "--checkpoint", "file", "--steps", "-1"], "--steps must be at least 1"),
    "no steps": (["sample", "--checkpoint", "file", "--steps", "0"], "--steps must be at least 1"),
    "unknown sampler": (["sample", "--checkpoint", "file", "--sampler", "magic"], "choose one of"),
    "too few to judge": (["evaluate", "--checkpoint", "file", "--num-images", "99"], "--num-images must be at least 100"),
    "nothing to judge": (["evaluate", "--checkpoint", "nope.pt"], "there is no checkpoint nope.pt"),
    "runs of no folder": (["runs", "nowhere"], "there is no folder nowhere"),
    "nothing to evaluate": (["evaluate", "--json"], "no run here has a checkpoint; train one with 'tinydiff-tui train', or name"),
    "nothing to export": (["export"], "no run here has a checkpoint"),
    "nothing to show": (["show"], "no run here has samples; draw some with 'tinydiff-tui sample', or name a picture"),
    "nothing to attach to": (["attach"], "no run lies below this folder"),
    "no such picture": (["show", "nope.png"], "there is no nope.png; give a picture, a run's folder or a checkpoint"),
    "no picture": (["show", "file"], "file cannot be read as a picture; give a PNG, JPEG or GIF that is whole"),
    "a pipe": (["show", "/dev/zero"], "/dev/zero is no file"),
    "a folder without samples": (["show", "empty"], "empty holds no samples"),
    "no such shell": (["completion", "csh"], "invalid choice: 'csh' (choose from 'bash', 'zsh', 'fish', 'tcsh')"),
    "a list and a download": (["datasets", "--json", "--download", "mnist"], "leave one of them out"),
}  # fmt: skip


@pytest.mark.parametrize("arguments, sentence", BAD.values(), ids=BAD)
def test_error_of_use_is_one_sentence_without_torch(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("not a checkpoint")
    before = sorted(tmp_path.rglob("*"))
    program = (
        "import sys; from tinydiff_tui.cli import run; code = run(sys.argv[1:]); sys.exit(99 if 'torch' in sys.modules else code)"
    )
    env = os.environ | {"TINYDIFF_DATA_DIR": str(tmp_path / "data")}
    result = subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.returncode == 2, result
    assert sentence in result.stderr and result.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


BAD_FOR_THE_RUN = {
    "folder holds a run": (["train", "--output-dir", "out"], "--resume, replace it with --overwrite"),
    "resume of another": (["train", "--resume", "--output-dir", "out", "--batch-size", "8"], "has --batch-size 256, not 8"),
    "more steps than T": (["sample", "--checkpoint", "out/model_final.pt", "--steps", "1001"], "at most the model's 1000"),
    "other timesteps": (["sample", "--checkpoint", "out/model_final.pt", "--timesteps", "50"], "trained with 1000 timesteps"),
    "class of an unconditional": (["sample", "--checkpoint", "out/model_final.pt", "--class", "1"], "--conditional"),
    "variance": (["sample", "--checkpoint", "out/model_final.pt", "--variance", "learned"], "did not learn its variance"),
    "foreign checkpoint": (["sample", "--checkpoint", "out/run.json"], "not one of this program's"),
}  # fmt: skip


@pytest.mark.parametrize("arguments, sentence", BAD_FOR_THE_RUN.values(), ids=BAD_FOR_THE_RUN)
def test_what_does_not_fit_a_run_is_one_sentence(
    run: Path, arguments: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process, which has imported torch already."""
    before = {p: p.stat().st_mtime_ns for p in (run / "out").rglob("*")}
    monkeypatch.chdir(run)
    monkeypatch.setenv("TINYDIFF_DATA_DIR", "nowhere")
    assert cli.run(arguments) == 2
    assert sentence in capsys.readouterr().err
    assert {p: p.stat().st_mtime_ns for p in (run / "out").rglob("*")} == before


def test_image_too_small_for_the_network(tmp_path: Path, photos: Path) -> None:
    result = tinydiff("train", "--dataset", f"folder:{photos}", "--image-size", "2", "--model", "reference", cwd=tmp_path)
    assert result.returncode == 2 and "too small for this network" in result.stderr
    assert not (tmp_path / "outputs").exists()


def test_download_without_network_names_the_folder(tmp_path: Path) -> None:
    result = tinydiff("datasets", "--download", "mnist", "--data-dir", "d", cwd=tmp_path, http_proxy="http://127.0.0.1:9",
                      https_proxy="http://127.0.0.1:9")  # fmt: skip
    assert result.returncode == 2 and "by hand" in result.stderr and "d/MNIST/raw" in result.stderr
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize("command", ["", "train", "sample"])
def test_help_does_not_import_torch(command: str) -> None:
    program = f"import sys; from tinydiff_tui.cli import run; run([*{command.split()}, '--help'])"
    timed = subprocess.run([sys.executable, "-X", "importtime", "-c", program], capture_output=True, text=True)
    assert timed.returncode == 0 and "tinydiff-tui" in timed.stdout
    assert not re.search(r"\| +(torch|textual|rich|numpy|shtab|PIL)$", timed.stderr, re.MULTILINE)


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command."""
    (choices,) = (action.choices for action in make_parser()._actions if action.dest == "command")
    assert isinstance(choices, dict)
    return choices


@pytest.mark.parametrize("name", commands())
def test_help_has_an_example_and_says_every_default(name: str) -> None:
    parser = commands()[name]
    text = parser.format_help()
    assert re.search(rf"example:\n +(eval \"\$\()?tinydiff-tui {name}\b", text)
    for action in parser._actions:
        required = not action.option_strings and action.nargs != "?"
        assert action.dest == "help" or required or "(default: " in (action.help or ""), action.dest
        assert action.dest in ("help", "shell", "file", "folder", "ask", "extend") or in_group(parser, action), action.dest


def in_group(parser: argparse.ArgumentParser, action: argparse.Action) -> bool:
    return any(action in group._group_actions for group in parser._action_groups if group.title in (*GROUPS, OUTPUT))


def test_every_example_is_a_command_line() -> None:
    """And names what there is."""
    for parser in commands().values():
        for line in re.findall(r"tinydiff-tui [a-z].*", f"{parser.epilog}"):
            words = line.split(" and ")[0].rstrip(')"').split()
            assert cli.parse(words[1:]).command == words[1], line


def test_defaults_in_words_are_those_of_the_recipes() -> None:
    for field in dataclasses.fields(TrainConfig):
        if field.metadata["otherwise"] or field.name == "model" or field.metadata["group"] == "Network":
            continue  # the shape of a network is its own unless it is given
        by_objective = field.name in ("schedule", "t_sampling")
        for name in OBJECTIVES if by_objective else NETWORKS:
            config = TrainConfig.of(**{"objective" if by_objective else "model": name})
            value = getattr(config, field.name)
            shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else f"{value}".removesuffix(".0")
            parts = [part.partition(" with ") for part in default_words(field).split("; ")]
            assert [part[0] for part in parts if not part[2] or name in part[2].split(", ")] == [shown], (field.name, name)


def test_without_a_path_the_newest_run_is_taken_and_named(tmp_path: Path, run: Path) -> None:
    info = json.loads((run / "out" / "run.json").read_text())
    for place, started in (("b/old", 1000.0), ("a/new", 2000.0), ("c/empty", 3000.0)):
        shutil.copytree(run / "out", tmp_path / place)
        (tmp_path / place / "run.json").write_text(json.dumps(info | {"started": started}))
    for path in (tmp_path / "c" / "empty").rglob("*.p*"):
        path.unlink()
    line = rf"the newest run here: a/new \({re.escape(info['config']['dataset'])}, tiny, finished\)\n"
    sampled = tinydiff("sample", "--num-images", "2", "--steps", "2", *FIXED, cwd=tmp_path)
    assert sampled.returncode == 0 and re.match(line, sampled.stdout), sampled
    assert (tmp_path / "a" / "new" / "generated_samples.png").exists()
    exported = tinydiff("export", cwd=tmp_path)
    assert exported.returncode == 0 and re.match(line, exported.stdout), exported
    assert (tmp_path / "a" / "new" / "model_final.safetensors").exists()
    shown = tinydiff("show", cwd=tmp_path)
    assert shown.returncode == 0 and re.match(line, shown.stdout), shown
    assert re.search(r"\na/new/samples/epoch_002.png: \d+ x \d+ pixels", shown.stdout)
    old = tinydiff("show", "b/old/checkpoints/model_epoch_001.pt", cwd=tmp_path)
    assert "b/old/samples/epoch_001.png: " in old.stdout


def test_where_nothing_was_trained_the_model_of_the_program_draws(tmp_path: Path) -> None:
    sampled = tinydiff("sample", "--num-images", "2", "--steps", "2", *FIXED, cwd=tmp_path)
    assert sampled.returncode == 0 and "the model of glyphs that comes with the program" in sampled.stdout, sampled
    assert [path.name for path in tmp_path.iterdir()] == ["generated_samples.png"]


def test_attach_takes_the_run_that_is_live(tmp_path: Path, run: Path) -> None:
    info = json.loads((run / "out" / "run.json").read_text())
    for name, started, status in (("old", 1000.0, "running"), ("new", 2000.0, "finished")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(info | {"started": started, "status": status}))
    lock = RunDir(tmp_path / "old").lock()
    asked = tinydiff("attach", "--ask", "pause", cwd=tmp_path)
    lock.release()
    assert asked.returncode == 0 and "asked the run in old to pause" in asked.stdout, asked
    assert (tmp_path / "old" / "control" / "pause").exists()
    over = tinydiff("attach", "--ask", "pause", cwd=tmp_path)
    assert over.returncode == 2 and "no process trains in new (it is finished)" in over.stderr


LOOKS = {
    "truecolor": {},
    "greys": {"COLORTERM": ""},
    "no colours": {"NO_COLOR": "1"},
    "octants": {"TERM": "xterm-kitty", "TMUX": ""},
}


@pytest.mark.parametrize("environment", LOOKS.values(), ids=LOOKS)
def test_show_prints_a_picture_as_large_as_it_fits(tmp_path: Path, environment: dict[str, str]) -> None:
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:10, :10], picture[10:, 10:] = 255, (200, 0, 0)
    Image.fromarray(picture).save(tmp_path / "a.png")
    with Terminal(["show", "a.png"], tmp_path, 80, 24, environment) as terminal:
        assert terminal.end() == 0
    row, sentence = terminal.screen.buffer[2], next(line for line in terminal.lines if line.startswith("a.png: "))
    assert sentence.strip() == "a.png: 20 x 20 pixels" and terminal.lines.index(sentence) == 20  # each pixel two dots wide
    if environment.get("NO_COLOR"):
        assert terminal.lines[2].rstrip() == "@" * 20 and row[0].fg == row[0].bg == "default"
        return
    assert [row[x].bg for x in (0, 19, 20)] == ["ffffff", "ffffff", "000000"] or environment.get("COLORTERM") == ""
    assert terminal.screen.buffer[15][39].bg in ("c80000", "d70000", "af0000") and not terminal.outside


def test_show_says_what_it_prints_of_a_gif_and_of_many(tmp_path: Path) -> None:
    frames = [images.grid(np.full((60, 28, 28, 1), 40 + 100 * k, dtype=np.uint8)) for k in range(3)]
    images.save_gif(tmp_path / "a.gif", frames[:2])
    images.save_png(tmp_path / "b.png", frames[0], caption="drawn by hand")
    Image.fromarray(frames[0][:, :, 0]).save(tmp_path / "c.jpg")
    said = {name: tinydiff("show", name, cwd=tmp_path, COLUMNS="80", LINES="24").stdout for name in ("a.gif", "b.png", "c.jpg")}
    assert "a.gif: the last of 2 frames, 726 x 726 pixels (8 of 60 fit here)" in said["a.gif"]
    assert "b.png: drawn by hand (8 of 60 fit here)" in said["b.png"] and "c.jpg: 242 x 242 pixels\n" in said["c.jpg"]
    assert "." in said["c.jpg"].split("c.jpg")[0] and "\x1b" not in "".join(said.values())


@pytest.mark.parametrize(("columns", "lines"), [(1, 1), (2, 50), (7, 3), (300, 2), (500, 200)])
def test_any_terminal_is_large_enough(tmp_path: Path, columns: int, lines: int) -> None:
    """At least for a sentence, and nothing is wider than it."""
    images.save_png(
        tmp_path / "a.png", images.grid(np.full((30, 28, 28, 3), 90, dtype=np.uint8), 10), headings=list("0123456789")
    )
    result = tinydiff("show", "a.png", cwd=tmp_path, COLUMNS=f"{columns}", LINES=f"{lines}")
    assert result.returncode == 0 and "a.png: 604 x 208 pixels" in result.stdout, result
    assert all(len(line) <= columns for line in result.stdout.splitlines()[:-1])


def test_pictures_are_printed_on_a_terminal_only(tmp_path: Path, run: Path) -> None:
    visualize = ["visualize", "--dataset", "glyphs", "--num-images", "2"]
    with Terminal(visualize, tmp_path, 120, 40) as terminal:
        assert terminal.end() == 0
    assert re.search(r"t=0 +t=50 +t=100 +t=200", terminal.text) and b"\x1b[" in terminal.received
    assert any(cell.bg not in ("default", "000000") for cell in terminal.screen.buffer[4].values())
    with Terminal([*visualize, "--plain"], tmp_path, 120, 40) as terminal:
        assert terminal.end() == 0
    assert b"\x1b[" not in terminal.received and "forward_diffusion.png" in terminal.text
    arguments = ["sample", "--checkpoint", str(run / "out" / "model_final.pt"), "--num-images", "4", "--steps", "2", *FIXED]
    with Terminal([*arguments, "--output", "a.png"], tmp_path, 80, 30) as terminal:
        assert terminal.end() == 0
    with Image.open(tmp_path / "a.png") as file:
        colours = {bytes(pixel).hex() for pixel in np.asarray(file).reshape(-1, 3)}
    printed = {cell.bg for row in terminal.screen.buffer.values() for cell in row.values()} - {"default", "000000"}
    assert len(printed & colours) > 50 and re.search(r"4 images in [\d.]+ s: a.png", terminal.text)


def test_a_caption_says_what_the_images_were_drawn_with(tmp_path: Path, run: Path) -> None:
    arguments = ("--checkpoint", "out/model_final.pt", "--num-images", "4", "--steps", "3", "--seed", "7", "--caption", *FIXED)
    result = tinydiff("sample", *arguments, "--output", str(tmp_path / "a.png"), cwd=run)
    assert result.returncode == 0, result.stderr
    with Image.open(tmp_path / "a.png") as file:
        saved = images.saved_picture(file)
    step = read_run(run / "out").step
    assert saved is not None and saved.caption.endswith(f", tiny, step {step} · unipc, 3 evaluations · guidance 1.75 · seed 7")


def test_runs_and_datasets_as_json(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run / "out", tmp_path / "a")
    info = json.loads((run / "out" / "run.json").read_text())
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "run.json").write_text("{")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "run.json").write_text(json.dumps(info | {"status": "stopped", "started": 1.5, "step": 0}))
    (tmp_path / "c" / "metrics.jsonl").write_text('{"step": 10, "loss": 0.5, "seconds": NaN}\n')
    document = strict(tinydiff("runs", "--json", cwd=tmp_path).stdout)
    by_folder = {entry["folder"]: entry for entry in document["runs"]}
    assert document["folder"] == "." and set(by_folder) == {"a", "b", "c"}
    assert by_folder["a"]["loss"] == pytest.approx(metrics(run / "out")[-1]["loss"], rel=0.5)
    assert (by_folder["a"]["step"], by_folder["a"]["status"], by_folder["a"]["distance"]) == (info["step"], "finished", None)
    assert by_folder["a"]["checkpoint"] == "a/model_final.pt" and by_folder["a"]["error"] is None
    assert (by_folder["c"]["loss"], by_folder["c"]["seconds"], by_folder["c"]["checkpoint"]) == (0.5, None, None)
    assert "cannot be read" in by_folder["b"]["error"] and by_folder["b"]["status"] == "unreadable"
    assert by_folder["b"]["loss"] is by_folder["b"]["dataset"] is by_folder["b"]["step"] is None
    assert strict(tinydiff("runs", "--json", "c", cwd=tmp_path).stdout)["runs"][0]["started"] == 1.5
    (tmp_path / "none").mkdir()
    assert strict(tinydiff("runs", "--json", "none", cwd=tmp_path).stdout) == {"folder": "none", "runs": []}
    sets = strict(tinydiff("datasets", "--json", "--data-dir", "none", cwd=tmp_path).stdout)
    assert sets["folder"] == "none"
    assert sets["datasets"][0] == {
        "name": "glyphs", "title": "Glyphs, digits drawn and bent by the program", "images": 20_000, "test_images": 2_000,
        "height": 28, "width": 28, "channels": 1, "classes": 10, "status": "embedded", "where": "in the program",
    }  # fmt: skip


def strict(text: str) -> Any:
    """The one document of standard output, in which no number is NaN."""
    return json.loads(text, parse_constant=pytest.fail)


COMPLETED = {
    "sa": "sample",
    "train --mo": "--model",
    "train --model ": "fast reference tiny",
    "train --dataset g": "glyphs",
    "sample --sampler d": "ddpm ddim dpmpp_2m",
    "datasets --download ": "mnist fashion_mnist kmnist qmnist emnist_letters cifar10 svhn",
    "show a": "a.png a_folder",
    "train --output-dir a": "a_folder",
    "completion ": "bash zsh fish tcsh",
}


def test_bash_completes_commands_flags_names_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "a_folder").mkdir()
    script = tinydiff("completion", "bash", cwd=tmp_path).stdout
    lines = [
        "COMP_WORDS=(tinydiff-tui " + words + ("''" if words.endswith(" ") else "") + "); "
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); _shtab_tinydiff_tui; echo ${COMPREPLY[*]}"
        for words in COMPLETED
    ]
    done = subprocess.run(["bash", "-c", "\n".join([script, *lines])], cwd=tmp_path, capture_output=True, text=True)
    assert not done.stderr
    assert [sorted(line.split()) for line in done.stdout.splitlines()] == [sorted(line.split()) for line in COMPLETED.values()]


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["completion", shell]) == 0
    said = capsys.readouterr().out
    assert all(word in said for word in ("tinydiff-tui", "sampler", "dpmpp_2m", "fashion_mnist")) and len(said) > 2000


@pytest.mark.slow
def test_detached_run_takes_requests_through_its_folder(tmp_path: Path, photos: Path) -> None:
    result = tinydiff("train", "--dataset", f"folder:{photos}", "--epochs", "100000", "--sample-interval", "0", "--detach", *TINY,
                      cwd=tmp_path)  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "tinydiff-tui attach outputs" in result.stdout
    run_dir = RunDir(tmp_path / "outputs")
    assert read_run(run_dir.path).status == "running"
    second = tinydiff("train", "--dataset", f"folder:{photos}", "--overwrite", *TINY, cwd=tmp_path)
    assert second.returncode == 2 and "another process is training in outputs" in second.stderr
    run_dir.ask("sample")
    wait_for(lambda: any(run_dir.path.glob("samples/*.png")))
    run_dir.ask("pause")
    wait_for(lambda: read_run(run_dir.path).status == "paused")
    run_dir.ask("resume")
    wait_for(lambda: read_run(run_dir.path).status == "running")
    run_dir.ask("stop")
    wait_for(lambda: not run_dir.is_live())
    info = read_run(run_dir.path)
    assert info.status == "stopped" and info.step > 0 and info.checkpoint == run_dir.last


def test_detached_run_that_cannot_start_says_why(tmp_path: Path, photos: Path) -> None:
    arguments = ("--dataset", f"folder:{photos}", "--batch-size", "9999", "--model", "tiny", "--detach")
    result = tinydiff("train", *arguments, cwd=tmp_path)
    assert result.returncode == 2 and "the run did not start: a batch of 9999 is larger than" in result.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_lost_its_run_json_and_goes_on(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run / "out", tmp_path / "out")
    (tmp_path / "out" / "run.json").write_text("{")
    again = tinydiff("train", "--resume", "--output-dir", "out", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "finished"


def test_a_second_detached_run_leaves_the_log_of_the_first_alone(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run / "out", tmp_path / "out")
    (tmp_path / "out" / "train.log").write_text("of the first")
    lock = RunDir(tmp_path / "out").lock()
    second = tinydiff("train", "--resume", "--output-dir", "out", "--detach", cwd=tmp_path)
    lock.release()
    assert second.returncode == 2 and "another process is training in out" in second.stderr
    assert (tmp_path / "out" / "train.log").read_text() == "of the first"


def test_runs_says_of_each_how_it_stands(tmp_path: Path, run: Path) -> None:
    info = json.loads((run / "out" / "run.json").read_text())
    locks = []
    for name, status in {"a": "running", "b": "paused", "c": "stopped", "d": "finished", "e": "diverged", "f": "running"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(info | {"status": status}))
        if name in "ab":
            locks.append(RunDir(tmp_path / name).lock())
    (tmp_path / "evil\x1b[2J").mkdir()
    (tmp_path / "evil\x1b[2J" / "run.json").write_text(json.dumps(info | {"device": "\x1b[2J", "status": "[bold]\x07"}))
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "run.json").symlink_to(run / "out" / "run.json")
    listed = tinydiff("runs", cwd=tmp_path, COLUMNS="300")
    for lock in locks:
        lock.release()
    found = dict(re.findall(r"^([a-f]) .* (\w+) +[\d,]+ of [\d,]+", listed.stdout, re.MULTILINE))
    assert found == {"a": "running", "b": "paused", "c": "stopped", "d": "finished", "e": "diverged", "f": "crashed"}
    assert "g/run.json is a link that leads out of its run's folder" in listed.stdout
    assert listed.stdout.replace("\n", "").isprintable()


def test_asking_what_does_not_run_is_refused(tmp_path: Path, run: Path) -> None:
    for folder, sentence in ((run / "out", "it is finished"), (tmp_path, "holds no run")):
        result = tinydiff("attach", str(folder), "--ask", "stop", cwd=tmp_path)
        assert result.returncode == 2 and sentence in result.stderr, result
    assert not (run / "out" / "control").exists()


def test_pictures_are_not_written_through_a_link(tmp_path: Path, run: Path) -> None:
    shutil.copytree(run / "out", tmp_path / "out", ignore=shutil.ignore_patterns("intermediate"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "step_0001.png").touch()
    (tmp_path / "out" / "intermediate").symlink_to("../mine")
    arguments = ("--checkpoint", "out/model_final.pt", "--num-images", "1", "--steps", "2", "--show-intermediate")
    result = tinydiff("sample", *arguments, cwd=tmp_path)
    assert result.returncode == 2 and "is a link" in result.stderr
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["step_0001.png"]


@pytest.mark.usefixtures("small_glyphs")
def test_a_run_by_budget_goes_on_by_epochs(tiny_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    from core.training.trainer import Trainer

    list(Trainer(tiny_config(tmp_path / "run", budget="1s", sample_interval=0)))
    done = read_run(tmp_path / "run").step
    epochs = done // 6 + 1
    assert cli.run(["train", "--resume", "--plain", "--epochs", str(epochs), "--output-dir", str(tmp_path / "run")]) == 0
    info = read_run(tmp_path / "run")
    assert (info.step, info.config.budget, info.config.epochs) == (epochs * 6, "", epochs)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_closing_the_terminal_leaves_a_checkpoint_that_resumes_exactly(tmp_path: Path, photos: Path) -> None:
    arguments = ["train", "--dataset", f"folder:{photos}", *TINY, "--batch-size", "32", "--sample-interval", "0"]
    arguments += ["--lr-schedule", "constant", "--warmup", "0"]  # as long a run or a longer one: the same steps
    with Terminal([*arguments, "--epochs", "100000"], tmp_path) as terminal:
        terminal.until(lambda: re.search(r"loss \d", terminal.text))
        terminal.hang_up()
        assert terminal.end() == 128 + signal.SIGHUP
    info = read_run(tmp_path / "outputs")
    assert info.status == "stopped" and info.step > 0
    epochs = str(info.step // 16 + 1)
    environment = {"XDG_CACHE_HOME": str(tmp_path / ".cache"), "OMP_NUM_THREADS": "1"}
    resumed = tinydiff("train", "--resume", "--epochs", epochs, cwd=tmp_path, **environment)
    assert resumed.returncode == 0 and f"resuming at step {info.step:,}" in resumed.stdout, resumed.stderr
    whole = tinydiff(*arguments, "--epochs", epochs, "--output-dir", "whole", cwd=tmp_path, **environment)
    assert whole.returncode == 0, whole.stderr
    first, second = (torch.load(tmp_path / name / "model_final.pt", weights_only=True) for name in ("outputs", "whole"))
    assert all(same_tensors(first[key], second[key]) for key in ("step", "model", "ema", "ema_updates", "optimizers", "tally"))
    assert metrics(tmp_path / "outputs") == metrics(tmp_path / "whole")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_attach_opens_the_live_run_and_requests_reach_it(tmp_path: Path, photos: Path) -> None:
    arguments = ("--dataset", f"folder:{photos}", "--epochs", "50000", "--sample-interval", "0", *TINY, "--batch-size", "16")
    assert tinydiff("train", *arguments, "--detach", cwd=tmp_path).returncode == 0
    run_dir = RunDir(tmp_path / "outputs")
    try:
        wait_for(lambda: run_dir.metrics.exists() and len(run_dir.read_metrics()) > 0)
        with Terminal(["attach", "outputs"], tmp_path, 120, 40) as app:
            app.until(lambda: re.search(r"outputs +● running", app.text))
            seen = step_shown(app)
            app.until(lambda: step_shown(app) > seen)  # live
            asked = tinydiff("attach", "outputs", "--ask", "pause", cwd=tmp_path)
            assert "asked the run in outputs to pause" in asked.stdout, asked.stderr
            app.until(lambda: re.search(r"outputs +‖ paused", app.text))
            for key, status in ((" ", "● running"), ("X", "■ stopped")):
                app.send(key)
                app.until(lambda status=status: re.search(rf"outputs +{status}", app.text))  # type: ignore[misc]
            app.send("q")
            assert app.end() == 0
    finally:
        run_dir.ask("stop")
        wait_for(lambda: not run_dir.is_live())
    assert read_run(run_dir.path).checkpoint == run_dir.last


def step_shown(app: Terminal) -> float:
    """The step of the one run in the list of the app."""
    found = re.search(r"([\d.,]+)(k?)/[\d.,]+k?", app.text)
    return float(found[1].replace(",", "")) * (1000 if found[2] else 1) if found else 0.0


def test_a_second_ctrl_c_interrupts_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_signals() as received:
        signal.raise_signal(signal.SIGTERM)
        assert received == [signal.SIGTERM]
        received.clear()
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    """Poll another process until the condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the other process did not get there"
        time.sleep(0.02)
