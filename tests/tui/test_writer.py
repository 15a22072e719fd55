"""The budget of bytes a second, and a line that never keeps the event loop waiting."""

import asyncio
import io
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from tinydiff_tui.terminal import writer as writer_module
from tinydiff_tui.terminal.writer import LEAST_BACKLOG, LEAST_SLICE, LOCAL_RATE, SSH_RATE, Pace, TerminalWriter


def test_over_ssh_no_more_than_the_default_is_assumed() -> None:
    pace = Pace(ssh=True)
    assert pace.slow
    assert pace.rate == SSH_RATE
    pace.drained(1 << 20, 0.001)
    assert pace.rate == SSH_RATE
    pace.drained(1 << 20, 10)
    assert pace.rate < SSH_RATE


@pytest.mark.parametrize("rate", [2e4, 5e5, 3e6, 5e7])
def test_the_pace_follows_the_line(rate: float) -> None:
    pace = Pace()
    for _ in range(40):
        count = max(pace.slice, 1 << 15)
        pace.drained(count, (count - writer_module.BUFFER) / rate)
    assert pace.rate == pytest.approx(rate, rel=0.05)
    assert pace.slice == max(LEAST_SLICE, int(pace.rate * writer_module.SLICE_SECONDS))
    assert pace.slow == (rate < 1e6)


def test_little_bursts_say_nothing() -> None:
    pace = Pace()
    pace.drained(100, 1.0)
    assert pace.rate == LOCAL_RATE


def test_what_was_spent_must_be_waited_for() -> None:
    pace = Pace(ssh=True)
    assert pace.wait(10.0) == 0
    pace.spent(int(SSH_RATE), 10.0)
    pace.spent(int(SSH_RATE), 10.5)
    assert pace.wait(10.5) == pytest.approx(1.5)
    assert pace.wait(13.0) == 0


class Gate(io.StringIO):
    """A terminal that takes nothing until it is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()

    def flush(self) -> None:
        self.open.wait()


class Widget:
    """call_later at once."""

    def call_later(self, call: Any) -> None:
        call()


async def test_a_stalled_line_blocks_nobody_and_drops_what_is_late() -> None:
    gate, drawn = Gate(), asyncio.Event()
    repaints: list[Any] = []
    app = SimpleNamespace(call_later=repaints.append, refresh="refresh")
    line = TerminalWriter(gate, app, clock=lambda: 0.0)  # type: ignore[arg-type]
    line.pace.rate = 1e12  # a clock that stands still never lets anything else pass
    assert line.room
    first = "a" * (LEAST_BACKLOG + 1)
    line.pace.backlog  # noqa: B018
    line.write(first)
    assert line.room == 0
    line.call_when_free(Widget(), drawn.set)  # type: ignore[arg-type]
    assert not drawn.is_set()
    line.pace.rate = 1.0
    line.write("b" * 257)
    line.write("c")
    line.pace.rate = 1e12
    gate.open.set()
    line.pace._free_at = 0.0
    await drawn.wait()
    assert repaints == ["refresh"]
    line.close()
    assert gate.getvalue() == first + "c"
