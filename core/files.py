"""Files that are either the old version or the new one, never half of it; and where a person's paths lead."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from core.errors import UserError


def user_folder(kind: Literal["cache", "config", "data", "log"]) -> Path:
    """The user's folder of this kind for this program; it need not exist."""
    import platformdirs  # most commands ask for no such folder

    return Path(getattr(platformdirs, f"user_{kind}_path")("tinydiff-tui"))


def user_path(text: str | Path, base: Path | None = None) -> Path:
    """The path that a person typed, its ~ expanded; a relative one lies in `base` where that is given."""
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # ~name, and there is no such user: a file may be called so
        path = Path(text)
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

    If the block raises, `path` is as it was and the temporary file is gone. Raises UserError when the disk is full or the
    folder is not writable.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise UserError(write_failure(path, error)) from error
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UserError(write_failure(path, error)) from error
        raise


def require_checkpoint(path: Path) -> None:
    """Raise UserError when there is no such file; free of torch, so that the commands can ask before they import it."""
    if not path.is_file():
        raise UserError(f"there is no checkpoint {path}; train one with 'tinydiff-tui train', or check the name")


def require_space(path: Path, size: int) -> None:
    """Raise UserError when the disk of `path` cannot take `size` more bytes; what is there already stays untouched."""
    folder = next(parent for parent in Path(path).absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"cannot write {path}: it needs {size / 2**20:.0f} MiB and the disk has {free / 2**20:.0f}; "
            "free some space or choose another folder"
        )


def read_text(path: Path, most: int) -> str:
    """The text of a plain file of at most `most` bytes. Raises OSError or ValueError for anything else."""
    if not path.is_file() or path.stat().st_size > most:
        raise ValueError("no file of ours")
    return path.read_text()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_write(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())


def write_failure(path: Path, error: OSError) -> str:
    """The sentence for a file that could not be written."""
    return f"cannot write {path}: {(error.strerror or str(error)).lower()}; free some space or choose another folder"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # The rename itself lives in the folder: without this a power cut can bring the old name back.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
