"""Pictures in the terminal's own pixels, sent one after the other within the budget of the line."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.app import App

from tinydiff_tui.terminal import kitty

if TYPE_CHECKING:
    from tinydiff_tui.terminal.writer import TerminalWriter


@dataclass(eq=False)
class Sending:
    """A picture on its way: what is still to be sent, and whom to tell when it is there."""

    number: int
    left: deque[str]
    sent: Callable[[], object]
    begun: bool = False


class Pictures:
    """Those of this program. Everything here is for the event loop's thread."""

    def __init__(self, writer: TerminalWriter, app: App[Any], *, through_tmux: bool = False) -> None:
        self.owner = os.getpid() % 127 + 1
        """Tells them from those of other programs on this terminal."""
        self.through_tmux = through_tmux
        self._writer = writer
        self._app = app
        self._free = deque(range(kitty.FIRST, kitty.LAST + 1))
        self._used: set[int] = set()
        self._queue: deque[Sending] = deque()

    @property
    def terminal(self) -> int:
        """The terminal's descriptor."""
        return self._writer.terminal

    def number(self) -> int | None:
        """A number for a picture, None when all are taken; given back by `remove`."""
        if not self._free:
            return None
        number = self._free.popleft()
        self._used.add(number)
        return number

    def send(self, number: int, commands: list[str], sent: Callable[[], object]) -> None:
        """Send a picture; `sent` is called when its last byte is on the way."""
        self._queue.append(Sending(number, deque(commands), sent))
        self._pump()

    def remove(self, number: int) -> None:
        """Free a picture, or break it off."""
        if number not in self._used:
            return
        self._used.discard(number)
        self._free.append(number)
        for sending in [sending for sending in self._queue if sending.number == number]:
            self._queue.remove(sending)
            if not sending.begun:
                return
            self._write(kitty.BREAK_OFF)
        self._write(kitty.remove(number, self.owner))
        self._pump()

    def clear(self) -> None:
        """Free them all."""
        for number in sorted(self._used):
            self.remove(number)

    def _pump(self) -> None:
        while self._queue:
            sending, room, batch = self._queue[0], self._writer.room, list[str]()
            while sending.left and len(sending.left[0]) <= room:
                room -= len(sending.left[0])
                batch.append(sending.left.popleft())
            if batch:
                sending.begun = True
                self._write(*batch)
            if sending.left:
                self._writer.call_when_free(self._app, self._pump)
                return
            self._queue.popleft()
            sending.sent()

    def _write(self, *commands: str) -> None:
        self._writer.write("".join(map(kitty.through_tmux, commands) if self.through_tmux else commands))
