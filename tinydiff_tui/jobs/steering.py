"""What steering draws in its thread: pictures on a plane of noises, of the newest place alone. Import it once torch is there."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from core import images
from core.compute.device import choose_compute
from core.config import SampleConfig
from core.diffusion.generate import timesteps_for, told, walk
from core.diffusion.model import Model
from core.diffusion.plane import Plane, noise_of, plane_through
from tinydiff_tui.jobs.live import Live, Shown, Way, fewest
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.jobs.sampling import model_of
from tinydiff_tui.terminal.cells import Pixels

MOST_FRAMES = 120
"""Of the GIF of a path."""
PART = 4
"""Pictures at a time, of those that a CPU draws at rest: a key waits for one evaluation of so many."""


@dataclass(frozen=True)
class Spot:
    """A noise by the way to it: the noise of image 0 of the seed, then on each plane the point where it was left for the next.

    `turns`: (number of the directions, x, y) of the planes before; `directions`, x and y (radians) are those of the present one.
    """

    seed: int = 0
    turns: tuple[tuple[int, float, float], ...] = ()
    directions: int = 0
    x: float = 0.0
    y: float = 0.0

    def moved(self, dx: float, dy: float) -> "Spot":
        """Farther on the same plane."""
        return dataclasses.replace(self, x=self.x + dx, y=self.y + dy)

    def turned(self, directions: int) -> "Spot":
        """The same noise as the middle of a plane in these directions."""
        turns = self.turns if self.x == self.y == 0 else (*self.turns, (self.directions, self.x, self.y))
        return Spot(self.seed, turns, directions)


@dataclass(frozen=True)
class Asked:
    """Pictures around a spot, (across, down) of them so many radians apart, by a checkpoint; a label and a guidance of -1 are
    the model's own."""

    path: Path
    spot: Spot
    shape: tuple[int, int]
    spacing: float
    label: int = -1
    guidance: float = -1.0

    @property
    def middle(self) -> int:
        """Which of the pictures is that of the spot itself."""
        across, down = self.shape
        return (down - 1) // 2 * across + (across - 1) // 2

    def points(self) -> list[tuple[float, float]]:
        """Where on the plane each picture is, row by row."""
        across, down = self.shape
        columns = [self.spot.x + (k - (across - 1) // 2) * self.spacing for k in range(across)]
        rows = [self.spot.y + (k - (down - 1) // 2) * self.spacing for k in range(down)]
        return [(x, y) for y in rows for x in columns]


Steered = Shown[Asked]


@lru_cache(maxsize=64)
def _plane(seed: int, turns: tuple[tuple[int, float, float], ...], directions: int, shape: tuple[int, int, int]) -> Plane:
    """The plane that these turns lead to, on the CPU."""
    centre = noise_of(seed, 0, shape, torch.device("cpu"))
    if turns:
        *before, (left, x, y) = turns
        centre = _plane(seed, tuple(before), left, shape).at([(x, y)])[0]
    return plane_through(centre, seed, "plane", directions)


def noises(spot: Spot, points: Sequence[tuple[float, float]], shape: tuple[int, int, int]) -> Tensor:
    """The noises (N, C, H, W) at points of the plane of a spot."""
    return _plane(spot.seed, spot.turns, spot.directions, shape).at(points)


def options_of(asked: Asked, model: Model, count: int) -> SampleConfig:
    """How pictures at rest are drawn: as those between two noises, from which no fresh noise may take them."""
    options = SampleConfig(
        num_images=count, start="interpolate", seed=asked.spot.seed, label=asked.label, guidance_scale=asked.guidance
    )
    options.check(*model.known)
    return options.resolve(*model.known)


def steering(mail: Newest[Asked]) -> Live[Asked]:
    """The pictures of the newest place."""

    def way(asked: Asked) -> Way:
        model, points = model_of(asked.path), asked.points()
        x = noises(asked.spot, points, model.shape)
        own = options_of(asked, model, len(points))
        return Way(own, lambda options: (in_parts if options == own else pictures_from)(model, options, x), fewest(model))

    return Live(mail, way)


def in_parts(model: Model, options: SampleConfig, x: Tensor) -> Iterator[Tensor]:
    """As `pictures_from`, on a CPU a few of the pictures after the others; the last are all of them."""
    finished: list[Tensor] = []
    for part in x.split(PART if choose_compute().device.type == "cpu" else len(x)):
        for drawn in pictures_from(model, options, part):
            yield drawn
        finished.append(drawn)
    yield torch.cat(finished)


def pictures_from(model: Model, options: SampleConfig, x: Tensor) -> Iterator[Tensor]:
    """x_t after each network evaluation on the way from noises (N, C, H, W); the last are the images."""
    place = choose_compute()
    x = x.to(place.device).contiguous(memory_format=torch.channels_last)
    classes = [options.label if options.label >= 0 else 0] * len(x) if model.label_count else []
    denoise = told(model, options, classes, place)
    for frame in walk(model, options, place, x, denoise, lambda: torch.randn_like(x), timesteps_for(model, options)):
        yield frame.x


def between(spots: Sequence[Spot], reach: float) -> list[Spot]:
    """A path without jumps: on one plane no step is longer than `reach` radians, and no more than MOST_FRAMES are left."""
    path: list[Spot] = []
    for spot in spots:
        last = path[-1] if path else spot
        if (last.seed, last.turns, last.directions) == (spot.seed, spot.turns, spot.directions):
            dx, dy = spot.x - last.x, spot.y - last.y
            parts = int(max(abs(dx), abs(dy)) / reach - 1e-6)
            path += [last.moved(dx * k / (parts + 1), dy * k / (parts + 1)) for k in range(1, parts + 1)]
        path.append(spot)
    kept = np.linspace(0, len(path) - 1, min(len(path), MOST_FRAMES)).round().astype(int)
    return [path[k] for k in dict.fromkeys(kept.tolist())]


def save_path(path: Path, asked: Asked, spots: Sequence[Spot]) -> Iterator[Path]:
    """Draw the pictures of a path with the sampler's own evaluations and write them as GIF, as an iterator of one."""
    model = model_of(asked.path)
    options = options_of(asked, model, len(spots))
    frames: list[Pixels] = []
    for first in range(0, len(spots), 16):
        part = torch.cat([noises(spot, [(spot.x, spot.y)], model.shape) for spot in spots[first : first + 16]])
        *_, finished = pictures_from(model, options, part)
        frames += list(images.to_uint8(finished))
    images.save_gif(path, frames)
    yield path
