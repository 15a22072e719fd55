"""The app as a user has it: a real terminal, keys only, the real engine, real files."""

import json
import math
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core.runs.folder import RunDir, read_run
from tests.e2e.terminal import Terminal

KEY_BARS = {
    "1": "⏎ Add noise", "2": "] Mark", "3": "Start", "4": "g Generate", "5": "n New run", "6": "r Directions", "7": "⏎ Predict",
}  # fmt: skip
"""Key of a mode -> what its line of keys holds."""
MODES = dict(zip(KEY_BARS, ("data", "noise", "train", "sample", "runs", "play", "learn"), strict=True))
ENTER, ESCAPE, TAB, CTRL_C, CTRL_S = "\r", "\x1b", "\t", "\x03", "\x13"
BLOCKS = re.compile("[▀▄▌▐▖▗▘▝▚▞▙▛▜▟█]")
FORMULA = re.compile(r"(\d\.\d{5})[^\d\n]+(\d\.\d{5})")
"""The shares of the image and of the noise in x_t, below their large figures."""
LOSS = re.compile(r"loss (\d\.\d+) · lr")

Start = Callable[..., Terminal]


@pytest.fixture
def start(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Start:
    """start(*arguments, columns, rows, **environment): the program in tmp_path, without data sets and network."""
    shared = tmp_path_factory.getbasetemp() / "cache-of-the-app"  # the glyphs are drawn once

    def begin(*arguments: str, columns: int = 80, rows: int = 24, **environment: str) -> Terminal:
        nowhere = "http://127.0.0.1:9"
        given = {"TINYDIFF_DATA_DIR": str(tmp_path / "empty"), "XDG_CACHE_HOME": str(shared), "OMP_NUM_THREADS": "2"}
        given |= {"http_proxy": nowhere, "https_proxy": nowhere} | environment
        return Terminal(arguments, tmp_path, columns, rows, given)

    return begin


def check(app: Terminal, mode: str) -> None:
    """The mode stands whole on the screen: its line, its keys, nothing outside."""
    app.until(lambda: KEY_BARS[mode] in "\n".join(app.lines[-3:]))
    assert app.outside == "", app.text
    names = " ".join(f"{key} {name.title()}" for key, name in MODES.items())
    assert re.sub(" +", " ", app.lines[0]).startswith(f" {names}"), app.text
    assert app.lines[0].rstrip().endswith("q quit"), app.text


def blocks(app: Terminal) -> int:
    """How many cells of pictures are on the screen, the line of modes left out."""
    return len(BLOCKS.findall("".join(app.lines[1:])))


def engine_loaded(app: Terminal) -> None:
    """Wait until torch is imported; leaves the app in Noise."""
    app.until(KEY_BARS["1"])
    app.send("2")
    app.until(lambda: FORMULA.search(app.text))


def train_tiny(app: Terminal) -> None:
    """From any mode: fill in the form for the tiny model and start; returns when the first loss is shown."""
    app.send("3")
    app.until("Recipe")
    check(app, "3")
    app.send(*[TAB] * 7, ENTER)  # the lines of two groups among them
    app.until("Dismiss menu")
    app.send("tiny", ENTER)
    app.until(lambda: re.search(r"model +tiny", app.text))
    app.send(*[TAB] * 11, "32")  # those of two more
    app.until(lambda: re.search(r"batch size +32 ", app.text))
    app.send(CTRL_S)
    app.until(lambda: LOSS.search(app.text))


def loss(app: Terminal) -> float:
    """The loss that the dashboard shows; nan while the line is being drawn."""
    found = LOSS.search(app.text)
    return float(found[1]) if found else math.nan


def check_stopped(run: Path) -> int:
    """run.json says stopped, and last.pt is a whole checkpoint of that step; the step."""
    from core.runs.checkpoint import load_checkpoint

    info = json.loads((run / "run.json").read_text())
    assert info["status"] == "stopped" and info["step"] > 0
    assert load_checkpoint(run / "checkpoints" / "last.pt")["step"] == info["step"]
    return int(info["step"])


def check_resume(folder: Path, step: int) -> None:
    """The headless command goes on at that step, and stops when told."""
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--resume", "--plain"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said = ""
        for line in process.stdout:
            said += line
            if " loss " in line:
                process.send_signal(signal.SIGTERM)
                break
        said += process.stdout.read()
    assert f"resuming at step {step:,}" in said, said
    assert process.returncode == 128 + signal.SIGTERM
    assert check_stopped(folder / "outputs") > step


def test_from_data_to_samples_with_keys_only_at_80x24(start: Start, tmp_path: Path) -> None:
    run = tmp_path / "outputs"
    with start() as app:
        app.until(lambda: "1–6 of 20,000" in app.text and blocks(app) > 150)
        check(app, "1")

        engine_loaded(app)
        seen = []
        for t in (50, 100, 200):
            app.send("]")
            app.until(lambda t=t: f"─ x_t · t={t} ─" in app.text and FORMULA.search(app.text))  # type: ignore[misc]
            app.settle()
            signal_share, noise_share = map(float, FORMULA.findall(app.text)[0])
            found = re.search(r"ᾱ (\d\.\d+) · SNR", app.text)
            assert found and signal_share**2 == pytest.approx(float(found[1]), abs=2e-3)
            assert signal_share**2 + noise_share**2 == pytest.approx(1, abs=3e-3)
            seen.append(signal_share)
        assert seen == sorted(seen, reverse=True) and len(set(seen)) == 3
        assert blocks(app) > 300
        check(app, "2")

        train_tiny(app)
        first = loss(app)
        assert first > 0
        app.until(lambda: loss(app) < 0.8 * first and (run / "metrics.jsonl").read_text().count("\n") > 1)
        app.until(lambda: len(set(re.findall("[⠁-⣿]", app.text))) > 5)
        app.until(lambda: "X Stop" in "".join(app.lines[-2:]))
        assert app.outside == ""
        app.send("X")
        app.until("■ stopped")
        app.until("New run")
        step = check_stopped(run)
        losses = [entry["loss"] for entry in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())]
        assert losses[-1] < losses[0]

        app.send("4")
        app.until("g draws outputs")
        assert f"step {step:,}" in app.text
        check(app, "4")
        app.send("g")
        app.until(lambda: "✓ finished" in app.text and "ddpm · 20 evaluations" in app.text)
        app.until(lambda: blocks(app) > 300 and "frame 20 " in app.text)  # the film is drawn after the words
        check(app, "4")

        app.send("5")
        app.until(lambda: re.search(r"outputs +■ stopped", app.text))
        check(app, "5")

        app.send("q")
        assert app.end() == 0
        assert app.restored
        raw = bytes(app.received)
        after = raw[raw.rfind(b"\x1b[?1049l") :].decode()
        assert f"stopped at step {step:,}" in after
        assert "tinydiff-tui train --resume --output-dir" in after and "last.pt" in after


