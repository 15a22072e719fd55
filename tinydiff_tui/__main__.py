"""Entry point: `tinydiff-tui` and `python -m tinydiff_tui`."""

import os
import sys


def main() -> int:
    """Run the command line, or the app where nothing was asked for; returns the exit code."""
    # Before torch starts its thread pool: spinning threads starve each other 40-fold beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if len(sys.argv) == 1:  # the app: its first paint does not wait for the parser of all commands
        from tinydiff_tui.start import run_app

        try:
            return run_app()
        except KeyboardInterrupt:  # while it is imported; later it is a key
            return 130
    from tinydiff_tui.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
