"""The data sets: glyphs, IDX files whole and torn, folders of images, and downloads from a server of the test's own."""

import gzip
import hashlib
import http.server
import io
import json
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data import folder
from core.data.datasets import data_root, default_dataset, describe, list_datasets, open_dataset, require
from core.data.download import Progress, download
from core.data.glyphs import make_glyphs
from core.errors import UserError
from tests.conftest import few_glyphs

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])

# --- glyphs


def test_glyphs_hang_on_their_seed_alone() -> None:
    images, labels = make_glyphs(300, seed=0)
    again, labels_again = make_glyphs(300, seed=0)
    assert images.equal(again)
    assert labels.equal(labels_again)
    assert not images.equal(make_glyphs(300, seed=1)[0])


def test_glyphs_are_balanced_and_all_different() -> None:
    images, labels = make_glyphs(3000, seed=0)
    assert images.shape == (3000, 28, 28, 1)
    assert images.dtype == torch.uint8
    assert labels.bincount().tolist() == [300] * 10
    assert len({image.numpy().tobytes() for image in images}) == 3000


def test_glyphs_of_a_class_vary_and_still_look_alike() -> None:
    images, labels = make_glyphs(2000, seed=0)
    x = images.flatten(1).float() / 255
    means = torch.stack([x[labels == digit].mean(0) for digit in range(10)])
    for digit in range(10):
        ink = x[labels == digit].sum(1)
        assert ink.std() > 0.15 * ink.mean()
        assert ink.min() > 10, "an image is all but empty"
    nearest = torch.cdist(x, means).argmin(1)
    assert (nearest == labels).float().mean() > 0.5, "the means of the classes tell the digits apart"


def test_the_test_split_of_glyphs_holds_no_image_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    few_glyphs(monkeypatch, 2000, 500)
    train, test = open_dataset("glyphs"), open_dataset("glyphs", "test")
    assert (len(train), len(test), train.side, train.channels) == (2000, 500, 28, 1)
    assert train.classes == test.classes == tuple("0123456789")
    assert not {i.numpy().tobytes() for i in train.images} & {i.numpy().tobytes() for i in test.images}


# --- names


@pytest.mark.parametrize("name", ["", "MNIST", "nothing", "../mnist", "folder"])
def test_an_unknown_set_is_refused_with_the_known_ones(name: str, tmp_path: Path) -> None:
    for ask in (lambda: open_dataset(name, root=tmp_path), lambda: require(name, tmp_path), lambda: describe(name, tmp_path)):
        with pytest.raises(
            UserError, match="glyphs, mnist, fashion_mnist, kmnist, qmnist, emnist_letters, cifar10, svhn or folder:PATH"
        ):
            ask()


def test_an_unknown_split_and_a_wrong_side_are_refused() -> None:
    with pytest.raises(UserError, match="train or test"):
        open_dataset("glyphs", "validation")
    with pytest.raises(UserError, match="side 28"):
        open_dataset("glyphs", image_size=32)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
def test_a_set_that_is_not_there_names_the_ways_to_it(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"datasets --download {name}.*by hand.*--dataset glyphs"):
        open_dataset(name, root=tmp_path)
    assert list(tmp_path.iterdir()) == []


# --- IDX files

