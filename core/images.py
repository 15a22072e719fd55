"""Images at the border of the engine: tensors, uint8 arrays, PNG and GIF files."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from core.errors import UserError
from core.files import atomic_write

Pixels = NDArray[np.uint8]

GAP, BACKGROUND = 2, 32  # pixels between the images of a grid, and their grey
MOST_ROWS = 100  # of classes: more of them are no longer a picture to look at
MOST_PIXELS = 80_000_000  # of a sheet: what a viewer still opens, Pillow without a warning among them
_LONGEST_GIF = 65_535


def to_float(images: Tensor) -> Tensor:
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1], on the same device."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: Tensor) -> Pixels:
    """float (N, C, H, W) -> uint8 array (N, H, W, C); values outside [-1, 1] are clamped, NaN becomes black."""
    scaled = images.detach().float().nan_to_num(-1.0).clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def grid(images: Pixels, columns: int = 0) -> Pixels:
    """Tile (N, H, W, C) into one picture (H', W', C), row by row; columns 0 makes it as square as it can be."""
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    shape = (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, channels)
    canvas = np.full(shape, BACKGROUND, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (height + GAP) + GAP, (i % columns) * (width + GAP) + GAP
        canvas[top : top + height, left : left + width] = image
    return canvas


def class_grid(images: Pixels, labels: Sequence[int]) -> Pixels:
    """`grid` with a row for each class that occurs, in order; `labels` are those of the images, none for a model without classes.

    The plain grid where such rows would say nothing (one class, or one image of each), or be too many or mostly empty.
    """
    members: dict[int, list[int]] = {}
    for place, label in enumerate(labels):
        members.setdefault(label, []).append(place)
    width = max(map(len, members.values()), default=0)
    if not 1 < len(members) <= MOST_ROWS or width == 1 or len(members) * width > 2 * len(images):
        return grid(images)
    cells = np.zeros((len(members), width, *images.shape[1:]), dtype=np.uint8)
    for row, (_, places) in zip(cells, sorted(members.items()), strict=True):
        row[: len(places)] = images[places]
    return grid(cells.reshape(-1, *images.shape[1:]), width)


def sheets(count: int, side: int, scale: int = 2) -> list[range]:
    """The images 0 .. count - 1 cut into runs that fill a sheet each, of MOST_PIXELS at most when it is saved at this scale."""
    most = max(1, (math.isqrt(MOST_PIXELS) // scale - GAP) // (side + GAP)) ** 2
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


def to_pil(picture: Pixels) -> Image.Image:
    """(H, W, C) with C = 1 or 3 -> a greyscale or colour picture."""
    return Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def save_png(path: Path, picture: Pixels, scale: int = 2) -> None:
    """Write (H, W, C) as PNG, each pixel `scale` pixels wide."""
    enlarged = picture.repeat(scale, axis=0).repeat(scale, axis=1)
    with atomic_write(path) as file:
        to_pil(enlarged).save(file, format="PNG")


def save_gif(path: Path, pictures: Sequence[Pixels], scale: int = 2) -> None:
    """Write pictures (H, W, C) as an endless GIF that rests two seconds on the last."""
    longest = max(pictures[0].shape[:2])
    if longest > _LONGEST_GIF:
        raise UserError(
            f"a GIF has at most {_LONGEST_GIF:,} pixels a side, and this one would have {longest:,}; draw fewer images"
        )
    scale = min(scale, _LONGEST_GIF // longest)
    frames = [to_pil(p.repeat(scale, axis=0).repeat(scale, axis=1)) for p in pictures]
    durations = [100] * (len(frames) - 1) + [2000]
    with atomic_write(path) as file:
        frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)


def label_row(picture: Pixels, texts: Sequence[str], columns: Sequence[int]) -> Pixels:
    """Put a strip with one text above each given column of a picture (H, W, C)."""
    from PIL import ImageDraw

    strip: Any = Image.new("RGB", (picture.shape[1], 16), (BACKGROUND,) * 3)
    draw = ImageDraw.Draw(strip)
    for text, column in zip(texts, columns, strict=True):
        draw.text((column, 2), text, fill=(230, 230, 230))
    band = np.asarray(strip)[:, :, : picture.shape[2]]
    return np.concatenate([band, picture])
