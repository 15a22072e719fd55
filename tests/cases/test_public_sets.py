"""Kind C of the public sets and the commands: files put in place by hand, what lies there instead, and the line that says so."""

import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import SampleConfig, TrainConfig
from core.data.datasets import default_dataset, describe, open_dataset, require
from core.diffusion.generate import source_pictures
from core.errors import UserError
from core.names import DATASETS
from core.runs.checkpoint import load_model
from core.training.trainer import Trainer
from tests.core.test_datasets import IMAGES, LABELS, SETS, idx, idx_files, write_idx
from tests.core.test_published import COUNTS, idx_int, letters_files, write_letters, write_qmnist
from tests.core.test_published import pictures as numbers
from tinydiff_tui.cli import run


def pack(root: Path, name: str = "mnist", which: str = "ubyte") -> Path:
    """The files of write_idx, those with `which` in their name as .gz."""
    raw = write_idx(root, name)
    for file in list(raw.iterdir()):
        if which in file.name:
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes(), 1))
            file.unlink()
    return raw


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("which", ["ubyte", "images", "t10k", "labels"])
def test_packed_files_are_read_where_they_lie(tmp_path: Path, name: str, which: str) -> None:
    raw = pack(tmp_path, name, which)
    before = sorted(raw.iterdir())
    for folder in (raw, raw.parent, tmp_path):
        folder.chmod(0o555)
    require(name, tmp_path)
    assert describe(name, tmp_path).status == "on disk"
    for split, prefix, count in (("train", "train", 40), ("test", "t10k", 20)):
        data = open_dataset(name, split, tmp_path)
        assert data.images.numpy().tobytes() == idx_files()[f"{prefix}-images-idx3-ubyte"][16:]
        assert data.labels.tolist() == [i % 10 for i in range(count)]
        assert data.describe().startswith(
            f"{name}: {count} {'training' if split == 'train' else 'test'} images of 28x28x1, 10 classes ("
        )
    assert sorted(raw.iterdir()) == before
    for folder in (tmp_path, raw.parent, raw):
        folder.chmod(0o755)


def test_packed_mnist_is_the_default_too(tmp_path: Path) -> None:
    pack(tmp_path)
    assert default_dataset(tmp_path) == "mnist"


def test_what_a_file_is_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    raw = pack(tmp_path)
    (raw / f"{IMAGES}.gz").write_bytes(idx_files()[IMAGES])  # a browser unpacked it and left its name
    (raw / LABELS).write_bytes(gzip.compress(idx_files()[LABELS]))
    assert len(open_dataset("mnist", root=tmp_path)) == 40


@pytest.mark.parametrize(
    ("there", "sentence"),
    [
        ([], r"mnist is not in {root}: there is no {raw}/train-images-idx3-ubyte; {root} is empty; run"),
        (["MNIST/raw/a", "MNIST/raw/b"], r"there is no {raw}/train-images-idx3-ubyte; {raw} holds a, b; run"),
        (["MNIST/a"], r"there is no {raw}/train-images-idx3-ubyte; {root}/MNIST holds a; run"),
        ([f"MNIST/raw/{IMAGES}.gz"], r"there is no {raw}/train-labels-idx1-ubyte; {raw} holds train-images-idx3-ubyte.gz; run"),
        (["a", "b", "c", "d", "e"], r"{root} holds a, b, c, d, …; run"),
    ],
)
def test_not_there_names_the_file_sought_and_what_lies_there(tmp_path: Path, there: list[str], sentence: str) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    wanted = sentence.format(root=re.escape(str(tmp_path)), raw=re.escape(str(tmp_path / "MNIST" / "raw")))
    for ask in (require, lambda name, root: open_dataset(name, root=root)):
        with pytest.raises(UserError, match=wanted):
            ask("mnist", tmp_path)


def test_half_a_set_names_what_is_missing_and_what_lies_there(tmp_path: Path) -> None:
    raw = write_idx(tmp_path)
    (raw / LABELS).rename(raw / "labels")
    with pytest.raises(UserError, match=rf"\(there is no {LABELS}; {re.escape(str(raw))} holds labels, t10k-images-idx3-ubyte, "):
        open_dataset("mnist", root=tmp_path)


TORN = [
    ("cut", gzip.compress(idx_files()[IMAGES])[:-20]),
    ("text", b"not a file of numbers"),
    ("empty", b""),
    ("packed nothing", gzip.compress(b"")),
    ("bomb", gzip.compress(bytes(4_000_000), 9)),
    ("promises", gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12)),
    ("another check sum", gzip.compress(idx_files()[IMAGES])[:-8] + bytes(8)),
    ("floats", gzip.compress(b"\0\0\x0d\x03" + idx(np.zeros((40, 28, 28)))[4:])),
]


