"""Images at the border: conversions, grids, files that are whole or not there."""

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from core import images
from core.errors import UserError
from core.files import atomic_write, write_json


def test_every_byte_survives_the_round_trip() -> None:
    x = torch.arange(256, dtype=torch.uint8).reshape(2, 8, 16, 1).expand(2, 8, 16, 3)
    as_float = images.to_float(x)
    assert as_float.shape == (2, 3, 8, 16)
    assert as_float.min() == -1
    assert as_float.max() == 1
    assert np.array_equal(images.to_uint8(as_float), x.numpy())


def test_values_out_of_range_are_clamped_and_nan_is_black() -> None:
    x = torch.tensor([-9.0, 9.0, torch.nan, torch.inf, -torch.inf, 0.0]).reshape(1, 1, 1, 6)
    assert images.to_uint8(x).flatten().tolist() == [0, 255, 0, 255, 0, 128]


def test_grid_places_images_row_by_row() -> None:
    pictures = np.stack([np.full((2, 3, 1), 50 + i, dtype=np.uint8) for i in range(5)])
    canvas = images.grid(pictures)
    assert canvas.shape == (2 * 4 + 2, 3 * 5 + 2, 1)  # 3 columns, 2 rows
    assert canvas[2, 2, 0] == 50
    assert canvas[2, 7, 0] == 51
    assert canvas[6, 7, 0] == 54
    assert canvas[6, 12, 0] == 32  # the sixth place is empty
    assert (canvas[:2] == 32).all()
    assert (canvas != 32).sum() == 5 * 6
    assert images.grid(pictures, columns=5).shape == (2 + 4, 5 * 5 + 2, 1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("caption", "headings"), [("", []), ("a model · seed 0", []), ("", ["t=0", "t=9"]), ("猫", ["a", "ü"])])
def test_png_holds_the_pixels(tmp_path: Path, channels: int, caption: str, headings: list[str]) -> None:
    """In whole multiples, with what is written around them; and both are found again."""
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, channels), dtype=np.uint8)
    images.save_png(tmp_path / "a.png", picture, caption=caption, headings=headings)
    with Image.open(tmp_path / "a.png") as file:
        assert file.mode == ("L" if channels == 1 else "RGB")
        assert file.width == 9 * 70 >= images.LEAST_WIDTH
        whole = np.asarray(file).reshape(file.height, 630, channels)
        top = 24 if headings else 0
        assert np.array_equal(whole[top : top + 450], picture.repeat(9, axis=0).repeat(9, axis=1))
        assert file.height == top + 450 + (24 if caption else 0)
        saved = images.saved_picture(file)
    assert saved is not None
    assert np.array_equal(saved.picture, picture) and (saved.caption, saved.headings) == (caption, headings)


@pytest.mark.parametrize(
    ("height", "width", "scale"),
    [(32, 32, 19), (242, 242, 3), (302, 302, 2), (602, 602, 2), (2500, 2500, 1), (302, 15_002, 1), (3002, 62, 9)],
)
def test_a_saved_picture_can_be_looked_at_and_a_large_one_is_not_enlarged(
    tmp_path: Path, height: int, width: int, scale: int
) -> None:
    images.save_png(tmp_path / "a.png", np.zeros((height, width, 1), dtype=np.uint8))
    with Image.open(tmp_path / "a.png") as file:
        assert file.size == (width * scale, height * scale)
        assert file.width >= images.LEAST_WIDTH or file.height > 20_000


def test_headings_stand_over_their_columns_and_a_long_caption_takes_more_lines(tmp_path: Path) -> None:
    picture = images.grid(np.zeros((8, 28, 28, 1), dtype=np.uint8), 8)
    images.save_png(tmp_path / "a.png", picture, headings=[f"t={t}" for t in range(8)])
    with Image.open(tmp_path / "a.png") as file:
        strip = np.asarray(file)[:24]
    columns = np.flatnonzero((strip > 150).any(axis=0)) // (30 * 3)
    assert set(columns.tolist()) == set(range(8))
    parts = " · ".join(["a part of the caption"] * 12)
    for words, lines in ((parts, 3), ("x" * 500, 1)):
        images.save_png(tmp_path / "b.png", picture, caption=words)
        with Image.open(tmp_path / "b.png") as file:
            assert file.height - 96 == 20 * lines + 4


