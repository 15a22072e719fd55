"""Pictures in a zip archive, in numpy's files and in parquet: read where they lie, and every file that lies is one sentence."""

import io
import json
import re
import stat
import struct
import sys
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.data.datasets import open_dataset, require
from core.errors import UserError

PICTURES = np.random.default_rng(0).integers(0, 255, (40, 12, 12, 1), dtype=np.uint8)


def png(value: int, side: int = 12) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), (value, 0, 255), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twenty pictures in two classes below one folder, and what has no place there."""
    path = tmp_path / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for k in range(20):
            packed.writestr(f"photos/{'cats' if k % 2 else 'dogs'}/{k:02}.png", png(k))
        packed.writestr("__MACOSX/photos/cats/._01.png", b"nothing")
        packed.writestr("photos/notes.txt", b"text")
    return path


def test_a_zip_is_read_where_it_lies(archive: Path, tmp_path: Path) -> None:
    require(f"folder:{archive}")
    train, test = (open_dataset(f"folder:{archive}", split) for split in ("train", "test"))
    assert train.classes == ("cats", "dogs") and len(train) + len(test) == 20 and train.skipped == ()
    reds = sorted(train.images[:, 0, 0, 0].tolist() + test.images[:, 0, 0, 0].tolist())
    assert reds == list(range(20))
    assert all(int(image[0, 0, 0]) % 2 == (label == 0) for image, label in zip(train.images, train.labels, strict=True))
    assert list(tmp_path.iterdir()) == [archive], "nothing is unpacked"
    again = open_dataset(f"folder:{archive}", "train")
    assert again.fingerprint == train.fingerprint


def test_what_a_zip_hides_is_left_out_with_its_reason(archive: Path) -> None:
    with zipfile.ZipFile(archive, "a") as packed:
        link = zipfile.ZipInfo("photos/cats/link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        packed.writestr(link, "/etc/passwd")
        packed.writestr("photos/../../out.png", png(1))
        packed.writestr("photos/cats/torn.png", png(1)[:50])
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("photos/cats/bomb.png", bytes(300 << 20))
    data = open_dataset(f"folder:{archive}")
    said = "; ".join(data.skipped)
    assert "link.png: a link, which is not followed in an archive" in said
    assert "../out.png: its name leads out of the archive" in said
    assert "bomb.png: 314,572,800 bytes, too large to be a picture" in said
    assert "torn.png: " in said
    assert sorted(set(data.classes)) == ["cats", "dogs"]


def test_a_zip_whose_pictures_are_damaged_loses_those_alone(archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as packed:
        info = packed.getinfo("photos/cats/03.png")
    content[info.header_offset + 30 + len(info.filename) + 5] ^= 0xFF
    archive.write_bytes(content)
    data = open_dataset(f"folder:{archive}")
    assert [line.partition(":")[0] for line in data.skipped] == ["cats/03.png"]


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda packed: packed.writestr("a.txt", "x"), "holds no images; give one that does"),
        (lambda packed: packed.writestr("a.png", "x"), "none of the 1 image files in .* can be read"),
        (lambda packed: None, "holds no images"),
    ],
)
def test_a_zip_without_pictures(tmp_path: Path, write: Any, sentence: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        write(packed)
    with pytest.raises(UserError, match=sentence):
        open_dataset(f"folder:{tmp_path / 'a.zip'}")


LAYOUTS: dict[str, dict[str, Any]] = {
    "keras": {
        "x_train": PICTURES[:30, ..., 0], "y_train": np.arange(30) % 3, "x_test": PICTURES[30:, ..., 0],
        "y_test": np.arange(10) % 3,
    },
    "medmnist": {
        "train_images": PICTURES[:30], "train_labels": (np.arange(30) % 3)[:, None], "test_images": PICTURES[30:],
        "test_labels": (np.arange(10) % 3)[:, None], "val_images": PICTURES[:1],
    },
    "floats first channel": {"images": PICTURES.transpose(0, 3, 1, 2) / 255, "labels": np.arange(40, dtype=np.uint8) % 3},
    "alone": {"arr_0": np.asfortranarray(PICTURES)},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_numpys_archives_as_others_lay_them_out(tmp_path: Path, name: str, save: Any) -> None:
    save(tmp_path / "set.npz", **LAYOUTS[name])
    require(f"folder:{tmp_path / 'set.npz'}")
    train, test = (open_dataset(f"folder:{tmp_path / 'set.npz'}", split) for split in ("train", "test"))
    own = name in ("keras", "medmnist")
    assert (len(train), len(test)) == ((30, 10) if own else (36, 4))
    assert train.images.shape[1:] == (12, 12, 1)
    assert test.images.numpy().tobytes() == (PICTURES[30:] if own else PICTURES[9::10]).tobytes()
    assert train.condition_classes == (0 if name == "alone" else 3)


def test_one_array_is_a_set_of_another_side_too(tmp_path: Path) -> None:
    np.save(tmp_path / "set.npy", PICTURES)
    data = open_dataset(f"folder:{tmp_path / 'set.npy'}", image_size=8)
    assert data.images.shape == (36, 8, 8, 1) and data.labels.unique().tolist() == [0]


def header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


ARRAYS: dict[str, tuple[bytes | Any, str]] = {
    "pickles": (np.array([{"a": 1}], object), "pickled objects, which could run code"),
    "lies": (header("(1000, 1000, 1000, 3)") + bytes(9), "its header promises more than there is"),
    "huge": (header(f"({10**12}, 9, 9, 1)"), "its header promises more than there is"),
    "negative": (header("(-4, 9, 9, 1)"), "cannot be read as pictures"),
    "long header": (header("(" + "1, " * 9000 + ")"), "cannot be read as pictures"),
    "text": (b"hello", "cannot be read as pictures"),
    "empty": (b"", "cannot be read as pictures"),
    "no images": (np.zeros((0, 4, 4), np.uint8), r"its images have the shape \(0, 4, 4\)"),
    "flat": (np.zeros(9, np.uint8), r"its images have the shape \(9,\)"),
    "whole numbers": (np.zeros((3, 4, 4), np.int64), "its images are int64; they are uint8, or floats from 0 to 1"),
    "bright": (np.full((3, 4, 4), 7.0), "its images are float64; they are uint8"),
    "nan": (np.full((3, 4, 4), np.nan), "its images are float64; they are uint8"),
}


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_an_array_that_lies_is_one_sentence(tmp_path: Path, name: str, suffix: str) -> None:
    content, sentence = ARRAYS[name]
    if isinstance(content, np.ndarray):
        buffer = io.BytesIO()
        np.save(buffer, content, allow_pickle=True)
        content = buffer.getvalue()
    path = tmp_path / f"set{suffix}"
    if suffix == ".npz":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("images.npy", content)
    else:
        path.write_bytes(content)
    with (
        warnings.catch_warnings(),
        pytest.raises(UserError, match=f"^{re.escape(str(path))} cannot be read as pictures: .*") as caught,
    ):
        warnings.simplefilter("error")
        open_dataset(f"folder:{path}")
    assert re.search(sentence, str(caught.value)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"pixels": PICTURES}, "no array in it is called images"),
        ({"images": PICTURES, "labels": np.arange(3)}, "its labels are not one whole number"),
        ({"images": PICTURES, "labels": np.full(40, -1)}, "its labels are not one whole number"),
        ({"images": PICTURES, "labels": np.zeros(40)}, "its labels are not one whole number"),
        ({"x_train": PICTURES}, "no array in it is called"),
    ],
)
def test_an_archive_of_arrays_that_do_not_fit(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(UserError, match=sentence):
        open_dataset(f"folder:{tmp_path / 'set.npz'}", "test")


# --- parquet


def parquet(path: Path, columns: dict[str, Any], names: list[str] | None = None) -> str:
    """Write a parquet file with the columns, and Hugging Face's description of its classes; its name as a data set."""
    arrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    table = arrow.table(columns)
    if names is not None:
        told = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(told)})
    write_table(table, path)
    return f"folder:{path}"


