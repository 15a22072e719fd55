"""The newest samples of a run, cut out of the PNG that its training wrote; without torch."""

from pathlib import Path

import numpy as np

from tinydiff_tui.terminal.cells import Pixels

MOST_PIXELS = 1 << 24


def newest_samples(folder: Path) -> Path | None:
    """The samples/epoch_*.png of a run's last epoch; links are passed over."""
    files = [path for path in folder.glob("samples/epoch_*.png") if path.is_file() and not path.is_symlink()]
    return max(files, key=lambda path: (len(path.name), path.name), default=None)  # by epoch: a copy has other times


def cut(tiled: Pixels) -> Pixels:
    """A grid of samples (H, W, C) as its images (N, h, w, C), row by row; one image when its gaps are not a grid's."""
    from core.images import BACKGROUND

    rows, columns = (_spans((tiled == BACKGROUND).all(axis=axes)) for axes in ((1, 2), (0, 2)))
    sizes = {(bottom - top, right - left) for top, bottom in rows for left, right in columns}
    if len(sizes) != 1:
        return tiled[None]
    return np.stack([tiled[top:bottom, left:right] for top, bottom in rows for left, right in columns])


def _spans(gap: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of what lies between the gaps."""
    edges = np.flatnonzero(np.diff(np.r_[True, gap, True]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def read_samples(path: Path) -> Pixels | None:
    """The images of a PNG that core.images.save_png wrote; None for a file that is none, or is too large."""
    from PIL import Image

    from core.images import saved_picture

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS or picture.mode not in ("L", "RGB"):
                return None
            saved = saved_picture(picture)
            pixels = np.asarray(picture) if saved is None else saved.picture
    except Exception:  # what Pillow says of a file that lies has no end of names
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if saved is None and _is_doubled(pixels):
        pixels = pixels[::2, ::2]
    return cut(pixels)


def _is_doubled(pixels: Pixels) -> bool:
    """Whether every pixel was drawn two wide and high, as they were in files that do not say so."""
    if pixels.shape[0] % 2 or pixels.shape[1] % 2:
        return False
    return all(bool((pixels[y::2, x::2] == pixels[::2, ::2]).all()) for y, x in ((0, 1), (1, 0), (1, 1)))
