"""What jobs post to a screen. Snapshots are plain values made in the worker thread: no tensor reaches the event loop."""

from typing import TYPE_CHECKING

from textual.message import Message

if TYPE_CHECKING:
    from tinydiff_tui.jobs.jobs import Job


class JobMessage(Message, no_dispatch=None):
    """Of a job. Once another one of its name has started, nobody is told any more: that one's messages are whole."""

    def __init__(self, job: "Job", snapshot: object) -> None:
        super().__init__()
        self.job = job
        self.name = job.name
        self.snapshot = snapshot

    @property
    def no_dispatch(self) -> bool:  # type: ignore[override]  # Textual's own is of a class; it looks as a message's turn comes
        return self.job.succeeded


class JobUpdate(JobMessage, no_dispatch=None):
    """How far a job is; a newer one takes the place of one that was not looked at yet."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, JobUpdate) and message.job is self.job


class JobFinished(JobMessage, no_dispatch=None):
    """The job's thread is done with its iterator; `error` is its sentence, `snapshot` what stood last."""

    def __init__(self, job: "Job", error: str | None, snapshot: object) -> None:
        super().__init__(job, snapshot)
        self.error = error


class EngineLoaded(Message):
    """torch is imported; `error` says why not."""

    def __init__(self, error: str | None = None) -> None:
        super().__init__()
        self.error = error
