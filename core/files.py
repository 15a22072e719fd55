"""Files that are either the old version or the new one, never half of it; and where a person's paths lead."""

import contextlib
import errno
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any, Literal

from core.errors import UserError, printable

_LONGEST_NAME, _LONGEST_PATH = 255, 4095  # bytes, of Linux
_MOST_LINKS = 40

notices: list[str] = []
"""What a person should know of folders that could not be used; whoever speaks to them takes it out with `take_notices`."""


def take_notices() -> list[str]:
    """The notices that nobody has shown yet."""
    return [notices.pop(0) for _ in range(len(notices))]  # what comes meanwhile stays for the next time


def user_folder(kind: Literal["cache", "config", "data", "log"]) -> Path:
    """The user's folder of this kind for this program; it need not exist. Never raises.

    Where there is none (no home, or one that cannot be written) a folder of this user among the temporary files takes its place,
    which a notice says of what matters.
    """
    import platformdirs  # most commands ask for no such folder

    wanted = ""
    try:
        own = Path(getattr(platformdirs, f"user_{kind}_path")("tinydiff-tui"))
        wanted = f" {own}"
        if not own.is_absolute():
            raise FileNotFoundError(errno.ENOENT, "no home folder is known")
        if kind in ("cache", "log") or not (own.is_dir() and os.access(own, os.R_OK | os.X_OK)):
            _probe(own)
        return own
    except (OSError, ValueError, KeyError, RuntimeError) as error:  # the last two: no HOME, and a user without an account
        why = reason(error) if isinstance(error, OSError) else "no home folder is known"
    instead = _temporary_folder() / kind
    notice = f"the {kind} folder{wanted} cannot be used ({why}); {instead} takes its place"
    if kind in ("cache", "data") and notice not in _noticed:
        _noticed.add(notice)
        notices.append(notice)
    return instead


_noticed: set[str] = set()


def _temporary_folder() -> Path:
    """This user's own folder among the temporary files: nobody else's, a folder, and closed to others."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        import tempfile  # --help needs none of it

        folder = Path(tempfile.gettempdir()) / f"tinydiff-tui-{user}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o077:
            return folder
        return _folder_of_this_process()
    except OSError:
        return Path(os.devnull)  # nothing can be kept: it is not there, and cannot be made


@cache
def _folder_of_this_process() -> Path:
    import tempfile

    return Path(tempfile.mkdtemp(prefix="tinydiff-tui-"))


def working_folder() -> Path:
    """Where this process stands. Raises UserError when that folder was deleted: neither paths nor torch's libraries work then."""
    try:
        return Path.cwd()
    except OSError as error:
        raise UserError("the folder that you are in is gone; change to another with cd") from error


def user_path(text: str | Path, base: Path | None = None) -> Path:
    """The path that a person typed, its ~ expanded; a relative one lies in `base` where that is given.

    Raises UserError for what can be no path: too long, with a NUL, or below ~ without a home.
    """
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~name, and there is no such user: a file may be called so
        path = Path(text)
        if path.parts[0] == "~":
            raise UserError(f"{path} is below your home folder, and none is known; give the whole path, or set HOME") from None
    shown = str(path) if len(str(path)) < 100 else f"{str(path)[:60]}…"
    try:
        encoded = os.fsencode(path)
    except UnicodeEncodeError:
        raise UserError(f"{shown!a} is no path of this system; use other characters") from None
    if b"\0" in encoded:
        raise UserError(f"{shown} holds a NUL, which no path can; give another")
    if len(encoded) > _LONGEST_PATH or max(map(len, encoded.split(b"/"))) > _LONGEST_NAME:
        raise UserError(f"{shown} is too long for a path; give a shorter one")
    return path if base is None else base / path


