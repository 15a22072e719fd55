"""Jobs: an iterator of the engine, pulled in a thread of its own, which posts messages and touches no widget.

Plain threads, not Textual's workers: cancelling one of those leaves its thread running, and nothing here may begin a second
job of a name before the first one's iterator is closed.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from weakref import WeakValueDictionary

from textual.message_pump import MessagePump

from core.errors import OUT_OF_MEMORY, UserError, out_of_memory
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate

POST_SECONDS = 0.1
REST_SECONDS = 0.25  # how often a job at rest asks whether to go on


class Job:
    """One iterator and the thread that pulls it. `rests`, asked in that thread after each item: whether to pull no more yet."""

    def __init__(
        self, name: str, target: MessagePump, rests: Callable[[], bool] | None = None, pace: float = POST_SECONDS
    ) -> None:
        self.name = name
        self.target = target
        self.pace = pace
        self.rests = rests or (lambda: False)
        self.thread: threading.Thread | None = None
        self.succeeded = False
        """Whether another job of this name was started since."""
        self._stop = threading.Event()
        self._woken = threading.Event()

    def stop(self) -> None:
        """Close the iterator after the item in hand."""
        self._stop.set()
        self._woken.set()

    def wake(self) -> None:
        """Have a job at rest ask at once whether to go on."""
        self._woken.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def post(self, message: JobUpdate | JobFinished) -> None:
        """Post to the screen, which may be gone when the app ends."""
        with contextlib.suppress(Exception):
            self.target.post_message(message)

    def pull(self, make: Callable[[], Iterator[Any]], see: Callable[[Any], object]) -> tuple[str | None, object]:
        """Pull to the end or to the stop, then close; (error, last snapshot)."""
        snapshot: object = None
        item: Any = None
        error: str | None = None
        try:
            with contextlib.closing(_closable(make())) as items:
                posted = 0.0
                for item in items:
                    resting = self.rests()
                    if resting or time.monotonic() - posted >= self.pace:
                        snapshot, posted = see(item), time.monotonic()
                        self.post(JobUpdate(self, snapshot))
                    while resting and not self._stop.is_set():  # on what the screen was shown
                        self._woken.wait(REST_SECONDS)
                        self._woken.clear()
                        resting = self.rests()
                    if self._stop.is_set():
                        break
        except UserError as problem:
            error = str(problem)
        except Exception as problem:  # a bug in the engine ends the job, never the app
            error = OUT_OF_MEMORY if out_of_memory(problem) else _fault(problem)
        if item is not None:  # how it stands at the end, the last words of an error or a stop among it
            try:
                snapshot = see(item)
            except Exception as problem:  # after an error what is left need not be whole
                error = error or _fault(problem)
        return error, snapshot


class Jobs:
    """The jobs that run now, one of a name."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._newest: WeakValueDictionary[str, Job] = WeakValueDictionary()
        """Also where it has ended, as long as a message of it waits."""
        self._lock = threading.Lock()

    def start(
        self,
        name: str,
        make: Callable[[], Iterator[Any]],
        target: MessagePump,
        snapshot: Callable[[Any], object] = lambda item: item,
        rests: Callable[[], bool] | None = None,
        pace: float = POST_SECONDS,
    ) -> Job | None:
        """Pull make() in a thread; None, and nothing happens, when a job of this name has not posted its end yet.

        `snapshot` runs in the thread, every `pace` seconds at most and once at the end, and makes what the screen is to see;
        an item that is a plain value is seen as it is.
        `rests` is asked in the thread after each item: while it says so, no further one is pulled.
        """
        with self._lock:
            if name in self._jobs:
                return None
            return self._succeed(Job(name, target, rests, pace), make, snapshot)

    def replace(
        self,
        name: str,
        make: Callable[[], Iterator[Any]],
        target: MessagePump,
        snapshot: Callable[[Any], object] = lambda item: item,
        rests: Callable[[], bool] | None = None,
        pace: float = POST_SECONDS,
    ) -> Job:
        """Like start, but a job of this name that has not ended is stopped. This one begins when that one is closed, and nobody
        hears of that one any more."""
        with self._lock:
            return self._succeed(Job(name, target, rests, pace), make, snapshot)

    def _succeed(self, job: Job, make: Callable[[], Iterator[Any]], snapshot: Callable[[Any], object]) -> Job:
        if before := self._newest.get(job.name):
            before.succeeded = True  # also where it has ended: that may still wait to be looked at
            before.stop()
        args = (job, self._jobs.get(job.name), make, snapshot)
        self._jobs[job.name] = self._newest[job.name] = job
        job.thread = threading.Thread(target=self._run, args=args, name=f"job {job.name}", daemon=True)
        job.thread.start()
        return job

    def _run(self, job: Job, before: Job | None, make: Callable[[], Iterator[Any]], snapshot: Callable[[Any], object]) -> None:
        if before is not None and before.thread is not None:
            before.thread.join()
        error, last = (None, None) if job.succeeded else job.pull(make, snapshot)
        with self._lock:
            job.post(JobFinished(job, error, last))
            if self._jobs[job.name] is job:
                del self._jobs[job.name]

    def running(self, name: str) -> bool:
        """Whether a job of this name has not ended."""
        with self._lock:
            return name in self._jobs

    def busy(self, name: str) -> bool:
        """Whether one runs that was not told to stop."""
        job = self.get(name)
        return job is not None and not job.stopping

    def get(self, name: str) -> Job | None:
        """The running job of this name."""
        with self._lock:
            return self._jobs.get(name)

    def stop(self, name: str) -> None:
        """Ask a job to stop; its JobFinished comes when its iterator is closed. Where it has ended, and its end still waits to be
        looked at, it is stopping by then too."""
        if job := self._newest.get(name):
            job.stop()

    def stop_all(self, seconds: float = 60) -> None:
        """Stop every job and wait for the threads. Not for the event loop: call it in a thread."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.stop()
        for job in jobs:
            if job.thread and job.thread is not threading.current_thread():
                job.thread.join(seconds)


def _fault(problem: Exception) -> str:
    from core.extend.files import fault_of  # only now: the first paint does not wait for it

    return fault_of(problem) or f"unexpected {type(problem).__name__}: {problem}"


def _closable(items: Iterator[Any]) -> Any:
    """Generators as they are; other iterators with a close that does nothing."""
    return items if hasattr(items, "close") else (item for item in items)
