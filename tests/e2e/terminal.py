"""A real program in a real pseudo-terminal, with pyte as the screen."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import pyte

STRING = re.compile(rb"\x1b_(.*?)\x1b\\", re.DOTALL)
ISOLATES = re.compile(rb"\xe2\x81[\xa6-\xa9]")  # what stands behind one in a run of text, pyte would leave out
PATIENCE = 200.0  # seconds; a loaded machine with two cores imports torch slowly
LAST_SECONDS = 5.0
"""For what a program wrote before it ended, which may still be on the way; no more when nobody can write any more."""
OTHER_TERMINAL = ("NO_COLOR", "SSH_CONNECTION", "COLORTERM", "COLUMNS", "LINES")
"""What the environment says of the terminal that the tests are run in."""
MARGIN = 8  # pyte sees more cells than the program is told of, so that what is drawn outside does not wrap out of sight


class Terminal:
    """A program behind a pty. Everything waits on output, nothing sleeps."""

    def __init__(
        self,
        arguments: Sequence[str],
        cwd: Path,
        columns: int = 80,
        rows: int = 24,
        environment: dict[str, str] | None = None,
        within: Sequence[str] = (),
    ) -> None:
        """`within`: a program that starts this one."""
        self.columns, self.rows = columns, rows
        self.screen = pyte.Screen(columns + MARGIN, rows + MARGIN)
        self.stream = pyte.ByteStream(self.screen)
        self.received = bytearray()
        self.strings: list[bytes] = []
        """What came in application strings (ESC _ ... ESC backslash), as they are inside; pyte knows none."""
        self._begun = b""
        self._closed = False
        self.controller, terminal = pty.openpty()
        self._size(rows, columns)
        env = {key: value for key, value in os.environ.items() if key not in OTHER_TERMINAL}
        env |= {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "XDG_CONFIG_HOME": str(cwd / ".config"),
            "XDG_CACHE_HOME": str(cwd / ".cache"),
            "XDG_DATA_HOME": str(cwd / ".data"),
            "XDG_STATE_HOME": str(cwd / ".state"),
        }
        env |= environment or {}
        self._state = cwd / ".state"
        self.process = subprocess.Popen(
            [*within, sys.executable, "-m", "tinydiff_tui", *arguments],
            cwd=cwd, env=env, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, close_fds=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 (only this makes closing the pty a hang-up)
        )  # fmt: skip
        os.close(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    @property
    def crash(self) -> str:
        """How the program ended and what it wrote of an error of its own."""
        logs = "\n".join(log.read_text() for log in self._state.rglob("crash.log"))
        return f"ended with {self.process.poll()}; {logs}"

    @property
    def text(self) -> str:
        """What the screen shows."""
        return "\n".join(self.lines)

    @property
    def lines(self) -> list[str]:
        """The rows of the screen, as wide in cells as it is: an accent stands in the cell of its letter."""
        return [self._cells(row, 0, self.columns) for row in range(self.rows)]

    @property
    def outside(self) -> str:
        """What was written to the right of the screen or below it; always empty."""
        wide, high = self.screen.columns, self.screen.lines
        right = [self._cells(row, self.columns, wide) for row in range(self.rows)]
        return "".join([*right, *(self._cells(row, 0, wide) for row in range(self.rows, high))]).strip()

    def _cells(self, row: int, start: int, end: int) -> str:
        """A blank that is not hatched over is a blank."""
        return "".join(self.screen.buffer[row][column].data for column in range(start, end)).replace("\N{NO-BREAK SPACE}", " ")

    def send(self, *keys: str) -> None:
        """Type; each argument in one write."""
        for key in keys:
            os.write(self.controller, key.encode())

    def read(self, seconds: float) -> bool:
        """Take what the program wrote, waiting at most this long for it; False when there was nothing."""
        chunk = self.take(seconds)
        self.feed(chunk)
        return bool(chunk)

    def feed(self, chunk: bytes) -> None:
        """Put on the screen what was taken."""
        self.stream.feed(self._without_strings(chunk))

    def _without_strings(self, chunk: bytes) -> bytes:
        """The bytes for the screen; what may be the beginning of a string waits for the rest."""
        parts = STRING.split(self._begun + chunk)
        self.strings += parts[1::2]
        rest = b"".join(parts[::2])
        cut = rest.find(b"\x1b_")
        cut = len(rest) - rest.endswith(b"\x1b") if cut < 0 else cut
        self._begun = rest[cut:]
        return ISOLATES.sub(b"", rest[:cut])

    def take(self, seconds: float) -> bytes:
        """The same, not put on the screen: decoding costs as much as the program's own work."""
        if not select.select([self.controller], [], [], seconds)[0]:
            return b""
        try:
            chunk = os.read(self.controller, 1 << 16)
        except OSError:
            self._closed = True
            return b""
        self.received += chunk
        return chunk

    def until(self, condition: str | Callable[[], object], seconds: float = PATIENCE) -> None:
        """Read until the screen holds a text, or the condition is true; fails with the screen in the message."""
        deadline = time.monotonic() + seconds
        while not (condition in self.text if isinstance(condition, str) else condition()):
            left = deadline - time.monotonic()
            assert left > 0, f"waited in vain for {condition!r}; the screen:\n{self.text}"
            assert self.process.poll() is None or self.read(0), f"{self.crash}; the screen:\n{self.text}"
            self.read(min(left, 0.5))

    def settle(self, quiet: float = 0.3) -> None:
        """Read until the program has been silent for a while."""
        while self.read(quiet):
            pass

    def resize(self, columns: int, rows: int) -> None:
        """Change the size as a window does, with nothing kept: pyte leaves the cursor below a screen that has shrunk."""
        self.columns, self.rows = columns, rows
        self.screen.erase_in_display(2)
        self.screen.cursor_position()
        self.screen.resize(rows, columns)
        self.screen.resize(rows + MARGIN, columns + MARGIN)
        self._size(rows, columns)
        os.kill(self.process.pid, signal.SIGWINCH)

    def hang_up(self) -> None:
        """Close the line: the program gets SIGHUP."""
        if self.controller >= 0:
            os.close(self.controller)
            self.controller = -1

    def end(self, seconds: float = PATIENCE) -> int:
        """Read until the program ends; its exit code."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"did not end; the screen:\n{self.text}"
            if self.controller >= 0:
                self.read(0.1)
            else:
                self.process.wait(seconds)
        while self.controller >= 0 and not self._closed and self.read(LAST_SECONDS):
            pass
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether the alternate screen and the mouse were left as found, and the cursor is back."""
        raw = bytes(self.received)
        return all(raw.rfind(off) > raw.rfind(on) for on, off in (
            (b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?1000h", b"\x1b[?1000l"), (b"\x1b[?25l", b"\x1b[?25h"),
        ))  # fmt: skip

    def _size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.controller, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
