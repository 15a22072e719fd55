"""A place for one request: a newer one takes the place of one that was not looked at yet, so that no work queues up."""

import threading
from typing import Generic, TypeVar

Request = TypeVar("Request")


class Newest(Generic[Request]):
    """Put from the event loop, taken in the thread of a job."""

    def __init__(self) -> None:
        self._request: Request | None = None
        self._there = threading.Event()

    def put(self, request: Request) -> None:
        """Ask for this, and no more for what was asked before."""
        self._request = request
        self._there.set()

    def take(self) -> Request | None:
        """What was asked for last, once; None when nothing was since."""
        self._there.clear()
        request, self._request = self._request, None
        return request

    def waits(self, seconds: float = 0.0) -> bool:
        """Whether a request is there, or comes within so many seconds."""
        return self._there.wait(seconds)
