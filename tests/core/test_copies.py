"""Copies: the nearest images by brute force, planted duplicates, and nothing of a set that copies nothing."""

from collections.abc import Generator

import pytest
import torch
from torch import Tensor

from core.data.glyphs import make_glyphs
from core.errors import UserError
from core.images import to_float
from core.judge import copies as module
from core.judge.copies import Copies, find_copies, nearest


def found(search: Generator[tuple[int, int], None, Copies | None]) -> Copies | None:
    """The end of a search."""
    while True:
        try:
            done, total = next(search)
            assert 0 < done <= total
        except StopIteration as end:
            copies: Copies | None = end.value
            return copies


def by_hand(pictures: Tensor, training: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Distances and indices, one pair at a time in float64."""
    rows = [[(p.double() - t.double()).square().mean().sqrt() for t in training] for p in pictures]
    distance = torch.tensor(rows, dtype=torch.float64)
    return distance.topk(count, largest=False).values, distance.topk(count, largest=False).indices


@pytest.mark.parametrize("blocks", [(512, 8192), (7, 16)])
def test_the_nearest_are_those_of_brute_force(blocks: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_QUERIES", blocks[0])
    monkeypatch.setattr(module, "_BLOCK", blocks[1])
    (pictures, _), (training, _) = make_glyphs(20, 3), make_glyphs(60, 4)
    training[17] = pictures[5]
    for queries, known in ((pictures, training), (to_float(pictures), to_float(training))):
        parts = list(nearest(queries, known, 4))
        distance, index = (torch.cat([getattr(part, name) for part in parts]) for name in ("distance", "index"))
        wanted, where = by_hand(queries, known, 4)
        assert torch.allclose(distance, wanted, rtol=1e-6, atol=1e-6)
        assert torch.equal(index, where)
        assert (float(distance[5, 0]), int(index[5, 0])) == (0, 17)


def test_shapes_that_differ_are_a_sentence() -> None:
    with pytest.raises(UserError, match="images of 28x28x1 cannot be compared with 3 of 8x8x1"):
        next(nearest(torch.zeros(2, 28, 28, 1, dtype=torch.uint8), torch.zeros(3, 8, 8, 1, dtype=torch.uint8)))


@pytest.mark.parametrize("twice", [False, True], ids=["once", "each stands there twice"])
def test_planted_duplicates_are_found(twice: bool) -> None:
    """20 of 200 training images among 200 samples, with the rounding that a copy has by a model."""
    (training, _), (held_out, _), (samples, _) = make_glyphs(200, 0), make_glyphs(1000, 1), make_glyphs(200, 2)
    generator = torch.Generator().manual_seed(0)
    where, whose = torch.randperm(200, generator=generator)[:20], torch.randperm(200, generator=generator)[:20]
    noise = torch.randint(-6, 7, (20, *training.shape[1:]), generator=generator)
    samples[where] = (training[whose].int() + noise).clamp(0, 255).to(torch.uint8)
    copies = found(find_copies(samples, torch.cat([training, training]) if twice else training, held_out))
    assert copies is not None
    pairs = {pair.sample: pair.training % 200 for pair in copies.pairs[:20]}
    assert pairs == dict(zip(where.tolist(), whose.tolist(), strict=True))
    assert all(pair.ratio < copies.threshold for pair in copies.pairs[:20])
    assert copies.pairs[20].ratio > 5 * copies.pairs[19].ratio
    assert 0.1 <= copies.share < 0.14 and copies.share > copies.expected + 4 * copies.error


def test_exact_copies_of_what_stands_there_often_are_copies() -> None:
    (training, _), (held_out, _) = make_glyphs(150, 0), make_glyphs(200, 1)
    copies = found(find_copies(training[:1].repeat(120, 1, 1, 1), training[:1].repeat(150, 1, 1, 1), held_out))
    assert copies is not None and copies.share == 1 and copies.pairs[0].ratio == 0


def test_of_a_small_set_the_training_images_say_among_each_other_what_is_near() -> None:
    """180 pictures and 20 held out: 15 copies with a model's rounding among 150 samples are found, and none where none is."""
    (training, _), (held_out, _), (samples, _) = make_glyphs(180, 0), make_glyphs(20, 1), make_glyphs(150, 2)
    honest = found(find_copies(samples, training, held_out))
    assert honest is not None and (honest.held_out, honest.training) == (0, 180)
    assert honest.expected == pytest.approx(2 / 180) and honest.share <= honest.expected + 2 * honest.error
    noise = torch.randint(-6, 7, (15, *training.shape[1:]), generator=torch.Generator().manual_seed(0))
    samples[:15] = (training[60:75].int() + noise).clamp(0, 255).to(torch.uint8)
    copies = found(find_copies(samples, training, held_out))
    assert copies is not None and copies.share >= 0.1
    assert {(pair.sample, pair.training) for pair in copies.pairs[:15]} == {(k, 60 + k) for k in range(15)}


def test_images_that_nobody_copied_are_as_many_copies_as_held_out_ones() -> None:
    (images, _), (held_out, _) = make_glyphs(4000, 0), make_glyphs(1500, 1)
    copies = found(find_copies(images[2000:], images[:2000], held_out))
    assert copies is not None
    assert (copies.count, copies.training, copies.held_out, copies.expected) == (2000, 2000, 1500, 0.01)
    assert abs(copies.share - copies.expected) <= 3 * copies.error
    assert copies.error == pytest.approx((0.01 * 0.99 * (1 / 2000 + 1 / 1500)) ** 0.5)


@pytest.mark.parametrize("few", range(2))
def test_too_few_images_say_nothing(few: int) -> None:
    images, _ = make_glyphs(120, 0)
    kinds = [images[:99] if place == few else images for place in range(2)]
    assert found(find_copies(kinds[0], kinds[1], images)) is None
