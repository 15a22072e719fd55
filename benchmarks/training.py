"""What watching costs: training with the dashboard open against headless, and key-to-paint of the app; for terminal.py."""

import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.terminal import Terminal

WARM_UP = 20  # steps before the clock starts


def last_step(metrics: Path) -> int:
    """The step of the newest whole line."""
    lines = metrics.read_bytes().splitlines() if metrics.exists() else []
    return int(json.loads(lines[-1])["step"]) if lines else 0


def rate(folder: Path, steps: int, batch: int, turn: Callable[[], object]) -> float:
    """Images a second between two steps of a run that is under way; `turn` keeps the program's output flowing."""
    marks = []
    for wanted in (WARM_UP, WARM_UP + steps):
        while last_step(folder / "metrics.jsonl") < wanted:
            turn()
        marks.append((time.perf_counter(), last_step(folder / "metrics.jsonl")))
    (start, first), (end, last) = marks
    return (last - first) * batch / (end - start)


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


def headless(folder: Path, steps: int, batch: int) -> float:
    """images/s of `train --resume --plain`."""
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--plain", "--resume", "--output-dir", "run"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        return rate(folder / "run", steps, batch, lambda: time.sleep(0.02))
    finally:
        process.kill()
        process.wait()


def watched(folder: Path, steps: int, batch: int, latencies: dict[str, list[float]]) -> float:
    """images/s of the same run resumed in the app with the dashboard open; then the latency of keys in it and while sampling."""
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
        result = rate(folder / "run", steps, batch, lambda: terminal.read(0.02))
        for _ in range(30):
            latencies["training"].append(latency(terminal, "l", b"log loss"))
            terminal.send("l")
            terminal.until(lambda: "log loss" not in terminal.text)
        terminal.send("x")
        terminal.until("o Open in Sample")
        terminal.send("4")
        terminal.until("g generates")
        terminal.send("g")
        terminal.until("at t = ")
        for _ in range(15):
            latencies["sampling"].append(latency(terminal, "v", b"predicted x0"))
            latencies["sampling"].append(latency(terminal, "v", b"x_t at t"))
        terminal.process.kill()
    return result


def latency(terminal: Terminal, key: str, answer: bytes) -> float:
    """Seconds from a key to its answer in what the app writes."""
    while terminal.read(0):
        pass
    start = len(terminal.received)
    began = time.perf_counter()
    terminal.send(key)
    while answer not in terminal.received[start:]:
        assert time.perf_counter() - began < 20, f"no answer to {key!r}:\n{terminal.text}"
        terminal.read(0.01)
    return time.perf_counter() - began


def watching(rounds: int, steps: int = 60, batch: int = 64, model: str = "fast") -> list[tuple[str, str]]:
    """Rows of the table: the training rate in turns, and the latencies."""
    latencies: dict[str, list[float]] = {"idle": [], "training": [], "sampling": []}
    alone, shown = [], []
    for number in range(rounds):
        for program in (headless, watched) if number % 2 == 0 else (watched, headless):
            with tempfile.TemporaryDirectory() as name:
                prepared(Path(name), model, batch)
                if program is headless:
                    alone.append(headless(Path(name), steps, batch))
                else:
                    shown.append(watched(Path(name), steps, batch, latencies))
    ratio = statistics.median(shown) / statistics.median(alone)
    text = f"{statistics.median(shown):.0f} images/s against {statistics.median(alone):.0f} headless: {ratio:.1%}"
    rows = [(f"training {model} with the dashboard open, {rounds} turns", text)]
    for what, seconds in latencies.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        rows.append((f"key to paint, {what}", f"p50 {statistics.median(ordered) * 1e3:.0f} ms, p95 {p95 * 1e3:.0f} ms"))
    return rows
