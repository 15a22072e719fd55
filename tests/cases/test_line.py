"""The raw line: what bytes a terminal may send, and which keys, clicks and pastes they are."""

import random

import pytest
from textual import events
from textual.message import Message

from tinydiff_tui.terminal.line import LONGEST, MOST_PASTED, LineParser

PIECES = [
    *("\x1b", "[", "]", "O", "P", "_", "<", ";", ":", "?", "0", "1", "99999999", "M", "m", "R", "u", "~", "c", "n", "t", "y"),
    *("$", "\x07", "\\", "\x00", "\x03", "\r", "\x7f", "\x9b", "\x9c", "\ufffd", "a", "é", "🙂", "\x1b[", "\x1b[<", "\x1b[200~"),
]  # fmt: skip


def messages(text: str, *, silence: int = 3) -> list[Message]:
    """What a text comes to, with so much silence behind it."""
    parser = LineParser()
    found = list(parser.feed(text))
    for _ in range(silence):
        found += silent(parser)
    return found


def silent(parser: LineParser) -> list[Message]:
    """Nothing comes for long enough."""
    if parser._timeout_time is not None:
        parser._timeout_time = 0.0
    return list(parser.tick())


def said(found: list[Message]) -> list[str]:
    """Keys by their name, pastes by their text, the rest by its kind."""
    return [m.key if isinstance(m, events.Key) else m.text if isinstance(m, events.Paste) else type(m).__name__ for m in found]


@pytest.mark.parametrize(
    ("sent", "taken"),
    [
        # what keys, mice and clipboards send
        ("aé5", ["a", "é", "5"]),
        ("\x1b", ["escape"]),
        ("\x1b\x1b", ["escape", "escape"]),
        ("\x1b[A\x1bOA\x1b[1;5C\x1b[Z", ["up", "up", "ctrl+right", "shift+tab"]),
        ("\x1b[H\x1b[F\x1b[1~\x1b[4~", ["home", "end", "home", "end"]),
        ("\x1bOP\x1b[15~\x1b[[A\x1b[23$", ["f1", "f5", "f1", "f23"]),
        ("\x1bx\x1b[x", ["alt+x"]),
        ("\x1b[97;5u\x1b[13u", ["ctrl+a", "enter"]),
        ("\x1b[<0;5;6M\x1b[<0;5;6m\x1b[<64;1;1M", ["MouseDown", "MouseUp", "MouseScrollUp"]),
        ("\x1b[200~[/] a\x1b[31m\x00b\x1b[201~q", ["[/] a[31mb", "q"]),
        ("\x1b[I\x1b[O", ["AppFocus", "AppBlur"]),
        ("\x1b[?2026;1$y", ["TerminalSupportsSynchronizedOutput"]),
        # absurd numbers
        ("\x1b[999999999Aq", ["q"]),
        ("\x1b[55296uq", ["q"]),
        ("\x1b[1;1:1Aq", ["q"]),
        ("\x1b[<0;99999999;1Mq", ["q"]),
        (f"\x1b[{'9' * 5000}Aq", ["q"]),
        # answers that nobody asked for
        ("\x1b[24;80Rq", ["q"]),
        ("\x1b[?62;4cq", ["q"]),
        ("\x1b[0nq", ["q"]),
        ("\x1b[?1uq", ["q"]),
        ("\x1b[48;0;0;0;0tq", ["q"]),
        ("\x1b[48;99999;99999;1;1tq", ["q"]),
        ("\x1b[?2048;1$yq", ["q"]),
        ("\x1b]11;rgb:ffff/dddd/0000\x1b\\q", ["q"]),
        ("\x1b]10;rgb:ffff/dddd/0000\x07q", ["q"]),
        ("\x1bP>|xterm(3)\x1b\\q", ["q"]),
        # broken off, and never ended
        ("\x1b[12\x1b[A", ["up"]),
        ("\x1b[12;", []),
        ("\x1b[12\rq", ["enter", "q"]),
        ("\x1b]11;rgb\x1b[A", ["up"]),
        ("\x1b]11;rgb\x03", ["ctrl+c"]),
        ("\x1b[M !!q", ["q"]),
        ("\x1b[200~never ended", ["never ended"]),
        ("\x1b[200~ended by\x03", ["ended by", "ctrl+c"]),
        ("\x1b[201~q", ["q"]),
        # no text
        ("\x80\x9bq", ["q"]),
    ],
)  # fmt: skip
def test_what_is_sent_is_what_is_taken(sent: str, taken: list[str]) -> None:
    assert said(messages(sent)) == taken


def test_long_things_are_bounded() -> None:
    (paste,) = messages(f"\x1b[200~{'x' * 3 * MOST_PASTED}\x1b[201~")
    assert isinstance(paste, events.Paste) and len(paste.text) == MOST_PASTED
    assert said(messages(f"\x1b[{';' * 10 * LONGEST}uq")) == ["q"]


def test_a_sequence_may_come_in_pieces() -> None:
    parser = LineParser()
    found = [message for char in "\x1b[1;5C\x1b[200~hi\x1b[201~" for message in parser.feed(char)]
    assert said(found) == ["ctrl+right", "hi"]


@pytest.mark.parametrize("seed", range(20))
def test_after_any_input_and_a_moment_of_silence_a_key_is_a_key(seed: int) -> None:
    chance = random.Random(seed)
    parser = LineParser()
    for _ in range(100):
        list(parser.feed("".join(chance.choices(PIECES, k=chance.randint(1, 40)))))
        if chance.random() < 0.3:
            silent(parser)
    while parser._awaiting.timeout is not None:
        silent(parser)
    assert said(list(parser.feed("x"))) == ["x"]
