"""Answers of the terminal taken out of the line: in any pieces, at any time, with keys between, no key is made or lost."""

import random
from types import SimpleNamespace
from typing import cast

import pytest
from textual.app import App

from tinydiff_tui.terminal.answers import HOLD_SECONDS, LATE_SECONDS, PASSED, PIECE_SECONDS, YES, Answers
from tinydiff_tui.terminal.known import Known, coarser, look_here, looks
from tinydiff_tui.terminal.support import LOOKS
from tinydiff_tui.terminal.writer import TerminalWriter

NAME, NO, ATTRIBUTES = "\x1bP>|kitty(0.36.4)\x1b\\", "\x1b_Gi=31;ENOENT:no such 31;OK\x1b\\", "\x1b[?62;4;52c"
LEFT = [
    "a",
    "\x1b[A",
    "\x1b[2~",
    "\x1b[24;80R",
    "\x1bOA",
    "\x1b[1;5C",
    "\x1b[<0;5;6M",
    "\x1b[?2026;2$y",
    "\x1b[?1u",
    "\x1b]11;rgb:0/0/0\x07",
    "\x1bx",
    "é",
    "\x1b[200~",
]
"""Keys, and answers to others' questions."""


def run(*steps: str | float) -> tuple[str, list[str]]:
    """What is left of texts that come with pauses (seconds) between them, and what was heard."""
    answers, now, left = Answers(), 100.0, ""
    answers.expect(now)
    for step in [*steps, PIECE_SECONDS, PIECE_SECONDS]:
        if isinstance(step, float):
            now += step
            left += answers.take("", now)
        else:
            left += answers.take(step, now)
    return left, answers.heard


@pytest.mark.parametrize("text", LEFT)
def test_what_is_no_answer_is_left(text: str) -> None:
    assert run(text) == (text, [])
    assert run(text + YES + text + ATTRIBUTES + text) == (3 * text, [YES, ATTRIBUTES])


@pytest.mark.parametrize("answer", [YES, NO, NAME, ATTRIBUTES, PASSED])
@pytest.mark.parametrize("pause", [0.01, HOLD_SECONDS - 0.01])
def test_an_answer_may_come_byte_by_byte(answer: str, pause: float) -> None:
    steps: list[str | float] = [step for char in answer for step in (char, pause)]
    assert run(*steps) == ("", [answer])


@pytest.mark.parametrize("answer", [YES, NO, NAME])
def test_the_longer_it_is_the_longer_it_may_take(answer: str) -> None:
    assert run(answer[:5], PIECE_SECONDS - 0.01, answer[5:]) == ("", [answer])


@pytest.mark.parametrize("steps", [("\x1b",), ("\x1b", 0.05, "["), ("\x1b_",), ("\x1b", 0.3, "_")])
def test_an_escape_that_is_a_key_is_only_held_up(steps: tuple[str | float, ...]) -> None:
    assert run(*steps) == ("".join(step for step in steps if isinstance(step, str)), [])


@pytest.mark.parametrize("steps", [(YES[:8],), (YES[:8], 5.0), (ATTRIBUTES[:6],), (NAME[:9],)])
def test_half_an_answer_types_nothing(steps: tuple[str | float, ...]) -> None:
    assert run(*steps) == ("", [])
    assert run(*steps, PIECE_SECONDS, "5") == ("5", [])


def test_after_its_end_nothing_is_looked_for() -> None:
    assert run(ATTRIBUTES, "\x1b", YES) == ("\x1b" + YES, [ATTRIBUTES])
    assert run(LATE_SECONDS, YES) == (YES, [])
    assert run(LATE_SECONDS - 1, YES, ATTRIBUTES) == ("", [YES, ATTRIBUTES])


