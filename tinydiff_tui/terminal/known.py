"""What this terminal is known to draw: by the environment at once, better when it has answered, or tmux for it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.signal import Signal

from tinydiff_tui.terminal.answers import ASK_NAME, ASK_PICTURES, ASK_WIDTH, NAMED, PASSED, YES
from tinydiff_tui.terminal.pictures import Pictures
from tinydiff_tui.terminal.support import LOOKS, finest_look, has_placeholders, look_of, names_of
from tinydiff_tui.terminal.writer import TerminalWriter

_ASK_TMUX = ["tmux", "display-message", "-p", "#{allow-passthrough}|#{client_termname}|#{client_termtype}"]
TMUX_SECONDS = 5.0


class Known:
    """`pictures` is there when the terminal shows pictures in its own pixels. `better` is published when more becomes known."""

    def __init__(self, app: App[Any], writer: TerminalWriter, environment: Mapping[str, str] = os.environ) -> None:
        self._finest = finest_look({**environment, "TMUX": ""})
        self._octants_pass = not environment.get("TMUX")
        self.pictures: Pictures | None = None
        self.better: Signal[None] = Signal(app, "better look")
        self._app = app
        self._writer = writer
        self._environment = environment
        self._names = names_of(environment)
        self._asked = ""

    def begin_anew(self, writer: TerminalWriter) -> None:
        """The program was stopped and goes on, on this line, perhaps in another terminal."""
        self._writer, self.pictures = writer, None
        self._app.call_later(self.better.publish, None)

    @property
    def in_tmux(self) -> bool:
        return bool(self._environment.get("TMUX"))

    @property
    def look(self) -> str:
        """The finest block characters."""
        return self._finest if self._finest in self.looks else self.looks[-1]

    @property
    def looks(self) -> tuple[str, ...]:
        """Those that come through to the terminal, whether or not it draws them, the coarsest first."""
        return LOOKS[:-1] if self._octants_pass else LOOKS[:-2]

    def ask_first(self) -> str:
        """What tmux is asked before the first paint; the answer is its own."""
        return ASK_WIDTH if self.in_tmux else ""

    def ask(self) -> str:
        """The first question to the terminal; none to those that print what they do not know, and none through a multiplexer:
        the answer may come to another window."""
        term = self._environment.get("TERM", "")
        between = self.in_tmux or any(self._environment.get(name) for name in ("STY", "ZELLIJ"))
        if between or term.startswith(("linux", "screen", "dumb")) or self._environment.get("TERM_PROGRAM") == "Apple_Terminal":
            return ""
        self._asked = ASK_PICTURES if has_placeholders(self._names) else ASK_NAME
        return self._asked

    def hear(self, answer: str) -> str:
        """The terminal answered; the next question to it, if any."""
        if answer.startswith(NAMED):
            self._call_it(answer.removeprefix(NAMED))
        elif answer == YES:
            self._show_pictures(through_tmux=False)
        elif answer == PASSED:
            self._octants_pass = True
            self.better.publish(None)
        elif self._asked == ASK_NAME and has_placeholders(self._names):  # its attributes: the last of the answers
            self._asked = ASK_PICTURES
            return ASK_PICTURES
        return ""

    def hear_tmux(self, said: str) -> None:
        """What tmux knows of the terminal that it is shown on, by _ASK_TMUX."""
        passes, *names = said.strip().split("|")
        for name in names:
            self._call_it(name)
        if passes in ("1", "on", "all") and has_placeholders(names):
            self._show_pictures(through_tmux=True)

    def _call_it(self, name: str) -> None:
        self._names.append(name)
        look = look_of(name)
        if LOOKS.index(look) > LOOKS.index(self._finest):
            self._finest = look
            self.better.publish(None)

    def _show_pictures(self, *, through_tmux: bool) -> None:
        if self.pictures is None and has_placeholders(self._names):
            self.pictures = Pictures(self._writer, self._app, through_tmux=through_tmux)
            self.better.publish(None)


def ask_tmux() -> str:
    """What Known.hear_tmux takes; empty when tmux does not say. Waits for it: for a thread of its own."""
    pane = os.environ.get("TMUX_PANE")
    command = [*_ASK_TMUX[:2], *(["-t", pane] if pane else []), *_ASK_TMUX[2:]]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=True, timeout=TMUX_SECONDS, stdin=subprocess.DEVNULL
        ).stdout
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def known_to(app: App[Any]) -> Known | None:
    """What is known of the terminal that the app is shown on; None in tests and where Textual's own driver runs."""
    known = getattr(app._driver, "known", None)
    return known if isinstance(known, Known) else None


def looks(app: App[Any]) -> tuple[str, ...]:
    """The looks that there are to choose from, the coarsest first."""
    known = known_to(app)
    if known is None:
        return LOOKS[:-1]
    return known.looks if known.pictures is None else (*known.looks, LOOKS[-1])


def look_here(app: App[Any], wanted: str) -> str:
    """The wanted look; the best that this terminal is known to draw when none is wanted, or one that it has not."""
    known = known_to(app)
    if wanted in looks(app):
        return wanted
    return LOOKS[-1] if LOOKS[-1] in looks(app) else finest_look() if known is None else known.look


def coarser(app: App[Any], wanted: str) -> str:
    """One look back, for a terminal that draws less than was thought; from the coarsest to the finest."""
    there = looks(app)
    return there[there.index(look_here(app, wanted)) - 1]
