"""Random numbers as a function of what they are for: the noise of step n depends on (seed, n) and on nothing else.

That is what makes a run resume exactly with no generator state to save, and image k independent of the batch around it.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_ALONE = threading.Lock()


def generator_for(device: torch.device | str, *purpose: int | str) -> torch.Generator:
    """A generator seeded by the purpose, as in generator_for("cpu", seed, "step", 17)."""
    digest = hashlib.blake2b("/".join(map(str, purpose)).encode(), digest_size=8).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest) >> 1)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """For what draws from torch's one generator, as a new network does: seeded, for one thread at a time, and put back after."""
    with _ALONE, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class SampleNoise:
    """Standard normal noise for images first .. first + count - 1, each from a generator of its own on the CPU."""

    def __init__(self, seed: int, first: int, count: int, shape: tuple[int, ...], device: torch.device) -> None:
        self.generators = [generator_for("cpu", seed, "image", first + k) for k in range(count)]
        self.shape = shape
        self.device = device

    def __call__(self) -> Tensor:
        """The next draw, (count, *shape)."""
        return torch.stack([torch.randn(self.shape, generator=g) for g in self.generators]).to(self.device)
