"""The training images that a picture is nearest to, for the app. Import it once torch is there."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.compute.device import choose_compute
from core.config import TrainConfig
from core.data.datasets import data_root, open_split
from core.judge.copies import nearest
from core.judge.judge import chosen_of
from core.judge.store import kept_judge
from tinydiff_tui.terminal.cells import Pixels

NEAREST = 5


@dataclass(frozen=True)
class Kin:
    """The NEAREST training images of one picture by one measure: uint8 (NEAREST, H, W, C), with distance, class and number."""

    measure: str
    pictures: Pixels
    distances: tuple[float, ...]
    classes: tuple[str, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Nearness:
    """A picture uint8 (H, W, C), and the nearest of `count` training images of `dataset`: by pixels, and by the features of the
    data set's judge where there is one."""

    picture: Pixels
    dataset: str
    count: int
    kin: tuple[Kin, ...]


def looking(picture: Pixels, config: TrainConfig, data_dir: Path | None) -> Iterator[Nearness]:
    """The nearest training images of a picture uint8 (H, W, C) that a model of `config` drew: by pixels, then by features too.

    Raises UserError where the data set is not there.
    """
    training = open_split(config, "train", str(data_dir or ""))
    (near,) = nearest(picture[None], training.images, NEAREST, choose_compute().device)

    def kin(measure: str, distances: list[float], numbers: list[int]) -> Kin:
        classes = tuple(training.classes[label] for label in training.labels[numbers].tolist())
        return Kin(measure, training.images[numbers].numpy(), tuple(distances), classes, tuple(numbers))

    found = [kin("pixels", near.distance[0].tolist(), near.index[0].tolist())]
    yield Nearness(picture, config.dataset, len(training), tuple(found))
    root = data_root(str(data_dir or ""), config.data_dir)
    ready = kept_judge(config.dataset, root, choose_compute().device, config.image_size)
    if ready is None:
        return
    (near,) = nearest(ready.judge.features(picture[None]), ready.judge.train, NEAREST)
    numbers = chosen_of(len(training))[near.index[0]]
    found.append(kin("features", near.distance[0].tolist(), numbers.tolist()))
    yield Nearness(np.array(picture), config.dataset, len(training), tuple(found))
