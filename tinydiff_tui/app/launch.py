"""Starting and leaving the app: what the terminal must be able to do, and the summary that stays on it."""

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from core.errors import UserError
from core.files import shell_word, take_notices, user_folder
from tinydiff_tui.commands.output import complain, open_output, quiet_libraries, say
from tinydiff_tui.terminal.streams import LastingOutput

GIL_SECONDS = 1e-4
"""How long Python may keep a thread of the engine waiting, which asks for its lock again after every operation of a network: with
Python's own 5 ms a network beside a busy screen takes twenty times as long, with this three times."""


def run_app(start: str = "data", cwd: Path | None = None, extend: Sequence[str] = ()) -> int:
    """Run the app in this terminal, opening in a mode, with the runs below `cwd` (default: here), and with the files that the
    arguments `extend`, or the environment, name.

    Returns the exit code; 2 when the terminal cannot show it, or its folder is gone.
    """
    open_output()
    quiet_libraries()
    if os.environ.get("SSH_CONNECTION"):  # read when textual is imported: fewer frames, none of them late
        for name, value in (("TEXTUAL_FPS", "15"), ("TEXTUAL_ANIMATIONS", "none"), ("TEXTUAL_SMOOTH_SCROLL", "0")):
            os.environ.setdefault(name, value)
    out = sys.__stdout__
    if out is None or not (_terminal(sys.__stdin__) and _terminal(out)) or os.environ.get("TERM", "dumb") == "dumb":
        complain(
            "the app needs a terminal that can move the cursor (this is none, or TERM=dumb); "
            "use 'tinydiff-tui train --plain', or another command of 'tinydiff-tui --help'"
        )
        return 2
    for name in ("COLUMNS", "LINES"):  # a shell may have exported them once; the terminal itself says how large it is now
        os.environ.pop(name, None)
    if extend or os.environ.get("TINYDIFF_EXTEND"):
        from core.extend import files  # only who brings files waits for it

        try:
            files.load(files.asked(extend)[0])
        except UserError as error:
            complain(str(error))
            return 2
    sys.setswitchinterval(GIL_SECONDS)
    gc.disable()  # nothing of what is imported is garbage; the app enables it after its first paint
    from tinydiff_tui.app.app import TinydiffApp

    screen = open(out.fileno(), "wb", closefd=False)  # noqa: SIM115 (lives as long as the process)
    sys.__stderr__ = LastingOutput(screen, encoding=out.encoding, errors="cells")  # type: ignore[misc]  # Textual writes there
    try:
        app = TinydiffApp(cwd=cwd, start=start)
    except UserError as error:
        complain(str(error))
        return 2
    if app.driver_class.__name__ == "LinuxDriver":
        from tinydiff_tui.terminal.driver import ScreenDriver

        app.driver_class = ScreenDriver
    app.run()
    app.jobs.stop_all()  # after a crash they still run
    for line in [*app.summary(), *take_notices()]:
        say(line)
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
    from core.extend.files import words

    place = shell_word(folder)
    if process is not None and RunDir(folder).is_live():
        return [
            f"{run.config.model} on {run.config.dataset}: goes on in process {process}, in {place}",
            f"  watch:    tinydiff-tui attach {place}",
            f"  stop:     tinydiff-tui attach {place} --ask stop",
        ]
    lines = [f"{run.config.model} on {run.config.dataset}: {run.status} at step {run.step:,} of {run.total_steps:,}, in {place}"]
    if run.status != "finished":
        lines.append(f"  continue: tinydiff-tui train --resume --output-dir {place}{words()}")
    if run.checkpoint is not None:
        lines.append(f"  sample:   tinydiff-tui sample --checkpoint {shell_word(run.checkpoint)}{words()}")
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
