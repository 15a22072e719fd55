"""QMNIST, EMNIST's letters and SVHN in small, as they are published; torchvision's own classes say what is right."""

import gzip
import hashlib
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from torchvision import datasets

from core.data.datasets import describe, open_dataset, require
from core.data.download import download
from core.errors import UserError
from core.judge.store import load_judge
from core.names import DATASETS
from tests.core.test_datasets import Site, idx, left

COUNTS = {"train": 60, "test": 52}


def pictures(count: int, shape: tuple[int, ...] = (28, 28)) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), np.uint8)


def idx_int(array: np.ndarray) -> bytes:
    """LeCun's format, of 32 bits."""
    return struct.pack(f">HBB{array.ndim}I", 0, 12, array.ndim, *array.shape) + array.astype(">i4").tobytes()


def qmnist_files() -> dict[str, bytes]:
    """Labels have eight columns: class, series and writer in NIST, number of the digit, its code, its place, and two more."""
    files = {}
    for part, count in COUNTS.items():
        columns = np.arange(count)[:, None] * [1, 0, 7, 11, 0, 1000, 0, 0] + [0, 4, 2100, 0, 30, 10**6, 0, 0]
        columns[:, 0] %= 10
        files[f"qmnist-{part}-images-idx3-ubyte"] = idx(pictures(count))
        files[f"qmnist-{part}-labels-idx2-int"] = idx_int(columns)
    return files


def letters_files() -> dict[str, bytes]:
    files = {}
    for part, count in COUNTS.items():
        files[f"emnist-letters-{part}-images-idx3-ubyte"] = idx(pictures(count))
        files[f"emnist-letters-{part}-labels-idx1-ubyte"] = idx(np.arange(count) % 26 + 1)
    return files


def write_qmnist(root: Path, changes: Mapping[str, bytes] = {}, *, packed: bool = True) -> Path:
    raw = root / "QMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for name, content in {**qmnist_files(), **changes}.items():
        (raw / (f"{name}.gz" if packed else name)).write_bytes(gzip.compress(content, 1) if packed else content)
    return raw


def write_letters(root: Path, changes: Mapping[str, bytes] = {}) -> Path:
    """The one archive that is offered: letters among EMNIST's other splits, each file packed once more."""
    raw = root / "EMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(raw / "gzip.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("gzip/", b"")
        archive.writestr("gzip/emnist-letters-mapping.txt", b"1 65 97\n")
        archive.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", gzip.compress(idx(pictures(3))))
        for name, content in letters_files().items():
            archive.writestr(f"gzip/{name}.gz", changes.get(name, gzip.compress(content, 1)))
    return raw


def unpack_letters(root: Path) -> None:
    """As torchvision's class leaves them."""
    raw = write_letters(root)
    (raw / "gzip.zip").unlink()
    for name, content in letters_files().items():
        (raw / name).write_bytes(content)


def write_svhn(root: Path, changes: Mapping[str, Any] = {}, *, packed: bool = True) -> Path:
    """The two files of MATLAB 5; `changes` are variables of that for training."""
    for part, count in COUNTS.items():
        content = {
            "X": pictures(count, (32, 32, 3)).transpose(1, 2, 3, 0),
            "y": (np.arange(count) % 10 + 1).astype(np.uint8)[:, None],
        }
        content |= changes if part == "train" else {}
        content = {name: value for name, value in content.items() if value is not None}
        savemat(root / f"{part}_32x32.mat", content, do_compression=packed)
    return root


def of_torchvision(name: str, split: str, root: Path) -> tuple[np.ndarray, list[int]]:
    """Images (N, H, W) or (N, H, W, C) and labels as torchvision gives them one by one."""
    train = split == "train"
    opened: Any
    match name:
        case "qmnist":
            opened = datasets.QMNIST(root, train=train)
        case "emnist_letters":
            opened = datasets.EMNIST(root, "letters", train=train)
        case _:
            opened = datasets.SVHN(root, split)
    return np.stack([np.asarray(opened[i][0]) for i in range(len(opened))]), [opened[i][1] for i in range(len(opened))]


