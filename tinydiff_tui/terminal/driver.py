"""Textual's driver of the terminal with our line: its own writer queues thirty writes, then blocks the event loop."""

from textual.drivers.linux_driver import LinuxDriver

from tinydiff_tui.terminal.writer import Line


class ScreenDriver(LinuxDriver):
    """Everything that is written goes through `line`."""

    line: Line | None = None

    def start_application_mode(self) -> None:
        """Open the line, then the screen."""
        assert self._file is not None
        self.line = Line(self._file, self._app)
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def write(self, data: str) -> None:
        """Write data to the terminal; never blocks."""
        if self.line is not None:
            self.line.write(data)

    def close(self) -> None:
        """Write what is left."""
        if self.line is not None:
            self.line.close()
            self.line = None
        super().close()