def unused(folder: Path, stem: str, suffix: str = "", mark: str = "_") -> Path:
    """stem + suffix in a folder, or the first of stem_2, stem_3, ... (with the suffix) that is not there yet."""
    number, path = 1, folder / f"{stem}{suffix}"
    while path.exists():
        number += 1
        path = folder / f"{stem}{mark}{number}{suffix}"
    return path


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file beside `path`; when the block ends well, flush it to disk and rename it to `path`.

    If the block raises, `path` is as it was and the temporary file is gone. A link stays one: what it leads to is replaced, and
    keeps its mode. Other hard links of the file keep the old content. What is no plain file (a pipe, a terminal, /dev/null,
    /dev/stdout) is written through when the block has ended. Raises UserError when the disk is full, the folder is not writable,
    or `path` is a folder.
    """
    path = Path(path)
    try:
        target, mode = _destination(path)
        if mode is not None and not stat.S_ISREG(mode):
            content = io.BytesIO()
            yield content
            _write_through(target, content.getbuffer())
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name[:40]}.{os.urandom(6).hex()}.tmp")
        # Not tempfile: 0o666 is cut by the umask of the process, which cannot be read without changing it for all threads.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    except OSError as error:
        raise UserError(write_failure(path, error)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode) & 0o777)
        temporary.replace(target)
        _sync_folder(target.parent)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(write_failure(path, error)) from error
        raise


def _destination(path: Path) -> tuple[Path, int | None]:
    """Where what is written to `path` goes when its links are followed, and the mode of what is there (None: nothing).

    An open file of a process (/dev/stdout, /dev/fd/3) is no place in a folder, so it counts as a pipe. Raises OSError.
    """
    place = path
    for _ in range(_MOST_LINKS):
        parent = os.path.realpath(place.parent)
        place = Path(parent, place.name)
        if re.fullmatch(r"/proc/\d+/(task/\d+/)?fd|/dev/fd", parent):
            place.stat()
            return place, stat.S_IFIFO
        if not place.is_symlink():
            break
        place = place.parent / place.readlink()
    else:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    try:
        mode = place.stat().st_mode
    except FileNotFoundError:
        return place, None
    if stat.S_ISDIR(mode):
        raise UserError(f"{path} is a folder; name a file in it")
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise UserError(f"{path} is a {'disk' if stat.S_ISBLK(mode) else 'socket'}, not a file; choose another place")
    return place, mode


def is_plain(path: Path) -> bool:
    """Whether what is written to this path becomes a file, and does not go through a device or a pipe."""
    try:
        mode = _destination(path)[1]
    except OSError:
        return True  # and writing it fails
    return mode is None or stat.S_ISREG(mode)


def _write_through(target: Path, content: memoryview) -> None:
    try:
        if str(target.parent) in (f"/proc/{os.getpid()}/fd", "/dev/fd"):
            handle = os.dup(int(target.name))  # opened anew, a file would be written from its start
        else:
            handle = os.open(target, os.O_WRONLY | os.O_NONBLOCK)  # a pipe that nobody reads must not be waited for
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise UserError(f"nobody reads from the pipe {target}; start its reader first, or name a file") from error
        raise
    try:
        os.set_blocking(handle, True)
        while content:
            content = content[os.write(handle, content) :]
    finally:
        os.close(handle)


def require_writable(path: Path) -> None:
    """Raise UserError where `path` cannot be written as a file: asked before hours are spent on it; leaves nothing behind."""
    try:
        target, mode = _destination(path)
        if mode is None or stat.S_ISREG(mode):
            _probe(target.parent)
        elif not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise UserError(write_failure(path, error)) from error


def require_folder(path: Path) -> None:
    """Raise UserError where `path` is no folder that can be written, and cannot be made one; leaves nothing behind."""
    try:
        _probe(path)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {reason(error)}; choose another folder") from error


def _probe(folder: Path) -> None:
    """Raise OSError unless a file can be made in this folder, or the folder itself and what is missing above it."""
    import tempfile

    with tempfile.TemporaryFile(dir=_standing(folder)):
        pass


def _standing(path: Path) -> Path:
    """The path itself, or the nearest folder above it that is there. Raises OSError."""
    for place in (path, *path.parents):
        try:
            place.stat()
            return place
        except FileNotFoundError:
            if place.is_symlink():
                raise
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def require_checkpoint(path: Path) -> None:
    """Raise UserError when there is no such file; free of torch, so that the commands can ask before they import it."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; train one with 'tinydiff-tui train', or check the name")


def require_space(path: Path, size: int) -> None:
    """Raise UserError when the disk of `path` cannot take `size` more bytes; what is there already stays untouched."""
    try:
        import shutil

        free = shutil.disk_usage(_standing(_destination(path)[0].parent)).free
    except OSError as error:
        raise UserError(write_failure(path, error)) from error
    if free < size:
        raise UserError(
            f"cannot write {path}: it needs {size / 2**20:.0f} MiB and the disk has {free / 2**20:.0f}; "
            "free some space or choose another folder"
        )


def open_plain(path: Path) -> IO[bytes]:
    """Open a plain file to read. Raises OSError for anything else, at once: what waits or never ends is not read."""
    try:
        file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | getattr(os, "O_NONBLOCK", 0)))  # noqa: SIM115
    except ValueError as error:  # a NUL in the name
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no plain file")
    return file


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a plain file of at most `most` bytes. Raises OSError or ValueError for anything else."""
    with open_plain(path) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise ValueError("larger than any file of ours")
        return file.read(most)


def read_json(path: Path, most: int = 1 << 20) -> Any:
    """What a small file of ours says in JSON. Raises OSError or ValueError for anything else."""
    try:
        return json.loads(read_bytes(path, most).decode())
    except RecursionError as error:
        raise ValueError("deeper than any file of ours") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def write_failure(path: Path, error: OSError) -> str:
    """The sentence for a file that could not be written."""
    space = "free some space or " if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"cannot write {path}: {reason(error)}; {space}choose another folder"


def reason(error: OSError) -> str:
    """What the system says, as a part of a sentence."""
    return (error.strerror or str(error)).lower()


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder: without this a power cut can bring the old name back.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def shell_word(path: Path | str) -> str:
    """A path as one word of a command to be pasted: the shell reads the same path from it, whatever characters are in it."""
    text = str(path)
    if text.startswith("-"):
        text = f"./{text}"
    if printable(text) == text:
        import shlex

        return shlex.quote(text)
    safe = (chr(byte) if 32 <= byte < 127 and chr(byte) not in "'\\" else f"\\x{byte:02x}" for byte in os.fsencode(text))
    return f"$'{''.join(safe)}'"
