"""How near each look of a picture comes to it, beside chafa's best for the same cells: PSNR and bytes.

    python -m benchmarks.looks [--data-dir FOLDER] [--pictures 60]

A 28x28 digit in 14x7 cells, a 32x32 photograph in 16x8. Pictures are shrunk to the dots of a look by box averaging, drawn in two
colours a cell, and enlarged again; chafa (Debian package chafa) gets the same pictures and the same symbols.
"""

import argparse
import io
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyte
from PIL import Image

from core.data.datasets import open_dataset
from core.images import to_pil
from tinydiff_tui.terminal.ansi import paint
from tinydiff_tui.terminal.blocks import DOTS, block_cells, characters
from tinydiff_tui.terminal.cells import UPPER, Pixels, half_cells, pack

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


def rows(pictures: list[Pixels], size: tuple[int, int]) -> Iterator[tuple[str, str, float, float]]:
    """(look, by whom, mean decibels, mean bytes)."""
    for look in ("half", *DOTS):
        for who, draw in (("ours", ours), ("chafa", chafas)):
            if who == "chafa" and (look not in CHAFA or shutil.which("chafa") is None):
                continue
            texts = [draw(picture, look, size) for picture in pictures]
            seen = [psnr(picture, read_back(text, look, size)) for picture, text in zip(pictures, texts, strict=True)]
            yield look, who, float(np.mean(seen)), float(np.mean([len(text.encode()) for text in texts]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path, default=Path("../shared/data"))
    parser.add_argument("--pictures", type=int, default=60)
    options = parser.parse_args()
    digits = open_dataset("mnist", "train", options.data_dir).images[: options.pictures].numpy()
    photos = open_dataset(f"folder:{options.data_dir / 'photos'}", "train").images.numpy()
    photos = photos[:: max(1, len(photos) // options.pictures)][: options.pictures]
    print("| picture | look | by | PSNR | bytes |\n|---|---|---|---|---|")
    for name, pictures, size in (("28x28 digit in 14x7", digits, (14, 7)), ("32x32 photo in 16x8", photos, (16, 8))):
        for look, who, decibels, count in rows([p.repeat(3, 2) if p.shape[2] == 1 else p for p in pictures], size):
            print(f"| {name} | {look} | {who} | {decibels:.1f} dB | {count:,.0f} |")


if __name__ == "__main__":
    main()
