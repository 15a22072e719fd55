"""Any picture that Pillow opens as 8 bits of grey or colour: one function, `eight_bits`, decides what each mode means."""

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, ImageCms

GROUND = 128
"""The grey behind what is transparent: as far from black as from white, so that icons of either keep their shape."""
SIXTEEN_BITS = (0.0, 65_535.0)
_RANGES = (1.0, 255.0, 65_535.0)
_SAMPLE_FORMAT = 339  # of TIFF: 1 is unsigned
_STRIP = 1 << 20  # pixels looked at together: what is worked out for them is small beside a large picture

Span = tuple[float, float]
"""The values that become black and white."""


def has_colour(image: Image.Image) -> bool:
    """Whether the header promises colour; of a palette its entries decide."""
    if image.mode in ("P", "PA"):
        entries = np.array(image.getpalette() or [0, 0, 0]).reshape(-1, 3)
        return bool((entries != entries[:, :1]).any())
    return image.mode not in ("1", "L", "LA", "La", "F") and not image.mode.startswith("I")


def is_wide(image: Image.Image) -> bool:
    """Whether the values have more than 8 bits."""
    return image.mode == "F" or image.mode.startswith("I")


def own_span(image: Image.Image) -> Span | None:
    """(lowest, highest) finite value of a picture of 32 bits, whose format does not say what is white; None where it does.

    Raises ValueError when no value is a finite number, and for those that do not fit into the signed integers that Pillow has.
    """
    # PNG and PPM know 16 bits at most, which older versions of Pillow hand over as 32.
    if image.mode not in ("I", "F") or (image.format in ("PNG", "PPM") and image.mode == "I"):
        return None
    low, high = math.inf, -math.inf
    for _, strip in _strips(image, 1):
        values = np.asarray(strip)
        finite = values[np.isfinite(values)]
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
    if low > high:
        raise ValueError("it holds no finite number")
    if low < 0 and image.format == "TIFF" and getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (1,))[0] == 1:
        raise ValueError("its unsigned numbers of 32 bits are too large")
    return low, high


def widest(spans: list[Span]) -> Span:
    """What is black and white in pictures with these extremes: 0 and 1, 255 or 65535 where those fit, else the extremes."""
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    for white in _RANGES:
        if low >= 0 and white / 8 < high <= white:  # far below its white, the range is another one
            return 0.0, white
    return low, high


def eight_bits(image: Image.Image, mode: str, span: Span = SIXTEEN_BITS) -> Image.Image:
    """A picture of any mode as "L" or "RGB": what is transparent on GROUND, values of more than 8 bits scaled by `span`.

    NaN becomes black, infinities black and white. Raises one of Pillow's errors for a mode that nothing converts.
    """
    if is_wide(image):
        return _scaled(image, span).convert(mode)
    if image.has_transparency_data:
        over = image.convert("LA") if image.mode == "La" else image
        key = over.info.get("transparency")
        if isinstance(key, tuple) and max(key) > 255:  # of 16 bits a channel, of which Pillow keeps the upper 8
            over = over.copy()
            over.info["transparency"] = tuple(value >> 8 for value in key)
        ground = Image.new("RGBA", image.size, (GROUND, GROUND, GROUND, 255))
        return Image.alpha_composite(ground, over.convert("RGBA")).convert(mode)
    if image.mode == "LAB":
        seen: Any = ImageCms.applyTransform(image, _lab_to_rgb())
        return Image.Image.convert(seen, mode)
    return image.convert(mode)


def reduced(image: Image.Image, mode: str, span: Span, factor: int) -> Image.Image:
    """`eight_bits` of a picture at 1/factor of its size, strip by strip: no second copy of a large picture is made."""
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for top, strip in _strips(image, factor):
        whole = eight_bits(strip, mode, span)
        small.paste(whole.reduce(factor) if factor > 1 else whole, (0, top // factor))
    return small


def _strips(image: Image.Image, factor: int) -> Iterator[tuple[int, Image.Image]]:
    """(top, strip) over the whole width, each but the last a multiple of `factor` high."""
    rows = max(1, _STRIP // image.width // factor) * factor
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _scaled(image: Image.Image, span: Span) -> Image.Image:
    raw = np.asarray(image)
    low, high = span
    shares = (raw.astype(np.float64) - low) / ((high - low) or 1.0)
    grey = np.nan_to_num(shares, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1)
    pixels = (grey * 255).round().astype(np.uint8)
    key = image.info.get("transparency")
    if isinstance(key, int):
        pixels[raw == key] = GROUND
    return Image.fromarray(pixels)


@lru_cache(maxsize=1)
def _lab_to_rgb() -> Any:
    return ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
