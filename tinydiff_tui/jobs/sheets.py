"""The newest samples of a run, cut out of the PNG that its training wrote; without torch."""

from pathlib import Path

import numpy as np

from tinydiff_tui.terminal.cells import Pixels

MOST_PIXELS = 1 << 24
MOST_SCALE = 16  # pixels that one of a sample is drawn wide in a PNG
BACKGROUND = 32  # of the gaps, as core.images.grid leaves them


def newest_samples(folder: Path) -> Path | None:
    """The samples/epoch_*.png of a run's last epoch; links are passed over."""
    files = [path for path in folder.glob("samples/epoch_*.png") if path.is_file() and not path.is_symlink()]
    return max(files, key=lambda path: (len(path.name), path.name), default=None)  # by epoch: a copy has other times


def cut(tiled: Pixels) -> Pixels:
    """A grid of samples (H, W, C) as its images (N, h, w, C), row by row; one image when its gaps are not a grid's."""
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

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS or picture.mode not in ("L", "RGB"):
                return None
            pixels = np.asarray(picture)
    except Exception:  # what Pillow says of a file that lies has no end of names
        return None
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    scale = next(scale for scale in range(MOST_SCALE, 0, -1) if _enlarged(pixels, scale))
    return cut(pixels[::scale, ::scale])


def _enlarged(pixels: Pixels, scale: int) -> bool:
    """Whether every pixel of a smaller picture was drawn so many pixels wide and high."""
    if pixels.shape[0] % scale or pixels.shape[1] % scale:
        return False
    blocks = pixels.reshape(pixels.shape[0] // scale, scale, pixels.shape[1] // scale, scale, -1)
    return bool((blocks == blocks[:, :1, :, :1]).all())
