"""Entry point: `tinydiff-tui` and `python -m tinydiff_tui`."""

import os
import sys
from collections.abc import Sequence

FOR_TORCH = {
    "GOMP_SPINCOUNT": "3000",  # a wait this short is not slept through, a longer one leaves the core to another process
    "THP_MEM_ALLOC_ENABLE": "1",  # tensors in pages of 2 MiB: a twentieth of a training step
}
"""Settings that are read when torch is imported."""


def main() -> int:
    """Run the command line, or the app where nothing was asked for; returns the exit code."""
    open_standard()
    for name, value in FOR_TORCH.items():
        os.environ.setdefault(name, value)
    if opens_app(sys.argv[1:]):  # its first paint does not wait for the parser of all commands
        from tinydiff_tui.app.launch import run_app

        try:
            return run_app(extend=sys.argv[1:])
        except KeyboardInterrupt:  # while it is imported; later it is a key
            return 130
    from core.compute.distributed import end_process
    from tinydiff_tui.cli import run

    code = run(sys.argv[1:])
    end_process(code)
    return code


def opens_app(arguments: Sequence[str]) -> bool:
    """Whether no command is asked for, but files to extend the app with at most."""
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--extend":
            next(waiting, "")
        elif not argument.startswith("--extend="):
            return False
    return True


def open_standard() -> None:
    """Open what of standard input, output and error was closed at the start on /dev/null.

    Python leaves such a stream out, and the next file that is opened takes its number: what is said would go into a checkpoint.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.set_inheritable(number, True)
            if nowhere != number:
                os.close(nowhere)
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 (a descriptor)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


if __name__ == "__main__":
    sys.exit(main())