@pytest.mark.realdata
def test_every_mode_uses_the_room_of_200x60_with_mnist(start: Start, tmp_path: Path, tiny_run: Path) -> None:
    data = os.environ.get("TINYDIFF_DATA_DIR", "")
    if not data or not any(Path(data, "MNIST", "raw").glob("train-images*")):
        pytest.skip("no MNIST in TINYDIFF_DATA_DIR")
    shutil.copytree(tiny_run, tmp_path / "outputs")
    with start(columns=200, rows=60, TINYDIFF_DATA_DIR=data) as app:
        app.until(lambda: "● mnist" in app.text and "1–6 of 60,000" in app.text)
        engine_loaded(app)
        for mode, marker in {
            "1": "of 60,000",
            "2": "√ᾱ",
            "3": "Recipe",
            "4": "g draws outputs",
            "5": "finished",
        }.items():
            app.send(mode)
            app.until(marker)
            if mode == "4":
                app.send("g")
                app.until("✓ finished")
            if mode != "3":  # the form is as long as its explanations
                app.until(lambda: max(len(line.rstrip()) for line in app.lines[1:-3]) > 150)
                app.until(lambda: bool("".join(app.lines[40:56]).strip()))
            app.settle()
            check(app, mode)
        app.send("q")
        assert app.end() == 0 and app.restored