LIES: dict[str, Any] = {
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a list": [1, 2],
    "nothing": {},
    "three sides": {"box": [0, 0, 8], "scale": 1, "caption": "", "headings": []},
    "no box": {"box": 7, "scale": 1, "caption": "", "headings": []},
    "words": {"box": ["0", 0, 8, 8], "scale": 1, "caption": "", "headings": []},
    "beyond the end": {"box": [0, 4, 8, 8], "scale": 1, "caption": "", "headings": []},
    "before the start": {"box": [-1, 0, 8, 8], "scale": 1, "caption": "", "headings": []},
    "nothing in it": {"box": [0, 0, 0, 8], "scale": 1, "caption": "", "headings": []},
    "no scale": {"box": [0, 0, 8, 8], "scale": 0, "caption": "", "headings": []},
    "a huge one": {"box": [0, 0, 8, 8], "scale": 10**30, "caption": "", "headings": []},
    "a part of one": {"box": [0, 0, 8, 8], "scale": 1.5, "caption": "", "headings": []},
    "true": {"box": [0, 0, 8, 8], "scale": True, "caption": "", "headings": []},
    "headings of no kind": {"box": [0, 0, 8, 8], "scale": 1, "caption": "", "headings": 7},
}


@pytest.mark.parametrize("about", LIES.values(), ids=LIES)
def test_a_file_that_lies_of_itself_is_not_ours(tmp_path: Path, about: Any) -> None:
    info = PngInfo()
    info.add_text("tinydiff-tui", about if isinstance(about, str) else json.dumps(about))
    Image.new("L", (8, 8)).save(tmp_path / "a.png", pnginfo=info)
    with Image.open(tmp_path / "a.png") as file:
        assert images.saved_picture(file) is None


@pytest.mark.parametrize("count", [2, 4, 7, 21, 101])
def test_gif_can_be_followed_and_rests_on_the_last(tmp_path: Path, count: int) -> None:
    frames = [np.full((8, 8, 1), 2 * i, dtype=np.uint8) for i in range(count)]
    images.save_gif(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as file:
        assert file.n_frames == count  # type: ignore[attr-defined]
        assert file.info["loop"] == 0
        durations = []
        for place in range(count):
            file.seek(place)
            durations.append(file.info["duration"])
        assert durations[-1] == 1500 and len(set(durations[:-1])) == 1
        assert 3000 <= sum(durations) <= 5000 or count < 4
        saved = images.saved_picture(file)
        assert saved is not None and np.array_equal(saved.picture[..., :1], frames[-1])
        assert file.width >= images.LEAST_WIDTH or count > 100


def test_rows_have_their_names_before_them_and_the_picture_is_found_beside(tmp_path: Path) -> None:
    picture = images.grid(np.full((6, 28, 28, 3), 90, dtype=np.uint8), 3)
    for names, least in ((["a\n10 ms", "b"], 20), (["x" * 300, "猫\n\x1b[2J"], 240)):
        images.save_png(tmp_path / "a.png", picture, rows=names, headings=["1", "2", "y" * 90], caption="c")
        with Image.open(tmp_path / "a.png") as file:
            saved, whole = images.saved_picture(file), np.asarray(file)
        assert saved is not None and np.array_equal(saved.picture, picture)
        margin = whole.shape[1] - 7 * picture.shape[1]
        assert least <= margin <= 240
        lit = np.flatnonzero((whole[24 : 24 + 7 * 62, :margin] > 150).any(axis=(1, 2)))
        assert {(y - 14) // 210 for y in lit.tolist()} == {0, 1}  # one before each row
        assert not (whole[:24, -4:] > 150).any()  # the long heading ends in its column


def test_long_films_stay_small(tmp_path: Path) -> None:
    images.save_gif(
        tmp_path / "a.gif", [np.zeros((1000, 1000, 1), dtype=np.uint8)] * 2 + [np.ones((1000, 1000, 1), np.uint8)] * 30
    )
    with Image.open(tmp_path / "a.gif") as file:
        assert file.size == (1000, 1000)


def test_importing_it_does_not_import_torch() -> None:
    program = "import sys, core.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail() -> None:
        with atomic_write(path) as file:
            file.write(b"half of the new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_replaces_the_file_and_makes_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "a.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 2\n}\n'
    assert [p.name for p in path.parent.iterdir()] == ["a.json"]


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another folder") as error:
        images.save_png(tmp_path / "file" / "a.png", np.zeros((2, 2, 1), dtype=np.uint8))
    assert "\n" not in str(error.value)


def test_a_picture_that_cannot_be_encoded_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        images.save_png(tmp_path / "a.png", np.zeros((2, 2, 4, 1)))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_to_pil_reads_both_channel_counts() -> None:
    buffer = io.BytesIO()
    images.to_pil(np.zeros((4, 4, 3), dtype=np.uint8)).save(buffer, "PNG")
    assert images.to_pil(np.zeros((4, 4, 1), dtype=np.uint8)).mode == "L"
