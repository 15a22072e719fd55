"""What jobs post to a screen. Snapshots are plain values made in the worker thread: no tensor reaches the event loop."""

from textual.message import Message


class JobUpdate(Message):
    """How far a job is; a newer one takes the place of one that was not looked at yet."""

    def __init__(self, name: str, snapshot: object) -> None:
        super().__init__()
        self.name = name
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, JobUpdate) and message.name == self.name


class JobFinished(Message):
    """The job's thread is done with its iterator; `error` is its sentence, `snapshot` what stood last."""

    def __init__(self, name: str, error: str | None, snapshot: object) -> None:
        super().__init__()
        self.name = name
        self.error = error
        self.snapshot = snapshot


class EngineLoaded(Message):
    """torch is imported; `error` says why not."""

    def __init__(self, error: str | None = None) -> None:
        super().__init__()
        self.error = error
