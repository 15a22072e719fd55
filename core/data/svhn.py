"""Street View House Numbers: images and labels in .mat files of MATLAB 5, laid out as torchvision does.

The files are read here, as far as arrays of numbers go: scipy's reader is compiled, and a byte that lies can end the program.
The format: MathWorks, MAT-File Format, "Level 5".
"""

import math
import struct
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from core.data.public import MOST_BYTES, not_there, unreadable
from core.files import open_plain
from core.names import Dataset

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

_HEADER, _VERSION = 128, b"\0\1IM"
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_STORED = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
_MEANT = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
_COMPLEX_OR_LOGICAL = 0x0A00
_TOO_LARGE = "it is larger unpacked than these pictures can be"


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
        if not np.isin(labels, range(entry.classes + 1)).all():
            raise ValueError("a label is no class")
        targets = labels.reshape(-1).astype(np.int64) % entry.classes
        upright = np.ascontiguousarray(images.transpose(3, 0, 1, 2))
        return torch.from_numpy(upright), torch.from_numpy(targets), tuple(map(str, range(entry.classes)))
    except (OSError, ValueError, zlib.error, MemoryError) as error:
        raise unreadable(entry, root, error) from error


def _read_mat(path: Path) -> "tuple[np.ndarray, np.ndarray]":
    """The variables X and y. Raises ValueError unless there is one of each, an array of numbers, and zlib.error."""
    with open_plain(path) as file:
        content = memoryview(file.read(MOST_BYTES))
    if content[:_HEADER][-4:] != _VERSION:
        raise ValueError("it is no .mat file of MATLAB 5")
    found: dict[bytes, list[np.ndarray | None]] = {b"X": [], b"y": []}
    for matrix in _matrices(content[_HEADER:]):
        name, array = _array(matrix)
        found.get(name, []).append(array)
    (images, *more), (labels, *others) = (arrays or [None] for arrays in found.values())
    if images is None or labels is None or more or others:
        raise ValueError("it has not one array of numbers X and one y")
    return images, labels


def _elements(content: memoryview) -> Iterator[tuple[int, memoryview]]:
    """(type, content) of one element behind the other. Raises ValueError where one is longer than what it lies in."""
    while content:
        if len(content) < 8:
            raise ValueError("it is shorter than it says")
        kind, size = struct.unpack_from("<II", content)
        start = 8
        if kind >> 16:  # up to four bytes lie in the tag
            kind, size, start = kind & 0xFFFF, kind >> 16, 4
        if start + size > (8 if start == 4 else len(content)):
            raise ValueError("it is shorter than it says")
        yield kind, content[start : start + size]
        content = content[start + size + (-(start + size) % 8 if kind != _COMPRESSED else 0) :]


def _matrices(content: memoryview) -> Iterator[memoryview]:
    """The variables of a file, those that are packed unpacked."""
    room = MOST_BYTES
    for kind, element in _elements(content):
        if kind == _MATRIX:
            yield element
        elif kind == _COMPRESSED:
            unpacked = _unpacked(element, room)
            room -= len(unpacked)
            yield from (inner for of, inner in islice(_elements(unpacked), 1) if of == _MATRIX)


def _unpacked(content: memoryview, most: int) -> memoryview:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(content, most)
    if len(unpacked) >= most:  # as many would leave no room, and zlib takes a bound of 0 for none
        raise ValueError(_TOO_LARGE)
    if not unpacking.eof:
        raise ValueError("what is packed in it ends early")
    return memoryview(unpacked)


def _array(matrix: memoryview) -> "tuple[bytes, np.ndarray | None]":
    """A variable's name and values, or None for them where they are anything but real numbers."""
    import numpy as np

    parts = _elements(matrix)
    head = list(islice(parts, 3))
    if [kind for kind, _ in head] != [_UINT32, _INT32, _INT8] or len(head[0][1]) != 8:
        return b"", None
    (_, flags), (_, sizes), (_, name) = head
    (flag,) = struct.unpack_from("<I", flags)
    if flag & _COMPLEX_OR_LOGICAL or flag & 0xFF not in _MEANT:
        return bytes(name), None
    kind, data = next(parts, (0, matrix))
    shape = np.frombuffer(sizes, "<i4").tolist()
    if kind not in _STORED or min(shape, default=-1) < 0 or math.prod(shape) * np.dtype(_STORED[kind]).itemsize != len(data):
        raise ValueError(f"its {name.tobytes().decode('latin-1')} is not as large as it says")
    meant = np.dtype(_MEANT[flag & 0xFF])
    if math.prod(shape) * meant.itemsize >= MOST_BYTES:  # bytes may stand for doubles
        raise ValueError(_TOO_LARGE)
    with np.errstate(invalid="ignore"):
        values = np.frombuffer(data, _STORED[kind]).astype(meant, copy=False)
    return bytes(name), values.reshape(shape, order="F")
