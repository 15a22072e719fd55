"""What the app costs in a terminal, against rich_pixels in a Static in the same run; how near its looks come to a picture, beside
chafa; what watching costs a training.

    python -m benchmarks.terminal [--only looks start pictures throttled watching] [--rounds 8]

Programs run in pseudo-terminals. Prints one table; ratios and latencies mean something on a quiet machine only.
"""

import argparse
import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.looks import looks
from benchmarks.watching import watching
from core.data.glyphs import make_glyphs

FRAMES, HEIGHT, WIDTH = 50, 112, 224
SLOW_LINE = 5e5  # bytes a second
KEY_SECONDS = 0.3
EMPTY = """
from textual.app import App
from textual.widgets import Static
class Empty(App):
    def compose(self):
        yield Static("Runs")
Empty().run()
"""
ANSWER = re.compile(rb"answer(\d+)\.")

Row = tuple[str, str]


def film() -> np.ndarray:
    """x_t on the cosine path from pure noise to 32 digits, uint8 (FRAMES, HEIGHT, WIDTH)."""
    digits = make_glyphs(32, 0)[0].numpy()
    picture = digits.reshape(4, 8, 28, 28).transpose(0, 2, 1, 3).reshape(HEIGHT, WIDTH) / 127.5 - 1
    noise = np.random.default_rng(0).standard_normal(picture.shape)
    t = np.linspace(1, 0, FRAMES)[:, None, None] * np.pi / 2
    x = np.cos(t) * picture + np.sin(t) * noise
    return ((x.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def terminal(command: list[str], columns: int, rows: int, **environment: str) -> tuple[subprocess.Popen[bytes], int]:
    """Start a program in a pseudo-terminal; the process and the other end."""
    controller, inner = pty.openpty()
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    unlike = ("NO_COLOR", "SSH_CONNECTION", "PYTHONDONTWRITEBYTECODE")  # no user's
    env = {key: value for key, value in os.environ.items() if key not in unlike}
    env |= {"TERM": "xterm-256color", "COLORTERM": "truecolor"} | environment
    process = subprocess.Popen(command, stdin=inner, stdout=inner, stderr=inner, env=env, start_new_session=True)
    os.close(inner)
    return process, controller


def play(kind: str, frames: Path, speed: float = 0, colours: str = "truecolor") -> dict[str, float]:
    """Play the film and press keys on a line of `speed` bytes a second (0: as fast as it comes); figures of the report."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report"
        command = [sys.executable, "-m", "benchmarks.player", kind, str(frames), str(report)]
        process, controller = terminal(command, WIDTH, HEIGHT // 2 + 1, COLORTERM=colours)
        taken: list[tuple[float, int]] = []
        answers, pressed, total, since, text = [], 0.0, 0, 0.0, b""
        began = allowed = 0.0
        while process.poll() is None:
            now = time.monotonic()
            if speed:
                if now < allowed:
                    time.sleep(allowed - now)
                allowed = max(allowed, now - 0.02) + 2000 / speed
            if not select.select([controller], [], [], 0.01)[0]:
                if not began and b"ready" in text and now - since > 0.5:  # the picture before the film is whole
                    began, since, text = now, now, b""
                    os.write(controller, b"s")
                continue
            try:
                chunk = os.read(controller, 2000 if speed else 1 << 16)
            except OSError:
                break
            now = time.monotonic()
            if not began:
                text, since = text + chunk, now
                continue
            text = text[-100:] + chunk
            total += len(chunk)
            taken.append((now, total))
            if pressed and ANSWER.search(text):
                answers.append(now - pressed)
                pressed, since, text = 0.0, now, b""
            elif not pressed and now - since > KEY_SECONDS:
                pressed, text = now, b""
                os.write(controller, b"k")
        process.wait()
        os.close(controller)
        found = json.loads(report.read_text())
    ages = frame_ages(found["shown"], found["whole"], taken)
    return {"cpu": found["cpu"], "bytes": found["bytes"], "age": max(ages), "key": max(answers), "frames": len(found["whole"])}


def frame_ages(shown: list[float], whole: list[tuple[int, int]], taken: list[tuple[float, int]]) -> list[float]:
    """How old the newest whole frame on the screen was whenever a newer one took its place."""
    times, totals = zip(*taken, strict=True)
    ages, before = [], None
    for number, count in whole:
        place = int(np.searchsorted(totals, count))
        arrived = times[min(place, len(times) - 1)]
        if before is not None:
            ages.append(arrived - shown[before])
        before = number
    return ages


def pictures() -> list[Row]:
    """CPU and bytes of the film, ours against the rival."""
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "film.npy"
        np.save(frames, film())
        rival, ours, greys = play("rich", frames), play("ours", frames), play("ours", frames, colours="")
    rows = []
    for what, found in (
        ("rich_pixels in a Static", rival),
        ("PixelGrid, truecolor", ours),
        ("PixelGrid, greys by number", greys),
    ):
        cost = f"{found['cpu'] * 1e3:.1f} ms CPU and {found['bytes'] / FRAMES / 1024:.0f} KiB a frame, {found['frames']} whole"
        share = f"1/{rival['cpu'] / found['cpu']:.1f} of the CPU, {found['bytes'] / rival['bytes']:.0%} of the bytes"
        rows.append((what, f"{cost}; {share}"))
    return rows


def throttled() -> list[Row]:
    """The same on a line of SLOW_LINE."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        frames = Path(name) / "film.npy"
        np.save(frames, film())
        for kind, what in (("ours", "PixelGrid"), ("rich", "rich_pixels in a Static")):
            found = play(kind, frames, SLOW_LINE)
            text = f"newest frame at most {found['age']:.2f} s old, {found['frames']} of {FRAMES} frames whole, "
            rows.append((f"{what} at 0.5 MB/s", text + f"a key answered within {found['key']:.2f} s"))
    return rows


def start() -> list[Row]:
    """--help, and the first paint of the app and of an empty Textual app, in turns: the least of five."""
    helps: list[float] = []
    paints: dict[str, list[tuple[float, float]]] = {"the app": [], "an empty Textual app": []}
    for _ in range(5):
        began = time.monotonic()
        subprocess.run([sys.executable, "-m", "tinydiff_tui", "--help"], check=True, stdout=subprocess.DEVNULL)
        helps.append(time.monotonic() - began)
        paints["the app"].append(first_paint(["-m", "tinydiff_tui"]))
        paints["an empty Textual app"].append(first_paint(["-c", EMPTY]))
    rows = [("--help", f"{min(helps):.3f} s")]
    for what, found in paints.items():
        cpu, wall = min(found)
        rows.append((f"first paint of {what}", f"{wall:.2f} s, {cpu:.2f} s of CPU"))
    return rows


def first_paint(program: list[str]) -> tuple[float, float]:
    """Seconds of CPU and by the clock until a program has painted the word Runs, of bytecode as an installer leaves it."""
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        process, controller = terminal([sys.executable, *program], 120, 40, XDG_CACHE_HOME=name)
        text = b""
        while b"Runs" not in text:
            text += os.read(controller, 1 << 16)
        wall = time.monotonic() - began
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        process.kill()
        process.wait()
        os.close(controller)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), wall


def main() -> None:
    parts: dict[str, Callable[[], list[Row]]] = {"looks": looks, "start": start, "pictures": pictures, "throttled": throttled}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=[*parts, "watching"], default=[*parts, "watching"])
    parser.add_argument("--rounds", type=int, default=8, help="turns of training alone and watched")
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}\n\n| what | measured |\n|---|---|")
    for part in options.only:
        for what, measured in watching(options.rounds) if part == "watching" else parts[part]():
            print(f"| {what} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
