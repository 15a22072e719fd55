"""folder:PATH as a data set: any tree of images, or a zip archive of one, decoded once into a memory-mapped cache.

Each folder directly below PATH that holds images is a class (torchvision's ImageFolder convention); a flat folder is one class.
"""

import hashlib
import os
import shutil
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.data.datasets import ImageSet
from core.data.pixels import SIXTEEN_BITS, Span, has_colour, own_span, reduced, widest
from core.data.tree import Found, Tree, find_pictures
from core.errors import UserError, printable
from core.files import atomic_write, read_json, user_folder, write_json

MAX_COMMON_SIDE = 64
KEPT = 8
"""Data sets in the cache; of more, those that were opened longest ago go."""
MEMORY = 128 << 20
"""Bytes of pictures that are decoded at a time; a larger one is decoded alone."""
_GAP = 3  # a picture is decoded at this many times its final side or more: from there on resampling is as good as from the whole
_LONGEST = 4  # times the shorter side that the longer one may be, or the pictures are cut to squares
_DECODING = 4  # one more when the same files come to give other pixels


T = TypeVar("T")
R = TypeVar("R")


class Header(NamedTuple):
    """What one file says of the set: its width and height upright, colour, transparency, and the extremes of 32-bit values by
    their mode."""

    size: tuple[int, int]
    colour: bool
    transparent: bool
    spans: dict[str, Span]


def open_folder(name: str, path: Path, split: str, image_size: int) -> ImageSet:
    """The train or test images of a folder: those of train/ and test/ on top of it, else 9 and 1 in 10.

    Greyscale folders have one channel, any colour gives three. Raises UserError when there is no folder or no readable image.
    """
    import torch

    tree = find_pictures(path)
    pixels, index, note = _cached(tree, image_size)
    images, test = torch.from_numpy(pixels), torch.tensor(index["test"], dtype=torch.bool)
    chosen = test if split == "test" else ~test
    if not chosen.any():
        chosen = torch.ones_like(test)
    labels = torch.tensor(index["labels"], dtype=torch.int64)
    if not chosen.all():
        images, labels = images[chosen], labels[chosen]
    notes = [f"{tree.split[0]}/ is for training and {tree.split[1]}/ held out"] if tree.split else []
    notes += ["what is transparent stands on mid-grey"] if index["transparent"] else []
    notes += [note] if note else []
    skipped = (*tree.left_out, *index["skipped"])
    return ImageSet(
        name, images, labels, tuple(map(printable, index["classes"])), tuple(map(printable, skipped)), split, tuple(notes)
    )


# --- the cache


def _cached(tree: Tree, image_size: int) -> tuple[np.ndarray, dict[str, Any], str]:
    """(pixels, index, what to say of the cache): of exactly these files, sizes and times, from the cache or put there now."""
    digest = hashlib.sha256(f"{tree.root.resolve()}|{image_size}|{_DECODING}".encode(errors="surrogateescape"))
    for file in tree.files:
        digest.update(f"{file.path}|{file.size}|{file.changed}\n".encode(errors="surrogateescape"))
    cache = user_folder("cache") / "folders" / digest.hexdigest()[:32]
    try:
        return *_load(cache, len(tree.files)), ""
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError):  # not there, or torn: the pictures are
        pixels, index = _decode(tree, image_size)
    try:
        with atomic_write(cache / "images.npy") as target:
            np.save(target, pixels)
        write_json(cache / "index.json", index)  # written last: its presence means the cache is whole
        with suppress(OSError):  # another process forgets them too
            _forget_old(cache.parent)
        return *_load(cache, len(tree.files)), ""
    except (UserError, OSError, ValueError):
        return pixels, index, f"read into memory, since the cache {cache.parent} cannot be written"


