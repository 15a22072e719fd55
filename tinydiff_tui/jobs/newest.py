"""A place for one request: a newer one takes the place of one that was not looked at yet, so that no work queues up."""

import threading
from typing import Generic, TypeVar

Request = TypeVar("Request")


class Newest(Generic[Request]):
    """Put from the event loop, taken in the thread of a job."""

    def __init__(self) -> None:
        self._request: Request | None = None
        self._closed = False
        self._changed = threading.Condition()  # the request alone says whether one is there

    def put(self, request: Request) -> None:
        """Ask for this, and no more for what was asked before."""
        with self._changed:
            self._request = request
            self._changed.notify()

    def close(self) -> None:
        """Nothing is asked for here any more; who draws what was asked for last gives it up as for a newer request."""
        with self._changed:
            self._request, self._closed = None, True
            self._changed.notify()

    def take(self) -> Request | None:
        """What was asked for last, once; None when nothing was since."""
        with self._changed:
            request, self._request = self._request, None
            return request

    def waits(self, seconds: float = 0.0) -> bool:
        """Whether a request is there, or comes within so many seconds; or none will."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or self._request is not None, seconds)
