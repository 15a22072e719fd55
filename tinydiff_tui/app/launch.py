"""Starting and leaving the app: what the terminal must be able to do, and the summary that stays on it."""

import contextlib
import gc
import io
import os
import shlex
import sys
import traceback
from pathlib import Path
from typing import TextIO

from core.errors import UserError
from core.files import user_folder


class ScreenOutput(io.TextIOWrapper):
    """What the app writes to: one cell for a character that the locale lacks, and silence once the line was hung up.

    Without it Textual's writer dies of the first failed write, and the app waits for it forever instead of saving its run.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            super().flush()


def run_app(start: str = "data", cwd: Path | None = None) -> int:
    """Run the app in this terminal, opening in a mode, with the runs below `cwd` (default: here).

    Returns the exit code; 2 when the terminal cannot show it.
    """
    if os.environ.get("SSH_CONNECTION"):  # read when textual is imported: fewer frames, none of them late
        for name, value in (("TEXTUAL_FPS", "15"), ("TEXTUAL_ANIMATIONS", "none"), ("TEXTUAL_SMOOTH_SCROLL", "0")):
            os.environ.setdefault(name, value)
    out = sys.__stdout__
    if out is None or not (_terminal(sys.__stdin__) and _terminal(out)) or os.environ.get("TERM", "dumb") == "dumb":
        sys.stderr.write(
            "tinydiff-tui: the app needs a terminal that can move the cursor (this is none, or TERM=dumb); "
            "use 'tinydiff-tui train --plain', or another command of 'tinydiff-tui --help'\n"
        )
        return 2
    gc.disable()  # nothing of what is imported is garbage; the app enables it after its first paint
    from tinydiff_tui.app.app import TinydiffApp

    screen = open(out.fileno(), "wb", closefd=False)  # noqa: SIM115 (lives as long as the process)
    sys.__stderr__ = ScreenOutput(screen, encoding=out.encoding, errors="replace")  # type: ignore[misc]  # Textual writes there
    app = TinydiffApp(cwd=cwd, start=start)
    if app.driver_class.__name__ == "LinuxDriver":
        from tinydiff_tui.terminal.driver import ScreenDriver

        app.driver_class = ScreenDriver
    app.run()
    app.jobs.stop_all()  # after a crash they still run
    from tinydiff_tui.commands.progress import print_line

    for line in app.summary():
        print_line(line)
    return 1 if app.return_code is None else app.return_code  # None: it ended without having been told to


def _terminal(stream: TextIO | None) -> bool:
    """Whether this is a terminal; a closed descriptor is none."""
    return stream is not None and not stream.closed and stream.isatty()


def summary_of(folder: Path, process: int | None = None) -> list[str]:
    """What a run came to, its folder, and the command to go on with; `process` trains it when it still goes on."""
    from core.runs.folder import RunDir, read_run

    if not RunDir(folder).run_json.exists():
        return []  # it never began
    try:
        run = read_run(folder)
    except UserError as error:
        return [str(error)]
    place = shlex.quote(str(folder))
    if process is not None and RunDir(folder).is_live():
        return [
            f"{run.config.model} on {run.config.dataset}: goes on in process {process}, in {place}",
            f"  watch:    tinydiff-tui attach {place}",
            f"  stop:     tinydiff-tui attach {place} --ask stop",
        ]
    lines = [f"{run.config.model} on {run.config.dataset}: {run.status} at step {run.step:,} of {run.total_steps:,}, in {place}"]
    if run.status != "finished":
        lines.append(f"  continue: tinydiff-tui train --resume --output-dir {place}")
    if run.checkpoint is not None:
        lines.append(f"  sample:   tinydiff-tui sample --checkpoint {shlex.quote(str(run.checkpoint))}")
    return lines


def write_crash(error: Exception) -> str:
    """Write an error's traceback to a file; the end of a sentence that names it."""
    log = user_folder("log") / "crash.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(traceback.format_exception(error)), errors="backslashreplace")
    except OSError:
        return ""
    return f"; please report it with {log}"
