"""The place that the boxes of a mode share, for modes that give some of them sizes of their own."""

from textual.containers import Vertical
from textual.message import Message


class Room(Vertical):
    """It says when it has another size: the terminal was resized, or the explanation was docked."""

    class Resized(Message):
        """Another size."""

    def on_resize(self) -> None:
        self.post_message(self.Resized())
