"""What Play does in a terminal: pictures a second while one steers, key to picture; and whether a rough 3 becomes a 3.

    python -m benchmarks.play [--only steer draw] [--seconds 5] [--run FOLDER]

`steer` runs the app in a pseudo-terminal of 120x40, local and on a line of 0.5 MB/s, alone and while a training runs, through the
embedded model or with --run through that of a run. A picture counts when the place that is written under it has arrived, which is
after its cells. `draw` needs the judge of glyphs and trains it where there is none. Prints one table; figures mean something on a
quiet machine only.
"""

import argparse
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.terminal import SLOW_LINE, Row, terminal
from core import images
from core.runs.embedded import embedded_model
from tinydiff_tui.jobs.sketch import Sketch

if TYPE_CHECKING:
    from core.judge.judge import Judge

COLUMNS, ROWS = 120, 40
PLACE = re.compile(rb"([+-]\d+\.\d\d) [+-]\d+\.\d\d rad")
RIGHT = b"\x1b[C"
SPLIT = 64
"""Bytes before a chunk in which a place may have begun."""
REPEAT = 1 / 60
"""Seconds between two keys that are held: twice as fast as the goal, so that pictures have to be dropped."""
KEYS, KEY_SECONDS = 20, 0.3
SEEDS = 10
NEAR = 3
"""Pixels."""


class Screen:
    """The app in a pseudo-terminal, behind a line of `speed` bytes a second (0: as fast as it comes)."""

    def __init__(self, folder: Path, speed: float) -> None:
        places = {f"XDG_{kind}_HOME": str(folder) for kind in ("CONFIG", "CACHE", "DATA")}
        here = Path.cwd()
        os.chdir(folder)
        self.process, self.controller = terminal(
            [sys.executable, "-m", "tinydiff_tui"], COLUMNS, ROWS, PYTHONPATH=str(here), OMP_NUM_THREADS="2", **places
        )
        os.chdir(here)
        self.speed = speed
        self.text = b""
        self._allowed = 0.0

    def read(self, seconds: float) -> bytes:
        """What comes within so many seconds, no faster than the line."""
        now = time.monotonic()
        if self.speed:
            time.sleep(max(0.0, self._allowed - now))
        if not select.select([self.controller], [], [], seconds)[0]:
            return b""
        chunk = os.read(self.controller, 2000 if self.speed else 1 << 16)
        if self.speed:
            self._allowed = max(self._allowed, time.monotonic() - 0.02) + len(chunk) / self.speed
        self.text = (self.text + chunk)[-100_000:]
        return chunk

    def until(self, pattern: re.Pattern[bytes], seconds: float = 60.0) -> None:
        """Read until the last of the output holds this."""
        end = time.monotonic() + seconds
        while not pattern.search(self.text):
            if time.monotonic() > end:
                raise SystemExit(f"waited in vain for {pattern.pattern!r}: {self.text[-500:]!r}")
            self.read(0.1)

    def settle(self, quiet: float = 1.0) -> None:
        """Read until nothing came for so long."""
        while self.read(quiet):
            pass

    def send(self, keys: bytes) -> None:
        """Type."""
        self.text = b""
        os.write(self.controller, keys)

    def close(self) -> None:
        """End the app."""
        self.process.kill()
        self.process.wait()
        os.close(self.controller)


def held(screen: Screen, seconds: float) -> float:
    """Pictures a second while an arrow key is held down."""
    seen, began, pressed, rest = set(), time.monotonic(), 0.0, b""
    while (now := time.monotonic()) < began + seconds:
        if now - pressed > REPEAT:
            os.write(screen.controller, RIGHT)
            pressed = now
        part = rest + screen.read(0.002)  # and not all of it again, which would keep a core from the app
        seen |= {found[0] for found in PLACE.finditer(part)}
        rest = part[-SPLIT:]
    screen.settle()
    return len(seen) / seconds


def answers(screen: Screen) -> list[float]:
    """Seconds from a key to its picture, one key at a time."""
    found = []
    for _ in range(KEYS):
        screen.settle(KEY_SECONDS)
        screen.send(RIGHT)
        began = time.monotonic()
        while not PLACE.search(screen.text) and time.monotonic() < began + 10:
            screen.read(0.01)
        found.append(time.monotonic() - began)
    return found


