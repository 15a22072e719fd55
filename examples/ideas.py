"""One of each: a schedule, a network, a sampler and a data set of your own.

    tinydiff-tui --extend examples/ideas.py                                     the app, with all four in its lists
    tinydiff-tui train --extend examples/ideas.py --model patches --schedule steep --objective v --dataset spirals

Copy it, change it; ctrl+r in the app reads it again.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn

from core.diffusion.samplers import Frame
from core.extend import dataset, network, sampler, schedule


@schedule("steep", help="alpha-bar falls late, then fast", formula="ᾱ = cos(π u² / 2)")
def steep(u: float) -> float:
    return math.cos(math.pi / 2 * u**2)


class Patches(nn.Module):
    """A small transformer over patches of 4 x 4 pixels (Peebles & Xie 2023, with the time as one more token)."""

    def __init__(self, image_size: tuple[int, int], channels: int, classes: int, width: int = 96, depth: int = 3) -> None:
        super().__init__()
        self.fold = nn.PixelUnshuffle(4)
        tokens = (image_size[0] // 4) * (image_size[1] // 4)
        self.stem = nn.Linear(16 * channels, width)
        self.place = nn.Parameter(0.02 * torch.randn(1, tokens + 1, width))
        self.time = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.05, activation="gelu", batch_first=True, norm_first=True
        )
        self.blocks = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.out = nn.Linear(width, 16 * channels)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        folded = self.fold(x)
        rates = torch.exp(torch.linspace(0, -9, self.time[0].in_features // 2, device=x.device))
        angles = t[:, None] * rates
        time = self.time(torch.cat([angles.cos(), angles.sin()], dim=1))
        if self.label is not None and labels is not None:
            time = time + self.label(labels)
        tokens = torch.cat([time[:, None], self.stem(folded.flatten(2).transpose(1, 2))], dim=1)
        tokens = self.out(self.blocks(tokens + self.place)[:, 1:])
        return nn.functional.pixel_shuffle(tokens.transpose(1, 2).reshape(folded.shape), 4)


@network("patches", help="a transformer over patches of 4x4 pixels", source="Peebles & Xie 2023", recipe={"lr": 1e-3})
def patches(image_size: tuple[int, int], channels: int, classes: int) -> nn.Module:
    return Patches(image_size, channels, classes)


@sampler(
    "restart",
    evaluations=20,
    help="deterministic steps, each towards the predicted image by fresh noise",
    formula="x′ = a′ x̂0 + s′ z",
)
def restart(denoise, x, schedule, timesteps, noise):  # type: ignore[no-untyped-def]
    """Consistency models sample like this (Song et al. 2023, algorithm 1): all noise is drawn anew after every step."""
    total = len(timesteps)
    for i, t in enumerate(timesteps):
        x0 = denoise(x, t).x0
        yield Frame(i, total, t, x, x0)
        a, s = schedule.point(timesteps[i + 1] if i + 1 < total else -1)
        x = a * x0 + (s * noise() if s > 0 else 0)
    yield Frame(total, total, -1, x, x)


@dataset("spirals", help="spirals that turn left or right")
def spirals(split: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    random = np.random.default_rng(0 if split == "train" else 1)
    count = 2000 if split == "train" else 400
    labels = random.integers(0, 2, count)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    angle, radius = np.arctan2(y, x), np.hypot(x, y)
    turn, twist = random.uniform(0, 2 * np.pi, (count, 1, 1)), random.uniform(5, 9, (count, 1, 1))
    wave = np.cos(angle * np.where(labels, 1, -1)[:, None, None] + twist * radius + turn)
    images = (127.5 + 127.5 * np.tanh(4 * wave) * (radius < 0.95)) * (radius < 0.95)
    return images.astype(np.uint8)[..., None], labels, ["left", "right"]
