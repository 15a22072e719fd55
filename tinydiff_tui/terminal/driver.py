"""Textual's driver of the terminal with our reader and writer of the line.

Its own reader dies of a byte that is no UTF-8; its writer queues thirty writes, then blocks the event loop.
"""

import os
import select
import signal
from codecs import getincrementaldecoder

from textual.drivers.linux_driver import LinuxDriver

from tinydiff_tui.terminal.line import LineParser
from tinydiff_tui.terminal.writer import TerminalWriter

TICK_SECONDS = 0.1


class ScreenDriver(LinuxDriver):
    """Everything that is written goes through `writer`, everything that is read through a LineParser."""

    writer: TerminalWriter | None = None

    def start_application_mode(self) -> None:
        """Start the writer, then the screen."""
        assert self._file is not None
        self.writer = TerminalWriter(self._file, self._app)
        super().start_application_mode()  # type: ignore[no-untyped-call]

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
        parser, decode = LineParser(), getincrementaldecoder("utf-8")("replace").decode
        while not self.exit_event.is_set():
            try:
                ready, _, _ = select.select([self.fileno], [], [], TICK_SECONDS)
                data = os.read(self.fileno, 4096) if ready else b""
            except (OSError, ValueError):
                ready, data = [self.fileno], b""
            if ready and not data:  # closed
                self._app.call_later(self._app.exit, return_code=128 + signal.SIGHUP)
                return
            if text := decode(data):
                for message in parser.feed(text):
                    self.process_message(message)
            for message in parser.tick():
                self.process_message(message)