def _load(cache: Path, files: int) -> tuple[np.ndarray, dict[str, Any]]:
    """The pixels, memory-mapped, and the index of a cache. Raises one of many errors when they are torn or do not fit."""
    index = read_json(cache / "index.json", (1 << 20) + (files << 12))
    if not (cache / "images.npy").is_file():
        raise ValueError("no file")
    pixels = np.load(cache / "images.npy", mmap_mode="c")
    known, count = len(index["classes"]), len(index["labels"])
    texts = [*index["classes"], *index["skipped"]]
    flags = [*index["test"], index["transparent"]]
    fits = pixels.dtype == np.uint8 and pixels.ndim == 4 and min(pixels.shape[1:3]) > 0 and pixels.shape[3] in (1, 3)
    if not fits or not 0 < count == len(pixels) == len(index["test"]) <= files:
        raise ValueError("the pixels and the index do not belong together")
    if not all(type(label) is int and 0 <= label < known for label in index["labels"]):
        raise ValueError("a class that is not there")
    if not all(isinstance(text, str) for text in texts) or not all(isinstance(flag, bool) for flag in flags):
        raise ValueError("not an index of ours")
    with suppress(OSError):  # of a cache that may be read only
        os.utime(cache)  # opened now
    return pixels, index


def _forget_old(folder: Path) -> None:
    """Keep the data sets that were opened last."""
    sets = sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=lambda entry: entry.stat().st_mtime, reverse=True)
    for old in sets[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)


# --- decoding


def _decode(tree: Tree, image_size: int) -> tuple[np.ndarray, dict[str, Any]]:
    def header_of(file: Found) -> Header:
        return _header(tree.source(file), file.size)

    with _quietly(), ThreadPoolExecutor(_cores()) as pool:  # Pillow decodes without holding the interpreter's lock
        headers = list(pool.map(_or_reason(header_of), tree.files))
        whole = [header for header in headers if isinstance(header, Header)]
        width, height = _common_size([header.size for header in whole], image_size)
        mode = "RGB" if any(header.colour for header in whole) else "L"
        spans = _spans(whole)
        pixels = np.zeros((len(tree.files), height, width, 3 if mode == "RGB" else 1), np.uint8)

        def read(place: int) -> str:
            """Why a file was left out; empty where it is in its place."""
            header = headers[place]
            if isinstance(header, Header):
                pixels[place] = _read(tree.source(tree.files[place]), (width, height), mode, spans)
                return ""
            return header

        reasons = list(pool.map(_or_reason(read), range(len(tree.files))))
    kept = [place for place, reason in enumerate(reasons) if not reason]
    skipped = [f"{file.path}: {reason}" for file, reason in zip(tree.files, reasons, strict=True) if reason]
    if not kept:
        raise UserError(
            f"none of the {len(tree.files)} image files in {tree.root} can be read ({skipped[0]}); give a folder with readable "
            "images"
        )
    files = [tree.files[place].path for place in kept]
    names = [tree.class_of(file) for file in files]
    classes = sorted(set(names))
    number = {name: label for label, name in enumerate(classes)}
    index = {
        "labels": [number[name] for name in names],
        "test": [tree.in_test(file) for file in files],
        "classes": classes,
        "skipped": skipped,
        "transparent": any(header.transparent for header in whole),
    }
    return pixels if len(kept) == len(tree.files) else pixels[kept], index


def _header(file: Path | IO[bytes], length: int) -> Header:
    """What a file says of the set. Raises one of many errors when it cannot be read."""
    if not length:
        raise ValueError("an empty file")
    with Image.open(file) as image:
        looked_through = image.mode in ("P", "PA", "I", "F")
        with _memory.taken(_bytes(image) if looked_through else 0), closing(image):
            span = own_span(image)
            spans = {} if span is None else {image.mode: span}
            size = (max(1, image.width), max(1, image.height))
            return Header(size[::-1] if _is_turned(image) else size, has_colour(image), image.has_transparency_data, spans)


def _common_size(sizes: Sequence[tuple[int, int]], asked: int) -> tuple[int, int]:
    """(width, height) of a set of pictures: a square of the side asked for, else that of all where it is one, else a square of
    the commonest short side. A side that nobody asked for is at most MAX_COMMON_SIDE, the shorter one of an oblong."""
    if asked or not sizes:
        return (asked or MAX_COMMON_SIDE,) * 2
    width, height = sizes[0]
    short = min(width, height)
    if len(set(sizes)) == 1 and max(width, height) <= _LONGEST * short:
        scale = min(1.0, MAX_COMMON_SIDE / short)
        return round(width * scale), round(height * scale)
    return (min(Counter(min(size) for size in sizes).most_common(1)[0][0], MAX_COMMON_SIDE),) * 2


