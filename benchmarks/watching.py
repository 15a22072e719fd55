"""What watching costs: training with the dashboard open against headless, and key-to-paint of the app; for terminal.py."""

import json
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from core.training.trainer import LOG_EVERY
from tests.e2e.terminal import Terminal


def last_step(metrics: Path) -> int:
    """The step of the newest whole line."""
    lines = metrics.read_bytes().splitlines() if metrics.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def pull(folder: Path, lines: int, turn: Callable[[], object]) -> float:
    """Seconds for so many more lines of metrics, LOG_EVERY steps each; `turn` keeps the program's output flowing."""
    metrics = folder / "metrics.jsonl"
    first = last_step(metrics)
    while last_step(metrics) == first:  # the line under way began before
        turn()
    first, started = last_step(metrics), time.perf_counter()
    while last_step(metrics) < first + lines * LOG_EVERY:
        turn()
    return (time.perf_counter() - started) / (last_step(metrics) - first) * lines * LOG_EVERY


def prepared(folder: Path, model: str, batch: int) -> None:
    """A run that stopped right at its start, to be continued headless or in the app."""
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--plain", "--dataset", "glyphs", "--model", model]
    command += ["--batch-size", str(batch), "--epochs", "100", "--sample-interval", "0", "--output-dir", "run"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if " loss " in line:
            break
    process.terminate()
    process.communicate()


@contextmanager
def headless(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`train --resume --plain`."""
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--plain", "--resume", "--output-dir", "run"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def dashboard(folder: Path, latencies: dict[str, list[float]]) -> Iterator[Terminal]:
    """The app, with the run resumed in Train; before that it scrubs noise."""
    with Terminal([], folder, 120, 40, {"OMP_NUM_THREADS": ""}) as terminal:
        terminal.until("1 Data")
        terminal.send("2")
        terminal.until(lambda: re.search(r"x_t = \d", terminal.text))
        terminal.settle()
        for place in range(40):
            latencies["idle"].append(latency(terminal, "\x1b[C", f" {place + 1} ".encode()))
        terminal.send("5")
        terminal.until("stopped")
        terminal.send("r")
        yield terminal
        terminal.process.kill()


def press_keys(terminal: Terminal, latencies: dict[str, list[float]]) -> None:
    """Keys in a training's dashboard, then, the training stopped, in a sampling."""
    for _ in range(60):
        latencies["training"].append(latency(terminal, "l", b"linear"))
        terminal.send("l")
        terminal.until(lambda: "linear" not in terminal.text)
    terminal.send("X")
    terminal.until("o Open in Sample")
    terminal.send("4")
    terminal.until("g draws")
    terminal.send("\t\t\t\t", "300", "\r")  # so many steps, which last as long as the keys do
    terminal.until("film of")
    while (found := re.search(r" (\d+)/(\d+) evaluations", terminal.text)) and int(found[1]) < 0.7 * int(found[2]):
        latencies["sampling"].append(latency(terminal, "x", b"\xc2\xb7 predicted"))
        latencies["sampling"].append(latency(terminal, "x", b"\xc2\xb7 x_t"))


def latency(terminal: Terminal, key: str, answer: bytes) -> float:
    """Seconds from a key to its answer in what the app writes."""
    while terminal.read(0):
        pass
    start = len(terminal.received)
    began = time.perf_counter()
    terminal.send(key)
    chunks = []
    while answer not in terminal.received[start:]:
        assert time.perf_counter() - began < 20, f"no answer to {key!r}:\n{terminal.text}"
        chunks.append(terminal.take(0.01))
    seconds = time.perf_counter() - began
    terminal.stream.feed(b"".join(chunks))
    return seconds


def watching(rounds: int, lines: int = 3, batch: int = 32, model: str = "fast") -> list[tuple[str, str]]:
    """Rows of the table: the training rate, and the latencies.

    Headless and watched take turns of a few seconds, the other one frozen meanwhile: this machine's speed changes from minute to
    minute, and so both have the same share of it.
    """
    latencies: dict[str, list[float]] = {"idle": [], "training": [], "sampling": []}
    pairs = []
    with ExitStack() as stack:
        folders = [Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2)]
        for folder in folders:
            prepared(folder, model, batch)
        alone = stack.enter_context(headless(folders[0]))
        pull(folders[0] / "run", 1, lambda: time.sleep(0.02))
        alone.send_signal(signal.SIGSTOP)
        terminal = stack.enter_context(dashboard(folders[1], latencies))
        pull(folders[1] / "run", 1, lambda: terminal.read(0.02))
        for _ in range(rounds):
            terminal.process.send_signal(signal.SIGSTOP)
            alone.send_signal(signal.SIGCONT)
            free = pull(folders[0] / "run", lines, lambda: time.sleep(0.02))
            alone.send_signal(signal.SIGSTOP)
            terminal.process.send_signal(signal.SIGCONT)
            watched = pull(folders[1] / "run", lines, lambda: terminal.take(0.02))
            pairs.append((free, watched))
        terminal.resize(120, 40)  # what came while nobody decoded it is painted anew
        terminal.settle(0.05)
        press_keys(terminal, latencies)
    shares = sorted(free / watched for free, watched in pairs)
    speeds = [lines * LOG_EVERY * batch / statistics.median(times) for times in zip(*pairs, strict=True)]
    text = f"{speeds[1]:.0f} images/s against {speeds[0]:.0f} headless; of {rounds} turns each the median share is "
    rows = [
        (
            f"training {model} with the dashboard open",
            f"{text}{statistics.median(shares):.1%} ({shares[0]:.0%} to {shares[-1]:.0%})",
        )
    ]
    for what, seconds in latencies.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        rows.append((f"key to paint, {what}", f"p50 {statistics.median(ordered) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms"))
    return rows