SIGNALS: dict[str, tuple[int, Callable[[Terminal], None]]] = {
    "sigterm": (128 + signal.SIGTERM, lambda app: os.kill(app.process.pid, signal.SIGTERM)),
    "closed terminal": (128 + signal.SIGHUP, lambda app: app.hang_up()),
}


def interrupt_twice(app: Terminal) -> None:
    app.send(CTRL_C)
    app.until("A training is running.")
    app.send(CTRL_C)


def quit_and_answer(app: Terminal) -> None:
    app.send("q")
    app.until("Stop, save and quit")
    app.send("\x1b[B", ENTER)


KEYS: dict[str, tuple[int, Callable[[Terminal], None]]] = {
    "ctrl+c twice": (0, interrupt_twice),
    "q and the answer": (0, quit_and_answer),
}


@pytest.mark.parametrize("end", [*(pytest.param(end, marks=pytest.mark.slow) for end in SIGNALS), *KEYS])
def test_an_end_in_the_middle_of_training_leaves_a_checkpoint(start: Start, tmp_path: Path, end: str) -> None:
    code, act = (SIGNALS | KEYS)[end]
    with start() as app:
        engine_loaded(app)
        train_tiny(app)
        act(app)
        assert app.end() == code
        if app.controller >= 0:
            assert app.restored
            assert b"tinydiff-tui train --resume" in bytes(app.received)
    step = check_stopped(tmp_path / "outputs")
    if code:  # what a key ends is the same stop
        check_resume(tmp_path, step)


@pytest.mark.slow
def test_a_run_outlives_the_app_that_it_was_started_in(start: Start, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "outputs")
    with start() as app:
        engine_loaded(app)
        train_tiny(app)
        app.send("q")
        app.until("Keep it running in a process of its own, and quit")
        app.send(ENTER)
        assert app.end() == 0
        assert app.restored
        after = bytes(app.received)[bytes(app.received).rfind(b"\x1b[?1049l") :].decode()
        assert "goes on in process" in after and "tinydiff-tui attach outputs --ask stop" in after
    step = read_run(run.path).step
    with start("attach", "outputs") as app:
        app.until(lambda: re.search(r"outputs +● running", app.text))
        app.until("X Stop")
        app.send("X")
        app.until(lambda: re.search(r"outputs +■ stopped", app.text))
        app.send("q")
        assert app.end() == 0
    assert check_stopped(run.path) > step > 0


def test_256_colours_are_never_sent_as_true_colour(start: Start) -> None:
    with start(COLORTERM="") as app:
        app.until(lambda: "1–6 of 20,000" in app.text and blocks(app) > 150)
        check(app, "1")
        engine_loaded(app)
        app.send("q")
        assert app.end() == 0
        assert b"38;2;" not in app.received and b"48;2;" not in app.received
        assert b"38;5;" in app.received


def test_no_color_shows_pictures_without_colour(start: Start) -> None:
    with start(NO_COLOR="1") as app:
        app.until(lambda: "1–6 of 20,000" in app.text)
        engine_loaded(app)
        app.settle()
        check(app, "2")
        for colours in re.findall(rb"\x1b\[[\d;]*[34]8;2;(\d+;\d+;\d+)", bytes(app.received)):
            assert len(set(colours.split(b";"))) == 1, "a colour that is no grey"
        app.send("q")
        assert app.end() == 0 and app.restored


