"""folder:PATH as a data set: any tree of images, decoded once into a memory-mapped cache.

Each folder directly below PATH that holds images is a class (torchvision's ImageFolder convention); a flat folder is one class.
"""

import hashlib
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from core.errors import UserError, printable
from core.files import atomic_write, user_folder, write_json

if TYPE_CHECKING:  # files are listed before torch is there
    from torch import Tensor

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
MAX_COMMON_SIDE = 64
_SAMPLE = 100
_DECODING = 2  # one more when the same files come to give other pixels


def open_folder(path: Path, split: str, image_size: int = 0) -> tuple["Tensor", "Tensor", tuple[str, ...], tuple[str, ...]]:
    """(images uint8 (N, S, S, C), labels, classes, skipped files) of the train (9 in 10) or test (1 in 10) files.

    The split depends on each file's name alone, so adding a file moves no other. Greyscale folders have one channel, any
    colour gives three. Raises UserError when there is no folder or no readable image in it.
    """
    import torch

    files = image_files(path)
    cache = _cached(path, files, image_size)
    try:
        pixels, index = _load(cache)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError):  # torn: the pictures are still there
        _decode(path, files, image_size, cache)
        pixels, index = _load(cache)
    images = torch.from_numpy(pixels)
    test = torch.tensor(index["test"], dtype=torch.bool)
    chosen = test if split == "test" else ~test
    if not chosen.any():
        chosen = torch.ones_like(test)
    labels = torch.tensor(index["labels"], dtype=torch.int64)
    if not chosen.all():
        images, labels = images[chosen], labels[chosen]
    return images, labels, tuple(map(printable, index["classes"])), tuple(map(printable, index["skipped"]))


def image_files(path: Path) -> list[Path]:
    """All image files below a folder, sorted. Raises UserError when there is no folder or no image."""
    if not path.is_dir():
        raise UserError(f"there is no folder {path}; give one that holds images, as in folder:PATH")
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file())
    if not files:
        raise UserError(f"the folder {path} holds no images ({', '.join(sorted(SUFFIXES))}); give one that does")
    return files


def _cached(path: Path, files: list[Path], image_size: int) -> Path:
    """The cache folder of exactly these files, sizes and times; made when it is not there."""
    digest = hashlib.sha256(f"{path.resolve()}|{image_size}|{_DECODING}".encode(errors="surrogateescape"))
    for file in files:
        stat = file.stat()
        digest.update(f"{file.relative_to(path)}|{stat.st_size}|{stat.st_mtime_ns}\n".encode(errors="surrogateescape"))
    cache = user_folder("cache") / "folders" / digest.hexdigest()[:32]
    if not (cache / "index.json").exists():  # written last: its presence means the cache is whole
        _decode(path, files, image_size, cache)
    return cache


def _load(cache: Path) -> tuple[np.ndarray, dict[str, Any]]:
    """The pixels, memory-mapped, and the index of a cache. Raises one of many errors when they are torn or do not fit."""
    pixels = np.load(cache / "images.npy", mmap_mode="c")
    index = json.loads((cache / "index.json").read_text())
    known = len(index["classes"])
    fits = len(pixels) == len(index["labels"]) == len(index["test"]) > 0 and pixels.dtype == np.uint8 and pixels.ndim == 4
    if not fits or not all(0 <= label < known for label in index["labels"]):
        raise ValueError("the pixels and the index do not belong together")
    return pixels, index


def _decode(path: Path, files: list[Path], image_size: int, cache: Path) -> None:
    side, mode = _common_shape(files, image_size)
    images: list[np.ndarray] = []
    labels: list[int] = []
    test: list[bool] = []
    skipped: list[str] = []
    names = [_class_of(path, file) for file in files]
    with ThreadPoolExecutor() as pool:  # Pillow decodes without holding the interpreter's lock
        decoded = list(pool.map(lambda file: _read(file, side, mode), files))
    classes = sorted({name for name, image in zip(names, decoded, strict=True) if image is not None})
    for file, name, image in zip(files, names, decoded, strict=True):
        relative = str(file.relative_to(path))
        if image is None:
            skipped.append(relative)
            continue
        images.append(image)
        labels.append(classes.index(name))
        test.append(hashlib.sha256(relative.encode(errors="surrogateescape")).digest()[0] < 26)
    if not images:
        raise UserError(f"none of the {len(files)} image files in {path} can be read; give a folder with readable images")
    with atomic_write(cache / "images.npy") as target:
        np.save(target, np.stack(images))
    write_json(cache / "index.json", {"labels": labels, "test": test, "classes": classes, "skipped": skipped})


def _class_of(path: Path, file: Path) -> str:
    parts = file.relative_to(path).parts
    return parts[0] if len(parts) > 1 else path.resolve().name


def _common_shape(files: list[Path], image_size: int) -> tuple[int, str]:
    """(side, mode) from the headers of files spread over the tree: the commonest short side, colour if any has colour."""
    sides: Counter[int] = Counter()
    colour = False
    for file in files[:: max(1, len(files) // _SAMPLE)]:
        try:
            with Image.open(file) as image:
                sides[max(1, min(image.size))] += 1
                colour |= image.mode not in ("L", "1", "LA") and not image.mode.startswith("I")
        except Exception:  # Pillow answers torn files with whatever its parsers stumbled on
            continue
    common = sides.most_common(1)[0][0] if sides else MAX_COMMON_SIDE
    return image_size or min(common, MAX_COMMON_SIDE), "RGB" if colour else "L"


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey: Pillow's own conversion cuts off everything above 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65_535) / 257).round().astype(np.uint8))


def _read(file: Path, side: int, mode: str) -> np.ndarray | None:
    """The image cropped to its middle square and resized, (side, side, C); None when it cannot be read."""
    try:
        with Image.open(file) as image:
            upright = _eight_bits(ImageOps.exif_transpose(image)).convert(mode)
            square = ImageOps.fit(upright, (side, side), method=Image.Resampling.LANCZOS)
            return np.asarray(square).reshape(side, side, -1)
    except Exception:  # as above
        return None
