"""One image and one draw of noise, seen along every schedule: what the Noise mode shows. Import it once torch is there."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from core import images
from core.compute.seeds import SampleNoise
from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from tinydiff_tui.terminal.cells import Pixels

TIMESTEPS = 1000
MARKS = (0, 50, 100, 200, 400, 600, 800, 999)
DB_SPAN = 40.0
"""The curve of the SNR is drawn from -40 to 40 dB."""


@lru_cache
def diffusion(schedule: str) -> Diffusion:
    """The forward process over a schedule; its prediction target plays no part here."""
    return Diffusion(NoiseSchedule(schedule, TIMESTEPS), "x0")


@lru_cache
def tables(schedule: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(alpha_bar, SNR in dB) over t; pure noise is -inf dB."""
    path = diffusion(schedule).schedule
    with np.errstate(divide="ignore"):
        return path.alpha_bar.numpy(), 10 * np.log10(path.snr.numpy())


@dataclass(frozen=True)
class Point:
    """The numbers at one t: x_t = a x0 + s epsilon."""

    a: float
    s: float
    alpha_bar: float
    snr_db: float

    @property
    def decibels(self) -> str:
        return f"{self.snr_db:+.1f}" if math.isfinite(self.snr_db) else "−∞"


def point(schedule: str, t: int) -> Point:
    """Weights, alpha-bar and SNR of a schedule at t."""
    a, s = diffusion(schedule).schedule.point(t)
    alpha_bar, snr_db = tables(schedule)
    return Point(a, s, float(alpha_bar[t]), float(snr_db[t]))


class Noising:
    """An image uint8 (H, W, C) and its noise, drawn once from (seed, index)."""

    def __init__(self, picture: Pixels, seed: int, index: int) -> None:
        self.x0 = images.to_float(torch.from_numpy(picture[None].copy()))
        self.noise = SampleNoise(seed, index, 1, tuple(self.x0.shape[1:]), self.x0.device)()
        self.picture = picture

    def at(self, schedule: str, t: int) -> Pixels:
        """x_t as uint8 (1, H, W, C)."""
        return images.to_uint8(diffusion(schedule).q_sample(self.x0, torch.tensor([t]), self.noise))

    def noise_picture(self) -> Pixels:
        """epsilon as uint8 (1, H, W, C), mid-grey at 0, clipped at 2 standard deviations."""
        return images.to_uint8(self.noise / 2)

    def save_strip(self, path: Path, schedule: str) -> None:
        """Write x_t at the marks, side by side under their t, as PNG."""
        row = np.concatenate([self.at(schedule, t) for t in MARKS])
        images.save_png(path, images.grid(row, len(MARKS)), headings=[f"t={t}" for t in MARKS])