def _spans(headers: Iterable[Header]) -> dict[str, Span]:
    """What is black and white in all pictures of a mode of 32 bits: they are pictures of one set."""
    known: dict[str, list[Span]] = {}
    for header in headers:
        for mode, span in header.spans.items():
            known.setdefault(mode, []).append(span)
    return {mode: widest(spans) for mode, spans in known.items()}


def _read(file: Path | IO[bytes], size: tuple[int, int], mode: str, spans: dict[str, Span] | None = None) -> np.ndarray:
    """The image upright, cropped in its middle to the shape of `size` (width, height) and resized to it, (height, width, C).

    Raises one of many errors.

    `spans` are what `_spans` found; without them a picture of 32 bits is scaled by itself.
    """
    with Image.open(file) as image:
        progressive = 6 * image.width * image.height if image.info.get("progressive") else 0  # its coefficients are kept whole
        across, down = size[::-1] if _is_turned(image) else size
        drafted = image.draft(image.mode, (_GAP * across, _GAP * down))
        width, height = drafted[1][2:] if drafted else image.size  # exact, where the size is rounded up
        with _memory.taken(_bytes(image) + progressive), closing(image):  # which frees it before another is decoded
            image.load()
            own = own_span(image)
            span = SIXTEEN_BITS if own is None else (spans or {}).get(image.mode) or widest([own])
            factor = max(1, min(image.width // (_GAP * across), image.height // (_GAP * down)))
            small = reduced(image, mode, span, factor)
            scale = min(width / across, height / down)
            wide, high = min(width, across * scale), min(height, down * scale)  # which rounding may put outside by a hair
            left, top = (width - wide) / 2, (height - high) / 2
            box = (left / factor, top / factor, (left + wide) / factor, (top + high) / factor)
            upright = _upright(small.resize((across, down), Image.Resampling.LANCZOS, box), image)
    return np.asarray(upright).reshape(size[1], size[0], -1)


_TURNS = (
    Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90,
)  # fmt: skip
"""What undoes the orientations 2 to 8 of EXIF."""


def _is_turned(image: Image.Image) -> bool:
    """Whether width and height change places when a picture is put upright."""
    try:
        return image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    except Exception:  # as in `_upright`
        return False


def _upright(picture: Image.Image, original: Image.Image) -> Image.Image:
    try:
        orientation = original.getexif().get(0x0112, 1)
    except Exception:  # Pillow answers torn EXIF with whatever its parser stumbled on; the pixels are whole
        return picture
    return picture.transpose(_TURNS[int(orientation) - 2]) if orientation in range(2, 9) else picture


class _Memory:
    """So many bytes for all threads: who wants some waits until they are free, who wants more than all waits for all."""

    def __init__(self, total: int) -> None:
        self.total = self.free = total
        self.change = threading.Condition()

    @contextmanager
    def taken(self, wanted: int) -> Iterator[None]:
        wanted = min(wanted, self.total)
        with self.change:
            self.change.wait_for(lambda: self.free >= wanted)
            self.free -= wanted
        try:
            yield
        finally:
            with self.change:
                self.free += wanted
                self.change.notify_all()


_memory = _Memory(MEMORY)


def _bytes(image: Image.Image) -> int:
    """What Pillow needs to hold a picture."""
    return image.width * image.height * (1 if image.mode in ("1", "L", "P") else 4)


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _quietly() -> Iterator[None]:
    """What Pillow warns of is no news to a person, but for a picture too large to be one: that is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _or_reason(work: Callable[[T], R]) -> Callable[[T], R | str]:
    """`work`, with the reason as the answer where it fails: Pillow answers torn files with whatever its parsers stumbled on.

    The error itself would keep the half-decoded picture.
    """

    def answer(item: T) -> R | str:
        try:
            return work(item)
        except Exception as error:
            return _reason(error)

    return answer


def _reason(error: Exception) -> str:
    """Why a file was left out, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "not a picture that can be read"
    if isinstance(error, (Image.DecompressionBombWarning, Image.DecompressionBombError)):
        return f"more than {(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split())[:80] or type(error).__name__
