"""Files of MATLAB that lie, are torn, or hold something else than the pictures of house numbers: one sentence each."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.data.datasets import open_dataset
from core.errors import UserError
from tests.cases.test_public_sets import N, one_sentence
from tests.core.test_datasets import FUZZ
from tests.core.test_published import pictures as numbers
from tests.core.test_published import write_svhn

UINT8, CELL, STRUCT = 9, 1, 2


def element(kind: int, content: bytes, size: int | None = None) -> bytes:
    """A tag, the content, and zeros up to the next eighth byte, but behind what is packed; `size` is what the tag says."""
    behind = b"" if kind == 15 else bytes(-len(content) % 8)
    return struct.pack("<II", kind, len(content) if size is None else size) + content + behind


def matrix(name: str, of: int, dims: tuple[int, ...], data: bytes, size: int | None = None) -> bytes:
    parts = [element(6, struct.pack("<II", of, 0)), element(5, struct.pack(f"<{len(dims)}i", *dims)), element(1, name.encode())]
    return element(14, b"".join([*parts, element(2, data, size)]))


def mat(*variables: bytes, version: bytes = b"\0\1IM") -> bytes:
    return b"MATLAB 5.0 MAT-file, of a test".ljust(124) + version + b"".join(variables)


def nested(name: str, depth: int) -> bytes:
    """A cell in a cell in a cell."""
    head = element(6, struct.pack("<II", CELL, 0)) + element(5, struct.pack("<2i", 1, 1)) + element(1, name.encode())
    inner = matrix("", UINT8, (1, 1), b"\1")
    sizes = [len(inner) + (len(head) + 8) * level for level in range(depth)]
    return b"".join(struct.pack("<II", 14, size + len(head)) + head for size in reversed(sizes)) + inner


LABELS_OF_HOUSES = matrix("y", UINT8, (N, 1), bytes(i % 10 + 1 for i in range(N)))
HOUSES = matrix("X", UINT8, (32, 32, 3, N), numbers(N, (3, 32, 32)).tobytes())
WRITTEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "no .mat file of MATLAB 5"),
    "text": (b"text, " * 100, "no .mat file of MATLAB 5"),
    "MATLAB 7.3, which is HDF5": (mat(version=b"\0\2IM") + b"\x89HDF\r\n", "no .mat file of MATLAB 5"),
    "a header alone": (mat(), "not one array of numbers X and one y"),
    "half a header": (mat()[:100], "no .mat file of MATLAB 5"),
    "cut": (mat(LABELS_OF_HOUSES, HOUSES)[:-50], "shorter than it says"),
    "cut in a tag": (mat(LABELS_OF_HOUSES, HOUSES) + b"\x0e\0\0", ""),
    "packed and cut": (mat(LABELS_OF_HOUSES, element(15, zlib.compress(HOUSES)[:-3000])), "what is packed in it ends early"),
    "packed, and is no such thing": (mat(LABELS_OF_HOUSES, element(15, b"no zlib at all")), ""),
    "more images than there are": (mat(LABELS_OF_HOUSES, matrix("X", UINT8, (32, 32, 3, 10**6), bytes(3072))), ""),
    "images without a number": (mat(LABELS_OF_HOUSES, matrix("X", UINT8, (2**31 - 1,) * 4, bytes(3072))), ""),
    "fewer than none": (mat(LABELS_OF_HOUSES, matrix("X", UINT8, (-32, -32, 3, N), bytes(3072))), ""),
    "forty dimensions": (mat(LABELS_OF_HOUSES, matrix("X", UINT8, (1,) * 40, bytes(1))), ""),
    "longer than the file": (mat(LABELS_OF_HOUSES, matrix("X", UINT8, (32, 32, 3, N), bytes(3072), 2**32 - 8)), ""),
    "a variable of 4 GB": (mat(struct.pack("<II", 14, 2**32 - 8)), "shorter than it says"),
    "two of X": (mat(LABELS_OF_HOUSES, HOUSES, HOUSES), "not one array of numbers X and one y"),
    "cells in cells": (mat(LABELS_OF_HOUSES, nested("X", 100_000)), "not one array of numbers X and one y"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRITTEN)
def test_a_mat_file_that_lies(tmp_path: Path, case: str) -> None:
    write_svhn(tmp_path)
    content, said = WRITTEN[case]
    (tmp_path / "train_32x32.mat").write_bytes(content)
    one_sentence("svhn", tmp_path, said)


def test_a_mat_file_that_does_not_lie(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    expected = open_dataset("svhn", root=tmp_path)
    (tmp_path / "train_32x32.mat").write_bytes(mat(nested("Z", 100_000), element(15, zlib.compress(HOUSES)), LABELS_OF_HOUSES))
    data = open_dataset("svhn", root=tmp_path)
    assert data.labels.equal(expected.labels)
    assert np.array_equal(data.images.numpy().transpose(0, 3, 2, 1), numbers(N, (3, 32, 32)))


OTHER: dict[str, tuple[dict[str, Any], str]] = {
    "no X": ({"X": None}, "not one array of numbers X and one y"),
    "no y": ({"y": None}, "not one array of numbers X and one y"),
    "other names": ({"X": None, "x": numbers(N), "Y": np.ones(N)}, "not one array of numbers X and one y"),
    "X of objects": ({"X": np.array([numbers(1), "text"], object)}, "not one array of numbers X and one y"),
    "y of names": ({"y": {"digit": np.ones(N)}}, "not one array of numbers X and one y"),
    "y in words": ({"y": "one two three"}, "not one array of numbers X and one y"),
    "yes and no": ({"y": np.ones(N, bool)}, "not one array of numbers X and one y"),
    "X of doubles": ({"X": np.zeros((32, 32, 3, N))}, "its X is float64 of"),
    "images first": ({"X": numbers(N, (32, 32, 3))}, "its X is uint8 of"),
    "without colour": ({"X": numbers(32, (32, N))}, "its X is uint8 of"),
    "one label less": ({"y": np.ones((N - 1, 1), np.uint8)}, "do not belong together"),
    "no image": ({"X": np.zeros((32, 32, 3, 0), np.uint8), "y": np.zeros((0, 1), np.uint8)}, "do not belong together"),
    "eleven": ({"y": np.full((N, 1), 11, np.uint8)}, "a label is no class"),
    "below nought": ({"y": np.full((N, 1), -1, np.int16)}, "a label is no class"),
    "one and a half": ({"y": np.full((N, 1), 1.5)}, "a label is no class"),
    "no number": ({"y": np.full((N, 1), np.nan)}, "a label is no class"),
    "complex": ({"y": np.full((N, 1), 1 + 1j)}, "not one array of numbers X and one y"),
}


@pytest.mark.parametrize("case", OTHER)
@pytest.mark.parametrize("packed", [True, False])
def test_a_mat_file_of_something_else(tmp_path: Path, case: str, packed: bool) -> None:
    changes, said = OTHER[case]
    write_svhn(tmp_path, changes, packed=packed)
    one_sentence("svhn", tmp_path, said)


def test_a_mat_file_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_svhn(tmp_path, {"Z": np.zeros(1 << 20, np.uint8)})
    assert len(open_dataset("svhn", root=tmp_path)) == N
    monkeypatch.setattr("core.data.svhn.MOST_BYTES", 1 << 20)
    one_sentence("svhn", tmp_path, "larger unpacked than these pictures can be")


@pytest.mark.parametrize("meant", [UINT8, 6], ids=["nothing is left for the next", "bytes that stand for doubles"])
def test_a_mat_file_that_just_fills_what_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meant: int) -> None:
    write_svhn(tmp_path)
    first = matrix("Z", meant, (1 << 20, 1), bytes(1 << 20))
    monkeypatch.setattr("core.data.svhn.MOST_BYTES", len(first) + (meant == 6))
    packed = [element(15, zlib.compress(variable)) for variable in (first, HOUSES)]
    (tmp_path / "train_32x32.mat").write_bytes(mat(*packed, LABELS_OF_HOUSES))
    one_sentence("svhn", tmp_path, "larger unpacked than these pictures can be")


@pytest.mark.parametrize("packed", [True, False])
@FUZZ
@given(flips=st.lists(st.tuples(st.integers(120, 420), st.integers(0, 255)), min_size=1, max_size=6))
def test_any_bytes_in_the_head_of_a_mat_file(tmp_path: Path, packed: bool, flips: list[tuple[int, int]]) -> None:
    write_svhn(tmp_path)
    plain = bytearray(mat(LABELS_OF_HOUSES, HOUSES))
    for place, value in flips:
        plain[place] = value
    variables = bytes(plain[128:])
    content = mat(element(15, zlib.compress(variables, 1)), version=bytes(plain[124:128])) if packed else bytes(plain)
    (tmp_path / "train_32x32.mat").write_bytes(content)
    try:
        data = open_dataset("svhn", root=tmp_path)
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert data.images.shape == (N, 32, 32, 3) and 0 <= data.labels.min() <= data.labels.max() < 10