@pytest.mark.parametrize("seed", range(200))
def test_keys_between_pieces_are_neither_lost_nor_changed(seed: int) -> None:
    chance = random.Random(seed)
    expected, steps = "", list[str | float]()
    for answer in (YES, ATTRIBUTES):
        rest, count = answer, 0
        while rest:
            cut = chance.randint(1, len(rest))
            steps += [rest[:cut], chance.uniform(0.0, HOLD_SECONDS / 2)]
            count, rest = count + cut, rest[cut:]
            if chance.random() < 0.4 and (count >= 3 or not count):
                key = chance.choice("xyzwén")
                steps.append(key)
                expected += key
    assert run(*steps) == (expected, [YES, ATTRIBUTES])


@pytest.mark.parametrize("seed", range(50))
def test_nothing_is_held_for_ever(seed: int) -> None:
    chance = random.Random(seed)
    answers, now = Answers(), 0.0
    answers.expect(now)
    for _ in range(100):
        answers.take("".join(chance.choices([*YES, *ATTRIBUTES, "\x1b", "\x1bP>|", "q", "1"], k=chance.randint(1, 30))), now)
        now += chance.choice((0.0, 0.1, 0.4))
    answers.take("", now + PIECE_SECONDS)
    assert answers.take("x", now + 2 * PIECE_SECONDS) == "x"


class Nobody:
    """A line that takes nothing."""


@pytest.mark.parametrize(
    ("environment", "heard", "look", "offered"),
    [
        ({"TERM": "xterm-256color"}, [], "quadrant", LOOKS[:-1]),
        ({"TERM": "xterm-256color"}, ["\x1bP>|foot(1.21.0)\x1b\\", ATTRIBUTES], "octant", LOOKS[:-1]),
        ({"TERM": "xterm-256color"}, ["\x1bP>|VTE(7600)\x1b\\", ATTRIBUTES], "sextant", LOOKS[:-1]),
        ({"TERM": "xterm-256color"}, [YES, ATTRIBUTES], "quadrant", LOOKS[:-1]),
        ({"TERM": "xterm-256color"}, [NAME, ATTRIBUTES, YES, ATTRIBUTES], "octant", LOOKS),
        ({"TERM": "xterm-kitty"}, [NO, ATTRIBUTES], "octant", LOOKS[:-1]),
        ({"TERM": "xterm-kitty"}, [YES, ATTRIBUTES], "octant", LOOKS),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, [], "sextant", LOOKS[:-2]),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, [PASSED.replace("2R", "1R")], "sextant", LOOKS[:-2]),
        ({"TERM": "tmux-256color", "TMUX": "x", "KITTY_WINDOW_ID": "1"}, [PASSED], "octant", LOOKS[:-1]),
        ({"TERM": "tmux-256color", "TMUX": "x"}, [PASSED, "1|xterm-kitty|kitty(0.36.4)\n"], "octant", LOOKS),
        ({"TERM": "tmux-256color", "TMUX": "x"}, ["on|xterm-ghostty|ghostty 1.2\n"], "sextant", (*LOOKS[:-2], LOOKS[-1])),
        ({"TERM": "tmux-256color", "TMUX": "x"}, ["off|xterm-kitty|kitty(0.36.4)\n"], "sextant", LOOKS[:-2]),
        ({"TERM": "tmux-256color", "TMUX": "x"}, ["1||\n"], "quadrant", LOOKS[:-2]),
        ({"TERM": "tmux-256color", "TMUX": "x"}, ["|xterm-kitty|\n"], "sextant", LOOKS[:-2]),
        ({"TERM": "tmux-256color", "TMUX": "x"}, ["\n"], "quadrant", LOOKS[:-2]),
    ],
)
def test_what_becomes_known_of_a_terminal(
    environment: dict[str, str], heard: list[str], look: str, offered: tuple[str, ...]
) -> None:
    app = App[None]()
    known = Known(app, cast(TerminalWriter, Nobody()), environment)
    app._driver = SimpleNamespace(known=known)  # type: ignore[assignment]
    for answer in heard:
        known.hear(answer) if answer.startswith("\x1b") else known.hear_tmux(answer)
    assert (known.look, looks(app)) == (look, offered)
    assert look_here(app, "") == ("pixels" if "pixels" in offered else look)
    assert look_here(app, "half") == "half"
    assert coarser(app, offered[1]) == "half" and coarser(app, "half") == offered[-1]
