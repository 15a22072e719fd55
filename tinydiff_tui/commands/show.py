"""`tinydiff-tui show`: a picture, or the newest samples of a run, printed in the terminal."""

import argparse
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from core.data.pixels import has_colour, reduced
from core.errors import UserError
from core.files import user_path
from core.images import BACKGROUND, GAP, MOST_PIXELS, Pixels, saved_picture
from core.runs.folder import run_folder_of
from tinydiff_tui.commands.newest import newest_run
from tinydiff_tui.commands.output import say
from tinydiff_tui.commands.pictures import show_pictures
from tinydiff_tui.jobs.sheets import cut, newest_samples

FORMATS = ("PNG", "JPEG", "GIF")
CHECKPOINTS = (".pt", ".safetensors")
MOST_SIDE = 1024  # of a picture that is worked on; a terminal shows far less


def run(options: argparse.Namespace) -> int:
    """Print the picture, and one line that says what it is."""
    path = _picture_of(user_path(options.file)) if options.file is not None else _samples_here()
    images, headings, what = _read(path)
    say(f"{path}: {what}{show_pictures(images, headings)}")
    return 0


def _samples_here() -> Path:
    lacking = "no run here has samples; draw some with 'tinydiff-tui sample', or name a picture"
    found = _samples(newest_run(lambda run: _samples(run.path), lacking).path)
    assert found is not None
    return found


def _picture_of(path: Path) -> Path:
    """The picture itself, or the samples of a run's folder or checkpoint. Raises UserError where there are none."""
    if not path.exists():
        raise UserError(f"there is no {path}; give a picture, a run's folder or a checkpoint")
    folder = path if path.is_dir() else run_folder_of(path) if path.suffix in CHECKPOINTS else None
    if folder is None:
        return path
    of_epoch = folder / "samples" / f"{path.stem.removeprefix('model_')}.png"
    found = of_epoch if path.is_file() and of_epoch.is_file() else _samples(folder)
    if found is None:
        raise UserError(f"{folder} holds no samples; draw some with 'tinydiff-tui sample --checkpoint', or name a picture")
    return found


def _samples(folder: Path) -> Path | None:
    """The newest samples of a run's training, else what was last drawn from it."""
    drawn = folder / "generated_samples.png"
    return newest_samples(folder) or (drawn if drawn.is_file() else None)


def _read(path: Path) -> tuple[Pixels, list[str], str]:
    """The images of a picture of ours with the headings of their columns, or any picture as one image; and what it is."""
    if not path.is_file():
        raise UserError(f"{path} is no file; give a picture, a run's folder or a checkpoint")
    try:
        with warnings.catch_warnings(), Image.open(path, formats=FORMATS) as file:
            warnings.simplefilter("ignore")
            if file.width * file.height > MOST_PIXELS:
                raise UserError(
                    f"{path} has {file.width:,} x {file.height:,} pixels, which is too large to show; make it smaller"
                )
            what = f"{file.width} x {file.height} pixels"
            frames = int(getattr(file, "n_frames", 1))
            if frames > 1:
                file.seek(frames - 1)
                what = f"the last of {frames} frames, {what}"
            if saved := saved_picture(file):
                images = cut(saved.picture)
                return images if saved.headings else _in_turn(images, saved.picture), saved.headings, saved.caption or what
            mode = "RGB" if has_colour(file) else "L"
            smaller = reduced(file, mode, (0.0, 65_535.0), max(1, max(file.size) // MOST_SIDE))
            return np.asarray(smaller).reshape(1, smaller.height, smaller.width, -1), [], what
    except UserError:
        raise
    except Exception as error:  # what Pillow says of a file that lies has no end of names
        raise UserError(f"{path} cannot be read as a picture; give a PNG, JPEG or GIF that is whole") from error


def _in_turn(images: Pixels, sheet: Pixels) -> Pixels:
    """One of every row of a sheet in turn, as the rows may be classes; without the places that are empty."""
    columns = max(1, (sheet.shape[1] - GAP) // (images.shape[2] + GAP))
    turned = images.reshape(-1, columns, *images.shape[1:]).swapaxes(0, 1).reshape(images.shape)
    filled = turned[~np.isin(turned, (0, BACKGROUND)).all(axis=(1, 2, 3))]
    return filled if len(filled) else turned
