"""Pictures in numpy's files as a data set: .npy, and .npz as Keras and MedMNIST lay theirs out. Nothing in them is ever run."""

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from PIL import Image

from core.data.datasets import ImageSet
from core.errors import UserError, printable
from core.files import open_plain

_MOST_BYTES = 1 << 32
_MOST_HEADER = 10_000
_MOST_SIDE = 512
_LANCZOS = Image.Resampling.LANCZOS
_IMAGES = ("{0}_images", "x_{0}", "images", "x", "data", "arr_0")
_LABELS = ("{0}_labels", "y_{0}", "labels", "y", "targets", "arr_1")


def open_arrays(name: str, path: Path, split: str, image_size: int) -> ImageSet:
    """The train or test pictures of a file: its own splits, else 9 and 1 in 10. Raises UserError for any other file."""
    import torch

    try:
        arrays = _read(path)
        parted = any(_named(arrays, _IMAGES[:2], kind) is not None for kind in ("train", "test"))
        pictures = _pictures(_named(arrays, _IMAGES, split), image_size)
        labels = _labels(_named(arrays, _LABELS, split), len(pictures))
        if not parted:
            chosen = np.arange(len(pictures)) % 10 == 9 if len(pictures) >= 10 else np.ones(len(pictures), bool)
            chosen = chosen if split == "test" or len(pictures) < 10 else ~chosen
            pictures, labels = pictures[chosen], labels[chosen]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, NotImplementedError, MemoryError) as error:
        raise UserError(f"{path} cannot be read as pictures: {printable(str(error) or type(error).__name__)}") from error
    names = tuple(map(str, range(int(labels.max()) + 1)))
    return ImageSet(name, torch.from_numpy(np.ascontiguousarray(pictures)), torch.from_numpy(labels), names, split=split)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a file by their names, each as long as its header says and no longer. Raises one of several errors."""
    with open_plain(path) as file:
        if path.suffix.lower() == ".npy":
            return {"images": _array(file, path.stat().st_size)}
        with zipfile.ZipFile(file) as archive:
            found = {}
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    with archive.open(info) as member:
                        found[info.filename.removesuffix(".npy")] = _array(member, info.file_size)
            return found


def _array(file: IO[bytes], size: int) -> np.ndarray:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file, max_header_size=_MOST_HEADER)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which could run code; save arrays of numbers")
    bytes_ = math.prod(shape) * dtype.itemsize
    if bytes_ > _MOST_BYTES or bytes_ > size:
        raise ValueError("its header promises more than there is")
    content = bytearray(file.read(bytes_))  # a tensor of it may be written to
    if len(content) != bytes_:
        raise ValueError("it is shorter than its header says")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")


def _named(arrays: Mapping[str, np.ndarray], names: tuple[str, ...], split: str) -> np.ndarray | None:
    """The array of a split under one of the names that it may have."""
    return next((arrays[key] for key in (name.format(split) for name in names) if key in arrays), None)


def _pictures(given: np.ndarray | None, image_size: int) -> np.ndarray:
    """uint8 (N, side, side, C). Raises ValueError, with what they have to be."""
    if given is None:
        raise ValueError("no array in it is called images, x_train or train_images")
    images: Any = given[..., None] if given.ndim == 3 else given
    if images.ndim == 4 and images.shape[3] not in (1, 3) and images.shape[1] in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim != 4 or images.shape[3] not in (1, 3) or not len(images):
        raise ValueError(f"its images have the shape {given.shape}; they are (N, height, width), or with 1 or 3 channels")
    if images.dtype.kind == "f" and np.isfinite(images).all() and 0 <= images.min() <= images.max() <= 1:
        images = (images * 255).round().astype(np.uint8)
    if images.dtype != np.uint8:
        raise ValueError(f"its images are {given.dtype}; they are uint8, or floats from 0 to 1")
    height, width = images.shape[1:3]
    if not 1 <= min(height, width) <= max(height, width) <= _MOST_SIDE:
        raise ValueError(f"its images are {width}x{height}; they have at most {_MOST_SIDE} pixels a side")
    if image_size == 0 or height == width == image_size:
        return images  # type: ignore[no-any-return]
    short = min(height, width)  # what is asked for is a square: of their middle
    top, left = (height - short) // 2, (width - short) // 2
    squares = images[:, top : top + short, left : left + short]
    small = [
        Image.fromarray(each.squeeze(-1) if each.shape[2] == 1 else each).resize((image_size,) * 2, _LANCZOS) for each in squares
    ]
    return np.stack([np.asarray(picture) for picture in small]).reshape(len(images), image_size, image_size, -1)


def _labels(given: np.ndarray | None, count: int) -> np.ndarray:
    """int64 (N,), all 0 where there are none. Raises ValueError for what is none."""
    if given is None:
        return np.zeros(count, np.int64)
    labels = given.reshape(-1)
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < 1 << 20:
        raise ValueError("its labels are not one whole number from 0 on for each image")
    return labels.astype(np.int64)
