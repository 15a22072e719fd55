"""The embedded data set: digits drawn from Pillow's built-in fonts, every one bent its own way. No file, no network.

Two faces are turned into signed distance fields. An image blends the faces, cuts the field at a level of its own (the
stroke's weight), and samples it through a random affine map and a smooth random displacement (the elastic distortion of
Simard et al. 2003). All of it is one batch of tensor operations, deterministic from the seed.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from core.names import Dataset

SIDE = 28
CLASSES = tuple("0123456789")
_FIELD = 48  # side of a distance field, in cells
_CHUNK = 2048


def open_glyphs(entry: Dataset, split: str, root: Path) -> tuple[Tensor, Tensor, tuple[str, ...]]:
    """(images, labels, classes) of a split; nothing is read from `root`."""
    count, seed = (entry.size, 0) if split == "train" else (entry.test_size, 1)
    return (*make_glyphs(count, seed), CLASSES)


def make_glyphs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """(images uint8 (count, 28, 28, 1), labels int64 (count,)): white on black, classes in equal shares."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count).remainder(len(CLASSES))[torch.randperm(count, generator=generator)]
    fields = _distance_fields()
    chunks = [_draw(fields[:, part], generator) for part in torch.split(labels, _CHUNK)]
    return torch.cat(chunks), labels


def _draw(fields: Tensor, generator: torch.Generator) -> Tensor:
    """fields (2, N, F, F) -> uint8 images (N, 28, 28, 1)."""
    n = fields.shape[1]

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n, 1, 1, generator=generator) * (high - low) + low

    blend = torch.rand(n, 1, 1, generator=generator).mul(1.6).sub(0.3).clamp(0, 1)
    field = torch.lerp(fields[0], fields[1], blend)
    rows = torch.linspace(-1, 1, SIDE).reshape(1, SIDE, 1).expand(n, SIDE, SIDE)
    columns = rows.transpose(1, 2)
    angle, slant = uniform(-0.25, 0.25), uniform(-0.15, 0.45)
    x = columns / uniform(0.62, 1.0) - uniform(-0.16, 0.16)
    y = rows / uniform(0.72, 1.0) - uniform(-0.14, 0.14)
    x, y = angle.cos() * x - angle.sin() * y, angle.sin() * x + angle.cos() * y
    coarse = torch.randn(n, 2, 5, 5, generator=generator) * uniform(0.02, 0.1).unsqueeze(1)
    bend = F.interpolate(coarse, size=(SIDE, SIDE), mode="bicubic", align_corners=True)
    where = torch.stack([x + slant * y + bend[:, 0], y + bend[:, 1]], dim=-1)
    distance = F.grid_sample(field.unsqueeze(1), where, padding_mode="border", align_corners=True).squeeze(1)
    ink = torch.sigmoid((distance + uniform(-1.0, 1.3)) * uniform(1.4, 2.6))
    return (ink * uniform(0.85, 1.0) * 255).round().to(torch.uint8).unsqueeze(-1)


@lru_cache(maxsize=1)
def _distance_fields() -> Tensor:
    """(2 faces, 10 digits, F, F): distance to the outline in cells, positive inside."""
    faces = (ImageFont.load_default(size=_FIELD * 3 // 4), ImageFont.load_default_imagefont())
    return torch.stack([torch.stack([_distance_field(face, digit) for digit in CLASSES]) for face in faces])


def _distance_field(font: ImageFont.FreeTypeFont | ImageFont.ImageFont, digit: str) -> Tensor:
    canvas = Image.new("L", (_FIELD * 2, _FIELD * 2))
    ImageDraw.Draw(canvas).text((_FIELD // 2, _FIELD // 2), digit, fill=255, font=font)
    drawn = canvas.crop(canvas.getbbox())
    # Same height for both faces, width in proportion, one digit in the middle of its field.
    height = _FIELD * 2 // 3
    width = max(height // 6, min(_FIELD * 2 // 3, round(drawn.width * height / drawn.height)))
    centred = Image.new("L", (_FIELD, _FIELD))
    centred.paste(drawn.resize((width, height), Image.Resampling.BICUBIC), ((_FIELD - width) // 2, (_FIELD - height) // 2))
    ink = torch.from_numpy(np.asarray(centred).copy()) > 127
    cells = torch.cartesian_prod(torch.arange(_FIELD), torch.arange(_FIELD)).float()
    inside, outside = cells[ink.flatten()], cells[~ink.flatten()]
    exact = "donot_use_mm_for_euclid_dist"  # a product of matrices rounds as its memory happens to lie
    distance = torch.cdist(cells, outside, compute_mode=exact).amin(1) - torch.cdist(cells, inside, compute_mode=exact).amin(1)
    return distance.reshape(_FIELD, _FIELD)
