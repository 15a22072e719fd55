"""Kinds B, C and D of folders: what belongs to a data set, what is said of it, and its cache."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from core.data import folder
from core.data.datasets import ImageSet, open_dataset, require
from core.data.tree import find_pictures, suffixes
from core.errors import UserError


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(folder, "user_folder", lambda kind: cache)
    return cache


def put(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (4, 4), value).save(path)
    return path


def paths(root: Path) -> set[str]:
    return {str(file.path) for file in find_pictures(root).files}


def opened(root: Path, split: str = "train") -> ImageSet:
    return open_dataset(f"folder:{root}", split)


# --- one walk

JUNK = [
    ".hidden/a.png", ".a.png", "._a.png", "cat/.thumbnails/normal/a.png", ".ipynb_checkpoints/a-checkpoint.png", "__MACOSX/a.png",
    "cat/__MACOSX/._a.png", "Thumbs.db", "cat/@eaDir/a.png", "$RECYCLE.BIN/a.png",
]  # fmt: skip


@pytest.mark.parametrize("junk", JUNK)
def test_hidden_names_and_what_systems_leave_are_no_data(tmp_path: Path, junk: str) -> None:
    put(tmp_path / "cat" / "1.png")
    if junk.endswith(".db"):
        (tmp_path / junk).write_bytes(b"\0")
    else:
        put(tmp_path / junk)
    tree = find_pictures(tmp_path)
    assert (paths(tmp_path), tree.left_out) == ({"cat/1.png"}, ())


def test_a_hidden_folder_that_is_asked_for_is_read(tmp_path: Path) -> None:
    put(tmp_path / ".mine" / "1.png")
    assert paths(tmp_path / ".mine") == {"1.png"}


OURS = json.dumps({"config": {"dataset": "glyphs"}, "status": "finished"})


@pytest.mark.parametrize(
    ("files", "is_run"),
    [
        ({"run.json": OURS}, True),
        ({"run.json": "torn{", "metrics.jsonl": ""}, True),
        ({"run.json": "torn{", "model_final.pt": ""}, True),
        ({"metrics.jsonl": "", "model_final.pt": ""}, True),
        ({"run.json": "torn{"}, False),
        ({"run.json": '{"distance": 5000}'}, False),
        ({"run.json": "[" * 100_000}, False),
        ({"metrics.jsonl": ""}, False),
    ],
)
@pytest.mark.parametrize("deep", ["outputs", "a/outputs/second"])
def test_the_folder_of_a_run_is_no_data(tmp_path: Path, files: dict[str, str], is_run: bool, deep: str) -> None:
    put(tmp_path / "1.png")
    put(tmp_path / deep / "samples" / "epoch_001.png")
    put(tmp_path / deep / "training_loss.png")
    for name, content in files.items():
        (tmp_path / deep / name).write_text(content)
    assert (paths(tmp_path) == {"1.png"}) is is_run


def test_of_a_run_in_the_picture_folder_itself_only_what_it_wrote_is_left_out(tmp_path: Path) -> None:
    for name in (
        "1.png",
        "cat/2.png",
        "samples/epoch_001.png",
        "training_loss.png",
        "generated_samples.png",
        "intermediate/3.png",
    ):
        put(tmp_path / name)
    (tmp_path / "run.json").write_text(OURS)
    assert paths(tmp_path) == {"1.png", "cat/2.png"}


def test_links_are_followed_and_each_folder_is_read_once(tmp_path: Path) -> None:
    for name in ("bird/1.png", "away/cat/2.png", "away/dog/3.png"):
        put(tmp_path / name)
    root = tmp_path / "set"
    root.mkdir()
    (root / "cat").symlink_to("../away/cat")
    (root / "dog").symlink_to(tmp_path / "away" / "dog", target_is_directory=True)
    (tmp_path / "bird").rename(root / "bird")
    (root / "bird" / "again").symlink_to(".")
    (root / "bird" / "up").symlink_to("..")
    (tmp_path / "away" / "cat" / "home").symlink_to(root)
    (root / "bird" / "4.png").symlink_to("../../away/dog/3.png")
    tree = find_pictures(root)
    assert paths(root) == {"bird/1.png", "bird/4.png", "cat/2.png", "dog/3.png"}
    assert tree.left_out == ()
    assert opened(root).classes == ("bird", "cat", "dog")


def test_links_that_lead_nowhere_and_a_second_name_are_said(tmp_path: Path) -> None:
    put(tmp_path / "dog" / "1.png")
    (tmp_path / "hund").symlink_to("dog")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "ring.png").symlink_to("ring.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "photo.HEIC").write_bytes(b"heic")
    assert paths(tmp_path) == {"dog/1.png"}
    assert set(find_pictures(tmp_path).left_out) == {
        "gone: a link to nothing",
        "gone.png: a link to nothing",
        "ring.png: a link to nothing",
        "hund: the same folder as dog",
        "pipe.png: not a file",
        "zero.png: not a file",
        "photo.HEIC: .heic is a format that is not read here",
    }


def test_a_folder_that_may_not_be_read_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    put(tmp_path / "cat" / "1.png")
    put(tmp_path / "secret" / "2.png")
    for name, mode in (("cat", 0o755), ("secret", 0o000)):
        (tmp_path / name).chmod(mode)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from core.data.tree import find_pictures, suffixes\n"
        "suffixes()\n"
        "os.chdir(sys.argv[1])\n"
        "if os.geteuid() == 0: os.seteuid(65534)\n"
        "print(find_pictures(Path('.')).left_out)\n"
        "try: find_pictures(Path('secret'))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    try:
        said = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True).stdout
    finally:
        (tmp_path / "secret").chmod(0o755)
    assert said.splitlines() == [
        "('secret: permission denied',)",
        "UserError the folder secret cannot be read: permission denied; check its permissions",
    ]


@pytest.mark.parametrize(
    ("name", "here"),
    [
        *(
            (f"a{suffix}", True)
            for suffix in (".PNG", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".tga", ".qoi", ".pbm", ".dds", ".ico")
        ),
        *((f"a{suffix}", False) for suffix in (".txt", ".eps", ".mpg", ".h5", ".pdf", "", ".json")),
    ],
)
def test_every_suffix_that_pillow_reads(tmp_path: Path, name: str, here: bool) -> None:
    put(tmp_path / "b.png")
    (tmp_path / name).write_bytes(b"x")
    assert (name in paths(tmp_path)) is here


def test_the_plugins_of_pillow_are_not_imported_for_the_help() -> None:
    code = "import sys, core.data.datasets, core.names, tinydiff_tui.cli; print([m for m in sys.modules if m.startswith('PIL')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    assert ".png" in suffixes()


@pytest.mark.parametrize("held_out", ["test", "val", "valid", "validation", "TEST"])
def test_train_and_test_on_top_are_a_split_with_one_list_of_classes(tmp_path: Path, held_out: str) -> None:
    for i, name in enumerate(
        ["train/cat/1.png", "train/dog/2.png", "train/dog/old/3.png", f"{held_out}/dog/4.png", f"{held_out}/emu/5.png"]
    ):
        put(tmp_path / name, i + 1)
    put(tmp_path / "cover.png", 99)
    put(tmp_path / "extra" / "6.png", 99)
    put(tmp_path / "extra" / "7.png", 99)
    train, test = opened(tmp_path), opened(tmp_path, "test")
    assert train.classes == test.classes == ("cat", "dog", "emu")
    assert (train.images[:, 0, 0, 0].tolist(), train.labels.tolist()) == ([1, 2, 3], [0, 1, 1])
    assert (test.images[:, 0, 0, 0].tolist(), test.labels.tolist()) == ([4, 5], [1, 2])
    assert train.skipped == tuple(f"{n}: neither in train/ nor in {held_out}/" for n in ("cover.png", "extra"))
    assert f"train/ is for training and {held_out}/ held out" in train.describe()


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (("train/1.png", "bus/2.png"), ("bus", "train")),
        (("test/1.png", "bus/2.png"), ("bus", "test")),
        (("train/1.png", "test/2.png"), ("set",)),
        (("train/a/1.png", "val/a/2.png"), ("a",)),
        (("cat/tabby/1.png", "cat/2.png", "dog/pug/old/3.png"), ("cat", "dog")),
        (("1.png", "cat/2.png"), ("cat", "set")),
    ],
)
def test_the_classes_of_a_tree(tmp_path: Path, files: tuple[str, ...], classes: tuple[str, ...]) -> None:
    for name in files:
        put(tmp_path / "set" / name)
    assert opened(tmp_path / "set").classes == classes


def test_with_test_and_val_the_test_is_held_out(tmp_path: Path) -> None:
    for name in ("train/1.png", "test/2.png", "val/3.png"):
        put(tmp_path / name)
    assert paths(tmp_path) == {"train/1.png", "test/2.png"}
    assert find_pictures(tmp_path).left_out == ("val: neither in train/ nor in test/",)


def test_names_that_are_no_utf_8_survive(tmp_path: Path) -> None:
    for name in (b"caf\xe9", b"th\xe9"):
        put(tmp_path / os.fsdecode(name) / os.fsdecode(b"\xff.png"))
    torn = tmp_path / os.fsdecode(b"caf\xe9") / os.fsdecode(b"torn\xfe.png")
    torn.write_bytes(b"torn")
    for _ in range(2):  # decoded, and from the cache
        data = opened(tmp_path)
        assert data.classes == ("caf�", "th�")
        assert data.skipped == ("caf�/torn�.png: not a picture that can be read",)
        assert data.describe().isprintable()


# --- random trees

NAMES = st.sampled_from(["a", "b", "train", "test", ".git", "__MACOSX", "run", "ü"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(
        st.tuples(st.lists(NAMES, max_size=4), st.sampled_from(["picture", "text", "run", "link", "loop", "gone"])), max_size=14
    )
)
def test_any_tree_is_read_once_without_what_does_not_belong(
    tmp_path_factory: pytest.TempPathFactory, items: list[tuple[list[str], str]]
) -> None:
    root = tmp_path_factory.mktemp("tree")
    made: list[Path] = [root]
    for number, (parts, kind) in enumerate(items):
        place = root.joinpath(*parts)
        place.mkdir(parents=True, exist_ok=True)
        made.append(place)
        if kind == "picture":
            put(place / f"{number}.png")
        elif kind == "text":
            (place / f"{number}.txt").write_text("text")
        elif kind == "run" and place != root:
            (place / "run.json").write_text(OURS)
        elif kind == "link":
            (place / f"l{number}").symlink_to(made[number * 7 % len(made)])
        elif kind == "loop":
            (place / f"l{number}").symlink_to(place / f"l{number}")
        elif kind == "gone":
            (place / f"l{number}.png").symlink_to("nowhere")
    try:
        tree = find_pictures(root)
    except UserError as error:
        assert "holds no images" in str(error)
        return
    real = [os.path.realpath(root / file.path) for file in tree.files]
    assert len(real) == len(set(real)), "a picture was read twice"
    for file in tree.files:
        assert not any(part.startswith(".") or part == "__MACOSX" for part in file.path.parts)
        assert not any((root / parent / "run.json").exists() for parent in file.path.parents if parent.parts)
    runs = {os.path.realpath(f.parent) for f in root.rglob("run.json")}

    def belongs(path: Path) -> bool:
        inside = path.relative_to(root)
        hidden = any(part.startswith(".") or part == "__MACOSX" for part in inside.parts)
        return not hidden and not any(str(root / parent) in runs for parent in inside.parents if parent.parts)

    wanted = {str(f) for f in root.rglob("*.png") if f.is_file() and not f.is_symlink() and belongs(f)}
    if tree.split:
        wanted = {f for f in wanted if Path(f).relative_to(root).parts[0] in tree.split}
    assert wanted <= set(real)
    assert {file.path for file in tree.files} == {file.path for file in find_pictures(root).files}


# --- say what was read


def test_one_line_says_what_was_read(tmp_path: Path) -> None:
    for i in range(60):
        put(tmp_path / f"c{i % 7}" / f"{i}.png")
    (tmp_path / "c0" / "x.png").write_bytes(b"")
    (tmp_path / "c0" / "y.png").write_bytes(b"torn")
    data = opened(tmp_path)
    assert data.describe() == (
        f"folder:{tmp_path}: {len(data)} training images of 4x4x1, 7 classes (c0, c1, c2, c3, c4, …); "
        "2 left out (c0/x.png: an empty file)"
    )
    assert opened(tmp_path, "test").describe().startswith(f"folder:{tmp_path}: {60 - len(data)} test images of")


def test_one_class_is_none(tmp_path: Path) -> None:
    put(tmp_path / "only" / "1.png")
    data = opened(tmp_path)
    assert (data.classes, data.condition_classes) == (("only",), 0)
    assert "no classes" in data.describe()
    put(tmp_path / "more" / "2.png")
    put(tmp_path / "more" / "3.png")
    assert opened(tmp_path).condition_classes == 2


def test_what_lies_there_instead_is_said(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(UserError, match=r"holds no images \(it holds notes.txt\); give one that does$"):
        require(f"folder:{tmp_path}")
    (tmp_path / "a.heic").write_text("heic")
    with pytest.raises(UserError, match=r"holds no images \(left out: a.heic: .heic is a format that is not read here\)"):
        require(f"folder:{tmp_path}")


# --- the cache


def test_only_the_newest_sets_stay_in_the_cache(tmp_path: Path, own_cache: Path) -> None:
    for number in range(folder.KEPT + 4):
        put(tmp_path / f"{number}" / "1.png", number)
        opened(tmp_path / f"{number}")
        opened(tmp_path / "0")  # used all the time
    kept = list((own_cache / "folders").iterdir())
    assert len(kept) == folder.KEPT
    before = {f: f.stat().st_mtime_ns for f in own_cache.rglob("*.npy")}
    assert int(opened(tmp_path / "0").images.max()) == 0
    assert {f: f.stat().st_mtime_ns for f in own_cache.rglob("*.npy")} == before, "it was read anew"


def damage(path: Path, kind: str) -> None:
    path.unlink()
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "zero":
            path.symlink_to("/dev/zero")
        case "deep":
            path.write_text("[" * 200_000)
        case "huge":
            with path.open("wb") as file:
                file.truncate(1 << 36)
        case "folder":
            (path / "in").mkdir(parents=True)
        case "torn":
            path.write_bytes(b"\x93NUMPY\x01\0v\0{")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("file", ["images.npy", "index.json"])
@pytest.mark.parametrize("kind", ["fifo", "zero", "deep", "huge", "folder", "torn", "gone"])
def test_a_cache_that_lies_is_made_again(tmp_path: Path, own_cache: Path, file: str, kind: str) -> None:
    put(tmp_path / "1.png", 7)
    opened(tmp_path)
    (path,) = own_cache.rglob(file)
    damage(path, kind)
    for _ in range(2):
        assert opened(tmp_path).images.unique().tolist() == [7]


INDEX = [
    {"labels": [True]}, {"labels": [1]}, {"labels": [0.0]}, {"labels": "0"}, {"labels": None}, {"test": [0]}, {"test": []},
    {"classes": [7]}, {"skipped": [[]]}, {"transparent": 1}, {"labels": [0, 0], "test": [False, False]},
]  # fmt: skip


@pytest.mark.parametrize("change", INDEX)
def test_an_index_of_another_kind_is_made_again(tmp_path: Path, own_cache: Path, change: dict[str, object]) -> None:
    put(tmp_path / "1.png", 7)
    opened(tmp_path)
    (path,) = own_cache.rglob("index.json")
    whole = json.loads(path.read_text())
    path.write_text(json.dumps(whole | change))
    assert opened(tmp_path).images.unique().tolist() == [7]
    assert json.loads(path.read_text()) == whole


@pytest.mark.parametrize("place", ["/dev/null/c", "/proc/none", "file"])
def test_without_a_cache_the_set_is_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    put(tmp_path / "set" / "1.png", 7)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(folder, "user_folder", lambda kind: tmp_path / place)
    data = opened(tmp_path / "set")
    assert data.images.unique().tolist() == [7]
    assert "read into memory, since the cache" in data.describe()


def test_the_fingerprint_is_of_pixels_and_labels(tmp_path: Path) -> None:
    for i in range(30):
        put(tmp_path / ("a" if i % 2 else "b") / f"{i:02}.png", i)
    first = opened(tmp_path).fingerprint
    assert first == opened(tmp_path).fingerprint
    assert len(first) == 16 and int(first, 16) >= 0
    moved = tmp_path.rename(tmp_path.with_name(tmp_path.name + "-moved"))
    assert opened(moved).fingerprint == first, "the same pictures in another place"
    data = opened(moved)
    changed = data.images.clone()
    changed[-1, -1, -1, -1] += 1
    others = [
        ImageSet(data.name, changed, data.labels, data.classes),
        ImageSet(data.name, data.images, data.labels.flip(0), data.classes),
        ImageSet(data.name, data.images[:-1], data.labels[:-1], data.classes),
        ImageSet(data.name, data.images.reshape(-1, 2, 8, 1), data.labels, data.classes),
    ]
    assert len({first, *(other.fingerprint for other in others)}) == 5
    assert ImageSet("another", data.images, data.labels, ("x", "y")).fingerprint == first
    assert np.asarray(data.images).dtype == np.uint8
