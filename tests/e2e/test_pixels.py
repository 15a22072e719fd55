"""The terminal's own pixels, and terminals that answer late, wrongly, never, in pieces or as keys: what is seen and typed."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.data.datasets import open_dataset
from tests.e2e.kitty import PLACEHOLDER, pictures, shown, tiles
from tests.e2e.terminal import Terminal
from tinydiff_tui.terminal.answers import ASK_NAME

YES, NO, ATTRIBUTES = b"\x1b_Gi=31;OK\x1b\\", b"\x1b_Gi=31;ENOTSUPPORTED:no 4 2 q\x1b\\", b"\x1b[?62;4;22c"
PAUSE = None
"""Of more than the parser waits for the rest of a sequence."""


def started(folder: Path, **environment: str) -> Terminal:
    """The app on glyphs, with no other data set to be found, in what says that it is Kitty."""
    kitty = {"TERM": "xterm-kitty", "TMUX": "", "TINYDIFF_DATA_DIR": str(folder)}
    app = Terminal([], folder, columns=100, rows=30, environment=kitty | environment)
    app.until("Add noise")
    return app


def asked(app: Terminal) -> bool:
    return any(b"a=q" in string for string in app.strings)


def named(app: Terminal) -> bool:
    """Whether the terminal was asked for its name: what comes before is no answer."""
    return ASK_NAME.encode() in app.received


def answer(app: Terminal, *parts: bytes | None) -> None:
    """Send an answer, waiting where it has a pause; what is shown meanwhile is decoded after it, not to stretch them."""
    shown = []
    for part in parts:
        if part is None:
            end = time.monotonic() + 0.15
            while (left := end - time.monotonic()) > 0:
                shown.append(app.take(left))
        else:
            os.write(app.controller, part)
    app.feed(b"".join(shown))


def pixels(app: Terminal) -> list[np.ndarray]:
    """The pictures on the screen in the terminal's own pixels."""
    return tiles(shown(app.screen, pictures(app.strings)))


def rested(app: Terminal, count: int = 1) -> Callable[[], bool]:
    """Whether so many pictures were sent, and one is on the screen."""

    def is_so() -> bool:
        app.settle()
        return sum(b"a=T" in string for string in app.strings) >= count and PLACEHOLDER in app.text

    return is_so