SETS = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(array: np.ndarray) -> bytes:
    """LeCun's format: 0, 0, type (8 is uint8), number of dimensions, big-endian sizes, then the bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx_files(train: int = 40, test: int = 20) -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for prefix, count in (("train", train), ("t10k", test)):
        files[f"{prefix}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (count, 28, 28)))
        files[f"{prefix}-labels-idx1-ubyte"] = idx(np.arange(count) % 10)
    return files


def write_idx(root: Path, name: str = "mnist", changes: Mapping[str, bytes] = {}) -> Path:
    raw = root / SETS[name] / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for file, content in {**idx_files(), **changes}.items():
        (raw / file).write_bytes(content)
    return raw


@pytest.mark.parametrize("name", SETS)
def test_idx_files_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    write_idx(tmp_path, name)
    assert describe(name, tmp_path).status == "on disk"
    for split, prefix, count in (("train", "train", 40), ("test", "t10k", 20)):
        data = open_dataset(name, split, tmp_path)
        assert data.images.shape == (count, 28, 28, 1)
        assert data.images.numpy().tobytes() == idx_files()[f"{prefix}-images-idx3-ubyte"][16:]
        assert data.labels.tolist() == [i % 10 for i in range(count)]
        assert len(data.classes) == 10


def test_mnist_is_the_default_when_it_is_on_disk(tmp_path: Path) -> None:
    assert default_dataset(tmp_path) == "glyphs"
    assert [info.status for info in list_datasets(tmp_path)] == ["embedded"] + ["can be downloaded"] * 7
    write_idx(tmp_path)
    assert default_dataset(tmp_path) == "mnist"
    assert open_dataset("mnist", root=tmp_path).classes[:2] == ("0", "1")


def refused(root: Path, split: str = "train") -> None:
    with pytest.raises(UserError, match=r"^the files of mnist in .* cannot be read .* datasets --download mnist'$") as caught:
        open_dataset("mnist", split, root)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("file", [IMAGES, LABELS])
@pytest.mark.parametrize("keep", [0, 1, 3, 4, 6, 8, 12, 15, 16, 17, -1])
def test_idx_files_that_end_early(tmp_path: Path, file: str, keep: int) -> None:
    write_idx(tmp_path, changes={file: idx_files()[file][:keep]})
    refused(tmp_path)
    assert len(open_dataset("mnist", "test", tmp_path)) == 20, "the other split is whole"


@pytest.mark.parametrize(("file", "header"), [(IMAGES, 16), (LABELS, 8)])
def test_idx_files_with_a_flipped_header(tmp_path: Path, file: str, header: int) -> None:
    whole = idx_files()[file]
    raw = write_idx(tmp_path)
    for place in range(2, header):  # the first two bytes are 0 and say nothing
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            (raw / file).write_bytes(flipped)
            refused(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {LABELS: idx(np.arange(39) % 10)},
        {LABELS: idx(np.full(40, 10))},
        {IMAGES: idx(np.zeros((40, 14, 56)))},
        {IMAGES: idx(np.zeros((10, 56, 56)))},
        {IMAGES: idx(np.zeros((0, 28, 28))), LABELS: idx(np.zeros(0))},
        {IMAGES: idx(np.zeros(40)), LABELS: idx(np.zeros((40, 28, 28)))},
    ],
    ids=["fewer labels", "an eleventh class", "another shape", "another size", "empty", "exchanged"],
)
def test_idx_files_that_do_not_belong_together(tmp_path: Path, changes: dict[str, bytes]) -> None:
    write_idx(tmp_path, changes=changes)
    refused(tmp_path)


@pytest.mark.parametrize("gone", [LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_a_set_with_a_file_missing(tmp_path: Path, gone: str) -> None:
    (write_idx(tmp_path) / gone).unlink()
    refused(tmp_path)


@FUZZ
@given(content=st.binary(max_size=100), file=st.sampled_from([IMAGES, LABELS]))
def test_any_bytes_as_idx(tmp_path: Path, content: bytes, file: str) -> None:
    write_idx(tmp_path, changes={file: content})
    refused(tmp_path)


@pytest.mark.realdata
def test_mnist_itself() -> None:
    root = Path(os.environ.get("TINYDIFF_DATA_DIR", "/nonexistent"))
    if describe("mnist", root).status != "on disk":
        pytest.skip("MNIST is not in TINYDIFF_DATA_DIR")
    train, test = open_dataset("mnist", root=root), open_dataset("mnist", "test", root)
    assert train.images.shape == (60_000, 28, 28, 1)
    assert test.images.shape == (10_000, 28, 28, 1)
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.images.float().mean() / 255 == pytest.approx(0.1307, abs=1e-4)


# --- folders


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of folders, empty at the start of each test."""
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(folder, "user_folder", lambda kind: cache)
    return cache


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (20, 20), value: int = 0) -> Path:
    """An image of one value; in RGB its red is `value` and its blue is full."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, (value, 0, 255) if mode == "RGB" else value).save(path)
    return path


def cached(cache: Path) -> dict[str, tuple[int, int]]:
    """Every file of the cache with its time and inode."""
    return {str(f): (f.stat().st_mtime_ns, f.stat().st_ino) for f in cache.rglob("*") if f.is_file()}


def test_a_folder_keeps_its_colours_and_its_classes(tmp_path: Path) -> None:
    for i in range(30):
        picture(tmp_path / ("cats" if i % 3 else "dogs") / f"{i}.png", value=i)
    train, test = open_dataset(f"folder:{tmp_path}"), open_dataset(f"folder:{tmp_path}", "test")
    assert train.classes == ("cats", "dogs")
    assert (train.side, train.channels, train.skipped) == (20, 3, ())
    pixels = torch.cat([train.images, test.images])
    labels = torch.cat([train.labels, test.labels])
    assert sorted(pixels[:, 0, 0, 0].tolist()) == list(range(30))
    assert (pixels[..., 2] == 255).all()
    assert labels.tolist() == [0 if value % 3 else 1 for value in pixels[:, 0, 0, 0].tolist()]


@pytest.mark.parametrize("mode", ["L", "1"])
def test_a_greyscale_folder_has_one_channel(tmp_path: Path, mode: str) -> None:
    for i in range(5):
        picture(tmp_path / f"{i}.png", mode, value=1 if mode == "1" else 200)
    data = open_dataset(f"folder:{tmp_path}")
    assert (data.channels, data.classes) == (1, (tmp_path.name,))
    assert (data.images == (255 if mode == "1" else 200)).all()


def test_one_colour_image_makes_the_folder_colour(tmp_path: Path) -> None:
    for i in range(3):
        picture(tmp_path / f"{i}.png", "L", value=90)
    picture(tmp_path / "colour.png", value=90)
    data = open_dataset(f"folder:{tmp_path}")
    assert data.channels == 3
    assert (data.images == 90).all(dim=(1, 2, 3)).sum() >= 2


@pytest.mark.parametrize(
    ("size", "image_size", "shape"),
    [
        ((20, 20), 0, (20, 20)), ((200, 100), 0, (64, 128)), ((20, 31), 0, (31, 20)), ((20, 20), 28, (28, 28)),
        ((300, 300), 96, (96, 96)), ((200, 100), 32, (32, 32)), ((500, 100), 0, (64, 64)),
    ],
)  # fmt: skip
def test_the_side_of_a_folder(tmp_path: Path, size: tuple[int, int], image_size: int, shape: tuple[int, int]) -> None:
    picture(tmp_path / "a.png", size=size)
    data = open_dataset(f"folder:{tmp_path}", image_size=image_size)
    assert data.images.shape == (1, *shape, 3)


def test_the_middle_of_a_wide_image_is_taken(tmp_path: Path) -> None:
    image = np.zeros((10, 30), np.uint8)
    image[:, 10:20] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    assert (open_dataset(f"folder:{tmp_path}", image_size=10).images == 255).all()


def test_files_that_cannot_be_read_are_skipped_and_named(tmp_path: Path) -> None:
    whole = [picture(tmp_path / "a" / f"{i}.png", value=i) for i in range(10)]
    (tmp_path / "a" / "torn.png").write_bytes(whole[0].read_bytes()[:50])
    (tmp_path / "a" / "empty.jpg").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "text.png").write_text("no image")
    (tmp_path / "notes.txt").write_text("not an image, and not said to be one")
    train, test = open_dataset(f"folder:{tmp_path}"), open_dataset(f"folder:{tmp_path}", "test")
    assert (
        train.skipped
        == test.skipped
        == (
            "a/empty.jpg: an empty file",
            "a/torn.png: image file is truncated",
            "b/text.png: not a picture that can be read",
        )
    )
    assert train.classes == ("a",), "a class has an image that can be read"
    assert not train.labels.any()


def test_the_cache_is_reused_until_a_file_changes(tmp_path: Path, own_cache: Path) -> None:
    for i in range(5):
        picture(tmp_path / f"{i}.png", value=10)
    name = f"folder:{tmp_path}"
    open_dataset(name)
    before = cached(own_cache)
    assert len(before) == 2
    open_dataset(name)
    open_dataset(name, "test")
    assert cached(own_cache) == before

    for i in range(5):
        picture(tmp_path / f"{i}.png", value=99)
    assert (open_dataset(name).images[..., 0] == 99).all()
    after = cached(own_cache)
    assert set(after) > set(before)
    picture(tmp_path / "more" / "5.png", value=99)
    assert set(open_dataset(name).classes) == {"more", tmp_path.name}
    assert {key: value for key, value in cached(own_cache).items() if key in after} == after


def test_writing_to_the_images_leaves_the_cache_alone(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", value=10)
    name = f"folder:{tmp_path}"
    open_dataset(name).images.zero_()
    assert (open_dataset(name).images[..., 0] == 10).all()


def test_a_half_written_cache_is_made_again(tmp_path: Path, own_cache: Path) -> None:
    picture(tmp_path / "a.png", value=10)
    name = f"folder:{tmp_path}"
    open_dataset(name)
    for index in own_cache.rglob("index.json"):  # written last
        index.unlink()
    for images in own_cache.rglob("images.npy"):
        images.write_bytes(b"torn")
    assert (open_dataset(name).images[..., 0] == 10).all()


@pytest.mark.parametrize("file", ["images.npy", "index.json"])
@pytest.mark.parametrize("damage", ["torn", "empty", "text", "shorter", "other"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, own_cache: Path, file: str, damage: str) -> None:
    for i in range(3):
        picture(tmp_path / f"{i}.png", value=10)
    name = f"folder:{tmp_path}"
    count = len(open_dataset(name))
    (path,) = own_cache.rglob(file)
    whole = path.read_bytes()
    if damage == "shorter":  # whole in itself, but of fewer pictures
        index = json.loads(whole) if file == "index.json" else {}
        np.save(path, np.zeros((1, 20, 20, 3), np.uint8)) if not index else path.write_text(json.dumps(index | {"labels": [0]}))
    elif damage == "other":
        np.save(path, np.zeros(3)) if file == "images.npy" else path.write_text("[[[]]]")
    else:
        path.write_bytes({"torn": whole[:-7], "empty": b"", "text": b"\x93NUMPY text"}[damage])
    data = open_dataset(name)
    assert data.images.shape == (count, 20, 20, 3)
    assert (data.images[..., 0] == 10).all()


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
@pytest.mark.parametrize("colour_too", [False, True])
def test_sixteen_bits_of_grey_are_scaled_to_eight(tmp_path: Path, suffix: str, colour_too: bool) -> None:
    ramp = np.linspace(0, 65_535, 20 * 20).round().astype(np.uint16).reshape(20, 20)
    Image.fromarray(ramp).save(tmp_path / f"a.{suffix}")
    if colour_too:
        picture(tmp_path / "b.png")
    data = open_dataset(f"folder:{tmp_path}")
    assert data.channels == (3 if colour_too else 1)
    assert (data.images[0, ..., 0].numpy() == (ramp / 257).round()).all()


def test_names_with_control_characters_reach_nobody(tmp_path: Path) -> None:
    for i, folder_name in enumerate(["\x1b[2J", "b\ncd"]):
        picture(tmp_path / folder_name / "a.png", value=i)
    (tmp_path / "b\ncd" / "\x1b]0;.png").write_text("torn")
    data = open_dataset(f"folder:{tmp_path}")
    assert all(name.isprintable() for name in (*data.classes, *data.skipped))
    assert len(data.classes) == 2 and len(data.skipped) == 1


def test_the_splits_are_disjoint_whole_and_hang_on_the_names(tmp_path: Path) -> None:
    def values(split: str) -> set[int]:
        return set(open_dataset(f"folder:{tmp_path}", split).images[:, 0, 0, 0].tolist())

    for i in range(200):
        picture(tmp_path / f"{i:03}.png", "L", (4, 4), value=i)
    train, test = values("train"), values("test")
    assert not train & test
    assert train | test == set(range(200))
    assert 5 <= len(test) <= 40
    for i in range(200, 250):
        picture(tmp_path / f"{i:03}.png", "L", (4, 4), value=i)
    assert train <= values("train")
    assert test <= values("test")


@pytest.mark.parametrize("name", ["folder:", "folder:none", "folder:~/none", "folder:a.png"])
def test_a_folder_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    picture(tmp_path / "a.png")
    monkeypatch.chdir(empty if name == "folder:" else tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for ask in (open_dataset, require):
        with pytest.raises(UserError, match=r"^(there is no folder|the folder .* holds no images)"):
            ask(name)


def test_a_folder_without_images(tmp_path: Path, own_cache: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        open_dataset(f"folder:{tmp_path}")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        open_dataset(f"folder:{tmp_path}")
    (tmp_path / "a.png").write_text("text")
    with pytest.raises(UserError, match=r"none of the 1 image files .* can be read"):
        open_dataset(f"folder:{tmp_path}")
    assert cached(own_cache) == {}


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), np.uint8)).save(file, kind)
    return file.getvalue()


ENCODED = {kind: encoded(kind) for kind in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "ppm")}


def read_or_refuse(path: Path) -> None:
    try:
        data = open_dataset(f"folder:{path}")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert data.images.dtype == torch.uint8
        assert data.images.shape[1] == data.images.shape[2] > 0
        assert len(data) == len(data.labels) > 0
        assert len(data.skipped) <= 1


@pytest.mark.filterwarnings("error::UserWarning:PIL", "error::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("good", [False, True], ids=["alone", "beside a good one"])
@FUZZ
@given(data=st.data(), suffix=st.sampled_from(["png", "jpg", "gif", "tif", "webp", "bmp", "ppm"]))
def test_any_bytes_as_an_image(tmp_path: Path, good: bool, data: st.DataObject, suffix: str) -> None:
    def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
        place = st.integers(0, min(len(whole), 120) - 1)
        flips = st.lists(st.tuples(place, st.integers(0, 255)), max_size=6)
        return st.builds(lambda cut, at: _damage(whole, cut, at), st.integers(1, len(whole)), flips)

    starts = [whole[:8] for whole in ENCODED.values()]
    noise = st.builds(lambda a, b: a + b, st.sampled_from([b"", *starts]), st.binary(max_size=100))
    content = data.draw(noise | st.sampled_from(sorted(ENCODED.values())).flatmap(damaged))
    path = tmp_path / "images"
    if good:
        picture(path / "a.png", size=(12, 12))
    path.mkdir(exist_ok=True)
    for old in path.glob("b.*"):
        old.unlink()
    (path / f"b.{suffix}").write_bytes(content)
    read_or_refuse(path)


def _damage(whole: bytes, cut: int, flips: list[tuple[int, int]]) -> bytes:
    content = bytearray(whole)
    for place, value in flips:
        content[place] = value
    return bytes(content[:cut] if cut < len(whole) // 2 else content)


@pytest.mark.parametrize(
    "content",
    [
        b"P5 100000 100000 255\n",
        b"GIF89a" + bytes(100),
        b"P6 0 9 255\n",
        b"BM" + bytes(60),
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0) + bytes(20),
    ],
    ids=["huge ppm", "gif without a size", "ppm without a size", "bmp of zeros", "huge png"],
)
def test_images_that_lie_about_their_size(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    read_or_refuse(tmp_path)
    picture(tmp_path / "b.png")
    read_or_refuse(tmp_path)


# --- downloads


class Site:
    """A server on 127.0.0.1: `files` are its answers, `asked` what was asked of it; a name in `breaks` ends in a reset."""

    def __init__(self) -> None:
        site = self
        self.files: dict[str, bytes] = {}
        self.breaks: set[str] = set()
        self.asked: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.lstrip("/")
                site.asked.append(name)
                content = site.files.get(name)
                if content is None:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if name in site.breaks:
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                    return
                try:
                    self.wfile.write(content)
                except OSError:  # the reader was closed half-way
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                pass

        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # the resets that were asked for

        self.server = Server(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server with MNIST as idx_files makes it, as the only mirror that torchvision knows."""
    from torchvision.datasets import MNIST

    site = Site()
    site.files = {f"{name}.gz": gzip.compress(content) for name, content in idx_files(2000, 500).items()}
    order = [file for file, _ in MNIST.resources]
    monkeypatch.setattr(MNIST, "mirrors", [site.address])
    monkeypatch.setattr(MNIST, "resources", [(file, hashlib.md5(site.files[file]).hexdigest()) for file in order])
    monkeypatch.setenv("no_proxy", "*")
    yield site
    site.close()


