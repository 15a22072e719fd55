"""Images at the border of the engine: tensors, uint8 arrays, PNG and GIF files. Importing it does not import torch."""

import json
import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from core.errors import UserError, printable
from core.files import atomic_write

if TYPE_CHECKING:
    from torch import Tensor

Pixels = NDArray[np.uint8]

GAP, BACKGROUND = 2, 32  # pixels between the images of a grid, and their grey
MOST_ROWS = 100  # of classes: more of them are no longer a picture to look at
MOST_PIXELS = 80_000_000  # of a sheet: what a viewer still opens, Pillow without a warning among them
LEAST_WIDTH = 600  # of a saved picture, so that it can be looked at without a loupe
_MOST_ENLARGED = 1 << 24  # pixels that enlarging may come to
_MOST_FILM = 1 << 25  # of all frames of a GIF
_LONGEST_GIF = 65_535
_MOVING, _RESTING = 3000, 1500  # milliseconds of a GIF, before its last frame and on it
_INK, _LETTERS, _LINE = 230, 13, 20  # grey, size and height of a line of what is written on a picture
_MOST_MARGIN = 240  # pixels that the names of rows take
_MOST_CAPTION = 1000  # characters that are taken from a file
_OURS = "tinydiff-tui"  # the text of a PNG that says where in it the picture is, at which scale, and what is written there


def to_float(images: "Tensor") -> "Tensor":
    """uint8 (N, H, W, C) -> float32 (N, C, H, W) in [-1, 1], on the same device."""
    return images.permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def to_uint8(images: "Tensor") -> Pixels:
    """float (N, C, H, W) -> uint8 array (N, H, W, C); values outside [-1, 1] are clamped, NaN becomes black."""
    scaled = images.detach().float().nan_to_num(-1.0).clamp(-1, 1).add(1).mul(127.5).round()
    return scaled.byte().permute(0, 2, 3, 1).contiguous().cpu().numpy()


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


def sheets(count: int, side: int) -> list[range]:
    """The images 0 .. count - 1 cut into runs that fill a sheet of MOST_PIXELS each."""
    most = max(1, (math.isqrt(MOST_PIXELS) - GAP) // (side + GAP)) ** 2
    return [range(first, min(first + most, count)) for first in range(0, count, most)]


def to_pil(picture: Pixels) -> Image.Image:
    """(H, W, C) with C = 1 or 3 -> a greyscale or colour picture."""
    return Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)


def save_png(path: Path, picture: Pixels, *, caption: str = "", headings: Sequence[str] = (), rows: Sequence[str] = ()) -> None:
    """Write (H, W, C) as PNG, each pixel as many wide as LEAST_WIDTH takes; a large picture less, so that memory is bounded.

    `headings` stand above the columns of a grid, `rows` (of a line or two) before its rows, the caption below it. `saved_picture`
    finds what was given here.
    """
    scale = _scale(picture.shape[:2], _MOST_ENLARGED)
    drawn = _enlarged(picture, scale)
    left = (
        min(_MOST_MARGIN, math.ceil(max(_font().getlength(line) for row in rows for line in row.split("\n"))) + 8) if rows else 0
    )
    top = _LINE + 4 if headings else 0
    lines = _wrapped(caption, left + drawn.width - 2 * GAP * scale) if caption else []
    under = len(lines) * _LINE + 4 if lines else 0
    whole = Image.new(drawn.mode, (left + drawn.width, top + drawn.height + under), _grey(BACKGROUND, drawn.mode))
    draw = ImageDraw.Draw(whole)

    def write(x: float, y: float, text: str, room: float = math.inf) -> None:
        draw.text((x, y), _cut(printable(text), room), fill=_grey(_INK, drawn.mode), font=_font())

    for k, heading in enumerate(headings):
        step = (drawn.width - GAP * scale) / len(headings)
        write(left + GAP * scale + round(k * step), 4, heading, step - 4)
    for k, row in enumerate(rows):
        middle = top + GAP * scale + (k + 0.5) * (drawn.height - GAP * scale) / len(rows) - GAP * scale / 2
        texts = row.split("\n")
        for j, text in enumerate(texts):
            write(4, middle + (j - len(texts) / 2) * _LINE, text, left - 8)
    for k, line in enumerate(lines):
        write(GAP * scale, top + drawn.height + k * _LINE + 4, line)
    whole.paste(drawn, (left, top))
    info = PngInfo()
    info.add_text(_OURS, _about((left, top, *drawn.size), scale, caption, headings))
    with atomic_write(path) as file:
        whole.save(file, format="PNG", pnginfo=info)