def test_a_parquet_file_of_pictures_is_a_set(tmp_path: Path) -> None:
    rows = [{"bytes": png(k), "path": None} for k in range(30)]
    name = parquet(tmp_path / "set.parquet", {"image": rows, "label": [k % 2 for k in range(30)]}, ["../cat", "dog"])
    require(name)
    train, test = open_dataset(name), open_dataset(name, "test")
    assert train.classes == ("_cat", "dog") and len(train) + len(test) == 30
    assert all(int(image[0, 0, 0]) % 2 == label for image, label in zip(train.images, train.labels, strict=True))
    bare = parquet(tmp_path / "bare.parquet", {"img": [png(k) for k in range(12)]})
    assert open_dataset(bare).condition_classes == 0


def test_rows_that_hold_no_picture_are_left_out(tmp_path: Path) -> None:
    name = parquet(tmp_path / "set.parquet", {"image": [png(1), b"nothing", None, b""], "label": [0, 0, 1, None]})
    data = open_dataset(name)
    assert len(data) == 1 and len(data.skipped) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "magic"])
def test_a_parquet_file_that_lies_is_one_sentence(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "set.parquet"
    parquet(path, {"image": [png(k) for k in range(9)]})
    whole = path.read_bytes()
    footer = len(whole) - 60
    path.write_bytes(
        {
            "cut": whole[:-20], "flipped": whole[: footer - 100] + bytes(100) + whole[footer:], "text": b"hello",
            "magic": b"PAR1" + b"\xff\xff\xff\x7f" + b"PAR1",
        }[damage]
    )  # fmt: skip
    with pytest.raises(UserError) as caught:
        open_dataset(f"folder:{path}")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_parquet_file_without_pictures(tmp_path: Path) -> None:
    name = parquet(tmp_path / "set.parquet", {"text": ["a"]})
    with pytest.raises(UserError, match="it has no column image or img or images, only text"):
        open_dataset(name)


def test_without_the_package_parquet_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UserError, match=r"pyarrow, which reads parquet, is not installed; install it with pip"):
        open_dataset(f"folder:{tmp_path / 'set.parquet'}")