WAYS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "qmnist": ("qmnist", lambda root: write_qmnist(root, packed=False)),
    "letters": ("emnist_letters", unpack_letters),
    "svhn": ("svhn", write_svhn),
    "svhn, not packed": ("svhn", lambda root: write_svhn(root, packed=False)),
}


@pytest.mark.parametrize("split", COUNTS)
@pytest.mark.parametrize("way", WAYS)
def test_images_and_labels_are_those_of_torchvision(
    way: str, split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, write = WAYS[way]
    write(tmp_path)
    offered = {part: [*entry[:2], None] for part, entry in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", offered)  # these files have other checksums
    images, labels = of_torchvision(name, split, tmp_path)
    entry = DATASETS[name]
    if name == "emnist_letters":  # torchvision leaves them on their sides, and has a class for no letter
        images, labels = images.transpose(0, 2, 1), [label - 1 for label in labels]
    assert describe(name, tmp_path).status == "on disk"
    data = open_dataset(name, split, tmp_path)
    assert np.array_equal(data.images.numpy().reshape(images.shape), images)
    assert data.labels.tolist() == labels
    assert data.images.shape == (COUNTS[split], *entry.shape) and data.images.is_contiguous()
    assert len(data.classes) == entry.classes and set(labels) == set(range(entry.classes))


@pytest.mark.parametrize(("name", "write"), [("qmnist", write_qmnist), ("emnist_letters", write_letters)])
@pytest.mark.parametrize("split", COUNTS)
def test_as_offered_is_the_same_as_unpacked(name: str, write: Callable[[Path], Path], split: str, tmp_path: Path) -> None:
    packed, plain = tmp_path / "packed", tmp_path / "plain"
    write(packed)
    WAYS["letters" if name == "emnist_letters" else name][1](plain)
    before = left(packed)
    one, other = open_dataset(name, split, packed), open_dataset(name, split, plain)
    assert one.images.equal(other.images) and one.labels.equal(other.labels) and one.classes == other.classes
    assert left(packed) == before, "nothing is unpacked beside it"


def test_letters_stand_upright(tmp_path: Path) -> None:
    lying = np.zeros((1, 28, 28), np.uint8)
    lying[0, 14, 4:24] = 255  # an l on its side
    changes = {
        "emnist-letters-train-images-idx3-ubyte": idx(lying),
        "emnist-letters-train-labels-idx1-ubyte": idx(np.array([12])),
    }
    write_letters(tmp_path, {file: gzip.compress(content) for file, content in changes.items()})
    data = open_dataset("emnist_letters", root=tmp_path)
    assert data.classes[data.labels[0]] == "l"
    assert (data.images[0, 4:24, 14, 0] == 255).all() and data.images[0].sum() == 20 * 255


def test_a_house_number_of_ten_is_a_nought_and_so_is_one_of_nought(tmp_path: Path) -> None:
    write_svhn(tmp_path, {"y": np.array([[10.0, 0.0, 9.0] * 20]).T})
    data = open_dataset("svhn", root=tmp_path)
    assert data.labels.tolist() == [0, 0, 9] * 20
    assert data.classes == tuple("0123456789")


def test_half_of_a_set_names_the_other_half(tmp_path: Path) -> None:
    write_svhn(tmp_path)
    (tmp_path / "test_32x32.mat").unlink()
    assert len(open_dataset("svhn", root=tmp_path)) == COUNTS["train"]
    with pytest.raises(UserError, match=r"\(there is no test_32x32.mat; .* holds train_32x32.mat\)"):
        open_dataset("svhn", "test", tmp_path)


@pytest.mark.parametrize(
    ("name", "sought"),
    [("qmnist", "qmnist-train-images-idx3-ubyte"), ("emnist_letters", "emnist-letters-train-images-idx3-ubyte")],
)
def test_not_there_names_the_first_file_and_the_way_to_it(name: str, sought: str, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=rf"^{name} is not in .*{sought}; .* is empty; run 'tinydiff-tui datasets --download {name}'"
    ):
        require(name, tmp_path)


# --- downloads


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The files of the three sets at addresses of a server of the test's own."""
    source = tmp_path / "source"
    source.mkdir()
    kept = [write_qmnist(source), write_letters(source), write_svhn(source)]
    site = Site()
    site.files = {file.name: file.read_bytes() for folder in kept for file in folder.iterdir() if file.is_file()}
    sums = {file: hashlib.md5(content).hexdigest() for file, content in site.files.items()}
    kinds = ("images-idx3-ubyte.gz", "labels-idx2-int.gz")
    named = {part: [f"qmnist-{part}-{kind}" for kind in kinds] for part in COUNTS}
    qmnist = {part: [(site.address + file, sums[file]) for file in files] for part, files in named.items()}
    monkeypatch.setattr(datasets.QMNIST, "resources", qmnist)
    monkeypatch.setattr(datasets.EMNIST, "url", f"{site.address}gzip.zip")
    monkeypatch.setattr(datasets.EMNIST, "md5", sums["gzip.zip"])
    mat = {part: [f"{site.address}{part}_32x32.mat", f"{part}_32x32.mat", sums[f"{part}_32x32.mat"]] for part in COUNTS}
    monkeypatch.setattr(datasets.SVHN, "split_list", mat)
    monkeypatch.setenv("no_proxy", "*")
    return site


@pytest.mark.parametrize("name", ["qmnist", "emnist_letters", "svhn"])
def test_a_download_is_the_set_and_torchvision_finds_it_too(name: str, offered: Site, tmp_path: Path) -> None:
    root = tmp_path / "data"
    try:
        events = list(download(name, root))
        assert events[-1].done == events[-1].total
        asked = list(offered.asked)
        assert list(download(name, root)) == [], "what is on disk is not fetched again"
        for split, count in COUNTS.items():
            data = open_dataset(name, split, root)
            assert len(data) == count
        if name == "emnist_letters":  # its archive is kept as it is; torchvision unpacks it
            datasets.EMNIST(root, "letters", download=True)
        images, _ = of_torchvision(name, "test", root)
        assert len(images) == COUNTS["test"]
        assert offered.asked == asked, "torchvision takes what is there"
    finally:
        offered.close()


@pytest.mark.parametrize(("name", "first"), [("svhn", "test_32x32.mat"), ("qmnist", "qmnist-train-images-idx3-ubyte.gz")])
def test_a_download_cut_short_is_no_set_and_goes_on(name: str, first: str, offered: Site, tmp_path: Path) -> None:
    root = tmp_path / "data"
    try:
        steps = download(name, root)
        while next(steps).file == first:
            pass
        steps.close()
        assert describe(name, root).status == "can be downloaded"
        offered.asked.clear()
        list(download(name, root))
        assert first not in offered.asked
        assert len(open_dataset(name, root=root)) == COUNTS["train"]
    finally:
        offered.close()


# --- the judge


@pytest.mark.usefixtures("hasty_judge")
@pytest.mark.parametrize(("name", "write"), [("emnist_letters", write_letters), ("svhn", write_svhn)])
def test_the_judge_of_a_set_learns_its_classes(name: str, write: Callable[[Path], Path], tmp_path: Path) -> None:
    write(tmp_path)
    judge = load_judge(name, tmp_path)
    report = judge.report(open_dataset(name, "test", tmp_path).images)
    assert report.learned == "classes" and len(report.classes) == DATASETS[name].classes
    assert report.samples.shares is not None and sum(report.samples.shares) == pytest.approx(1)
    assert len(report.samples.shares) == DATASETS[name].classes
    assert report.samples.distance == pytest.approx(0, abs=1e-6), "they are the test split itself"
