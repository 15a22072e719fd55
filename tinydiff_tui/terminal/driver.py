"""Textual's driver of the terminal with our reader and writer of the line.

Its own reader dies of a byte that is no UTF-8; its writer queues thirty writes, then blocks the event loop.
"""

import asyncio
import os
import select
import signal
import threading
import time
from codecs import getincrementaldecoder

from textual.drivers.linux_driver import LinuxDriver

from tinydiff_tui.terminal.answers import Answers
from tinydiff_tui.terminal.known import Known, ask_tmux
from tinydiff_tui.terminal.line import LineParser
from tinydiff_tui.terminal.writer import TerminalWriter

TICK_SECONDS = 0.1
ASK_SECONDS = 0.5  # after the start: the first paint comes before questions


class ScreenDriver(LinuxDriver):
    """Everything that is written goes through `writer`, everything that is read through a LineParser."""

    writer: TerminalWriter | None = None
    known: Known | None = None

    def start_application_mode(self) -> None:
        """Start the writer, then the screen; a little later ask what the terminal can draw."""
        assert self._file is not None
        self.writer = TerminalWriter(self._file, self._app)
        if self.known is None:
            self.known = Known(self._app, self.writer)
        else:
            self.known.begin_anew(self.writer)  # after it was stopped: what the terminal kept for us is gone
        self.answers = Answers()
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._ask_terminal(self.known.ask_first())
        loop = asyncio.get_running_loop()
        loop.call_soon_threadsafe(loop.call_later, ASK_SECONDS, self._ask)  # it may sleep: SIGCONT leads here, too

    def stop_application_mode(self) -> None:
        """Free what the terminal keeps for us, and leave the screen."""
        if self.known is not None and self.known.pictures is not None:
            self.known.pictures.clear()
        super().stop_application_mode()

    def _ask(self) -> None:
        if self.known is None or self.exit_event.is_set():
            return
        if self.known.in_tmux:
            threading.Thread(target=self._ask_tmux, args=(self.known,), name="tmux", daemon=True).start()
        else:
            self._ask_terminal(self.known.ask())

    def _ask_terminal(self, question: str) -> None:
        if question:
            self.answers.expect(time.monotonic())
            self.write(question)

    def _ask_tmux(self, known: Known) -> None:
        if said := ask_tmux():
            self._app.call_later(known.hear_tmux, said)

    def _hear(self, answer: str) -> None:
        if self.known is not None:
            self._ask_terminal(self.known.hear(answer))

    def write(self, data: str) -> None:
        """Write data to the terminal; never blocks."""
        if self.writer is not None:
            self.writer.write(data)

    def close(self) -> None:
        """Write what is left."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None
        super().close()

    def _query_in_band_window_resize(self) -> None:
        """The system tells the size; a terminal's own word for it would have to be believed."""

    def _run_input_thread(self) -> None:
        try:
            self.run_input_thread()
        except Exception as error:  # a bug: the app says so and ends, with an exit code that is not 0
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read until the app ends, or the line does: then the app ends too."""
        parser, decode, answers = LineParser(), getincrementaldecoder("utf-8")("replace").decode, self.answers
        while not self.exit_event.is_set():
            begun = time.monotonic()  # until when nothing came, however late this thread has its turn after the waiting
            try:
                ready, _, _ = select.select([self.fileno], [], [], TICK_SECONDS)
                data = os.read(self.fileno, 4096) if ready else b""
            except (OSError, ValueError):
                ready, data = [self.fileno], b""
            if ready and not data:  # closed
                self._app.call_later(self._app.exit, return_code=128 + signal.SIGHUP)
                return
            if text := answers.take(decode(data), time.monotonic() if ready else begun):
                for message in parser.feed(text):
                    self.process_message(message)
            while answers.heard:
                self._app.call_later(self._hear, answers.heard.pop(0))
            for message in () if ready else parser.tick():
                self.process_message(message)
