"""One image and one draw of noise, seen along every schedule: what the Noise mode shows. Import it once torch is there."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from core import images
from core.compute.seeds import SampleNoise
from core.diffusion.learned import EVEN, Spread, is_spread, make_schedule
from core.diffusion.process import Diffusion
from core.runs.folder import RunInfo, find_runs
from tinydiff_tui.terminal.cells import Pixels

Values = NDArray[np.float64]

TIMESTEPS = 1000
MARKS = (0, 50, 100, 200, 400, 600, 800, 999)
LOW, HIGH, BINS = -3.0, 3.0, 60
"""Pixel values are counted between -3 and 3, a tenth each."""


@dataclass(frozen=True)
class Learned:
    """What the learned schedule of a run is at one of its steps; of no run, how it starts."""

    run: str = ""
    step: int = 0
    spread: Spread = EVEN


_learned = Learned()


def learned() -> Learned:
    """What the learned schedule is here."""
    return _learned


def learn(newer: Learned) -> bool:
    """Have the learned schedule be this one; whether it changes."""
    global _learned
    before, _learned = _learned, newer
    if before.spread == newer.spread:
        return False
    diffusion.cache_clear()
    tables.cache_clear()
    return True


def newest_learned(root: Path) -> Iterator[Learned]:
    """What the newest run below a folder has learned, as an iterator of one; without such a run how it starts."""
    runs = (run for run in find_runs(root) if isinstance(run, RunInfo) and is_spread(list(run.spread)))
    yield next((Learned(run.path.name, run.step, run.spread) for run in runs), Learned())


@lru_cache
def diffusion(schedule: str) -> Diffusion:
    """The forward process over a schedule; its prediction target plays no part here."""
    return Diffusion(make_schedule(schedule, TIMESTEPS, spread=_learned.spread), "x0")


@lru_cache
def tables(schedule: str) -> tuple[Values, Values]:
    """(alpha_bar, SNR) over t."""
    path = diffusion(schedule).schedule
    return path.alpha_bar.numpy(), path.snr.numpy()


@dataclass(frozen=True)
class Point:
    """The numbers at one t: x_t = a x0 + s epsilon."""

    a: float
    s: float
    alpha_bar: float
    snr: float

    @property
    def decibels(self) -> str:
        return f"{10 * math.log10(self.snr):+.1f}" if self.snr > 0 else "−∞"


def point(schedule: str, t: int) -> Point:
    """Weights, alpha-bar and SNR of a schedule at t."""
    a, s = diffusion(schedule).schedule.point(t)
    alpha_bar, snr = tables(schedule)
    return Point(a, s, float(alpha_bar[t]), float(snr[t]))


@lru_cache
def middles() -> Values:
    """The pixel values in the middle of each of the BINS."""
    step = (HIGH - LOW) / BINS
    return np.linspace(LOW + step / 2, HIGH - step / 2, BINS)


def pure_noise() -> Values:
    """The density of the standard normal distribution at the `middles`: what x_t ends as."""
    return np.exp(-(middles() ** 2) / 2) / math.sqrt(2 * math.pi)


class Noising:
    """An image uint8 (H, W, C) and its noise, drawn once from (seed, index)."""

    def __init__(self, picture: Pixels, seed: int, index: int) -> None:
        self.x0 = images.to_float(torch.from_numpy(picture[None].copy()))
        self.noise = SampleNoise(seed, index, 1, tuple(self.x0.shape[1:]), self.x0.device)()
        self.picture = picture

    def x_t(self, schedule: str, t: int) -> Tensor:
        """What the model sees at t: float (1, C, H, W)."""
        return diffusion(schedule).q_sample(self.x0, torch.tensor([t]), self.noise)

    def at(self, schedule: str, t: int) -> Pixels:
        """x_t as uint8 (1, H, W, C): -1 is black, 1 white, and what is beyond them is clipped."""
        return images.to_uint8(self.x_t(schedule, t))

    def spread(self, schedule: str, t: int) -> tuple[Values, float]:
        """The density of the pixel values of x_t at the `middles`, and the share of them beyond ±1, which no picture shows."""
        values = self.x_t(schedule, t).flatten().numpy()
        counts, _ = np.histogram(values.clip(LOW, HIGH), BINS, (LOW, HIGH))
        return counts / (len(values) * (HIGH - LOW) / BINS), float((np.abs(values) > 1).mean())

    def film(self, schedule: str) -> Pixels:
        """x_t at the MARKS, uint8 (8, H, W, C)."""
        return self.film_at(schedule, MARKS)

    def film_at(self, schedule: str, times: Sequence[int]) -> Pixels:
        """x_t at some t, uint8 (N, H, W, C)."""
        return np.concatenate([self.at(schedule, t) for t in times])

    def noise_picture(self) -> Pixels:
        """epsilon as uint8 (1, H, W, C), mid-grey at 0, clipped at 2 standard deviations."""
        return images.to_uint8(self.noise / 2)

    def save_strip(self, path: Path, schedule: str) -> None:
        """Write x_t at the marks, side by side under their t, as PNG."""
        images.save_png(path, images.grid(self.film(schedule), len(MARKS)), headings=[f"t={t}" for t in MARKS])