@pytest.mark.parametrize("content", [row[1] for row in TORN], ids=[row[0] for row in TORN])
def test_a_torn_packed_file_stays_one_sentence(tmp_path: Path, content: bytes) -> None:
    (pack(tmp_path) / f"{IMAGES}.gz").write_bytes(content)
    with pytest.raises(UserError, match=r"^the files of mnist in .* cannot be read \(.+\); delete them and run") as caught:
        open_dataset("mnist", root=tmp_path)
    assert "\n" not in str(caught.value)
    assert len(open_dataset("mnist", "test", tmp_path)) == 20


def test_an_archive_of_cifar_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no .*/cifar-10-batches-py/data_batch_1; "):
        require("cifar10", tmp_path)
    with tarfile.open(tmp_path / DATASETS["cifar10"].archive, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-py/data_batch_1"), io.BytesIO())
    require("cifar10", tmp_path)
    with pytest.raises(UserError, match=r"the files of cifar10 in .* cannot be read \(cifar-10-python.tar.gz is not whole\)"):
        open_dataset("cifar10", root=tmp_path)


def str_of(value: str | bytes) -> str:
    """Of a case in a table: bytes by their number."""
    return value if isinstance(value, str) else str(len(value))


def one_sentence(name: str, root: Path, said: str) -> None:
    wanted = rf"^the files of {name} in .* cannot be read \(.*{said}.*\); delete them and run '.* datasets --download {name}'$"
    with pytest.raises(UserError, match=wanted) as caught:
        open_dataset(name, root=root)
    assert "\n" not in str(caught.value)
    assert len(open_dataset(name, "test", root)) == COUNTS["test"], "the other split is whole"


N = COUNTS["train"]
EIGHT = np.zeros((N, 8))


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("labels-idx2-int", b"", "error"),
        ("labels-idx2-int", b"text, and no number at all", "no IDX file of whole numbers"),
        ("labels-idx2-int", idx_int(EIGHT)[:-4], "has another length than it says"),
        ("labels-idx2-int", idx_int(EIGHT) + b"\0", "has another length than it says"),
        ("labels-idx2-int", idx_int(EIGHT[:-1]), "do not belong together"),
        ("labels-idx2-int", idx_int(EIGHT[:, :0]), "do not belong together"),
        ("labels-idx2-int", idx_int(EIGHT[..., None]), "do not belong together"),
        ("labels-idx2-int", idx_int(EIGHT + 10), "a label is no class"),
        ("labels-idx2-int", idx_int(EIGHT - 1), "a label is no class"),
        ("labels-idx2-int", b"\0\0\x0c\x02" + b"\xff" * 8, "has another length than it says"),
        ("labels-idx2-int", b"\0\0\x0d\x02" + idx_int(EIGHT)[4:], "no IDX file of whole numbers"),
        ("images-idx3-ubyte", idx_int(numbers(N)), "do not belong together"),
        ("images-idx3-ubyte", idx(numbers(N, (28, 27))), "do not belong together"),
    ],
    ids=str_of,
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_of_qmnist_that_is_not_what_it_says(tmp_path: Path, file: str, content: bytes, said: str, packed: bool) -> None:
    write_qmnist(tmp_path, {f"qmnist-train-{file}": content}, packed=packed)
    one_sentence("qmnist", tmp_path, said)


IMAGES_OF_LETTERS, LABELS_OF_LETTERS = "emnist-letters-train-images-idx3-ubyte", "emnist-letters-train-labels-idx1-ubyte"
PACKED_LETTERS = gzip.compress(letters_files()[IMAGES_OF_LETTERS])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        (LABELS_OF_LETTERS, gzip.compress(idx(np.arange(N) % 26)), "a label is no class"),  # as if they counted from 0
        (LABELS_OF_LETTERS, gzip.compress(idx(np.full(N, 27))), "a label is no class"),
        (LABELS_OF_LETTERS, gzip.compress(idx(np.ones(N - 1))), "do not belong together"),
        (IMAGES_OF_LETTERS, PACKED_LETTERS[:-20], "EOFError"),
        (IMAGES_OF_LETTERS, PACKED_LETTERS[:-8] + bytes(8), "CRC"),
        (IMAGES_OF_LETTERS, gzip.compress(bytes(4_000_000), 9), "no IDX file"),
        (IMAGES_OF_LETTERS, gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "has another length than it says"),
        (IMAGES_OF_LETTERS, b"", "error"),
    ],
    ids=str_of,
)
def test_a_member_of_emnist_that_is_not_what_it_says(tmp_path: Path, file: str, content: bytes, said: str) -> None:
    write_letters(tmp_path, {file: content})
    one_sentence("emnist_letters", tmp_path, said)


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30])


