"""Images at the border: conversions, grids, files that are whole or not there."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

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
def test_png_holds_the_pixels(tmp_path: Path, channels: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, channels), dtype=np.uint8)
    images.save_png(tmp_path / "a.png", picture, scale=3)
    with Image.open(tmp_path / "a.png") as file:
        assert file.size == (21, 15)
        assert file.mode == ("L" if channels == 1 else "RGB")
        assert np.array_equal(np.asarray(file).reshape(15, 21, channels)[1::3, 1::3], picture)


def test_gif_has_every_frame_and_rests_on_the_last(tmp_path: Path) -> None:
    frames = [np.full((8, 8, 1), 40 * i, dtype=np.uint8) for i in range(6)]
    images.save_gif(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as file:
        assert file.n_frames == 6  # type: ignore[attr-defined]
        assert file.info["loop"] == 0
        file.seek(5)
        assert file.info["duration"] == 2000


def test_label_row_keeps_the_picture_below_the_text() -> None:
    picture = np.zeros((10, 60, 1), dtype=np.uint8)
    labelled = images.label_row(picture, ["t=0", "t=999"], [0, 30])
    assert labelled.shape == (26, 60, 1)
    assert labelled[:16].max() > 100
    assert not labelled[16:].any()


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
