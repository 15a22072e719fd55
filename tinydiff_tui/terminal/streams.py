"""Standard output that outlives its terminal: what is still written after a hang-up goes nowhere, and whoever writes goes on."""

import codecs
import io
import os

PLAIN = {
    **dict.fromkeys("─━═┄┈╌", "-"),
    **dict.fromkeys("│┃║┆┊╎▏▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯┿╋╪", "+"),
    **dict.fromkeys("●■▸✓•◉", "*"),
    **dict.fromkeys("╱∕", "/"),
    **dict.fromkeys("−–—‖", "-"),
    **dict.fromkeys("·⋅", "."),
    **dict.fromkeys("×✗", "x"),
    "\xa0": " ",
    "←": "<",
    "→": ">",
    "↑": "^",
    "↓": "v",
    "…": "~",
    "₀": "0",
}
"""What stands for a sign of ours where the terminal's encoding lacks it; of anything else a question mark a cell."""


def _in_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of codecs that keeps every text as wide as it was."""
    from rich.cells import cell_len  # --help, which writes here too, has no need of it

    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(PLAIN.get(char, "?" * cell_len(char)) for char in error.object[error.start : error.end]), error.end


codecs.register_error("cells", _in_ascii)


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
