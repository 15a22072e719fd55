"""What a data set of a person's own gives, as the engine holds it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from core.errors import UserError, printable

if TYPE_CHECKING:
    from torch import Tensor

MOST_SIDE = 512


def opened_split(given: Any, split: str) -> "tuple[Tensor, Tensor, tuple[str, ...]]":
    """(images uint8 (N, H, W, C), labels int64 (N,), class names), checked. Raises UserError."""
    if not isinstance(given, tuple) or len(given) != 3:
        raise UserError(f"gives a {type(given).__name__} for '{split}'; it returns images, labels and the names of the classes")
    images, labels, names = np.asarray(given[0]), np.asarray(given[1]), given[2]
    if images.dtype != np.uint8 or images.ndim != 4:
        raise UserError(
            f"gives images of type {images.dtype} and shape {images.shape} for '{split}'; they are uint8 (N, height, width, "
            "channels)"
        )
    count, height, width, channels = images.shape
    if not count or not 1 <= min(height, width) <= max(height, width) <= MOST_SIDE or channels not in (1, 3):
        raise UserError(
            f"gives images of shape {images.shape} for '{split}'; they are one or more, of at most {MOST_SIDE} "
            "pixels a side, in 1 or 3 channels"
        )
    if isinstance(names, str) or not isinstance(names, (list, tuple)) or not names or not all(isinstance(n, str) for n in names):
        raise UserError(f"gives no names of classes for '{split}'; they are a list of one or more texts")
    if labels.shape != (count,) or labels.dtype.kind not in "iu" or not 0 <= labels.min() <= labels.max() < len(names):
        raise UserError(f"gives labels for '{split}' that are not one whole number from 0 to {len(names) - 1} an image")
    import torch

    return (
        torch.from_numpy(np.ascontiguousarray(images)), torch.from_numpy(labels.astype(np.int64)),
        tuple(map(printable, names)),
    )  # fmt: skip
