"""A schedule that is learned while the network is: how long it stays at each noise level is measured from the training's losses.

Kingma et al. 2021 (Variational Diffusion Models, section 5.1 and appendix I): what a variance-preserving process is between its
two ends is free, so that it may be chosen by the losses. They train a monotone network for the least variance of the bound. The
bound, however, counts every bit of a picture alike, most of which nobody sees; steps in proportion to it would nearly all go to
imperceptible noise, and so would those in proportion to the loss of epsilon. Hence the time warping of Dieleman et al. 2022
(Continuous diffusion for categorical data, section 4): what the network cannot know rises in equal parts from step to step. For
pictures that is D = E|x_0 - x̂_0|^2, which rises with the noise from 0 to the variance of the data: steps go where x̂_0 is decided.

It is measured and not trained by gradients: a histogram of D over the time of the schedule that it starts as.
"""

import itertools
import math

import numpy as np
import torch
from torch import Tensor, nn

from core.diffusion.schedule import NoiseSchedule, cosine
from core.names import SCHEDULES, lookup

BINS = 32  # with more of them the noise of D is larger than its rise from one to the next
EVERY = 100  # steps from one table to the next
DECAY = 0.7  # of the histogram, at each of them: some 300 steps count
START = 0.5  # share of the starting schedule that stays, so that no noise level is left out
EVEN = (1 / BINS,) * BINS
"""The schedule as it starts."""

Spread = tuple[float, ...]
"""The share of the steps in each of BINS equal parts of the starting schedule; from the clean end on."""


def begin(timesteps: int) -> tuple[Tensor, Tensor]:
    """(a, s) before anything was learned: the cosine schedule."""
    return cosine(timesteps)


def is_spread(value: object) -> bool:
    """Whether this is a spread as `spread_of` makes them, as a list: finite, nothing left out, 1 together."""
    if type(value) is not list or len(value) != BINS or not all(type(share) is float for share in value):
        return False
    return all(0.99 * START / BINS <= share <= 1 for share in value) and math.isclose(sum(value), 1, rel_tol=1e-6)


def spread_of(errors: np.ndarray) -> Spread:
    """Steps in proportion to the rise of D, mixed with START of an even spread. `errors` (2, BINS): sums of D, and counts.

    D is told at the middle of each bin and read off at its edges. Where it falls, which only chance makes it do, or nothing was
    seen, it stays as it was before.
    """
    sums, counts = errors
    level = np.maximum.accumulate(np.divide(sums.clip(0), counts, out=np.zeros(BINS), where=counts >= 1))
    last = level[-1] + (level[-1] - level[-2]) / 2
    edges = np.array([0.0, *(level[1:] + level[:-1]) / 2, last])
    if not 0 < last < math.inf:
        return EVEN
    return tuple((START / BINS + (1 - START) * np.diff(edges) / last).tolist())


class LearnedSchedule(NoiseSchedule):
    """The starting schedule with its time warped by a spread: its ends stay, and so do its noise levels, in another pace.

    The table is a function of the spread alone, to the bit, and changes in place: whoever holds the schedule has that of now.
    """

    def __init__(self, timesteps: int, *, zero_terminal_snr: bool = False, spread: Spread = EVEN) -> None:
        super().__init__("learned", timesteps, zero_terminal_snr=zero_terminal_snr)
        self._start = self.a, self.s
        self.take(spread)

    def take(self, spread: Spread) -> None:
        """Be the schedule of this spread."""
        self.spread = spread
        edges = np.linspace(0, 1, BINS + 1)
        reached = np.array([0.0, *itertools.accumulate(spread)])
        time = np.interp(np.linspace(0, 1, self.timesteps), reached / reached[-1], edges)
        self.a, self.s = self._start
        if spread != EVEN:
            start = self._start[0].square().numpy()
            alpha_bar = torch.from_numpy(np.interp(time * (self.timesteps - 1), np.arange(self.timesteps), start))
            self.a, self.s = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
        self._tables.clear()
        self._bins = torch.from_numpy((time * BINS).astype(np.int64).clip(max=BINS - 1))

    def measured(self, errors: Tensor, t: Tensor) -> Tensor:
        """(2, BINS): sums of the errors D of some images at t, and counts, float32 on their device."""
        member = nn.functional.one_hot(self._bins.to(t.device)[t], BINS).to(errors.dtype)
        return torch.stack([errors @ member, member.sum(0)])


def make_schedule(name: str, timesteps: int, *, zero_terminal_snr: bool = False, spread: Spread = EVEN) -> NoiseSchedule:
    """The schedule of a name; one that is learned, with its spread. Raises UserError as NoiseSchedule does."""
    if lookup(SCHEDULES, name, "schedule").learned:
        return LearnedSchedule(timesteps, zero_terminal_snr=zero_terminal_snr, spread=spread)
    return NoiseSchedule(name, timesteps, zero_terminal_snr=zero_terminal_snr)
