"""The files of the public data sets in torchvision's layout, unpacked or packed as they are offered for download."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.data.tree import holding
from core.errors import UserError
from core.names import Dataset

if TYPE_CHECKING:  # what is missing is asked for before torch is there
    import numpy as np
    from torch import Tensor

_MOST_BYTES = 1 << 30  # a header that promises more lies
_GZIP = b"\x1f\x8b"


def missing_files(entry: Dataset, root: Path) -> list[Path]:
    """The files of a set that are there neither unpacked nor packed, as far as this user may know."""
    return [file for file in _files(entry, root) if not any(map(os.path.exists, (file, *_packed(entry, root, file))))]


def is_on_disk(entry: Dataset, root: Path) -> bool:
    """Whether a set is there: its marker, which a download writes last, or all of its files, packed or not."""
    return os.path.exists(root / entry.marker) or not missing_files(entry, root)  # noqa: PTH110 (no error where it is forbidden)


def open_idx(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images, labels, classes) from files in LeCun's format. Raises UserError when they are torn or not all there."""
    import numpy as np
    import torch
    from torchvision import datasets

    classes = tuple(str(c).split(" - ")[0] for c in getattr(datasets, entry.download).classes)
    try:
        if missing := missing_files(entry, root):
            raise ValueError(f"there is no {missing[0].name}; {missing[0].parent} {holding(missing[0].parent)}")
        files = _files(entry, root)
        images, labels = map(_read_idx, files[:2] if split == "train" else files[2:])
        if images.shape[1:] != entry.shape[:2] or labels.shape != images.shape[:1] or not len(labels):
            raise ValueError("its images and labels do not belong together")
        if labels.max() >= len(classes):
            raise ValueError("a label is no class")
        return torch.from_numpy(images.reshape(-1, *entry.shape)), torch.from_numpy(labels.astype(np.int64)), classes
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise _unreadable(entry, root, error) from error


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
        raise _unreadable(entry, root, error) from error


def _files(entry: Dataset, root: Path) -> list[Path]:
    """Training first, then test; unpacked."""
    folder = (root / entry.marker).parent
    if entry.archive:
        return [folder / name for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta")]
    return [folder / f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def _packed(entry: Dataset, root: Path, file: Path) -> list[Path]:
    """Where a file may lie packed."""
    if entry.archive:
        return [root / entry.archive, (root / entry.marker).parent / entry.archive]
    return [file.with_name(file.name + ".gz")]


def _read_idx(file: Path) -> "np.ndarray":
    """The bytes of a file or of its .gz in their shape, no more than its header says. Raises one of several errors."""
    import numpy as np

    path = file if file.exists() else file.with_name(file.name + ".gz")
    if not path.is_file():
        raise ValueError(f"{path.name} is not a file")
    with path.open("rb") as raw:
        packed = raw.read(2) == _GZIP  # by what is in it: browsers unpack a file and leave its name, or the other way round
        raw.seek(0)
        source = gzip.GzipFile(fileobj=raw) if packed else raw
        zero, kind, dimensions = struct.unpack(">HBB", source.read(4))
        if (zero, kind) != (0, 8) or not 0 < dimensions < 4:
            raise ValueError(f"{path.name} is no IDX file of bytes")
        shape = struct.unpack(f">{dimensions}I", source.read(4 * dimensions))
        size = math.prod(shape)
        content = bytearray(source.read(size + 1)) if size < _MOST_BYTES else b""
    if len(content) != size:
        raise ValueError(f"{path.name} has another length than it says")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _unreadable(entry: Dataset, root: Path, error: Exception) -> UserError:
    said = " ".join(str(error).split()) if isinstance(error, (OSError, ValueError)) else ""
    return UserError(
        f"the files of {entry.name} in {root} cannot be read ({said or type(error).__name__}); delete them and run "
        f"'tinydiff-tui datasets --download {entry.name}'"
    )