def _text(path: Path) -> None:
    path.write_text("an archive, it says here")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _encrypted(path: Path) -> None:
    content = path.read_bytes()
    local = re.sub(rb"(PK\x03\x04.{2})\0\0", lambda found: found[1] + b"\1\0", content, flags=re.DOTALL)
    path.write_bytes(re.sub(rb"(PK\x01\x02.{4})\0\0", lambda found: found[1] + b"\1\0", local, flags=re.DOTALL))


def _of_digits(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gzip/emnist-digits-train-images-idx3-ubyte.gz", b"")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_torn, "BadZipFile"),
        (_text, "BadZipFile"),
        (_folder, "gzip.zip is not a file"),
        (_encrypted, "RuntimeError"),
        (_of_digits, f"there is no {IMAGES_OF_LETTERS}.gz in gzip.zip"),
    ],
)
def test_an_archive_of_emnist_that_is_none(tmp_path: Path, spoil: Callable[[Path], None], said: str) -> None:
    spoil(write_letters(tmp_path) / "gzip.zip")
    with pytest.raises(
        UserError, match=rf"^the files of emnist_letters in .* cannot be read \({said}\); delete them and run"
    ) as caught:
        open_dataset("emnist_letters", root=tmp_path)
    assert "\n" not in str(caught.value)


# --- what the commands say


def pictures(folder: Path, classes: tuple[str, ...]) -> Path:
    for i in range(40):
        path = folder / classes[i % len(classes)] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (8, 8), (i, 0, 0, 255)).save(path)
    (folder / classes[0] / "torn.png").write_bytes(b"torn")
    return folder


QUICK = ["--model=tiny", "--threads=1", "--sample-interval=0", "--save-interval=0", "--plain", "--epochs=1", "--batch-size=8"]


def test_train_visualize_and_sample_say_what_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = pictures(tmp_path / "pets", ("cat", "dog"))
    line = re.compile(
        rf"^folder:{re.escape(str(data))}: \d+ (training|test) images of 8x8x3, 2 classes \(cat, dog\); "
        r"what is transparent stands on mid-grey; 1 left out \(cat/torn.png: not a picture that can be read\)(?=;|$)",
        re.MULTILINE,
    )
    out = tmp_path / "run"
    for command in (
        ["train", "--dataset", f"folder:{data}", *QUICK, "--output-dir", str(out)],
        ["train", "--resume", "--epochs=2", "--plain", "--output-dir", str(out)],
        ["visualize", "--dataset", f"folder:{data}", "--num-images=2", "--save-path", str(tmp_path / "v.png")],
        ["sample", "--checkpoint", str(out / "model_final.pt"), "--start=image", "--num-images=1", "--steps=2", "--plain"],
    ):
        capsys.readouterr()
        assert run(command) == 0
        assert len(line.findall(capsys.readouterr().out)) == 1, command


@pytest.mark.usefixtures("hasty_judge")
def test_evaluate_says_what_the_judge_read(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["evaluate", "--checkpoint", str(tiny_run / "model_final.pt"), "--num-images=100", "--steps=2", "--plain"]) == 0
    said = capsys.readouterr().out
    assert "glyphs: 300 training images of 28x28x1, 10 classes (0, 1, 2, 3, 4, …)" in said
    assert "glyphs: 200 test images of 28x28x1" in said


def test_a_model_of_one_class_knows_none(tmp_path: Path) -> None:
    data = pictures(tmp_path / "pets", ("cat",))
    config = TrainConfig.of(
        dataset=f"folder:{data}", model="tiny", conditional=True, batch_size=8, epochs=1, device="cpu", precision="fp32",
        output_dir=str(tmp_path / "run"),
    )  # fmt: skip
    trainer = Trainer(config)
    assert trainer.stepper.batches.at(0)[1] is None
    for _ in trainer:
        pass
    model = load_model(tmp_path / "run" / "model_final.pt")
    assert model.label_count == 0
    assert SampleConfig().resolve(model.config, model.label_count).guidance_scale == 1.0
    said: list[str] = []
    pictures_there = source_pictures(model, SampleConfig(start="image", num_images=1), "", said.append)
    assert pictures_there is not None and len(said) == 1 and "no classes" in said[0]
