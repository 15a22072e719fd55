"""Textual's driver of the terminal with our writer: its own queues thirty writes, then blocks the event loop."""

from textual.drivers.linux_driver import LinuxDriver

from tinydiff_tui.terminal.writer import TerminalWriter


class ScreenDriver(LinuxDriver):
    """Everything that is written goes through `writer`."""

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
