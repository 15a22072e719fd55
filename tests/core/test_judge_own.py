"""The judge of a person's own pictures: by their classes, or by quarter turns where there are fewer than two."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.data.datasets import open_dataset
from core.errors import UserError
from core.judge import classifier, store
from core.judge.classifier import TURNS, turned, turned_all_ways
from core.judge.store import LEAST_STEPS, Ready, kept_judge, load_judge, prepare_judge

Written = Callable[..., str]
Painted = Callable[[int, int, int], np.ndarray]


@pytest.fixture(scope="session")
def landscapes() -> Painted:
    """Pictures that have an up and a down, a left and a right: uint8 (N, H, W, 3)."""

    def painted(count: int, height: int, width: int) -> np.ndarray:
        random = np.random.default_rng(0)
        pictures = np.zeros((count, height, width, 3), np.uint8)
        for picture in pictures:
            horizon = random.integers(height // 3, 2 * height // 3)
            picture[:horizon] = random.integers((60, 120, 200), (110, 190, 255))
            picture[horizon:] = random.integers((20, 60, 0), (90, 130, 40))
            across = random.integers(0, max(1, width - 3))
            picture[horizon - 3 : horizon, across : across + 3] = random.integers(0, 60, 3)
        return pictures

    return painted


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, landscapes: Painted) -> Written:
    """Writes a folder of landscapes, a third of them held out, and gives its name; a cache of its own, and short lessons."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(classifier, "IMAGES_SEEN", 3000)

    def write(count: int = 120, height: int = 12, width: int = 12, classes: tuple[str, ...] = (), name: str = "views") -> str:
        for k, picture in enumerate(landscapes(count, height, width)):
            split = "test" if k % 3 == 0 else "train"
            inside = tmp_path / name / split / (classes[k % len(classes)] if classes else "")
            inside.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(inside / f"{k}.png")
        return f"folder:{tmp_path / name}"

    return write


def test_squares_are_turned_by_as_many_quarters_as_is_said() -> None:
    x = torch.arange(40 * 2 * 4 * 6.0).reshape(40, 2, 4, 6)
    squares, quarters = turned(x, torch.Generator().manual_seed(0))
    assert squares.shape == (40, 2, 4, 4) and set(quarters.tolist()) == set(range(TURNS))
    back = torch.stack([square.rot90(-int(k), (1, 2)) for square, k in zip(squares, quarters, strict=True)])
    (left,) = [left for left in range(3) if torch.equal(back, x[:, :, :, left : left + 4])]
    assert 0 <= left < 3
    mirrored, quarters = turned(x, torch.Generator().manual_seed(1), mirror=True)
    back = torch.stack([square.rot90(-int(k), (1, 2)) for square, k in zip(mirrored, quarters, strict=True)])
    upright = [any(torch.equal(one, each[:, :, left : left + 4]) for left in range(3)) for one, each in zip(back, x, strict=True)]
    flipped = [
        any(torch.equal(one.flip(2), each[:, :, left : left + 4]) for left in range(3)) for one, each in zip(back, x, strict=True)
    ]
    assert all(a != b for a, b in zip(upright, flipped, strict=True)) and 8 < sum(flipped) < 32
    every, quarters = turned_all_ways(x)
    assert torch.equal(every[quarters == 0], x[:, :, :, 1:5]) and torch.equal(
        every[quarters == 3].rot90(1, (2, 3)), x[:, :, :, 1:5]
    )


