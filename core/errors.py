"""Errors that a person can act on: one sentence each, with the way out in it."""

import re


class UserError(Exception):
    """Bad input. The message is one clear sentence that says what is wrong and what to do about it.

    Names and values from files stand in it, so it never holds a control character.
    """

    def __str__(self) -> str:
        return printable(super().__str__())


class Diverged(UserError):
    """The loss or the gradient stopped being a finite number."""


_UNPRINTABLE = "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
"""Controls, line ends, what turns the direction of the text around, and halves of characters. Nothing else."""


def printable(text: str) -> str:
    """One line without control characters, whatever a file or its name held."""
    return re.sub(_UNPRINTABLE, "�", text)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, as Python, numpy or torch say it: torch has no class for it on a CPU."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError)
        and any(way in said for way in ("out of memory", "not enough memory", "can't allocate memory"))
    )


OUT_OF_MEMORY = "not enough memory; use a smaller batch, fewer images or a smaller model"


def not_installed(what: str, extra: str) -> str:
    """That a package is missing which one of the program's extras brings, and the way to it."""
    return f"{what} is not installed; install it with pip install 'tinydiff-tui[{extra}]'"
