"""Data sets by their name in core.names, or folder:PATH: each one opens as a uint8 tensor of images with labels and class names.

Nothing here downloads: core.data.download does, and only when asked.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from core.data.public import is_on_disk, missing_files
from core.data.tree import find_pictures, holding
from core.errors import UserError, printable
from core.files import user_folder, user_path
from core.names import DATASETS

if TYPE_CHECKING:  # names and places are asked for before torch is there
    from torch import Tensor

    from core.config import TrainConfig

_NAMED, _MOST_LETTERS = 5, 24  # classes by name in one line, and letters of each
UNNAMED = "folder:"
"""The data set of a model from elsewhere: pictures of somebody's own, and it is not known where they lie."""
_HASHED = 1 << 28  # bytes of pixels that a fingerprint looks at, evenly spread over a larger set


@dataclass(frozen=True)
class ImageSet:
    """A data set: images uint8 (N, H, W, C), labels int64 (N,), the names of the classes; files left out, as "name: reason"; of
    which split, and what else is to be said of how it was read. `drawn`: by the program, and not read."""

    name: str
    images: "Tensor"
    labels: "Tensor"
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    split: str = "train"
    notes: tuple[str, ...] = ()
    drawn: bool = False

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of an image."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def side(self) -> int:
        """The shorter of them."""
        return min(self.size)

    @property
    def channels(self) -> int:
        return self.images.shape[3]

    @property
    def mirrored(self) -> bool:
        """Whether a mirrored image is one too: as the table says of a set that has a name, and of pictures of one's own when
        they have colour, since those without are drawings and letters more often than photos."""
        return DATASETS[self.name].mirrored if self.name in DATASETS else self.channels == 3

    @property
    def condition_classes(self) -> int:
        """Classes that a network can be told: one class says nothing, so it is none."""
        return len(self.classes) if len(self.classes) > 1 else 0

    @cached_property
    def fingerprint(self) -> str:
        """Short hex digest of pixels and labels: another one means other pictures.

        Of what is drawn, the name is taken for the pixels: another machine rounds a few of them the other way.
        """
        digest = hashlib.blake2b(f"{tuple(self.images.shape)}".encode(), digest_size=8)
        if self.drawn:
            digest.update(self.name.encode())
            return digest.hexdigest()
        step = -(-self.images.numel() // _HASHED)
        for block in self.images[:: max(1, step)].split(4096):
            digest.update(block.contiguous().numpy().tobytes())
        digest.update(self.labels.numpy().tobytes())
        return digest.hexdigest()

    def describe(self) -> str:
        """What was read, in one line: images, size, classes, how they were read, and what was left out and why."""
        kind = "training" if self.split == "train" else "test"
        named = ", ".join(map(_short, self.classes[:_NAMED])) + (", …" if len(self.classes) > _NAMED else "")
        classes = f"{len(self.classes):,} classes ({named})" if self.condition_classes else "no classes"
        line = f"{self.name}: {len(self):,} {kind} images of {self.size[0]}x{self.size[1]}x{self.channels}, {classes}"
        line = "; ".join([line, *self.notes])
        return printable(f"{line}; {len(self.skipped):,} left out ({self.skipped[0]})" if self.skipped else line)


def _short(name: str) -> str:
    """A class in a line of many."""
    return name if len(name) <= _MOST_LETTERS else f"{name[: _MOST_LETTERS - 1]}…"


class SetInfo(NamedTuple):
    """What can be said of a data set without opening it.

    `status` is embedded, own file, on disk, or can be downloaded; `size` counts the training images.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    size: int
    classes: int
    status: str
    where: str


def default_data_dir() -> Path:
    """TINYDIFF_DATA_DIR, or the user's data folder for this program."""
    asked = os.environ.get("TINYDIFF_DATA_DIR")
    return user_path(asked) if asked else user_folder("data")


def data_root(asked: str, trained_on: str = "") -> Path | None:
    """The folder asked for, else that of a model's training, if any, while it is there; None for the default one."""
    if asked:
        return user_path(asked)
    own = user_path(trained_on)
    return own if trained_on and own.is_dir() else None


def describe(name: str, root: Path | None = None) -> SetInfo:
    """Where a named data set stands. Raises UserError for an unknown name."""
    entry = DATASETS.get(name)
    if entry is None:
        raise UserError(f"unknown data set '{name}'; choose one of {', '.join(DATASETS)} or folder:PATH")
    if entry.origin:
        return SetInfo(name, entry.help, entry.shape, entry.size, entry.classes, "own file", entry.origin)
    if not entry.marker:
        return SetInfo(name, entry.help, entry.shape, entry.size, entry.classes, "embedded", "in the program")
    root = root or default_data_dir()
    status = "on disk" if is_on_disk(entry, root) else "can be downloaded"
    return SetInfo(name, entry.help, entry.shape, entry.size, entry.classes, status, str((root / entry.marker).parent))


def list_datasets(root: Path | None = None) -> list[SetInfo]:
    """All named data sets and where they stand."""
    return [describe(name, root) for name in DATASETS]


def default_dataset(root: Path | None = None) -> str:
    """mnist when it is on disk, else the embedded glyphs."""
    return "mnist" if describe("mnist", root).status == "on disk" else "glyphs"


def folder_path(name: str) -> Path:
    """The folder of a data set named folder:PATH. Raises UserError where there is no path."""
    if name == UNNAMED:
        raise UserError(
            "there is no folder of pictures named, as folder:PATH; a model from elsewhere does not say which it was trained on"
        )
    return user_path(name.removeprefix("folder:"))


def is_arrays(path: Path) -> bool:
    """Whether a folder:PATH is a file of numpy's."""
    return path.suffix.lower() in (".npy", ".npz") and path.is_file()


def require(name: str, root: Path | None = None) -> None:
    """Raise UserError, with the ways out, when a data set cannot be opened as things stand."""
    if name.startswith("folder:"):
        if not is_arrays(folder_path(name)):
            find_pictures(folder_path(name))
        return
    info = describe(name, root)
    if info.status == "can be downloaded":
        root = root or default_data_dir()
        sought = missing_files(DATASETS[name], root)[0]
        nearest = next((folder for folder in sought.parents if folder.is_dir()), root)
        raise UserError(
            f"{name} is not in {root}: there is no {sought}; {nearest} {holding(nearest)}; run "
            f"'tinydiff-tui datasets --download {name}', put its files (as they are, or packed) into {info.where} by hand, or "
            "use --dataset glyphs, which needs no file"
        )


def open_split(config: "TrainConfig", split: str, data_dir: str = "") -> ImageSet:
    """A split of the data set of a training, from `data_dir` where that is given. Raises UserError."""
    return open_dataset(config.dataset, split, data_root(data_dir, config.data_dir), config.image_size)


def open_dataset(name: str, split: str = "train", root: Path | None = None, image_size: int = 0) -> ImageSet:
    """Open the `train` or `test` split of a data set; `image_size` is for folder:PATH (0 keeps the common side, at most 64).

    Raises UserError for an unknown name, files that are missing or torn, and a folder without images.
    """
    if split not in ("train", "test"):
        raise UserError(f"unknown split '{split}'; choose train or test")
    if name.startswith("folder:") and is_arrays(folder_path(name)):
        from core.data.arrays import open_arrays

        return open_arrays(name, folder_path(name), split, image_size)
    if name.startswith("folder:"):
        from core.data.folder import open_folder

        return open_folder(name, folder_path(name), split, image_size)
    info = describe(name, root)
    if image_size not in (0, info.shape[0]):
        raise UserError(f"{name} has images of side {info.shape[0]}; --image-size is for folder:PATH only")
    require(name, root)
    entry = DATASETS[name]
    images, labels, classes = entry.load()(entry, split, root or default_data_dir())
    return ImageSet(name, images, labels, classes, split=split, drawn=not entry.marker and not entry.origin)
