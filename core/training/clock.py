"""Time that the process ran. What it was stopped for (Ctrl-Z, SIGSTOP, a frozen container) is no time of a training."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

TICK = 0.1
STOPPED = 0.5  # seconds in which no thread of the process came to its turn; a busy machine delays a tick by less


class Clock:
    """Call it for the seconds so far; they go on only while a thread of this process runs, which one does every TICK seconds.

    Use it in a `with` block. The thread needs no more of the processor than its waking up; torch lets it run during its work.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._last = now()
        self._stopped = 0.0
        self._ended = threading.Event()

    def __call__(self) -> float:
        with self._lock:  # whoever comes first after a stop takes it out, the one who asks or the thread
            now = self._now()
            if now - self._last > STOPPED:
                self._stopped += now - self._last - TICK
            self._last = now
            return now - self._stopped

    def __enter__(self) -> "Clock":
        threading.Thread(target=self._tick, name="clock", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._ended.set()

    def _tick(self) -> None:
        while not self._ended.wait(TICK):
            self()
