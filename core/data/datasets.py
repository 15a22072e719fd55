"""Data sets by their name in core.names, or folder:PATH: each one opens as a uint8 tensor of images with labels and class names.

Nothing here downloads: core.data.download does, and only when asked.
"""

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from core.errors import UserError
from core.files import user_folder, user_path
from core.names import DATASETS, Dataset

if TYPE_CHECKING:  # names and places are asked for before torch is there
    from torch import Tensor


@dataclass(frozen=True)
class ImageSet:
    """A whole data set: images uint8 (N, H, W, C), labels int64 (N,), the names of the classes, what was skipped on reading."""

    name: str
    images: "Tensor"
    labels: "Tensor"
    classes: tuple[str, ...]
    skipped: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def side(self) -> int:
        return self.images.shape[1]

    @property
    def channels(self) -> int:
        return self.images.shape[3]

    @cached_property
    def fingerprint(self) -> str:
        """What tells these pictures and labels, in this order, from all others, wherever they lie."""
        digest = hashlib.sha256(repr(tuple(self.images.shape)).encode())
        digest.update(self.images.contiguous().numpy().data)
        digest.update(self.labels.contiguous().numpy().data)
        return digest.hexdigest()[:16]


class SetInfo(NamedTuple):
    """What can be said of a data set without opening it.

    `status` is embedded, on disk, or can be downloaded; `size` counts the training images.
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


def data_root(asked: str, trained_on: str) -> Path | None:
    """The folder asked for, else that of a model's training while it is there; None for the default one."""
    if asked:
        return user_path(asked)
    own = user_path(trained_on)
    return own if trained_on and own.is_dir() else None


def describe(name: str, root: Path | None = None) -> SetInfo:
    """Where a named data set stands. Raises UserError for an unknown name."""
    entry = DATASETS.get(name)
    if entry is None:
        raise UserError(f"unknown data set '{name}'; choose one of {', '.join(DATASETS)} or folder:PATH")
    if not entry.marker:
        return SetInfo(name, entry.help, entry.shape, entry.size, entry.classes, "embedded", "in the program")
    marker = (root or default_data_dir()) / entry.marker
    status = "on disk" if marker.exists() else "can be downloaded"
    return SetInfo(name, entry.help, entry.shape, entry.size, entry.classes, status, str(marker.parent))


def list_datasets(root: Path | None = None) -> list[SetInfo]:
    """All named data sets and where they stand."""
    return [describe(name, root) for name in DATASETS]


def default_dataset(root: Path | None = None) -> str:
    """mnist when it is on disk, else the embedded glyphs."""
    return "mnist" if describe("mnist", root).status == "on disk" else "glyphs"


def folder_path(name: str) -> Path:
    """The folder of a data set named folder:PATH."""
    return user_path(name.removeprefix("folder:"))


def require(name: str, root: Path | None = None) -> None:
    """Raise UserError, with the ways out, when a data set cannot be opened as things stand."""
    if name.startswith("folder:"):
        from core.data.folder import image_files

        image_files(folder_path(name))
        return
    info = describe(name, root)
    if info.status == "can be downloaded":
        raise UserError(
            f"{name} is not in {root or default_data_dir()}; run 'tinydiff-tui datasets --download {name}', put its files into "
            f"{info.where} by hand, or use --dataset glyphs, which needs no file"
        )


def open_dataset(name: str, split: str = "train", root: Path | None = None, image_size: int = 0) -> ImageSet:
    """Open the `train` or `test` split of a data set; `image_size` is for folder:PATH (0 keeps the common side, at most 64).

    Raises UserError for an unknown name, files that are missing or torn, and a folder without images.
    """
    if split not in ("train", "test"):
        raise UserError(f"unknown split '{split}'; choose train or test")
    if name.startswith("folder:"):
        from core.data.folder import open_folder

        images, labels, classes, skipped = open_folder(folder_path(name), split, image_size)
        return ImageSet(name, images, labels, classes, skipped)
    info = describe(name, root)
    if image_size not in (0, info.shape[0]):
        raise UserError(f"{name} has images of side {info.shape[0]}; --image-size is for folder:PATH only")
    require(name, root)
    return ImageSet(name, *DATASETS[name].load()(DATASETS[name], split, root or default_data_dir()))


def open_torchvision(entry: Dataset, split: str, root: Path) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images, labels, classes) from files in torchvision's layout. Raises UserError when they are torn."""
    import numpy as np
    import torch
    from torchvision import datasets

    try:
        data: Any = getattr(datasets, entry.download)(root=str(root), train=split == "train", download=False)
        images = torch.from_numpy(np.ascontiguousarray(data.data))
        labels = torch.as_tensor(data.targets, dtype=torch.int64)
        classes = tuple(str(c).split(" - ")[0] for c in data.classes)
        if images.shape[1:3] != entry.shape[:2] or not 0 <= labels.min() <= labels.max() < len(classes):
            raise ValueError("another shape, or a class that is not there")
        return images.reshape(len(labels), *entry.shape), labels, classes
    except Exception as error:  # torchvision answers torn files with whatever its parser stumbled on
        raise UserError(
            f"the files of {entry.name} in {root} cannot be read ({type(error).__name__}); delete them and run "
            f"'tinydiff-tui datasets --download {entry.name}'"
        ) from error
