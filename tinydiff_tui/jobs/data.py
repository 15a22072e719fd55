"""Data sets as the screens hold them: numpy arrays, opened once in a worker thread and shared by the modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tinydiff_tui.terminal.deferred import np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tinydiff_tui.terminal.cells import Pixels

HISTOGRAM_IMAGES = 2000


@dataclass(frozen=True)
class OpenedSet:
    """Images uint8 (N, H, W, C), labels (N,), class names, and what the commands say of it in one line."""

    name: str
    images: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    said: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def side(self) -> tuple[int, int]:
        return self.images.shape[1], self.images.shape[2]

    @property
    def short_name(self) -> str:
        """Its name, of a folder the last part."""
        return Path(self.name.removeprefix("folder:")).name if self.name.startswith("folder:") else self.name

    def counts(self) -> list[int]:
        """Images of each class."""
        return [int(n) for n in np.bincount(self.labels, minlength=len(self.classes))]

    def class_name(self, index: int) -> str:
        """The name of the class of an image; empty where all are of one."""
        return self.classes[int(self.labels[index])] if len(self.classes) > 1 else ""

    def of_class(self, label: int | None) -> NDArray[np.intp]:
        """Indices of the images of a class, of all of them for None."""
        return np.arange(len(self)) if label is None else np.flatnonzero(self.labels == label)

    def example(self, label: int, rank: int) -> int | None:
        """The index of one image of a class, another for another rank until all were seen; None where the class has none."""
        members = self.of_class(label)
        return int(members[rank % len(members)]) if len(members) else None


@lru_cache(maxsize=2)
def open_set(name: str, root: Path | None) -> OpenedSet:
    """Open the training split through the engine; call it from a worker thread. Raises UserError."""
    from core.data.datasets import open_dataset

    opened = open_dataset(name, "train", root)
    return OpenedSet(name, opened.images.numpy(), opened.labels.numpy(), opened.classes, opened.describe())


def opening(name: str, root: Path | None, *, afresh: bool = False) -> Iterator[OpenedSet]:
    """The same as an iterator of one, for a job; `afresh` looks at the files again."""
    if afresh:
        open_set.cache_clear()
    yield open_set(name, root)


class PixelFigures(NamedTuple):
    """How the values 0 .. 255 of pixels are spread: how many of each, and what is said of them in short."""

    counts: NDArray[np.int64]
    mean: float
    std: float
    least: int
    most: int

    def bins(self, number: int) -> list[int]:
        """How many fall into each of `number` equal spans of values."""
        edges = (np.arange(number) * 256) // number
        return [int(n) for n in np.add.reduceat(self.counts, edges)]


def pixel_figures(images: Pixels, chosen: NDArray[np.intp]) -> PixelFigures:
    """The values of all pixels of the chosen images, evenly thinned to HISTOGRAM_IMAGES."""
    few = images[chosen[:: max(1, -(-len(chosen) // HISTOGRAM_IMAGES))]]
    counts = np.bincount(few.ravel(), minlength=256)
    if not few.size:
        return PixelFigures(counts, 0.0, 0.0, 0, 0)
    values, seen = np.arange(256), np.flatnonzero(counts)
    mean = float(counts @ values / few.size)
    return PixelFigures(counts, mean, float(counts @ (values - mean) ** 2 / few.size) ** 0.5, int(seen[0]), int(seen[-1]))
