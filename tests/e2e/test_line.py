"""Random bytes on the raw line of the real program: it neither ends nor freezes, and an error of its own is never exit code 0."""

import os
import random
import re
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.terminal import Terminal

INPUTS = 150
PIECES: list[bytes] = [
    *(bytes([byte]) for byte in (0x80, 0x9B, 0xC3, 0xE2, 0xF0, 0xFF, 0xC0, 0xED, 0x00, 0x07)),
    *(b"\x1b", b"\x1b[", b"\x1bO", b"\x1b]", b"\x1bP", b"\x1b[12;", b"\x1b[<", b"\x1b[200~", b"\x1b[201~", b"\x1b[M"),
    *(b"\x1b[999999999A", b"\x1b[1;999999999C", b"\x1b[55296u", b"\x1b[<99999999;1;1M", b"\x1b[" + b"9" * 3000 + b"u"),
    *(b"\x1b[24;80R", b"\x1b[?62;4c", b"\x1b[0n", b"\x1b[48;0;0;0;0t", b"\x1b[48;9999;9999;1;1t", b"\x1b[?2048;2$y", b"\x1b[?1u"),
    *(b"\x1b_Gi=31;OK\x1b\\", b"\x1b_Gi=31;", b"\x1bP>|kitty(0.36)\x1b\\", b"\x1b[2;2R", b"\x1b[?62;4"),
    *(b"\x1b]11;rgb:ffff/0000/dddd\x1b\\", b"\x1b]10;?\x07", b"\x1bP>|term\x1b\\", b"\x1b[I", b"\x1b[O"),
    *(b"\r\r", b"\x10\r\r", b"\x10explain\r\r", b"d\r\r", b"\x1b[<0;1;1M\x1b[<0;1;1m" * 2, b"\x1b[<64;9;9M", b"\x1b[<0;40;12M"),
    *(b"1", b"2", b"3", b"4", b"5", b"?", b"e", b"\t", b"\x1b[A", b"\x1b[H", b"\x1b[F", b"[/]", b"~", b":", b"$", b"\xc3\xa9"),
]  # fmt: skip
"""Bytes that are no UTF-8, sequences unfinished or absurd, answers nobody asked for, doubled enters and clicks, and keys."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_the_app_survives_the_raw_line(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    with Terminal([], tmp_path, environment={"TINYDIFF_DATA_DIR": str(tmp_path / "empty")}) as app:
        app.until("Add noise")
        for _ in range(INPUTS):
            os.write(app.controller, b"".join(chance.choices(PIECES, k=chance.randint(1, 6))))
            app.take(0.01)
            assert app.process.poll() is None, app.crash
        listen(app, 3)  # nothing is sent: whatever was begun on the line is over
        app.screen.reset()
        app.resize(100, 30)
        for _ in range(20):  # out of whatever is open: panels over panels, lists, fields
            app.send("\x1b")
            listen(app, 0.3)
        while "New run" not in app.text:  # right behind an escape it is another key
            assert app.process.poll() is None, app.crash
            app.send("5")
            listen(app, 1)
        app.send("?")
        app.until("Train another run, in Train")
        app.send("\x1b")
        app.until(lambda: "Keys that work now" not in app.text)
        app.send("\x03")
        while app.process.poll() is None and "A training is running" not in app.text:
            app.read(0.1)
        if app.process.poll() is None:
            app.send("\x03")
        assert app.end() == 0
        assert app.restored


def listen(app: Terminal, seconds: float) -> None:
    """Take what comes for so long; some of what was begun draws for ever."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        app.read(0.1)


def test_what_is_not_utf8_is_no_end(tmp_path: Path) -> None:
    with Terminal([], tmp_path, environment={"TINYDIFF_DATA_DIR": str(tmp_path / "empty")}) as app:
        app.until("Add noise")
        os.write(app.controller, b"\xff\x1b[999999999A\xc3")
        app.settle()
        app.send("5")
        app.until(lambda: re.search("no run below", app.text))
        app.send("q")
        assert app.end() == 0


def test_a_line_that_ends_ends_the_app(tmp_path: Path) -> None:
    with Terminal([], tmp_path, environment={"TINYDIFF_DATA_DIR": str(tmp_path / "empty")}) as app:
        app.until("Add noise")
        app.hang_up()
        assert app.end() == 128 + signal.SIGHUP
