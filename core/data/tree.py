"""What belongs to a data set that is a folder: its pictures, their classes and splits, and what was left out."""

import hashlib
import os
import stat
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from core.errors import UserError
from core.files import read_json

if TYPE_CHECKING:
    from core.data.packed import Archive
    from core.data.parquet import Rows

_JUNK = {"__macosx", "@eadir", "$recycle.bin", "lost+found", "thumbs.db"}
"""Left behind by systems and servers, some of it with thumbnails of the pictures beside it."""
_NO_PIXELS = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
"""Formats that Pillow knows by name only, or through another program."""
_NOT_READ = {".arw", ".cr2", ".cr3", ".dng", ".eps", ".heic", ".heif", ".jxl", ".nef", ".raw", ".svg"}
_HELD_OUT = ("test", "val", "valid", "validation")
_OF_A_RUN = {"run.json", "metrics.jsonl", "model_final.pt", "checkpoints"}
_PICTURES_OF_A_RUN = {"samples", "intermediate", "generated_samples.png", "training_loss.png"}


class Found(NamedTuple):
    """A picture: its path below the folder, its size and the time of its last change."""

    path: Path
    size: int
    changed: int


@dataclass(frozen=True)
class Tree:
    """The pictures below a folder in the order of their names, and what was left out, as "name: reason"."""

    root: Path
    files: tuple[Found, ...]
    left_out: tuple[str, ...]
    split: tuple[str, str] | None
    """The folders of training and testing, where those stand on top."""
    archive: "Archive | Rows | None" = None
    """What the pictures are packed in, where `root` is no folder."""

    def source(self, file: Found) -> "Path | IO[bytes]":
        """What a picture is decoded from. Raises one of several errors for a packed one that is torn."""
        return self.archive.open(file.path) if self.archive else self.root / file.path

    def class_of(self, path: Path) -> str:
        """The folder on top (or on top of its split) that a picture lies in; that of the whole set for one in none."""
        parts = path.parts[1:] if self.split else path.parts
        whole = self.root.resolve()
        return parts[0] if len(parts) > 1 else whole.stem if self.archive else whole.name

    def in_test(self, path: Path) -> bool:
        """Whether a picture is held out: by its folder, else one in ten by its name alone, so that a new file moves no other."""
        if self.split:
            return path.parts[0] == self.split[1]
        return hashlib.sha256(str(path).encode(errors="surrogateescape")).digest()[0] < 26


def find_pictures(root: Path) -> Tree:
    """Walk a folder, or look through a zip archive. Raises UserError when it is not there, cannot be read, or holds no picture.

    Hidden names, what systems leave behind and the folders of runs are no data. Links are followed; a folder that several paths
    lead to is read once, under the path without a link, so no loop is endless.
    """
    if root.is_file():
        from zipfile import is_zipfile  # what reads packed pictures is not imported for those of a folder, nor at the start

        if is_zipfile(root):
            return _in_archive(root)
        if root.suffix.lower() == ".parquet":
            return _in_parquet(root)
    if not root.is_dir():
        raise UserError(f"there is no folder {root}; give one that holds images, as in folder:PATH")
    found: list[Found] = []
    left_out: list[str] = []
    seen: dict[tuple[int, int], Path] = {}
    starts = [Path()]
    while starts:  # what links lead to comes after all that is really here
        links: list[Path] = []
        for start in sorted(starts):
            _walk(root, start, found, left_out, seen, links)
        starts = links
    files, split = _split(sorted(found), left_out)
    if not files:
        what = f"left out: {left_out[0]}" if left_out else f"it {holding(root)}"
        raise UserError(f"the folder {root} holds no images ({what}); give one that does")
    return Tree(root, files, tuple(left_out), split)


def _in_archive(path: Path) -> Tree:
    """The pictures of a zip archive, as those of a folder of its own."""
    from core.data.packed import Archive

    archive, changed = Archive(path), path.stat().st_mtime_ns
    found: list[Found] = []
    left_out: list[str] = []
    for member, info in archive.members.items():
        hidden = any(part.startswith(".") or part.lower() in _JUNK for part in member.parts if part != "..")
        if hidden or member.suffix.lower() not in suffixes():
            continue
        if fault := archive.fault(member):
            left_out.append(f"{member}: {fault}")
        else:
            found.append(Found(member, info.file_size, changed))
    files, split = _split(sorted(found), left_out)
    if not files:
        raise UserError(
            f"the archive {path} holds no images{f' (left out: {left_out[0]})' if left_out else ''}; give one that does"
        )
    return Tree(path, files, tuple(left_out), split, archive)