@pytest.fixture
def dead() -> str:
    """An address that nothing listens at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def mirrors(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    from torchvision.datasets import MNIST

    monkeypatch.setattr(MNIST, "mirrors", list(addresses))


def left(root: Path) -> list[str]:
    return sorted(f.name for f in root.rglob("*") if f.is_file())


def test_a_download_is_the_set(site: Site, tmp_path: Path) -> None:
    events = list(download("mnist", tmp_path))
    assert site.asked == [f"{name}.gz" for name in (IMAGES, LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")]
    assert list(dict.fromkeys(e.file for e in events)) == site.asked
    size = len(site.files[f"{IMAGES}.gz"])
    done = [e.done for e in events if e.file == f"{IMAGES}.gz"]
    assert done == sorted(done)
    assert len(done) > 5
    assert Progress(f"{IMAGES}.gz", size, size) in events
    data = open_dataset("mnist", root=tmp_path)
    assert data.images.numpy().tobytes() == idx_files(2000, 500)[IMAGES][16:]
    assert len(open_dataset("mnist", "test", tmp_path)) == 500
    assert list(download("mnist", tmp_path)) == [], "what is on disk is not fetched again"
    assert not [name for name in left(tmp_path) if name.endswith(".tmp")]


def test_a_wrong_checksum_is_said_and_leaves_no_file(site: Site, tmp_path: Path) -> None:
    site.files[f"{IMAGES}.gz"] = gzip.compress(b"something else")
    with pytest.raises(UserError, match=r"^mnist could not be downloaded \(checksum does not match\); .*by hand"):
        list(download("mnist", tmp_path))
    assert left(tmp_path) == []


def test_closing_half_way_leaves_no_file_and_the_next_one_goes_on(site: Site, tmp_path: Path) -> None:
    steps = download("mnist", tmp_path)
    first = next(steps)
    assert 0 < first.done < first.total
    steps.close()
    assert left(tmp_path) == []
    steps = download("mnist", tmp_path)
    while next(steps).file != f"{LABELS}.gz":
        pass
    steps.close()
    assert left(tmp_path) == [f"{IMAGES}.gz"]
    assert describe("mnist", tmp_path).status == "can be downloaded"
    site.asked.clear()
    list(download("mnist", tmp_path))
    assert f"{IMAGES}.gz" not in site.asked
    assert len(open_dataset("mnist", root=tmp_path)) == 2000


def test_a_dead_mirror_is_followed_by_the_next(site: Site, dead: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mirrors(monkeypatch, dead, site.address + "moved/", site.address)
    list(download("mnist", tmp_path))
    assert f"moved/{IMAGES}.gz" in site.asked
    assert len(open_dataset("mnist", root=tmp_path)) == 2000


def test_a_mirror_that_breaks_off_is_followed_by_the_next(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = {f"broken/{name}": content for name, content in site.files.items()}
    site.files |= other
    site.breaks = set(other)
    mirrors(monkeypatch, site.address + "broken/", site.address)
    list(download("mnist", tmp_path))
    assert len(open_dataset("mnist", root=tmp_path)) == 2000


def test_only_mirrors_that_break_off(site: Site, tmp_path: Path) -> None:
    site.breaks = set(site.files)
    with pytest.raises(UserError, match=r"^mnist could not be downloaded \(.+\); check the network"):
        list(download("mnist", tmp_path))
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "answer",
    [b"", b"nonsense\r\n\r\n", b"x" * 50_000, b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nabc"],
    ids=["nothing", "text", "a long line", "a length in words"],
)
def test_a_server_that_does_not_speak_http(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        mirrors(monkeypatch, f"http://127.0.0.1:{server.getsockname()[1]}/")
        with pytest.raises(UserError, match=r"^mnist could not be downloaded \(.{1,100}\); check the network"):
            list(download("mnist", tmp_path))
        thread.join()
    assert left(tmp_path) == []


@pytest.mark.usefixtures("site")
def test_when_nothing_answers_the_folder_is_named(dead: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    mirrors(monkeypatch, dead)
    with pytest.raises(UserError, match=re.escape(f"into {tmp_path / 'MNIST' / 'raw'} by hand")) as caught:
        list(download("mnist", tmp_path))
    assert "refused" in str(caught.value)
    assert left(tmp_path) == []


@pytest.mark.usefixtures("site")
def test_a_folder_that_takes_no_file(tmp_path: Path) -> None:
    (tmp_path / "MNIST").touch()
    with pytest.raises(UserError, match=r"cannot be written: not a directory; choose another folder$"):
        list(download("mnist", tmp_path))


def test_glyphs_need_no_download_and_an_unknown_set_has_none(tmp_path: Path) -> None:
    assert list(download("glyphs", tmp_path)) == []
    with pytest.raises(UserError, match="unknown data set"):
        list(download("nothing", tmp_path))


def test_where_a_model_s_data_are_looked_for(tmp_path: Path) -> None:
    there, gone = str(tmp_path), str(tmp_path / "gone")
    assert data_root("mine", there) == Path("mine")
    assert data_root("", there) == tmp_path
    assert data_root("", gone) is None and data_root("", "") is None
