"""The files of the public data sets in torchvision's layout, unpacked or packed as they are offered for download."""

import gzip
import math
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from core.data.tree import holding
from core.errors import UserError
from core.names import Dataset

if TYPE_CHECKING:  # what is missing is asked for before torch is there
    import numpy as np
    from torch import Tensor

MOST_BYTES = 1 << 30
"""Of the numbers in one file: a header that promises more lies."""
_GZIP = b"\x1f\x8b"
_IDX_NUMBERS = {8: "u1", 12: ">i4"}  # what the third byte of a file in LeCun's format says of it, as far as a set needs it


def missing_files(entry: Dataset, root: Path) -> list[Path]:
    """The files of a set that are there neither unpacked nor packed, as far as this user may know."""
    return [file for file in _files(entry, root) if not any(map(os.path.exists, (file, *_packed(entry, root, file))))]


def is_on_disk(entry: Dataset, root: Path) -> bool:
    """Whether a set is there: its marker, which a download writes last, or all of its files, packed or not."""
    return os.path.exists(root / entry.marker) or not missing_files(entry, root)  # noqa: PTH110 (no error where it is forbidden)


def open_idx(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images, labels, classes) from files in LeCun's format. Raises UserError when they are torn or not all there."""
    from torchvision import datasets

    classes = tuple(str(c).split(" - ")[0] for c in getattr(datasets, entry.download).classes)
    return _idx_set(entry, split, root, classes)


def open_letters(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """The same of EMNIST, whose images lie on their sides, mirrored, and whose letters count from 1 (Cohen et al. 2017)."""
    from torchvision import datasets

    classes = tuple(datasets.EMNIST.classes_split_dict["letters"][1:])
    images, labels, classes = _idx_set(entry, split, root, classes, first_label=1)
    return images.transpose(1, 2).contiguous(), labels, classes


def _idx_set(
    entry: Dataset, split: str, root: Path, classes: tuple[str, ...], first_label: int = 0
) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    import zipfile

    import numpy as np
    import torch

    try:
        if missing := missing_files(entry, root):
            raise ValueError(not_there(missing[0]))
        files = _files(entry, root)
        images, labels = (_read_idx(entry, root, file) for file in (files[:2] if split == "train" else files[2:]))
        if labels.ndim == 2 and labels.shape[1]:  # QMNIST: the class, then writer, place in NIST's files and so on
            labels = labels[:, 0]
        if images.dtype != np.uint8 or images.shape[1:] != entry.shape[:2] or labels.shape != images.shape[:1] or not len(labels):
            raise ValueError("its images and labels do not belong together")
        labels = labels.astype(np.int64) - first_label
        if not 0 <= labels.min() <= labels.max() < len(classes):
            raise ValueError("a label is no class")
        return torch.from_numpy(images.reshape(-1, *entry.shape)), torch.from_numpy(labels), classes
    except (OSError, EOFError, ValueError, RuntimeError, struct.error, zlib.error, zipfile.BadZipFile) as error:
        raise unreadable(entry, root, error) from error


def open_cifar(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images, labels, classes) from torchvision's files, or from their archive. Raises UserError when they are torn."""
    import tarfile
    import tempfile

    import numpy as np
    import torch
    from torchvision import datasets
    from torchvision.datasets.utils import check_integrity

    source: Any = getattr(datasets, entry.download)
    try:
        with tempfile.TemporaryDirectory() as unpacked:
            place = root
            if not all(file.exists() for file in _files(entry, root)):
                archive = next(path for path in _packed(entry, root, root) if path.is_file())
                if not check_integrity(str(archive), source.tgz_md5):
                    raise ValueError(f"{archive.name} is not whole")
                with tarfile.open(archive) as packed:
                    packed.extractall(unpacked, filter="data")
                place = Path(unpacked)
            data = source(root=str(place), train=split == "train", download=False)
        images, labels = torch.from_numpy(np.ascontiguousarray(data.data)), torch.as_tensor(data.targets, dtype=torch.int64)
        if images.shape[1:] != entry.shape or not 0 <= labels.min() <= labels.max() < len(data.classes):
            raise ValueError("another shape, or a class that is not there")
        return images, labels, tuple(map(str, data.classes))
    except Exception as error:  # torchvision answers torn files with whatever its parser stumbled on
        raise unreadable(entry, root, error) from error


def not_there(file: Path) -> str:
    """That a file is missing, and what lies in its place."""
    return f"there is no {file.name}; {file.parent} {holding(file.parent)}"


def unreadable(entry: Dataset, root: Path, error: Exception) -> UserError:
    """The sentence for files that are torn, with what was found."""
    said = " ".join(str(error).split()) if isinstance(error, (OSError, ValueError)) else ""
    return UserError(
        f"the files of {entry.name} in {root} cannot be read ({said or type(error).__name__}); delete them and run "
        f"'tinydiff-tui datasets --download {entry.name}'"
    )


def _files(entry: Dataset, root: Path) -> list[Path]:
    """Training first, then test; unpacked."""
    return [root / name for name in entry.files]


def _packed(entry: Dataset, root: Path, file: Path) -> list[Path]:
    """Where a file may lie packed."""
    alone = [_gz(file)] if "-idx" in file.name else []
    return alone + ([root / entry.archive, file.parent / entry.archive] if entry.archive else [])


def _gz(file: Path) -> Path:
    return file.with_name(file.name + ".gz")


def _read_idx(entry: Dataset, root: Path, file: Path) -> "np.ndarray":
    """The numbers of a file in their shape, no more than its header says. Raises one of several errors."""
    import numpy as np

    with _unpacked(entry, root, file) as (name, source):
        zero, kind, dimensions = struct.unpack(">HBB", source.read(4))
        if zero or kind not in _IDX_NUMBERS or not 0 < dimensions < 4:
            raise ValueError(f"{name} is no IDX file of whole numbers")
        shape, dtype = struct.unpack(f">{dimensions}I", source.read(4 * dimensions)), np.dtype(_IDX_NUMBERS[kind])
        size = math.prod(shape) * dtype.itemsize
        content = bytearray(source.read(size + 1)) if size < MOST_BYTES else b""
    if len(content) != size:
        raise ValueError(f"{name} has another length than it says")
    return np.frombuffer(content, dtype).reshape(shape)


@contextmanager
def _unpacked(entry: Dataset, root: Path, file: Path) -> Iterator[tuple[str, IO[bytes] | gzip.GzipFile]]:
    """The name of a file as it lies there, and its bytes: of itself, of its .gz, or of that in the archive of the set."""
    import zipfile  # of one set alone, and not for the first screen

    path = next(path for path in (file, *_packed(entry, root, file)) if path.exists())
    if not path.is_file():
        raise ValueError(f"{path.name} is not a file")
    if path.name == entry.archive:
        with zipfile.ZipFile(path) as archive:
            member = next((name for name in archive.namelist() if PurePosixPath(name).name == _gz(file).name), None)
            if member is None:
                raise ValueError(f"there is no {_gz(file).name} in {path.name}")
            with archive.open(member) as packed:
                yield f"{_gz(file).name} in {path.name}", _gunzipped(packed)
    else:
        with path.open("rb") as raw:
            yield path.name, _gunzipped(raw)


def _gunzipped(raw: IO[bytes]) -> IO[bytes] | gzip.GzipFile:
    """What is packed, or the file itself; by what is in it: browsers unpack a file and leave its name, or the other way round."""
    packed = raw.read(2) == _GZIP
    raw.seek(0)
    return gzip.GzipFile(fileobj=raw) if packed else raw
