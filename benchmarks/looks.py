"""How near each look of a picture comes to it, beside chafa's best for the same cells: PSNR and bytes. In benchmarks.terminal.

A 28x28 digit in 14x7 cells, a 32x32 photograph in 16x8. Pictures are shrunk to the dots of a look by box averaging, drawn in two
colours a cell, and enlarged again; chafa (Debian package chafa) gets the same pictures and the same symbols. The terminal's own
pixels are exact: their bytes are those of the picture sent once, and of its placeholders.
"""

import io
import shutil
import subprocess

import numpy as np
import pyte
from PIL import Image

from core.data.datasets import default_data_dir, open_dataset
from core.errors import UserError
from core.images import to_pil
from tinydiff_tui.terminal.ansi import paint
from tinydiff_tui.terminal.blocks import DOTS, block_cells, characters
from tinydiff_tui.terminal.cells import UPPER, Cells, Pixels, half_cells, pack
from tinydiff_tui.terminal.kitty import upload, with_places
from tinydiff_tui.terminal.pixels import CELL, page_pixels
from tinydiff_tui.terminal.tiling import Layout, Tile

PICTURES = 60
CHAFA = {"half": "vhalf+space", "quadrant": "quad+space", "sextant": "sextant+space"}
"""Symbols of chafa for each look; its 1.12 has no octants."""


def ours(picture: Pixels, look: str, size: tuple[int, int]) -> str:
    """The bytes that draw a picture (H, W, C) in size (columns, rows) of cells."""
    across, down = DOTS.get(look, (1, 2))
    shrunk = np.asarray(to_pil(picture).resize((size[0] * across, size[1] * down), Image.Resampling.BOX))
    dots = shrunk.reshape(*shrunk.shape[:2], -1)
    cells = half_cells(pack(dots)) if look == "half" else block_cells(dots, look)
    return paint(cells, np.ones(cells.shape, dtype=bool), (0, 0), True)


def chafas(picture: Pixels, look: str, size: tuple[int, int]) -> str:
    """The same by chafa, in its slowest and best way, without dithering."""
    png = io.BytesIO()
    to_pil(picture).save(png, "PNG")
    command = ["chafa", "--format", "symbols", "--symbols", CHAFA[look], "--size", f"{size[0]}x{size[1]}", "--colors", "full"]
    command += ["--color-space", "rgb", "--work", "9", "--dither", "none", "--preprocess", "off", "--stretch", "-"]
    return subprocess.run(command, input=png.getvalue(), capture_output=True, check=True).stdout.decode().replace("\n", "\r\n")


def read_back(text: str, look: str, size: tuple[int, int]) -> Pixels:
    """What a terminal shows of it, (rows * dots, columns * dots, 3)."""
    screen = pyte.Screen(size[0] + 1, size[1] + 1)
    pyte.Stream(screen).feed(text)
    across, down = DOTS.get(look, (1, 2))
    patterns = {" ": 0, UPPER: 1, "▄": 2, "█": 3} if look == "half" else {c: k for k, c in enumerate(characters(look))}
    out = np.zeros((size[1] * down, size[0] * across, 3), dtype=np.uint8)
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            cell = screen.buffer[y // down][x // across]
            lit = patterns[cell.data] >> (y % down) * across + x % across & 1
            colour = cell.fg if bool(lit) != cell.reverse else cell.bg
            out[y, x] = list(bytes.fromhex(colour)) if colour != "default" else (0, 0, 0)
    return out


def psnr(picture: Pixels, seen: Pixels) -> float:
    """Decibels between a picture and what is seen of it, enlarged to its size without smoothing."""
    enlarged = np.asarray(Image.fromarray(seen).resize(picture.shape[1::-1], Image.Resampling.NEAREST))
    return float(10 * np.log10(255**2 / max(np.square(enlarged - picture.astype(float)).mean(), 1e-3)))


def exact(picture: Pixels, size: tuple[int, int]) -> int:
    """The bytes that show it in the terminal's own pixels."""
    shape, every = (size[1], size[0]), np.ones((size[1], size[0]), dtype=bool)
    blank = Cells(np.full(shape, 32, dtype=np.uint32), np.zeros(shape, dtype=np.int32), np.zeros(shape, dtype=np.int32))
    layout = Layout(Tile("octant", *size, picture.shape[1::-1]), 1, 1)
    sent = "".join(upload(page_pixels(picture[None], layout, size, CELL, 0), 16, 1, size))
    return len(sent) + len(paint(with_places(blank, every, 16, 1, 0), every, (0, 0), True).encode())


def _sets() -> dict[str, tuple[list[Pixels], tuple[int, int]]]:
    """The pictures by name, each with the cells (columns, rows) that it gets. Raises UserError where they are missing."""
    digits = open_dataset("mnist", "train").images[:PICTURES].numpy()
    photos = open_dataset(f"folder:{default_data_dir() / 'photos'}", "train").images.numpy()
    photos = photos[:: max(1, len(photos) // PICTURES)][:PICTURES]
    return {
        "28x28 digit in 14x7 cells": ([digit.repeat(3, 2) for digit in digits], (14, 7)),
        "32x32 photo in 16x8 cells": (list(photos), (16, 8)),
    }


def looks() -> list[tuple[str, str]]:
    """(picture and look, what was measured) of ours, and of chafa's where it has such symbols."""
    try:
        sets = _sets()
    except UserError as error:
        return [("looks", f"not measured: {error}")]
    rows = [] if shutil.which("chafa") else [("looks by chafa", "not measured: it is not installed (Debian package chafa)")]
    for name, (pictures, size) in sets.items():
        for look in ("half", *DOTS):
            found = [_measured([ours(picture, look, size) for picture in pictures], pictures, look, size)]
            if look in CHAFA and shutil.which("chafa"):
                found.append("chafa " + _measured([chafas(picture, look, size) for picture in pictures], pictures, look, size))
            rows.append((f"{name}, {look}", "; ".join(found)))
        rows.append((f"{name}, pixels", f"exact, {np.mean([exact(picture, size) for picture in pictures]):,.0f} bytes"))
    return rows


def _measured(texts: list[str], pictures: list[Pixels], look: str, size: tuple[int, int]) -> str:
    decibels = np.mean([psnr(p, read_back(text, look, size)) for p, text in zip(pictures, texts, strict=True)])
    return f"{decibels:.1f} dB, {np.mean([len(text.encode()) for text in texts]):,.0f} bytes"