@contextmanager
def training(folder: Path, wanted: bool) -> Iterator[None]:
    """A training in a process of its own meanwhile, or none."""
    if not wanted:
        yield
        return
    command = [sys.executable, "-m", "tinydiff_tui", "train", "--plain", "--epochs", "1000", f"--output-dir={folder / 'run'}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if b" loss " in line:
                break
        try:
            yield
        finally:
            process.kill()


def steer(seconds: float, run: str) -> Iterator[Row]:
    """Frames a second and key to picture, of 16 and 64 pictures, by the model of a run or the embedded one."""
    for busy in (False, True):
        for speed in (0.0, SLOW_LINE):
            for count, keys in ((16, b""), (64, b"vv")):
                with tempfile.TemporaryDirectory() as name, training(Path(name), busy):
                    (Path(name) / "here").mkdir()
                    if run:
                        shutil.copytree(run, Path(name) / "here" / "run")
                    screen = Screen(Path(name) / "here", speed)
                    screen.until(re.compile(rb"mean \d"))  # of the data set that is shown first
                    screen.send(b"6")
                    screen.until(PLACE)
                    screen.send(keys)
                    screen.settle()
                    rate, keyed = held(screen, seconds), answers(screen)
                    screen.close()
                where = "0.5 MB/s" if speed else "local"
                beside = ", a training beside" if busy else ""
                figures = f"{rate:.0f} pictures a second; key to picture {np.median(keyed) * 1000:.0f} ms, p95 "
                yield f"Steer, {count}, {where}{beside}", figures + f"{np.quantile(keyed, 0.95) * 1000:.0f} ms"


def rough_three() -> Sketch:
    """A 3 as a hand draws it with few straight strokes."""
    sketch = Sketch.blank((28, 28), 1)
    corners = [(9, 7), (16, 6), (18, 9), (13, 13), (18, 17), (16, 21), (9, 21)]
    for start, end in pairwise(corners):
        sketch = sketch.stroke(start, end, 2, erase=False)
    return sketch


def nearness(sketch: Sketch, pictures: np.ndarray) -> float:
    """How much of the ink of pictures uint8 (N, H, W, 1) is within NEAR pixels of the strokes, and how much of the strokes within
    NEAR pixels of the ink: the lesser share."""
    ink, strokes = pictures[:, :, :, 0] > 127, np.repeat(sketch.drawn[None], len(pictures), axis=0)
    return float(min(_within(ink, strokes), _within(strokes, ink)))


def _within(points: np.ndarray, others: np.ndarray) -> float:
    """Share of the points (N, H, W) that lie within NEAR pixels of one of the others."""
    wide = np.pad(others, ((0, 0), (NEAR, NEAR), (NEAR, NEAR)))
    height, width = points.shape[1:]
    span = range(2 * NEAR + 1)
    near = np.any([wide[:, y : y + height, x : x + width] for y in span for x in span], axis=0)
    return float((points & near).sum() / max(points.sum(), 1))


def draw(seconds: float, run: str) -> Iterator[Row]:
    """What the judge reads in ten finished sketches, at strengths around the default."""
    from core.judge.store import load_judge
    from tinydiff_tui.jobs.finishing import Finish, finish_options, finished
    from tinydiff_tui.jobs.sampling import model_of
    from tinydiff_tui.screens.play_draw import STRENGTH

    judge, model, sketch = load_judge("glyphs"), model_of(embedded_model()), rough_three()
    yield "the rough 3 itself", f"read as {int(judge.classify(sketch.pixels[None]).argmax())}"
    for strength in (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        asked = Finish(embedded_model(), sketch, False, strength, 3, -1.0, 0, SEEDS)
        pictures = images.to_uint8(list(finished(model, asked, finish_options(asked, model)))[-1])
        probabilities = judge.classify(pictures)
        threes = int((probabilities.argmax(1) == 3).sum())
        away = judge_distance(judge, pictures)
        what = f"Draw, strength {strength:g}" + (" (the default)" if strength == STRENGTH else "")
        sure = float(probabilities[:, 3].mean())
        said = f"{threes} of {SEEDS} read as 3 (p {sure:.2f}), {nearness(sketch, pictures):.0%} near the strokes, "
        yield what, said + f"{away:.2f} from the nearest real image in the judge's features"


def judge_distance(judge: "Judge", pictures: np.ndarray) -> float:
    """The mean distance of pictures to the nearest test image, in the features of the judge."""
    import torch

    return float(torch.cdist(judge.features(pictures), judge.test).amin(1).mean())


def main() -> None:
    parts: dict[str, Callable[[float, str], Iterator[Row]]] = {"steer": steer, "draw": draw}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("--seconds", type=float, default=5.0, help="of holding a key")
    parser.add_argument("--run", default="", help="folder of a run to steer through")
    options = parser.parse_args()
    print(f"load of the machine: {os.getloadavg()[0]:.1f}\n\n| what | measured |\n|---|---|")
    for part in options.only:
        for what, measured in parts[part](options.seconds, options.run):
            print(f"| {what} | {measured} |", flush=True)


if __name__ == "__main__":
    main()
