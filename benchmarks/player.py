"""Plays the frames of digits coming out of noise in a terminal, by PixelGrid or by rich_pixels in a Static; for terminal.py.

    python -m benchmarks.player ours|rich FILM.npy REPORT

`s` starts, any other key is answered on the first line. The report holds the processor's time, when each frame was shown, and by
how many bytes of output each was whole on the screen.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich_pixels import Pixels
from textual import events
from textual.app import App, ComposeResult
from textual.drivers.linux_driver import LinuxDriver
from textual.widgets import Static

from tinydiff_tui.terminal.driver import ScreenDriver
from tinydiff_tui.widgets.pixel_grid import PixelGrid

FRAMES_A_SECOND = 10
REST_SECONDS = 2.5  # after the last frame, until everything is out on the slowest line measured


class Ours(PixelGrid):
    """Tells which frame stands whole on the screen after every draw."""

    def __init__(self, height: int) -> None:
        super().__init__()
        self.rows = np.full(height, -1)

    def _part(self, changed: Any, most: int) -> Any:
        part = super()._part(changed, most)
        done = ~(changed & ~part).any(axis=1)
        self.rows[done] = self.app.number  # type: ignore[attr-defined]
        return part

    def _draw(self) -> None:
        super()._draw()
        self.app.mark(int(self.rows.min()))  # type: ignore[attr-defined]


class Player(App[None]):
    """One picture and one line of text."""

    def __init__(self, kind: str, film: Path, report: Path) -> None:
        super().__init__(driver_class=ScreenDriver if kind == "ours" else LinuxDriver)
        self.kind, self.report = kind, report
        self.frames = np.load(film)
        self.number, self.keys, self.sent, self.began = -1, 0, 0, 0.0
        self.shown: list[float] = []
        self.whole: list[tuple[int, int]] = []

    def compose(self) -> ComposeResult:
        yield Static("ready", id="answer")
        yield Ours(self.frames.shape[1] // 2) if self.kind == "ours" else Static(id="picture")

    def on_ready(self) -> None:
        output: Any = self._driver.writer if isinstance(self._driver, ScreenDriver) else self._driver
        write = output.write

        def count(data: str) -> None:
            self.sent += len(data.encode())
            write(data)

        output.write = count
        self.draw(self.frames[-1])  # as in the app, where another picture stood there before

    def mark(self, number: int) -> None:
        """This frame is whole once the terminal has taken what was sent so far."""
        if number >= 0 and (not self.whole or self.whole[-1][0] < number):
            self.whole.append((number, self.sent))

    def post_display_hook(self) -> None:
        if self.kind == "rich":
            self.mark(self.number)

    def on_key(self, event: events.Key) -> None:
        if event.key == "s" and self.number < 0:
            self.began = time.process_time()
            self.sent = 0
            self.clock = self.set_interval(1 / FRAMES_A_SECOND, self.step)
        else:
            self.keys += 1
            self.query_one("#answer", Static).update(f"answer{self.keys}.")

    def step(self) -> None:
        if self.number + 1 == len(self.frames):
            self.clock.stop()
            self.set_timer(REST_SECONDS, self.finish)
            return
        self.number += 1
        self.shown.append(time.monotonic())
        self.draw(self.frames[self.number])

    def draw(self, frame: np.ndarray) -> None:
        if self.kind == "ours":
            self.query_one(PixelGrid).show(frame[None, :, :, None])
        else:
            self.query_one("#picture", Static).update(Pixels.from_image(Image.fromarray(frame)))

    def finish(self) -> None:
        cpu = (time.process_time() - self.began) / len(self.frames)
        report = {"cpu": cpu, "bytes": self.sent, "shown": self.shown, "whole": self.whole}
        self.report.write_text(json.dumps(report))
        self.exit()


if __name__ == "__main__":
    Player(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])).run()
