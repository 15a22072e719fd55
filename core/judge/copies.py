"""Does a model draw its training images? The nearest training image of a picture, and the share of pictures that are copies.

A sample is a copy where it is much nearer to one training image than to the others around it: the ratio of its distance to the
nearest one to its mean distance to the `NEIGHBOURS` nearest is small (Carlini et al. 2023, "Extracting Training Data from
Diffusion Models", section 5, who use 50; the factor alpha of theirs only scales it). A bare distance would call every "1" a copy:
thin strokes are near to each other. How small is small, held-out images say, which nobody can have copied, as in the test of
Meehan et al. 2020 ("A Non-Parametric Test to Detect Data-Copying in Generative Models"): EXPECTED of them have a ratio below the
threshold, and no more of the samples of a model that copies nothing. Of a small set too few are held out for that; there each
training image is taken as held out from all the others, so that pictures that stand in it twice hide copies.
"""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.errors import UserError
from core.images import Pixels

NEIGHBOURS = 50
EXPECTED = 0.01
"""Share of held-out images that count as copies."""
FEWEST = 100  # images of each kind, for a hundredth of them to be one
MOST_HELD_OUT = 5000
MOST_PAIRS = 40
_QUERIES, _BLOCK = 512, 8192  # images that are compared at a time: 16 MiB of distances, 100 MiB of pixels of CIFAR-10


@dataclass(frozen=True)
class Nearest:
    """The nearest training images of N pictures, the nearest first: `distance` float64 and `index` int64, both (N, k).

    A distance is the root of the mean square of the differences, in the unit of the values: levels of grey, of pictures.
    """

    distance: Tensor
    index: Tensor


@dataclass(frozen=True)
class Pair:
    """A sample and its nearest training image, by their numbers; their distance, and its ratio to that of the neighbours."""

    sample: int
    training: int
    distance: float
    ratio: float


@dataclass(frozen=True)
class Copies:
    """What share of `count` samples are copies of one of `training` images, beside that of `held_out` images which are none; 0
    of these: beside that of the training images among each other.

    `error` is the standard error of the difference of the two; `threshold` the ratio below which a sample counts, and `pairs`
    those of the least ratios, MOST_PAIRS at most.
    """

    count: int
    share: float
    expected: float
    error: float
    threshold: float
    training: int
    held_out: int
    pairs: tuple[Pair, ...]


def nearest(
    pictures: Tensor | Pixels, training: Tensor | Pixels, count: int = 1, device: torch.device | str = "cpu"
) -> Iterator[Nearest]:
    """The `count` nearest of `training` (M, ...), or all of them, to each of `pictures` (N, ...), block by block.

    Pictures uint8 or features float; of one shape. Memory does not grow with N and M. Squared distances come from a matrix
    product, which says which images are nearest; those of these few are then computed from the differences, so that a copy has
    a distance of exactly 0. Raises UserError where the shapes differ or there is no training image.
    """
    pictures, training = torch.as_tensor(pictures), torch.as_tensor(training)
    if pictures.shape[1:] != training.shape[1:] or not len(training):
        sides = ("x".join(map(str, shape[1:])) for shape in (pictures.shape, training.shape))
        raise UserError(f"images of {next(sides)} cannot be compared with {len(training):,} of {next(sides)}")
    count = min(count, len(training))
    for block in torch.split(pictures, _QUERIES):
        yield _nearest(block.flatten(1).to(device, torch.float32), training.flatten(1), count)


def _nearest(pictures: Tensor, training: Tensor, count: int) -> Nearest:
    """Of one block of pictures (N, D) in float32 on the device."""
    best = torch.full((len(pictures), 0), math.inf, device=pictures.device)
    index = torch.zeros((len(pictures), 0), dtype=torch.int64, device=pictures.device)
    for first in range(0, len(training), _BLOCK):
        part = training[first : first + _BLOCK].to(pictures.device, torch.float32)
        # Without |picture|^2, which changes no order.
        scores = torch.addmm(part.square().sum(1), pictures, part.T, alpha=-2)
        found = scores.topk(min(count, len(part)), largest=False)
        best, index = torch.cat([best, found.values], 1), torch.cat([index, found.indices + first], 1)
        best, order = best.topk(min(count, best.shape[1]), largest=False)
        index = index.gather(1, order)
    exact = torch.stack(
        [
            (picture - training[row.to(training.device)].to(picture)).double().square().mean(1).sqrt()
            for picture, row in zip(pictures, index, strict=True)
        ]
    )
    distance, order = exact.sort(dim=1, stable=True)
    return Nearest(distance.cpu(), index.gather(1, order).cpu())


def find_copies(
    samples: Tensor | Pixels, training: Tensor, held_out: Tensor, device: torch.device | str = "cpu"
) -> Generator[tuple[int, int], None, Copies | None]:
    """How many of `samples` (N, H, W, C) are copies of `training` images, told by as many `held_out` ones, or where these are
    fewer than FEWEST by the training images among each other; all uint8.

    Yields (pictures compared, of how many) after each block. Returns None where there are too few images of a kind to say.
    Raises UserError where they are of different shapes.
    """
    samples = torch.as_tensor(samples)
    held_out = held_out[: min(max(len(samples), MOST_HELD_OUT // 5), MOST_HELD_OUT)]
    if min(len(samples), len(training)) < FEWEST:
        return None
    among = len(held_out) < FEWEST
    others = training if among else held_out
    total = len(samples) + len(others)
    ratios, done = [], 0
    for pictures, itself in ((others, among), (samples, False)):
        blocks: list[Nearest] = []
        for block in nearest(pictures, training, NEIGHBOURS + itself, device):
            blocks.append(block)
            done += len(block.index)
            yield done, total
        distance = torch.cat([block.distance for block in blocks])[:, int(itself) :]  # the nearest image to itself is itself
        ratios.append(_ratio(distance))
    index = torch.cat([block.index[:, 0] for block in blocks])
    of_others, of_samples = ratios
    # The threshold is one of the others' ratios: so many of them are at it or below.
    number = max(1, round(EXPECTED * len(of_others)))
    threshold = float(of_others.kthvalue(number).values)
    share, expected = (float((values <= threshold).double().mean()) for values in (of_samples, of_others))
    error = math.sqrt(expected * (1 - expected) * (1 / len(of_samples) + 1 / len(of_others)))
    first = of_samples.argsort(stable=True)[:MOST_PAIRS].tolist()
    pairs = tuple(Pair(k, int(index[k]), float(distance[k, 0]), float(of_samples[k])) for k in first)
    return Copies(len(samples), share, expected, error, threshold, len(training), 0 if among else len(held_out), pairs)


def _ratio(distance: Tensor) -> Tensor:
    """Distance to the nearest over the mean of all, (N,); 0 where all are 0: a copy of an image that stands there many times."""
    return (distance[:, 0] / distance.mean(1)).nan_to_num(0.0)
