"""Reading a person's own file: it runs once, its entries go into the table, and a fault of it is one sentence with its line."""

import hashlib
import io
import linecache
import os
import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from types import ModuleType

from core.errors import UserError
from core.extend.entries import READING, TABLES, Reading
from core.files import notices, read_bytes, reason, shell_word, user_path
from core.names import OWN_FILES, Entry, OwnFile

FLAG = "--extend"
VARIABLE = "TINYDIFF_EXTEND"
_SLOW = 1.0  # seconds to read a file, beside what is checked and torch
_MOST_BYTES = 1 << 20
_ENDLESS = 100  # characters of what a file printed


def asked(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files that a command line and the environment name, and the arguments without them. Raises UserError."""
    files = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            rest += [argument, *waiting]
        elif argument == FLAG:
            value = next(waiting, "")
            if not value or value.startswith("--"):
                raise UserError(f"{FLAG} takes a Python file of yours, as in {FLAG} ideas.py")
            files.append(value)
        elif argument.startswith(f"{FLAG}="):
            files.append(argument.removeprefix(f"{FLAG}="))
        else:
            rest.append(argument)
    return files, rest


def load(names: Iterable[str]) -> None:
    """Read files and put what they register into the table; one that was read already is not read again. Raises UserError."""
    for name in names:
        path = Path(os.path.realpath(user_path(name)))
        if path not in OWN_FILES:
            take(read(path))


def read(path: Path) -> OwnFile:
    """Run a file and check what it registers; the table stays as it is. Raises UserError, with the line of what is wrong."""
    try:
        source = read_bytes(path, _MOST_BYTES)
    except OSError as error:
        raise UserError(f"{FLAG} {path}: {reason(error)}; give a Python file of yours") from error
    except ValueError as error:
        raise UserError(f"{FLAG} {path} is too large to be a Python file; give one of yours") from error
    if b"torch" in source:  # whose import is not the file's fault
        import torch  # noqa: F401
    linecache.checkcache(str(path))
    module = ModuleType(f"tinydiff_own_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # dataclasses look there
    reading, printed, began = Reading(path), io.StringIO(), time.monotonic()
    token = READING.set(reading)
    try:
        with redirect_stdout(printed), redirect_stderr(printed):
            exec(compile(source, str(path), "exec"), module.__dict__)
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a SystemExit too: a file that leaves must not take the program with it
        raise UserError(f"{_fault(error, [path])}; mend the file, or leave {FLAG} out") from error
    finally:
        READING.reset(token)
    seconds = time.monotonic() - began - reading.checked
    if said := printed.getvalue().strip():
        notices.append(f"{path.name} printed '{said.splitlines()[0][:_ENDLESS]}' while it was read; that belongs into a function")
    if seconds > _SLOW:
        notices.append(f"{path.name} took {seconds:.1f} s to read, at every start; what takes long belongs into its functions")
    if not reading.entries:
        notices.append(
            f"{path.name} registers nothing; put @schedule, @network, @sampler or @dataset of core.extend over a function"
        )
    return OwnFile(path, hashlib.blake2b(source, digest_size=8).hexdigest(), tuple(reading.entries))


def take(file: OwnFile, keep: Iterable[Entry] = ()) -> None:
    """Put the entries of a file into the table, in place of those that it had before; those to `keep` stay as they are."""
    kept = [entry for entry in keep if entry.origin == str(file.path)]
    before = OWN_FILES.get(file.path)
    for kind, entry in before.entries if before else ():
        if entry not in kept:
            TABLES[kind].pop(entry.name, None)
    for kind, entry in file.entries:
        if entry.name not in [stays.name for stays in kept if type(stays) is type(entry)]:
            TABLES[kind][entry.name] = entry
    OWN_FILES[file.path] = file


def files() -> tuple[OwnFile, ...]:
    """Those that were read."""
    return tuple(OWN_FILES.values())


def flags() -> list[str]:
    """The flags that give another process the same files."""
    return [f"{FLAG}={path}" for path in OWN_FILES]


def words() -> str:
    """The same in a command to be pasted, with a space in front; empty without files."""
    return "".join(f" {FLAG} {shell_word(path)}" for path in OWN_FILES)


def source_of(stem: str, name: str) -> str:
    """The text of an entry by what its place says; empty for none of ours."""
    entries = (entry for file in files() for _, entry in file.entries)
    return next((entry.text for entry in entries if entry.code == f"{stem}:{name}"), "")


def fault_of(error: BaseException) -> str:
    """Where in a person's own file an error comes from, as a sentence; empty when none of theirs is to blame."""
    return f"{_fault(error, list(OWN_FILES))}; mend the file" if _line_of(error, list(OWN_FILES)) else ""


def _fault(error: BaseException, paths: Sequence[Path]) -> str:
    """What is wrong, and in which line."""
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{Path(error.filename or paths[0]).name}, line {error.lineno or 1}: {type(error).__name__}: {error.msg}"
    place = _line_of(error, paths) or f"{paths[0].name}"
    return f"{place}: {said}"


def _line_of(error: BaseException, paths: Sequence[Path]) -> str:
    """The last line of these files that led to an error."""
    known = set(map(str, paths))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in known]
    return f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
