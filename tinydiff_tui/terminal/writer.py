"""The line to the terminal: writes never block the event loop, and pictures wait until what was sent before has drained.

Whoever draws often asks `room` first, writes no more than that, and is called again when the line has room.
Nothing is queued for later but what was already asked for: a newer frame takes the place of one that has not been sent.
"""

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TextIO

from textual.app import App
from textual.message_pump import MessagePump

SLICE_SECONDS = 0.05  # of the line's time; a key's answer waits at most for one slice
STALL_SECONDS = 0.2
LEAST_SLICE = 4096
LEAST_BACKLOG = 1 << 16
BUFFER = 1 << 13  # bytes that the system takes before the line is felt
LOCAL_RATE = 1.5e6  # until it is measured
SSH_RATE = 5e5  # bytes a second; ssh takes two megabytes at once before the line is felt, so more is never assumed
SLOW_RATE = 1e6


class Pace:
    """How many bytes a second the line takes: the budget. Times are seconds of any clock."""

    def __init__(self, *, ssh: bool = False) -> None:
        self.most = SSH_RATE if ssh else float("inf")
        self.rate = min(LOCAL_RATE, self.most)
        self._free_at = 0.0

    @property
    def slow(self) -> bool:
        """Whether pictures should spend fewer bytes."""
        return self.rate < SLOW_RATE

    @property
    def slice(self) -> int:
        """Bytes that one write may have."""
        return max(LEAST_SLICE, int(self.rate * SLICE_SECONDS))

    @property
    def backlog(self) -> int:
        """Bytes under way from which on the line counts as stalled."""
        return max(LEAST_BACKLOG, int(self.rate * STALL_SECONDS))

    def spent(self, count: int, now: float) -> None:
        """Bytes go out: the line is theirs for as long as it should take them."""
        self._free_at = max(self._free_at, now) + count / self.rate

    def wait(self, now: float) -> float:
        """Seconds until the next picture may go out."""
        return max(0.0, self._free_at - now)

    def drained(self, count: int, seconds: float) -> None:
        """A burst of bytes took so long until the terminal had taken it all."""
        if count >= 2 * BUFFER:
            seen = min((count - BUFFER) / max(seconds, 1e-4), self.most)
            self.rate += (0.4 if seen > self.rate else 0.8) * (seen - self.rate)  # late frames are worse than few


class TerminalWriter:
    """A thread that writes to the terminal; everything else is for the event loop's thread."""

    def __init__(self, file: TextIO, app: App[Any], clock: Callable[[], float] = time.monotonic) -> None:
        self.pace = Pace(ssh=bool(os.environ.get("SSH_CONNECTION")))
        self._file = file
        self._app = app
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[str | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._pending = 0
        self._dropped = False
        self._waiting: dict[MessagePump, Callable[[], None]] = {}
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)
        self._thread.start()

    @property
    def terminal(self) -> int:
        """The descriptor that is written to."""
        return self._file.fileno()

    def write(self, text: str) -> None:
        """Queue a text; a repaint that finds the line stalled is left out, and the screen painted whole afterwards."""
        if self._pending > self.pace.backlog and len(text) > 256:
            self._dropped = True
            return
        with self._lock:
            self._pending += len(text)
        self.pace.spent(len(text), self._clock())
        self._queue.put(text)

    @property
    def room(self) -> int:
        """Bytes that a picture may have now: none while anything is still on its way."""
        return 0 if self._pending or self.pace.wait(self._clock()) else self.pace.slice

    def call_when_free(self, widget: MessagePump, draw: Callable[[], None]) -> None:
        """Have the widget call `draw` once there is room; the last one asked for counts."""
        self._waiting[widget] = draw
        if not self._pending:
            self._loop.call_later(self.pace.wait(self._clock()), self._serve)

    def close(self) -> None:
        """Write what is queued, and end."""
        self._queue.put(None)
        self._thread.join()

    def _serve(self) -> None:
        if self._pending:
            return  # its end comes here again
        if self._dropped:
            self._dropped = False
            self._app.call_later(self._app.refresh)
        wait = self.pace.wait(self._clock())
        if self._waiting and wait:
            self._loop.call_later(wait, self._serve)
            return
        waiting = list(self._waiting.items())
        self._waiting.clear()
        for widget, draw in waiting:
            widget.call_later(draw)

    def _run(self) -> None:
        count, started = 0, 0.0
        while (text := self._queue.get()) is not None:
            if not count:
                started = self._clock()
            self._file.write(text)
            self._file.flush()
            count += len(text)
            with self._lock:
                self._pending -= len(text)
                idle = not self._pending
            if idle:
                self.pace.drained(count, self._clock() - started)
                count = 0
                with contextlib.suppress(RuntimeError):  # the loop is gone when the app ends
                    self._loop.call_soon_threadsafe(self._serve)


def writer_of(app: App[Any]) -> TerminalWriter | None:
    """The line that the app writes to; None in tests and where Textual's own driver runs."""
    writer = getattr(app._driver, "writer", None)
    return writer if isinstance(writer, TerminalWriter) else None