@pytest.mark.parametrize(("shape", "classes"), [((12, 12), ()), ((12, 18), ()), ((20, 12), ()), ((12, 12), ("only",))])
def test_pictures_without_classes_are_judged_by_what_their_turns_teach(
    folder: Written, landscapes: Painted, shape: tuple[int, int], classes: tuple[str, ...]
) -> None:
    name = folder(200, *shape, classes=classes)
    judge = load_judge(name)
    assert judge.classes == () and judge.accuracy > 0.7  # of four turns, by chance 0.25
    digest = judge.subject.pictures[:6]
    assert judge.name == f"views judge RotNet v1 {digest}" and len(digest) == 6
    images = open_dataset(name).images
    report = judge.report(images)
    assert (report.judge, report.version, report.learned, report.classes) == (judge.name, 1, "turns", ())
    assert report.samples.distance == pytest.approx(report.floor.distance) and report.samples.count == report.floor.count
    assert (report.samples.sure, report.samples.shares, report.samples.imbalance) == (None, None, None)
    random = torch.Generator().manual_seed(0)
    noisy = images + torch.randint(-40, 40, images.shape, generator=random)
    noise = torch.randint(0, 256, images.shape, generator=random).to(torch.uint8)
    near, far = judge.report(noisy.clamp(0, 255).to(torch.uint8)).samples, judge.report(noise).samples
    assert report.floor.distance < near.distance < far.distance
    others = judge.report(torch.from_numpy(landscapes(260, *shape)[200:]))
    assert others.samples.distance < 1.5 * others.floor.distance < far.distance


def test_two_classes_are_learned_and_named(folder: Written) -> None:
    judge = load_judge(folder(60, classes=("hills", "plains")))
    assert judge.classes == ("hills", "plains") and judge.name.startswith("views judge CNN v1 ")
    report = judge.report(open_dataset(folder(60, classes=("hills", "plains"))).images)
    assert report.learned == "classes" and report.samples.shares is not None and len(report.samples.shares) == 2
    assert report.samples.sure is not None and report.samples.imbalance is not None


def steps(events: Iterator[object]) -> int:
    return sum(not isinstance(event, Ready) for event in events)


def test_a_judge_is_of_the_pictures_and_not_of_their_folder(folder: Written, tmp_path: Path) -> None:
    """The same ones elsewhere have the same judge; another size, other pictures or names of classes another one."""
    name = folder(60)
    judge = load_judge(name)
    assert steps(prepare_judge(name)) == 0 and kept_judge(name) is not None
    (tmp_path / "views").rename(tmp_path / "moved")
    moved = f"folder:{tmp_path / 'moved'}"
    again = kept_judge(moved)
    assert (
        again is not None and torch.equal(again.judge.test, judge.test) and again.judge.name.startswith("moved judge RotNet v1 ")
    )
    assert kept_judge(moved, image_size=8) is None
    small = load_judge(moved, image_size=8)
    assert small.subject.shape == (8, 8, 3) and small.name != again.judge.name and kept_judge(moved) is not None
    Image.new("RGB", (12, 12), "white").save(tmp_path / "moved" / "train" / "1.png")
    assert kept_judge(moved) is None


def test_a_judge_without_labels_goes_on_where_it_was_stopped(
    folder: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = folder(60)
    monkeypatch.setattr(classifier, "BATCH", 8)
    monkeypatch.setattr(classifier, "IMAGES_SEEN", (LEAST_STEPS + 6) * 8)
    straight = load_judge(name)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    events = prepare_judge(name)
    for _ in range(LEAST_STEPS + 2):
        next(events)
    events.close()
    *rest, last = prepare_judge(name)
    assert len(rest) == 4 and isinstance(last, Ready)
    assert torch.equal(last.judge.test, straight.test) and last.judge.accuracy == straight.accuracy


def test_of_many_judges_those_asked_last_are_kept(folder: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "OWN_KEPT", 1)
    monkeypatch.setattr(classifier, "IMAGES_SEEN", 60)
    first, second = folder(60), folder(61, name="others")
    load_judge(first)
    load_judge(second)
    assert kept_judge(first) is None and kept_judge(second) is not None


@pytest.mark.parametrize(
    ("count", "side", "said"), [(9, 12, "too few images for a judge"), (60, 3, "too small for a judge: they have 3")]
)
def test_pictures_that_no_judge_can_be_made_of_are_one_sentence(folder: Written, count: int, side: int, said: str) -> None:
    with pytest.raises(UserError, match=said):
        load_judge(folder(count, side, side))
