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

from core.files import atomic_write

Pixels = NDArray[np.uint8]

GAP, BACKGROUND = 2, 32  # pixels between the images of a grid, and their grey


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


def class_grid(images: Pixels, classes: int) -> Pixels:
    """`grid` with one row a class, for images whose classes come in turn (0, 1, .. classes - 1, 0, ..); 0 is the plain grid."""
    if not classes:
        return grid(images)
    rows = [images[label::classes] for label in range(classes)]
    width = len(rows[0])
    blank = np.zeros_like(images[:1])
    return grid(np.concatenate([np.concatenate([row, *[blank] * (width - len(row))]) for row in rows]), width)


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
