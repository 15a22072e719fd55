"""The newest sheet of samples that a run wrote, cut into its images again; without torch."""

from pathlib import Path

import numpy as np

from tinydiff_tui.pixels import Pixels

MOST_PIXELS = 1 << 24
BACKGROUND = 32  # of the gaps, as core.images.grid leaves them


def newest_sheet(folder: Path) -> Path | None:
    """The youngest samples/epoch_*.png of a run; links are passed over."""
    files = [
        (path.stat().st_mtime_ns, path) for path in folder.glob("samples/epoch_*.png") if path.is_file() and not path.is_symlink()
    ]
    return max(files)[1] if files else None


def cut(sheet: Pixels) -> Pixels:
    """A sheet (H, W, C) as its images (N, h, w, C), row by row; one image when its gaps are not those of a grid."""
    rows, columns = (_spans((sheet == BACKGROUND).all(axis=axes)) for axes in ((1, 2), (0, 2)))
    sizes = {(bottom - top, right - left) for top, bottom in rows for left, right in columns}
    if len(sizes) != 1:
        return sheet[None]
    return np.stack([sheet[top:bottom, left:right] for top, bottom in rows for left, right in columns])


def _spans(gap: np.ndarray) -> list[tuple[int, int]]:
    """(start, end) of what lies between the gaps."""
    edges = np.flatnonzero(np.diff(np.r_[True, gap, True]))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def read_sheet(path: Path, scale: int = 2) -> Pixels | None:
    """The images of a PNG that core.images.save_png wrote; None for a file that is none, or is too large."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            if picture.width * picture.height > MOST_PIXELS or picture.mode not in ("L", "RGB"):
                return None
            pixels = np.asarray(picture)
    except (OSError, ValueError, SyntaxError):
        return None
    return cut(pixels.reshape(*pixels.shape[:2], -1)[::scale, ::scale])
