"""The command line: the one place where errors become a sentence. Imports neither torch nor Textual."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from core.compute.distributed import is_first
from core.errors import OUT_OF_MEMORY, UserError, out_of_memory
from tinydiff_tui.commands.flags import make_parser
from tinydiff_tui.commands.output import complain, open_output, quiet_libraries


def run(arguments: Sequence[str]) -> int:
    """Run a command line. 0 on success, 2 on a mistake of use or a failure with its sentence, 130 when interrupted."""
    open_output()
    try:
        options = parse(arguments)
        quiet_libraries()
        from core.files import working_folder  # not for --help

        working_folder()
        command = import_module(f"tinydiff_tui.commands.{options.command}").run
        return int(command(options))
    except UserError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `tinydiff-tui runs | head` is not a failure
        sys.stderr.close()
        return 0
    except Exception as error:
        said = _sentence(error)
        if not said:
            raise
        return _complain(said)
    finally:
        if "core.files" in sys.modules:
            from core.files import take_notices

            for notice in take_notices():
                _complain(notice)


def _sentence(error: Exception) -> str:
    """What is said of an error that nobody expected; empty for a fault of ours."""
    if out_of_memory(error):
        return OUT_OF_MEMORY
    if "core.extend.files" in sys.modules:
        from core.extend.files import fault_of

        if said := fault_of(error):
            return said
    if isinstance(error, OSError):  # of a file: no right to look at it, a disk that went away
        from core.files import reason

        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{reason(error)}; check the file and its permissions, or give another place"
    return ""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of a command line; the files that extend the program are read first. Raises UserError."""
    if os.environ.get("TINYDIFF_EXTEND") or any(argument.startswith("--extend") for argument in arguments):
        from core.extend import files  # not for --help

        names, arguments = files.asked(arguments)
        files.load(names)
    end = list(arguments).index("--") if "--" in arguments else len(arguments)
    return make_parser().parse_args([*map(_spelling, arguments[:end]), *arguments[end:]])


def _complain(sentence: str) -> int:
    who = "" if is_first() else f"process {os.environ['RANK']}: "
    complain(f"{who}{sentence}")
    return 2


def _spelling(argument: str) -> str:
    flag, equals, value = argument.partition("=")
    return flag.replace("_", "-") + equals + value if flag.startswith("--") else argument
