"""Entry point: `tinydiff-tui` and `python -m tinydiff_tui`."""

import os
import sys


def main() -> int:
    """Run the command line; returns the exit code."""
    # Before torch starts its thread pool: spinning threads starve each other 40-fold beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from tinydiff_tui.cli import run

    return run(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