def is_of(found: np.ndarray, image: np.ndarray) -> bool:
    """Whether these pixels are the image (H, W, 1) in their middle, each of its pixels a square of several."""
    height, width = image.shape[:2]
    scale = min(found.shape[0] // height, found.shape[1] // width)
    top, left = (found.shape[0] - scale * height) // 2, (found.shape[1] - scale * width) // 2
    large = image.repeat(scale, axis=0).repeat(scale, axis=1).repeat(3, axis=2)
    return scale > 1 and np.array_equal(found[top : top + scale * height, left : left + scale * width], large)


def test_what_rests_is_shown_to_the_bit_and_freed_when_it_goes(tmp_path: Path) -> None:
    images = open_dataset("glyphs", "train", tmp_path).images.numpy()
    with started(tmp_path) as app:
        app.until(lambda: asked(app))
        answer(app, YES + ATTRIBUTES)
        app.until(rested(app))
        first, kept = pixels(app), pictures(app.strings)
        assert len(first) > 3
        assert all(is_of(found, image) for found, image in zip(first, images, strict=False))
        app.send("]")  # the next page
        app.until(rested(app, 2))
        second = pixels(app)
        assert all(is_of(found, image) for found, image in zip(second, images[len(first) :], strict=False))
        assert not kept.keys() & pictures(app.strings).keys()
        app.send("?")  # a panel over them, and away
        app.until("Keys")
        app.send("\x1b")
        app.until(rested(app, 2))
        assert len(pixels(app)) == len(second)
        app.send("q")
        assert app.end() == 0
        assert pictures(app.strings) == {}
        assert app.restored


@pytest.mark.slow
def test_stopped_and_continued_it_sends_its_pictures_again(tmp_path: Path) -> None:
    with started(tmp_path) as app:
        app.until(lambda: asked(app))
        answer(app, YES + ATTRIBUTES)
        app.until(rested(app))
        os.kill(app.process.pid, signal.SIGTSTP)
        app.until(lambda: not pictures(app.strings) and b"\x1b[?1049l" in app.received)
        app.until(lambda: "State:\tT" in Path(f"/proc/{app.process.pid}/status").read_text())  # or it would go on before it stops
        app.strings.clear()
        os.kill(app.process.pid, signal.SIGCONT)
        app.until(lambda: asked(app))
        answer(app, YES + ATTRIBUTES)
        app.until(rested(app))
        assert len(pixels(app)) > 3
        app.send("q")
        assert app.end() == 0


PIECES = [piece for byte in YES + ATTRIBUTES for piece in (bytes([byte]), PAUSE)]
LINES: dict[str, tuple[list[bytes | None], bool]] = {
    "byte by byte": (PIECES, True),
    "an escape, and the rest as keys": ([b"\x1b", PAUSE, YES[1:-2], PAUSE, b"\x1b", PAUSE, b"\\", ATTRIBUTES], True),
    "late": ([PAUSE] * 20 + [YES + ATTRIBUTES], True),
    "a key between the pieces": ([YES[:7], b"5", YES[7:], ATTRIBUTES, b"1"], False),  # i=315: not what was asked
    "no": ([NO + ATTRIBUTES], False),
    "no, in pieces": ([NO[:20], PAUSE, NO[20:], PAUSE, ATTRIBUTES[:4], PAUSE, ATTRIBUTES[4:]], False),
    "for another": ([YES.replace(b"31", b"42") + ATTRIBUTES], False),
    "attributes only": ([ATTRIBUTES], False),
    "half": ([YES[:9]], False),
    "never": ([], False),
    "twice": ([YES + ATTRIBUTES, PAUSE, YES + ATTRIBUTES], True),
}
"""What comes in answer to the question, and whether pictures are to be shown by it."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", LINES)
def test_no_answer_is_a_key_and_no_key_an_answer(kind: str, tmp_path: Path) -> None:
    parts, yes = LINES[kind]
    with started(tmp_path) as app:
        app.until(lambda: asked(app))
        answer(app, *parts)
        app.until("1–")  # still in Data: the answers hold keys of all modes
        if yes:
            app.until(rested(app))
        app.settle()
        assert (PLACEHOLDER in app.text) == yes
        assert "Nothing here yet" not in app.text
        app.send("5")
        app.until("no run below")
        app.send("q")
        assert app.end() == 0
        assert app.restored


@pytest.mark.slow
def test_what_is_not_known_to_show_placeholders_gets_none(tmp_path: Path) -> None:
    """Konsole says yes to pictures, and prints the placeholders."""
    with started(tmp_path, TERM="xterm-256color", KONSOLE_VERSION="240800") as app:
        app.until("1–")
        app.until(lambda: named(app))
        answer(app, b"\x1bP>|Konsole 24.08.1\x1b\\" + ATTRIBUTES, PAUSE, YES)
        app.until(lambda: any("\U0001fb00" <= char <= "\U0001fb3b" for char in app.text))  # sextants
        app.settle()
        assert not asked(app) and PLACEHOLDER not in app.text
        app.send("q")
        assert app.end() == 0


@pytest.mark.slow
def test_a_name_that_only_the_terminal_says_is_enough(tmp_path: Path) -> None:
    with started(tmp_path, TERM="xterm-256color") as app:
        app.until("1–")
        app.until(lambda: named(app))
        answer(app, b"\x1bP>|ghostty 1.2.0\x1b\\" + ATTRIBUTES)
        app.until(lambda: asked(app))
        answer(app, YES + ATTRIBUTES)
        app.until(rested(app))
        assert pixels(app)
        app.send("L")  # one look back
        app.until(lambda: any("\U0001cd00" <= char <= "\U0001cde5" for char in app.text))  # octants
        app.until(lambda: PLACEHOLDER not in app.text)
        app.settle()
        app.until(lambda: pictures(app.strings) == {})
        app.send("q")
        assert app.end() == 0


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("tmux") is None or shutil.which("tic") is None, reason="needs tmux, and tic to call a terminal Kitty"
)
@pytest.mark.parametrize("allowed", [True, False])
def test_in_tmux_where_it_lets_them_through(allowed: bool, tmp_path: Path) -> None:
    described = subprocess.run(["infocmp", "xterm-256color"], capture_output=True, text=True, check=True).stdout
    (tmp_path / "kitty.ti").write_text(described.replace("xterm-256color|", "xterm-kitty|", 1))
    subprocess.run(["tic", "-x", "-o", str(tmp_path / "terminfo"), str(tmp_path / "kitty.ti")], check=True, capture_output=True)
    (tmp_path / "tmux.conf").write_text(f"set -g allow-passthrough {'on' if allowed else 'off'}\nset -g status off\n")
    socket = str(tmp_path / "socket")
    environment = {
        "TERM": "xterm-kitty",
        "TERMINFO_DIRS": f"{tmp_path / 'terminfo'}:",
        "TINYDIFF_DATA_DIR": str(tmp_path),
        "TMUX": "",
    }
    tmux = ["tmux", "-u", "-S", socket, "-f", str(tmp_path / "tmux.conf"), "new-session"]
    with Terminal([], tmp_path, columns=100, rows=30, environment=environment, within=tmux) as app:
        try:
            app.until("1–")
            if allowed:
                app.until(rested(app))
                images = open_dataset("glyphs", "train", tmp_path).images.numpy()
                found = pixels(app)
                assert len(found) > 3
                assert all(is_of(picture, image) for picture, image in zip(found, images, strict=False))
            app.settle(3.0)
            assert bool(app.strings) == allowed and (PLACEHOLDER in app.text) == allowed
            app.send("q")
            assert app.end() == 0
            assert pictures(app.strings) == {}
        finally:
            subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True)