def test_a_terminal_without_utf8_is_no_crash(start: Start) -> None:
    with start(LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0") as app:
        app.until(lambda: "Add noise" in "\n".join(app.lines[-3:]))
        for mode, marker in {"2": "x_t", "3": "Recipe", "4": "Generate", "5": "no run below"}.items():
            app.send(mode)
            app.until(marker)
            assert app.outside == "", app.text
            assert app.text.isascii(), app.text
        app.send("q")
        assert app.end() == 0 and app.restored
        assert b"Traceback" not in app.received


def test_what_a_shell_exported_is_not_the_size_of_the_terminal(start: Start) -> None:
    with start(columns=100, rows=30, COLUMNS="50", LINES="10") as app:
        app.until("⏎ Add noise")
        assert "too small" not in app.text and not app.outside
        assert app.lines[0].rstrip().endswith("q quit") and len(app.lines[0].rstrip()) > 90


def test_a_dumb_terminal_is_one_sentence(start: Start) -> None:
    with start(TERM="dumb") as app:
        assert app.end() == 2
        said = app.received.decode()
        assert "\x1b" not in said and said.count("\n") == 1 and "TERM=dumb" in said


@pytest.mark.slow
def test_small_terminals_and_storms_of_resizes(start: Start) -> None:
    chance = random.Random(60)
    with start(columns=59, rows=17) as app:
        app.until("The terminal is too small")
        app.resize(80, 24)
        app.until(lambda: "1–6 of 20,000" in app.text)
        check(app, "1")
        engine_loaded(app)
        for mode in MODES:
            app.send(mode)
            check(app, mode)
            for _ in range(15):
                app.resize(chance.randint(5, 210), chance.randint(2, 65))
                app.read(0.02)
            app.resize(50, 15)
            app.until("50 x 15 cells")  # what was drawn for other sizes has come
            app.resize(60, 18)
            app.until(lambda: "too small" not in app.text and app.lines[-1].strip() and not app.outside)
            app.resize(80, 24)
            check(app, mode)
        app.send("q")
        assert app.end() == 0 and app.restored


def test_an_unreadable_run_stands_among_the_good_ones(start: Start, tmp_path: Path, tiny_run: Path) -> None:
    for name in ("good", "fine", "bad"):
        shutil.copytree(tiny_run, tmp_path / name)
    (tmp_path / "bad" / "run.json").write_text('{"config": [')
    with start() as app:
        app.until(KEY_BARS["1"])
        app.send("5")
        app.until(lambda: all(re.search(rf"{name} +✓ finished", app.text) for name in ("good", "fine")))
        assert re.search(r"bad +✗ unreadable", app.text), app.text
        check(app, "5")
        app.send("\x1b[F", *"jorld lgmN", " ", "\x1b[B", " ")  # on the last, which is the unreadable one
        app.until(KEY_BARS["5"])
        app.send("q")
        assert app.end() == 0 and app.restored
    assert read_run(tmp_path / "good").status == "finished"


def test_play_by_hand(start: Start, tmp_path: Path) -> None:
    right, down = "\x1b[C", "\x1b[B"
    with start() as app:
        app.until(KEY_BARS["1"])
        app.send("6")
        app.until(lambda: re.search(r"unipc · 6 evaluations", app.text))
        check(app, "6")
        app.until(lambda: blocks(app) > 50)
        app.send(right, down, right)
        app.until("+0.15")
        app.send("W")
        app.until(lambda: list(tmp_path.glob("steered*.gif")))
        app.send("]")
        app.until("60% to noise")
        app.send("p", *[right] * 6, *[down] * 4)
        app.until(lambda: re.search(r"6 evaluations · \d+ ms", app.text) and "drawing" in app.text)
        app.send("x")
        app.until("x_t · evaluation 3")
        app.until(lambda: app.text.count("finished") >= 2)
        app.send("]")
        app.until("starts the race")
        app.send("-", "\r")
        app.until(lambda: app.text.count("finished") >= 2 and "5/5" in app.text and "6/6" in app.text)
        app.until("no distances")  # the end of the race, which is before the judge's
        app.send("\x1b[D", "w")
        app.until(lambda: list(tmp_path.glob("race*.png")))
        assert app.outside == "", app.text
        app.send("q")
        assert app.end() == 0 and app.restored