def _in_parquet(path: Path) -> Tree:
    """The pictures of a parquet file, as those of a folder with one for each class."""
    from core.data.parquet import rows_of

    changed = path.stat().st_mtime_ns
    rows = rows_of(path.resolve(), changed)
    files = tuple(sorted(Found(row, size, changed) for row, size in rows.sizes().items()))
    if not files:
        raise UserError(f"{path} holds no rows; give a file with pictures")
    return Tree(path, files, (), None, rows)


@lru_cache(maxsize=1)
def suffixes() -> frozenset[str]:
    """Every suffix of a format that Pillow reads by itself."""
    from PIL import Image

    return frozenset(
        suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN and kind not in _NO_PIXELS
    )


def holding(folder: Path) -> str:
    """A few names of what lies in a folder, as the end of a sentence about it."""
    try:
        names = sorted(os.listdir(folder))  # noqa: PTH208 (names, not paths)
    except OSError as error:
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    return f"holds {', '.join(names[:4])}{', …' if len(names) > 4 else ''}" if names else "is empty"


def _walk(
    root: Path, start: Path, found: list[Found], left_out: list[str], seen: dict[tuple[int, int], Path], links: list[Path]
) -> None:
    """Everything below root / start but for links to folders, which are collected in `links`."""
    folders = [start]
    while folders:
        folder = folders.pop()
        try:
            at = (root / folder).stat()
            before = seen.setdefault((at.st_dev, at.st_ino), folder)
            if before is not folder:
                if before not in folder.parents:  # a loop hides nothing, a second name does
                    left_out.append(f"{folder}: the same folder as {before}")
                continue
            with os.scandir(root / folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            if not folder.parts:
                raise UserError(f"the folder {root} cannot be read: {_words(error)}; check its permissions") from error
            left_out.append(f"{folder}: {_words(error)}")
            continue
        names = {entry.name for entry in entries}
        run = _is_run(root / folder, names)
        if run and folder.parts:
            continue
        for entry in entries:
            if entry.name.startswith(".") or entry.name.lower() in _JUNK or (run and entry.name in _PICTURES_OF_A_RUN):
                continue
            path, suffix = folder / entry.name, os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 (of any name)
            try:
                facts = entry.stat()
            except OSError as error:
                left_out.append(f"{path}: {'a link to nothing' if entry.is_symlink() else _words(error)}")
                continue
            if stat.S_ISDIR(facts.st_mode):
                (links if entry.is_symlink() else folders).append(path)
            elif suffix in suffixes() and stat.S_ISREG(facts.st_mode):
                found.append(Found(path, facts.st_size, facts.st_mtime_ns))
            elif suffix in suffixes():
                left_out.append(f"{path}: not a file")
            elif suffix in _NOT_READ:
                left_out.append(f"{path}: {suffix} is a format that is not read here")


def _is_run(folder: Path, names: set[str]) -> bool:
    """Whether a run of this program wrote here: its run.json, or what else it leaves when that is torn."""
    if len(names & _OF_A_RUN) > 1:
        return True
    if "run.json" not in names:
        return False
    try:
        said = read_json(folder / "run.json")
        return isinstance(said["config"], dict) and "dataset" in said["config"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _split(found: list[Found], left_out: list[str]) -> tuple[tuple[Found, ...], tuple[str, str] | None]:
    """train/ beside test/ (or val/) on top are a split and no classes; what stands beside them is left out."""
    tops = {f.path.parts[0].lower(): f.path.parts[0] for f in found if len(f.path.parts) > 1}
    held_out = next((tops[name] for name in _HELD_OUT if name in tops), None)
    if "train" not in tops or held_out is None:
        return tuple(found), None
    split = (tops["train"], held_out)
    left_out += [f"{name}: neither in {split[0]}/ nor in {held_out}/" for name in dict.fromkeys(f.path.parts[0] for f in found)
                 if name not in split]  # fmt: skip
    return tuple(f for f in found if f.path.parts[0] in split), split


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
