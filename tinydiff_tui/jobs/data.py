"""Data sets as the screens hold them: numpy arrays, opened once in a worker thread and shared by the modes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

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

    def counts(self) -> list[int]:
        """Images of each class."""
        return [int(n) for n in np.bincount(self.labels, minlength=len(self.classes))]

    def of_class(self, label: int | None) -> NDArray[np.intp]:
        """Indices of the images of a class, of all of them for None."""
        return np.arange(len(self)) if label is None else np.flatnonzero(self.labels == label)


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


def pixel_histogram(images: Pixels, chosen: NDArray[np.intp], bins: int) -> list[int]:
    """How often each of `bins` equal spans of pixel values occurs in the chosen images, evenly thinned to HISTOGRAM_IMAGES."""
    few = images[chosen[:: max(1, -(-len(chosen) // HISTOGRAM_IMAGES))]]
    counts = np.bincount(few.ravel(), minlength=256)
    edges = (np.arange(bins) * 256) // bins
    return [int(n) for n in np.add.reduceat(counts, edges)]


def bars(values: list[int]) -> str:
    """A row of block characters; heights are logarithmic, so that rare values show beside frequent ones."""
    heights = np.log1p(np.array(values, dtype=np.float64))
    top = heights.max() or 1.0
    return "".join(" ▁▂▃▄▅▆▇█"[round(h / top * 8)] for h in heights.tolist())
