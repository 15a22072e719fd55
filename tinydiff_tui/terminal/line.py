"""What comes in from the terminal as keys, mouse and pastes: whatever the bytes are, and never more than a moment late.

Textual's own parser takes what it does not know for typed keys, believes every number, and waits for the end of a paste for ever.
This one reads sequences by their grammar (ECMA-48) and leaves out those that are broken off, absurd or answers nobody asked for.
"""

import contextlib
import re
from collections import deque
from collections.abc import Generator
from typing import Final

from textual import constants, events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._keyboard_protocol import FUNCTIONAL_KEYS
from textual._parser import ParseEOF, ParseTimeout, Peek1, Read1, TokenCallback
from textual._xterm_parser import XTermParser
from textual.keys import Keys
from textual.message import Message
from textual.messages import TerminalSupportsSynchronizedOutput

ESC, BELL, CTRL_C = "\x1b", "\x07", "\x03"
PASTE_START, PASTE_END = "\x1b[200~", "\x1b[201~"
FOCUS: Final = {"\x1b[I": events.AppFocus, "\x1b[O": events.AppBlur}
STRINGS = "]P_^X"
"""What follows ESC in strings that end in BEL or ESC \\: answers about colours, versions, and the like."""
PASTE_SECONDS = 1.0  # of silence, after which a paste without an end is over
MOST_PASTED = 1 << 16
LONGEST = 64  # characters of a sequence
FARTHEST = 9999  # cells from the corner
MODE_2026 = re.compile(r"\x1b\[\?2026;[1-4]\$y")

Reading = Generator[Read1 | Peek1, str, str]
Steps = Generator[Read1 | Peek1, str, None]


class LineParser(XTermParser):
    """`feed` it text, `tick` it every tenth of a second; both give messages. No input fails or stops what follows."""

    def __init__(self) -> None:
        self._back: deque[str] = deque()
        super().__init__()

    def parse(self, token_callback: TokenCallback[Message]) -> Steps:
        """Take one key or sequence after the other."""
        self._put = token_callback
        try:
            while True:
                char = yield from self._read()
                if char == ESC:
                    yield from self._escape()
                elif not "\x80" <= char <= "\x9f":
                    self._press(char)
        except ParseEOF:
            return

    def _read(self, seconds: float | None = None) -> Reading:
        """The next character. Raises ParseTimeout when none comes in time."""
        return self._back.popleft() if self._back else (yield Read1(seconds))

    def _press(self, sequence: str, *, alt: bool = False) -> None:
        with contextlib.suppress(ValueError, OverflowError):  # numbers where none can stand, or no number of a character
            for key in self._sequence_to_key_events(sequence, alt):
                if key.key != Keys.Ignore:
                    self._put(key)

    def _escape(self) -> Steps:
        """Behind ESC: the key itself, one held with alt, or a sequence."""
        try:
            kind = yield from self._read(constants.ESCAPE_DELAY)
        except ParseTimeout:
            kind = ""
        if kind in ("", ESC):
            self._put(events.Key("escape", ESC))
            self._back.extend(kind)
        elif kind == "[":
            yield from self._control_sequence()
        elif kind == "O":
            yield from self._function_key()
        elif kind in STRINGS:
            yield from self._string(kind)
        elif ESC + kind in ANSI_SEQUENCES_KEYS:
            self._press(ESC + kind)
        else:
            self._press(kind, alt=True)

    def _control_sequence(self) -> Steps:
        sequence, last = ESC + "[", ""
        while not "@" <= last <= "~" or sequence == ESC + "[[":  # a second bracket: the function keys of Linux' console
            try:
                last = yield from self._read(constants.ESCAPE_DELAY)
            except ParseTimeout:
                if not last:
                    self._press("[", alt=True)
                return
            if not " " <= last <= "~":  # broken off
                self._back.append(last)
                return
            sequence = (sequence + last)[: LONGEST + 1]
            if last == "$" and sequence in ANSI_SEQUENCES_KEYS:  # rxvt's, which ends too early
                break
        if sequence == PASTE_START:
            yield from self._paste()
        elif sequence == ESC + "[M":  # a mouse of old, which is not asked for
            yield from self._skip(3)
        elif len(sequence) <= LONGEST:
            self._take(sequence)

    def _take(self, sequence: str) -> None:
        """A whole control sequence."""
        numbers = [int(number) for number in re.findall(r"\d+", sequence)]
        if sequence in FOCUS:
            self._put(FOCUS[sequence]())
        elif sequence.startswith(ESC + "[<"):
            mouse = self.parse_mouse_code(sequence) if max(numbers, default=0) <= FARTHEST else None
            if mouse is not None:
                self._put(mouse)
        elif MODE_2026.fullmatch(sequence):
            self._put(TerminalSupportsSynchronizedOutput())
        elif _is_key(sequence, numbers):
            self._press(sequence)

    def _function_key(self) -> Steps:
        try:
            key = yield from self._read(constants.ESCAPE_DELAY)
        except ParseTimeout:
            self._press("O", alt=True)
            return
        if " " <= key <= "~":
            self._press(f"{ESC}O{key}")
        else:
            self._back.append(key)

    def _string(self, kind: str) -> Steps:
        """Skip a string up to its end, to what breaks it off, or until nothing follows."""
        char = ""
        while char not in (BELL, "\x9c"):
            try:
                before, char = char, (yield from self._read(constants.ESCAPE_DELAY))
            except ParseTimeout:
                if not char:
                    self._press(kind, alt=True)
                return
            if before == ESC and char == "\\":
                return
            if before == ESC:
                self._back.extend((ESC, char))
                return
            if char < " " and char not in (ESC, BELL):
                self._back.append(char)
                return

    def _skip(self, count: int) -> Steps:
        try:
            for _ in range(count):
                yield from self._read(constants.ESCAPE_DELAY)
        except ParseTimeout:
            return

    def _paste(self) -> Steps:
        """Text up to its end, to ctrl+c, or until nothing follows; the first MOST_PASTED characters of it."""
        text, end = "", ""
        while end != PASTE_END:
            try:
                char = yield from self._read(PASTE_SECONDS)
            except ParseTimeout:
                break
            if char == CTRL_C:
                self._back.append(char)
                break
            end = (end + char)[-len(PASTE_END) :]
            if len(text) < MOST_PASTED:
                text += char
        text = text.removesuffix(PASTE_END)
        self._put(events.Paste("".join(c for c in text.replace("\r", "\n") if c.isprintable() or c in "\n\t")))


def _is_key(sequence: str, numbers: list[int]) -> bool:
    """Whether Textual knows a key by this sequence; all others are answers, or nothing."""
    if sequence[-1] == "u":  # kitty's way: the number of a character
        return sequence[2] not in "<=>?" and not any(0xD800 <= number <= 0xDFFF for number in numbers)
    return sequence in ANSI_SEQUENCES_KEYS or f"{(numbers or [1])[0]}{sequence[-1]}" in FUNCTIONAL_KEYS
