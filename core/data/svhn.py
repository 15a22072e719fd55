"""Street View House Numbers: images and labels in .mat files of MATLAB 5, as torchvision lays them out and reads them.

The package that reads such files is an extra, imported where it is used.
"""

import struct
import warnings
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from core.data.public import MOST_BYTES, not_there, unreadable
from core.files import open_plain
from core.names import Dataset

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_HEADER, _COMPRESSED = 128, 15
_NUMBERS = {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)} | {"single", "double"}


def open_svhn(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images, labels, classes), 10 for the digit 0 made a 0. Raises UserError when the files are torn or not all there."""
    import numpy as np
    import torch

    path = root / entry.files[split == "test"]
    try:
        if not path.exists():
            raise ValueError(not_there(path))
        images, labels = _read_mat(path)
        if images.dtype != np.uint8 or images.shape[:-1] != entry.shape:
            raise ValueError(f"its X is {images.dtype} of {images.shape}, and not uint8 of (32, 32, 3, images)")
        if labels.size != images.shape[-1] or not labels.size:
            raise ValueError("its images and labels do not belong together")
        if labels.dtype.kind not in "iuf" or not np.isin(labels, range(entry.classes + 1)).all():
            raise ValueError("a label is no class")
        targets = labels.reshape(-1).astype(np.int64) % entry.classes
        upright = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
        return torch.from_numpy(upright), torch.from_numpy(targets), tuple(map(str, range(entry.classes)))
    except Exception as error:  # scipy answers torn files with whatever its parser stumbled on
        raise unreadable(entry, root, error) from error


def _read_mat(path: Path) -> "tuple[np.ndarray, np.ndarray]":
    """The variables X and y, as long as they are arrays of numbers. Raises one of several errors."""
    from scipy.io import loadmat, whosmat

    with open_plain(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a variable that cannot be read: its value says so too
        _check_size(file)
        named = [(name, kind) for name, _, kind in whosmat(file) if name in ("X", "y")]
        if sorted(name for name, _ in named) != ["X", "y"] or not all(kind in _NUMBERS for _, kind in named):
            raise ValueError("it has not one array of numbers X and one y")  # what is in cells is not even looked at
        file.seek(0)
        found: dict[str, Any] = loadmat(file, variable_names=("X", "y"))
    images, labels = found["X"], found["y"]
    for array in (images, labels):
        if isinstance(array, str):
            raise ValueError(" ".join(array.split()))
    return images, labels


def _check_size(file: IO[bytes]) -> None:
    """Raise ValueError unless it is a file of MATLAB 5 whose variables are whole, and small when they are unpacked."""
    if file.read(_HEADER)[-4:] != b"\0\1IM":
        raise ValueError("it is no .mat file of MATLAB 5")
    unpacked = 0
    while tag := file.read(8):
        kind, size = struct.unpack("<II", tag)
        content = file.read(min(size, MOST_BYTES))
        if len(content) != size:
            raise ValueError("it is shorter than it says")
        unpacked += _unpacked_size(content, MOST_BYTES - unpacked) if kind == _COMPRESSED else size
        if unpacked >= MOST_BYTES:
            raise ValueError("it is larger unpacked than these pictures can be")
    file.seek(0)


def _unpacked_size(content: bytes, most: int) -> int:
    """How many bytes are packed, counted a block at a time; `most` where they are more."""
    unpacking, size = zlib.decompressobj(), 0
    while not unpacking.eof and size < most:
        block = unpacking.decompress(content, 1 << 20)
        size, content = size + len(block), unpacking.unconsumed_tail
        if not block:
            raise ValueError("what is packed in it ends early")
    return min(size, most)