def _about(box: tuple[int, int, int, int], scale: int, caption: str = "", headings: Sequence[str] = ()) -> str:
    """Where in a file its picture is (left, top, width, height), and what is written there, for `saved_picture`."""
    return json.dumps({"box": box, "scale": scale, "caption": caption, "headings": [*headings]})


class Saved(NamedTuple):
    """What `save_png` was given."""

    picture: Pixels
    caption: str
    headings: list[str]


def saved_picture(file: Image.Image) -> Saved | None:
    """What a PNG, or the frame of a GIF, was made from, as Pillow opened it; None for a file that is not ours."""
    try:
        ours = json.loads(file.info.get(_OURS) or file.info["comment"])
        left, top, width, height = box = ours["box"]
        scale, caption, headings = ours["scale"], printable(str(ours["caption"]))[:_MOST_CAPTION], ours["headings"]
        inside = left >= 0 and top >= 0 and left + width <= file.width and top + height <= file.height
        if any(type(number) is not int for number in (*box, scale)) or not inside or not 1 <= scale <= min(width, height):
            return None
        pixels = np.asarray(file if file.mode == "L" else file.convert("RGB"))[
            top : top + height : scale, left : left + width : scale
        ]
        return Saved(pixels.reshape(*pixels.shape[:2], -1), caption, [printable(str(name)) for name in headings])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def save_gif(path: Path, pictures: Sequence[Pixels]) -> None:
    """Write pictures (H, W, C) as an endless GIF that one can follow: some seconds for the whole, and a rest on the last."""
    shape = pictures[0].shape[:2]
    longest = max(shape)
    if longest > _LONGEST_GIF:
        raise UserError(
            f"a GIF has at most {_LONGEST_GIF:,} pixels a side, and this one would have {longest:,}; draw fewer images"
        )
    scale = min(_scale(shape, min(_MOST_ENLARGED, _MOST_FILM // len(pictures))), _LONGEST_GIF // longest)
    moving = max(20, min(1000, _MOVING // max(1, len(pictures) - 1)))  # viewers slow down what is faster than 20
    durations = [moving] * (len(pictures) - 1) + [_RESTING]
    frames = (_enlarged(picture, scale) for picture in pictures)  # one at a time
    about = _about((0, 0, shape[1] * scale, shape[0] * scale), scale)
    with atomic_write(path) as file:
        next(frames).save(
            file, format="GIF", save_all=True, append_images=frames, duration=durations, loop=0, comment=about.encode()
        )


def _scale(shape: tuple[int, int], most: int) -> int:
    """How many pixels wide a pixel is saved: at least two, and as many as LEAST_WIDTH takes, while that makes at most `most`."""
    height, width = shape
    return max(1, min(max(2, math.ceil(LEAST_WIDTH / width)), math.isqrt(most // (height * width))))


def _enlarged(picture: Pixels, scale: int) -> Image.Image:
    drawn = to_pil(picture)
    return drawn.resize((drawn.width * scale, drawn.height * scale), Image.Resampling.NEAREST)


def _wrapped(text: str, width: int) -> list[str]:
    """A text in lines of at most so many pixels, cut between its parts."""
    lines: list[str] = []
    for part in printable(text).split(" · "):
        longer = f"{lines[-1]} · {part}" if lines else part
        if lines and _font().getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return lines


def _cut(text: str, room: float) -> str:
    """A text in at most so many pixels."""
    if _font().getlength(text) <= room:
        return text
    while text and _font().getlength(f"{text}…") > room:
        text = text[:-1]
    return f"{text}…"


def _grey(level: int, mode: str) -> int | tuple[int, int, int]:
    return level if mode == "L" else (level, level, level)


@lru_cache(maxsize=1)
def _font() -> Any:
    """matplotlib's own: Pillow's has hardly more letters than ASCII."""
    matplotlib = find_spec("matplotlib")
    try:
        return ImageFont.truetype(
            Path(f"{matplotlib and matplotlib.origin}").parent / "mpl-data/fonts/ttf/DejaVuSans.ttf", _LETTERS
        )
    except OSError:
        return ImageFont.load_default(_LETTERS)
