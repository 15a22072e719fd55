"""The cost of watching: training with the dashboard open against the same training headless, alternating in one run.

    python -m benchmarks.dashboard [--rounds 3] [--steps 120] [--model tiny]

Also key-to-paint latency (p50, p95) of the app while it trains and while it is idle, and the time to first paint.
"""

import argparse
import json
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
    """images/s of the same run resumed in the app with the dashboard open; then the latency of keys while it goes on."""
    started = time.perf_counter()
    with Terminal([], folder, 120, 40, {"OMP_NUM_THREADS": ""}) as terminal:
        terminal.until("1 Data")
        latencies["first paint"].append(time.perf_counter() - started)
        terminal.send("5")
        terminal.until("stopped")
        terminal.settle()
        latencies["idle"] += [latency(terminal) for _ in range(20)]
        terminal.send("r")
        result = rate(folder / "run", steps, batch, lambda: terminal.read(0.02))
        latencies["training"] += [latency(terminal) for _ in range(40)]
        terminal.process.kill()
    return result


def latency(terminal: Terminal) -> float:
    """Seconds from opening the help with a key to its first line on the screen."""
    started = time.perf_counter()
    terminal.send("?")
    terminal.until(lambda: "Everywhere" in terminal.text or "escape" in terminal.text.lower(), 10)
    spent = time.perf_counter() - started
    terminal.send("\x1b")
    terminal.until(lambda: "Everywhere" not in terminal.text, 10)
    return spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--model", default="tiny")
    options = parser.parse_args()
    latencies: dict[str, list[float]] = {"first paint": [], "idle": [], "training": []}
    alone, shown = [], []
    for number in range(options.rounds):
        for program in (headless, watched) if number % 2 == 0 else (watched, headless):
            with tempfile.TemporaryDirectory() as name:
                prepared(Path(name), options.model, options.batch)
                if program is headless:
                    alone.append(headless(Path(name), options.steps, options.batch))
                else:
                    shown.append(watched(Path(name), options.steps, options.batch, latencies))
    ratio = statistics.median(shown) / statistics.median(alone)
    print(f"headless {statistics.median(alone):.0f} images/s, with dashboard {statistics.median(shown):.0f}: {ratio:.1%}")
    for what, seconds in latencies.items():
        ordered = sorted(seconds)
        p95 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
        print(f"{what}: p50 {statistics.median(ordered) * 1000:.0f} ms, p95 {p95 * 1000:.0f} ms ({len(ordered)} times)")


if __name__ == "__main__":
    main()
