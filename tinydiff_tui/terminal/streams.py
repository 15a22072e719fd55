"""Standard output that outlives its terminal: what is still written after a hang-up goes nowhere, and whoever writes goes on."""

import io
import os


class LastingOutput(io.TextIOWrapper):
    """A stream whose failed writes silence it: Rich's and Textual's threads must not die of them, nor the run that they show."""

    def write(self, text: str) -> int:
        try:
            super().write(text)
        except OSError:
            silence()
        return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            silence()


def silence() -> None:
    """Standard output is gone (a terminal that hung up): what is still said goes nowhere, here and on its standard error."""
    gone, nowhere = os.fstat(1), os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if os.path.samestat(os.fstat(descriptor), gone):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)
