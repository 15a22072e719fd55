"""Kind A, pixels keep their meaning: every mode of Pillow, what is transparent, wide values, colour, bombs, memory."""

import io
import os
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data import folder
from core.data.datasets import ImageSet, open_dataset
from core.data.folder import _read
from core.data.pixels import GROUND, eight_bits, has_colour, widest
from core.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(folder, "user_folder", lambda kind: cache)
    return cache


def read(path: Path) -> ImageSet:
    """Both splits of a folder as one, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train, test = open_dataset(f"folder:{path}"), open_dataset(f"folder:{path}", "test")
    return train if len(train) >= len(test) else test


def palette(entries: list[int], transparency: Any = None) -> Image.Image:
    """Index 0 on the left, 1 on the right."""
    image = Image.new("P", (8, 8))
    image.putpalette(entries)
    image.paste(1, (4, 0, 8, 8))
    if transparency is not None:
        image.info["transparency"] = transparency
    return image


def keyed(mode: str, left: Any, right: Any, key: Any) -> Image.Image:
    image = Image.new(mode, (8, 8), left)
    image.paste(right, (4, 0, 8, 8))
    image.info["transparency"] = key
    return image


HALF = (GROUND + 1) // 2
BLACK, WHITE, RED = [0] * 3, [255] * 3, [255, 0, 0]
ROWS: list[tuple[str, Image.Image, list[int], list[int]]] = [
    ("1", Image.new("1", (8, 8), 1), WHITE, WHITE),
    ("1 with a key", keyed("1", 0, 1, 0), [GROUND] * 3, WHITE),
    ("L", Image.new("L", (8, 8), 77), [77] * 3, [77] * 3),
    ("L with a key", keyed("L", 9, 200, 9), [GROUND] * 3, [200] * 3),
    ("LA black", Image.new("LA", (8, 8), (0, 255)), BLACK, BLACK),
    ("LA unseen", Image.new("LA", (8, 8), (0, 0)), [GROUND] * 3, [GROUND] * 3),
    ("LA half black", Image.new("LA", (8, 8), (0, 127)), [HALF] * 3, [HALF] * 3),
    ("La half white", Image.new("LA", (8, 8), (255, 128)).convert("La"), [192] * 3, [192] * 3),
    ("P", palette([*RED, *WHITE]), RED, WHITE),
    ("P with a key", palette([*RED, *WHITE], 0), [GROUND] * 3, WHITE),
    ("P with bytes", palette([*RED, *BLACK], b"\x00\xff"), [GROUND] * 3, BLACK),
    ("PA", palette([*RED, *WHITE]).convert("PA"), RED, WHITE),
    ("RGB", Image.new("RGB", (8, 8), "red"), RED, RED),
    ("RGB with a key", keyed("RGB", "red", "white", (255, 0, 0)), [GROUND] * 3, WHITE),
    ("RGB with a key of 16 bits", keyed("RGB", "red", "white", (0xFFFF, 0, 0)), [GROUND] * 3, WHITE),
    ("RGBA seen", Image.new("RGBA", (8, 8), (255, 0, 0, 255)), RED, RED),
    ("RGBA unseen white", Image.new("RGBA", (8, 8), (255, 255, 255, 0)), [GROUND] * 3, [GROUND] * 3),
    ("RGBa", Image.new("RGBA", (8, 8), (255, 0, 0, 255)).convert("RGBa"), RED, RED),
    ("RGBX", Image.new("RGB", (8, 8), "red").convert("RGBX"), RED, RED),
    ("CMYK", Image.new("RGB", (8, 8), "red").convert("CMYK"), RED, RED),
    ("YCbCr", Image.new("RGB", (8, 8), "red").convert("YCbCr"), [254, 0, 0], [254, 0, 0]),
    ("HSV", Image.new("RGB", (8, 8), "red").convert("HSV"), RED, RED),
    ("LAB white", Image.new("LAB", (8, 8), (255, 128, 128)), WHITE, WHITE),
    ("LAB black", Image.new("LAB", (8, 8), (0, 128, 128)), BLACK, BLACK),
    ("I;16", Image.fromarray(np.full((8, 8), 0x8080, np.uint16)), [128] * 3, [128] * 3),
    ("I;16B", Image.new("I", (8, 8), 0x8080).convert("I;16B"), [128] * 3, [128] * 3),
    ("I;16 with a key", keyed("I;16", 700, 65_535, 700), [GROUND] * 3, WHITE),
]  # fmt: skip


@pytest.mark.parametrize(("image", "left", "right"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_each_mode_means(image: Image.Image, left: list[int], right: list[int]) -> None:
    seen = np.asarray(eight_bits(image, "RGB")).astype(int)
    assert seen.shape == (8, 8, 3)
    assert np.abs(seen[4, 1] - left).max() <= 1
    assert np.abs(seen[4, 6] - right).max() <= 1
    grey = np.asarray(eight_bits(image, "L")).astype(int)
    weights = np.array([0.299, 0.587, 0.114])
    assert abs(grey[4, 1] - weights @ left) <= 2 and abs(grey[4, 6] - weights @ right) <= 2


@pytest.mark.parametrize("colour", [0, 255], ids=["black", "white"])
def test_the_shape_of_an_icon_survives(tmp_path: Path, colour: int) -> None:
    alpha = np.zeros((16, 16), np.uint8)
    alpha[4:12, 4:12] = 255
    pixels = np.dstack([np.full((16, 16, 3), colour, np.uint8), alpha])
    Image.fromarray(pixels).save(tmp_path / "rgba.png")
    Image.fromarray(pixels[..., 2:]).save(tmp_path / "la.png")
    Image.fromarray(pixels).quantize(4).save(tmp_path / "p.png")
    Image.fromarray(pixels).save(tmp_path / "w.webp", lossless=True)
    data = read(tmp_path)
    assert all(image.float().std() > 40 for image in data.images)
    assert "transparent stands on mid-grey" in data.describe()


@pytest.mark.parametrize(
    ("entries", "mode", "colour"),
    [
        ([0, 0, 0, 255, 255, 255], "P", False),
        ([0, 0, 0, 255, 0, 0], "P", True),
        ([7, 7, 7, 9, 9, 9], "PA", False),
        ([7, 7, 8, 9, 9, 9], "PA", True),
    ],
)
def test_a_palette_is_colour_only_if_an_entry_is(entries: list[int], mode: str, colour: bool) -> None:
    assert has_colour(palette(entries).convert(mode)) is colour


def test_one_colour_header_among_many_is_enough(tmp_path: Path) -> None:
    for i in range(150):
        Image.new("L", (4, 4), i).save(tmp_path / f"{i:03}.png")
    assert read(tmp_path).channels == 1
    palette([0, 0, 0, 90, 90, 90]).save(tmp_path / "099a.png")
    Image.new("LA", (4, 4), (9, 255)).save(tmp_path / "099b.png")
    assert read(tmp_path).channels == 1
    Image.new("RGB", (4, 4), "red").save(tmp_path / "101a.png")
    assert read(tmp_path).channels == 3


WIDE = [
    ([0.0, 0.25, 1.0], [0, 64, 255]),
    ([0.0, 64.0, 255.0], [0, 64, 255]),
    ([0.0, 16_448.0, 65_535.0], [0, 64, 255]),
    ([-1.0, 0.0, 1.0], [0, 128, 255]),
    ([0.0, 1.0, 2.0], [0, 128, 255]),
    ([0.0, 2048.0, 4095.0], [0, 128, 255]),
    ([1e30, 2e30, 3e30], [0, 128, 255]),
    ([0.0, 1e-3, 2e-3], [0, 128, 255]),
    ([float("nan"), 0.5, 1.0], [0, 128, 255]),
    ([float("-inf"), 1.0, float("inf")], [0, 255, 255]),
]


@pytest.mark.parametrize(("values", "pixels"), WIDE)
def test_floats_are_scaled_by_the_range_of_the_set(tmp_path: Path, values: list[float], pixels: list[int]) -> None:
    for i, value in enumerate(values[:2]):  # two values to a file: the range is that of the set
        Image.fromarray(np.array([[value, values[i + 1]]] * 2, np.float32)).save(tmp_path / f"{i}.tif")
    data = read(tmp_path)
    assert data.channels == 1
    assert set(data.images.flatten().tolist()) <= set(pixels)
    spans = [(min(v for v in values if np.isfinite(v)), max(v for v in values if np.isfinite(v)))]
    seen = [np.asarray(eight_bits(Image.fromarray(np.full((1, 1), v, np.float32)), "L", widest(spans)))[0, 0] for v in values]
    assert seen == pixels


def test_thirty_two_bit_integers_are_scaled_and_files_without_a_number_left_out(tmp_path: Path) -> None:
    for i, value in enumerate([0, 500_000, 1_000_000]):
        Image.fromarray(np.full((4, 4), value, np.int32)).save(tmp_path / f"{i}.tif")
    Image.fromarray(np.full((4, 4), np.nan, np.float32)).save(tmp_path / "nan.tif")
    data = read(tmp_path)
    assert {int(image.max()) for image in data.images} <= {0, 128, 255}
    assert data.skipped == ("nan.tif: it holds no finite number",)


def test_unsigned_numbers_that_pillow_would_take_for_negative_ones_are_left_out(tmp_path: Path) -> None:
    tags = {256: 4, 257: 4, 258: 32, 259: 1, 262: 1, 273: 200, 277: 1, 278: 4, 279: 64, 339: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    for name, values in (("high", [0, 2**32 - 1]), ("low", [0, 2**31 - 1])):
        (tmp_path / f"{name}.tif").write_bytes(header.ljust(200, b"\0") + np.array(values * 8, "<u4").tobytes())
    data = read(tmp_path)
    assert data.skipped == ("high.tif: its unsigned numbers of 32 bits are too large",)
    assert sorted(data.images.unique().tolist()) == [0, 255]


def bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_000, 9_500), (30_000, 30_000)], ids=["a warning of Pillow", "an error of Pillow"])
def test_a_bomb_is_left_out_with_its_reason(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "bomb.png").write_bytes(bomb(*size))
    with pytest.raises(UserError, match=r"none of the 1 image files .* \(bomb.png: more than 89 million pixels\)"):
        read(tmp_path)
    Image.new("L", (4, 4), 5).save(tmp_path / "a.png")
    assert read(tmp_path).skipped == ("bomb.png: more than 89 million pixels",)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("large", [False, True], ids=["small", "drafted"])
def test_pictures_stand_upright(tmp_path: Path, orientation: int, large: bool) -> None:
    side = 1024 if large else 32
    upright = np.zeros((side, side), np.uint8)
    upright[: side // 2, : side // 2], upright[: side // 2, side // 2 :] = 255, 128
    stored = np.rot90(upright, {3: 2, 4: 2, 6: 1, 7: 1, 8: -1, 5: -1}.get(orientation, 0))
    stored = np.fliplr(stored) if orientation in (2, 4, 5, 7) else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.jpg", exif=exif, quality=95)
    seen = _read(tmp_path / "a.jpg", (16, 16), "L")[..., 0].astype(int)
    assert np.abs(np.array([seen[3, 3], seen[3, 12], seen[12, 3], seen[12, 12]]) - [255, 128, 0, 0]).max() < 12


def test_a_drafted_photo_is_the_whole_one_made_small(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((2000, 1500), Image.Resampling.BICUBIC)
    for name in ("a.jpg", "a.png"):
        photo.save(tmp_path / name, quality=95)
    square = photo.crop((250, 0, 1750, 1500)).resize((32, 32), Image.Resampling.LANCZOS)
    for name in ("a.jpg", "a.png"):
        assert np.abs(_read(tmp_path / name, (32, 32), "RGB").astype(int) - np.asarray(square)).mean() < 1.5


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_an_oblong_photo_is_whole_and_upright(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((96, 128), np.uint8)
    upright[:48, :64], upright[48:, 64:] = 255, 128
    stored = np.rot90(upright, {3: 2, 6: 1, 8: -1}.get(orientation, 0))
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / name, exif=exif, quality=95)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.size == (64, 85) and "64x85x1" in data.describe()
    corners = data.images[0, [5, 5, 58, 58], [5, 80, 5, 80], 0].int().numpy()
    assert np.abs(corners - [255, 0, 0, 128]).max() < 12
    assert open_dataset(f"folder:{tmp_path}", image_size=24).size == (24, 24), "squares where they are asked for"
    Image.new("L", (40, 128)).save(tmp_path / "c.png")
    assert len(set(open_dataset(f"folder:{tmp_path}").size)) == 1, "pictures of several shapes are cut to squares"


@pytest.mark.slow
def test_twelve_large_photos_take_little_memory(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    photo = Image.fromarray(noise).resize((6000, 4000))
    for i in range(12):
        photo.save(tmp_path / f"{i:02}.jpg", quality=85)
    code = (
        "import resource, sys, core.data.folder as f; from core.data.tree import find_pictures; from pathlib import Path\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; f._decode(find_pictures(Path(sys.argv[1])), 0)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 60 * 1024, "KiB above an idle process"


def test_no_more_threads_than_cores() -> None:
    assert 1 <= folder._cores() <= (os.cpu_count() or 1)


# --- any picture at all

MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B")


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mode=st.sampled_from(MODES),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    target=st.sampled_from(["L", "RGB"]),
    seed=st.integers(0, 1000),
)
def test_any_mode_and_size_become_eight_bits_in_the_same_order_of_brightness(
    mode: str, size: tuple[int, int], target: str, seed: int
) -> None:
    width, height = size
    rng = np.random.default_rng(seed)
    pair = []
    for low, high in ((0, 90), (160, 256)):  # a dark and a bright one
        grey = Image.fromarray(rng.integers(low, high, (height, width), dtype=np.uint8))
        if mode == "1":
            image = Image.new("1", size, int(low > 0))
        elif mode == "F":
            image = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
        elif mode.startswith("I"):
            wide = np.asarray(grey).astype(np.uint16) * 257
            image = Image.fromarray(wide.astype(np.int32) if mode == "I" else wide)
            image = image.convert("I").convert("I;16B") if mode == "I;16B" else image
        elif mode == "LAB":
            image = Image.merge("LAB", [grey, *[Image.new("L", size, 128)] * 2])
        elif mode in ("La", "RGBa"):
            image = grey.convert(mode[:-1] + "A").convert(mode)
        elif mode == "PA":
            image = grey.convert("P").convert("PA")
        else:
            image = grey.convert("RGB").convert(mode)
        assert image.mode == mode
        span = widest([(0.0, 1.0 if mode == "F" else 65_535.0)])
        seen = eight_bits(image, target, span)
        assert (seen.mode, seen.size) == (target, size)
        pair.append(np.asarray(seen).mean())
    assert pair[0] < pair[1]


SAVED = ("png", "tif", "webp", "jp2", "avif", "gif", "bmp", "tga", "ppm", "jpg", "ico", "pcx", "sgi", "im", "qoi", "dds")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    suffix=st.sampled_from(SAVED),
    mode=st.sampled_from(MODES),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 1000),
    upper=st.booleans(),
)
@example(suffix="png", mode="1", size=(95, 225), seed=0, upper=False)  # the middle of it began a hair outside, by rounding
def test_any_file_that_pillow_writes_is_read(
    tmp_path: Path, suffix: str, mode: str, size: tuple[int, int], seed: int, upper: bool
) -> None:
    for old in tmp_path.glob("*"):
        old.unlink()
    content = io.BytesIO()
    try:
        Image.effect_noise(size, 60 + seed % 40).convert(mode).save(content, Image.registered_extensions()["." + suffix])
    except (OSError, ValueError, KeyError, RuntimeError):  # not a mode of this format
        return
    (tmp_path / f"a.{suffix.upper() if upper else suffix}").write_bytes(content.getvalue())
    data = read(tmp_path)
    assert data.skipped == () and len(data) == 1
    assert data.images.dtype.itemsize == 1 and data.side <= 64 and data.channels in (1, 3)
