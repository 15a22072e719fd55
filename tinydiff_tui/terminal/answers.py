"""Questions to the terminal, and its answers taken out of what comes in: whole, in pieces, late, wrong or never, no key is made
of them and none is lost.

A terminal answers in the line of the keys. Device attributes (DA1), which every terminal knows, are asked for last, so that their
answer ends the waiting. Nothing ever waits for it.
"""

from collections.abc import Iterator, Sequence

ASK_NAME = "\x1b[>q\x1b[c"
"""For the terminal's name and version (XTVERSION), then its attributes."""
PICTURE = 31
ASK_PICTURES = f"\x1b_Gi={PICTURE},s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[c"
"""Whether it takes pictures by Kitty's protocol, then its attributes."""
YES = f"\x1b_Gi={PICTURE};OK\x1b\\"
NAMED = "\x1bP>|"
"""How the answer with the name begins."""
ASK_WIDTH = "\x1b7\x1b[2;1H\U0001cd00\x1b[6n\x1b8"
"""For the place of the cursor behind an octant, at the left of the second row; before anything else is painted there."""
PASSED = "\x1b[2;2R"
"""The answer where it has its cell; tmux leaves out characters that its library does not know."""
LATE_SECONDS = 30.0  # after a question, the last moment at which an answer in pieces is looked for
HOLD_SECONDS = 0.25  # that an escape, which may be a key, is held up meanwhile
PIECE_SECONDS = 1.0  # between two pieces of what is surely an answer
MOST = 512  # characters of one

_DIGITS, _CAPITALS = frozenset("0123456789"), frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PRINTABLE = frozenset(map(chr, range(0x20, 0x7F)))
Template = Sequence[str | frozenset[str]]
"""Characters, and sets of which any number follow."""
_TEMPLATES: list[Template] = [
    [*"\x1b[?", _DIGITS | {";"}, "c"],
    [*"\x1b_Gi=", _DIGITS, *";OK\x1b\\"],
    [*"\x1b_Gi=", _DIGITS, *";E", _CAPITALS, ":", _PRINTABLE, *"\x1b\\"],
    [*NAMED, _PRINTABLE, *"\x1b\\"],
    [*PASSED[:-2], _DIGITS, PASSED[-1]],
]
_SURE = 3  # characters from which on it is no key


class Answers:
    """`expect` an answer, `take` what comes in, also when nothing does; it gives what is of no answer. Seconds of any clock."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        """Whole answers, for the one who asked to take away."""
        self._until = 0.0
        self._held = ""
        self._places: list[tuple[Template, int]] = []
        self._last = 0.0

    def expect(self, now: float) -> None:
        """A question goes out."""
        self._until = now + LATE_SECONDS

    def take(self, text: str, now: float) -> str:
        """The text without the parts of an answer."""
        if now >= self._until and not self._held:
            return text
        return "".join(self._char(char, now) for char in text) if text else self._tick(now)

    def _tick(self, now: float) -> str:
        """What was held up in vain."""
        sure = len(self._held) >= _SURE
        if not self._held or now - self._last < (PIECE_SECONDS if sure else HOLD_SECONDS):
            return ""
        held = self._release()
        return "" if sure else held

    def _char(self, char: str, now: float) -> str:
        if not self._held:
            if char != "\x1b" or now >= self._until:
                return char
            self._places = [(template, 0) for template in _TEMPLATES]
        places = list(self._followed(char))
        if places and len(self._held) < MOST:
            self._held, self._places, self._last = self._held + char, places, now
            if any(place == len(template) for template, place in places):
                self._whole()
            return ""
        if len(self._held) >= _SURE and now > self._last and char != "\x1b" and len(self._held) < MOST:
            return char  # a key between the pieces
        released = self._release()  # another sequence, for the parser
        return released + (self._char(char, now) if char == "\x1b" else char)

    def _followed(self, char: str) -> Iterator[tuple[Template, int]]:
        """Where the templates that the held text is of go on with this character."""
        for template, start in self._places:
            place = start
            while place < len(template) and isinstance(template[place], frozenset) and char not in template[place]:
                place += 1
            if place < len(template) and char in template[place]:
                yield template, place + isinstance(template[place], str)

    def _whole(self) -> None:
        self.heard.append(self._held)
        if self._held.startswith("\x1b["):  # the last thing asked for
            self._until = 0.0
        self._release()

    def _release(self) -> str:
        """What was held up, which is not any more."""
        held, self._held, self._places = self._held, "", []
        return held
