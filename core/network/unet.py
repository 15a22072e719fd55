"""The time-conditioned U-Net (Ronneberger et al. 2015; Ho et al. 2020, appendix B) and its named shapes."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core.config import TrainConfig
from core.errors import UserError
from core.network.norms import NORMS, activated


@dataclass(frozen=True)
class UNetConfig:
    """Shape of a network.

    `image_size` is the height of the images, and their width where `width` is 0. `patch` folds patch x patch pixels into channels
    before the first level (pixel unshuffle); `norm` is one of NORMS.
    """

    image_size: int = 28
    channels: int = 1
    base: int = 64
    multipliers: tuple[int, ...] = (1, 2)
    blocks: int = 2
    attention: tuple[bool, ...] = (False, True)
    time_dim: int = 256
    patch: int = 1
    norm: str = "group"
    classes: int = 0
    learn_variance: bool = False
    dropout: float = 0.0
    width: int = 0

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return self.image_size, self.width or self.image_size

    @property
    def factor(self) -> int:
        """How many pixels a side one cell of the lowest level covers; sides are padded to a multiple of it."""
        return int(self.patch * 2 ** (len(self.multipliers) - 1))


def sinusoidal_embedding(t: Tensor, dim: int) -> Tensor:
    """[cos(t w_i), sin(t w_i)] with w_i = 10000^(-i / half), i < half = dim / 2; (N,) -> (N, dim).

    Divided by half as in OpenAI's code, not by half - 1 as in Ho et al. 2020, which breaks at half = 1.
    """
    half = dim // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, device=t.device, dtype=torch.float32) / half)
    angles = t.float()[:, None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class ResBlock(nn.Module):
    """Two 3x3 convolutions; the time embedding scales and shifts the second norm (Dhariwal & Nichol 2021, equation 6).

    The second convolution starts at zero, so that every block starts as the identity; dropout stands before it, as in Ho et al.
    """

    def __init__(self, inputs: int, outputs: int, time_dim: int, norm: str, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm1, self.norm2 = NORMS[norm](inputs), NORMS[norm](outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.time = nn.Linear(time_dim, 2 * outputs)
        self.dropout = dropout
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        h = self.conv1(activated(self.norm1, x))
        h = activated(self.norm2, h, self.time(time))
        if self.dropout:
            h = F.dropout(h, self.dropout, self.training)
        h = self.conv2(h)
        return h + self.skip(x)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Self-attention over all positions in heads of 32 channels or more; plain products beat flash attention at 49 tokens on
    a CPU."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.heads = next(heads for heads in range(max(1, channels // 32), 0, -1) if channels % heads == 0)
        self.norm = NORMS[norm](channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).reshape(n, 3, self.heads, c // self.heads, h * w).unbind(1)
        weights = torch.softmax(q.transpose(2, 3) @ k * (c // self.heads) ** -0.5, dim=-1)
        return x + self.out((v @ weights.transpose(2, 3)).reshape(n, c, h, w))  # type: ignore[no-any-return]


class Grow(nn.Conv2d):
    """A 3x3 convolution of the image at twice the side, where every pixel stands four times (nearest neighbour).

    Pixels that repeat meet sums of the kernel's weights, so one transposed convolution of stride 2 by the sums over all its 2x2
    neighbours is the same, and takes 16 products for every pixel of the small image instead of 36.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)

    def forward(self, input: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, 2 H, 2 W)."""
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        kernel = F.avg_pool2d(F.pad(kernel, (1, 1, 1, 1)), 2, stride=1, divisor_override=1)
        return F.conv_transpose2d(input, kernel, self.bias, stride=2, padding=1)


class Stage(nn.Module):
    """A residual block, with attention behind it where the level has it."""

    def __init__(self, inputs: int, outputs: int, attention: bool, config: UNetConfig) -> None:
        super().__init__()
        self.block = ResBlock(inputs, outputs, config.time_dim, config.norm, config.dropout)
        self.attention = Attention(outputs, config.norm) if attention else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return self.attention(self.block(x, time))  # type: ignore[no-any-return]


class UNet(nn.Module):
    """Encoder, middle and decoder with skip connections; the output has the shape of the input.

    forward(x, t, labels): x (N, C, H, W), t (N,) integer timesteps, labels (N,) integers or None. A conditional network reads
    None as the null class, index `classes`. With `learn_variance` the output has 2 C channels: prediction, then variance.
    Raises UserError when the image is smaller than one cell of the lowest level.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        if min(config.size) < config.factor:
            raise UserError(
                f"images of side {min(config.size)} are too small for this network, whose {len(config.multipliers)} levels "
                f"need at least {config.factor} pixels; use larger images or another --model"
            )
        self.config = config
        self.null_label = config.classes
        widths = [config.base * m for m in config.multipliers]
        dim = config.time_dim
        self.time = nn.Sequential(nn.Linear(dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.label = nn.Embedding(config.classes + 1, dim) if config.classes else None
        self.stem = nn.Conv2d(config.channels * config.patch**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.up = nn.ModuleList()
        self.grow = nn.ModuleList()
        width = widths[0]
        for level, outputs in enumerate(widths):
            if level:
                self.shrink.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
            stages = [width] + [outputs] * (config.blocks - 1)
            self.down.append(nn.ModuleList(Stage(i, outputs, config.attention[level], config) for i in stages))
            width = outputs
        self.middle = Stage(width, width, True, config)
        for level, outputs in reversed(list(enumerate(widths))):
            stages = [width] + [outputs] * (config.blocks - 1)
            self.up.append(nn.ModuleList(Stage(i + outputs, outputs, config.attention[level], config) for i in stages))
            width = outputs
            if level:
                self.grow.append(Grow(width, widths[level - 1]))
                width = widths[level - 1]
        self.norm = NORMS[config.norm](width)
        outputs = config.channels * config.patch**2 * (2 if config.learn_variance else 1)
        self.out = nn.Conv2d(width, outputs, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        height, width = x.shape[-2:]
        factor = self.config.factor
        h = F.pad(x, (0, -width % factor, 0, -height % factor))
        h = self.stem(F.pixel_unshuffle(h, self.config.patch))
        time = self._embed(t, labels)
        skips: list[Tensor] = []
        for level, stages in enumerate(self.down):
            if level:
                h = self.shrink[level - 1](h)
            for stage in stages:  # type: ignore[attr-defined]
                h = stage(h, time)
                skips.append(h)
        h = self.middle(h, time)
        for level, stages in enumerate(self.up):
            for stage in stages:  # type: ignore[attr-defined]
                h = stage(torch.cat([h, skips.pop()], dim=1), time)
            if level < len(self.grow):
                h = self.grow[level](h)
        h = F.pixel_shuffle(self.out(activated(self.norm, h)), self.config.patch)
        return h[..., :height, :width]

    def plain_parameters(self) -> list[Tensor]:
        """Those that Muon leaves to AdamW: the output and the embeddings."""
        return [self.out.weight, *self.time.parameters(), *(self.label.parameters() if self.label else ())]

    def _embed(self, t: Tensor, labels: Tensor | None) -> Tensor:
        time: Tensor = self.time(sinusoidal_embedding(t, self.config.time_dim))
        if self.label is not None:
            if labels is None:
                labels = torch.full_like(t, self.null_label)
            time = time + self.label(labels)
        return F.silu(time)


def fast(image_size: int, channels: int, classes: int = 0, learn_variance: bool = False) -> UNet:
    """Most quality per second on a small CPU: convolutions at half the side, behind a 2x2 pixel-unshuffle stem.

    Narrow, since a small CPU gains more from more steps than from wider ones; LayerNorm costs a third of GroupNorm there.
    """
    return UNet(_shape("fast", image_size, channels, classes, learn_variance))


def reference(image_size: int, channels: int, classes: int = 0, learn_variance: bool = False) -> UNet:
    """What the brief describes: about 2M parameters, base 64, time embedding of 256."""
    return UNet(_shape("reference", image_size, channels, classes, learn_variance))


def tiny(image_size: int, channels: int, classes: int = 0, learn_variance: bool = False) -> UNet:
    """For tests: a training step in milliseconds."""
    return UNet(_shape("tiny", image_size, channels, classes, learn_variance))


_FIXED: dict[str, dict[str, Any]] = {
    "fast": {"patch": 2, "norm": "layer"},
    "reference": {},
    "tiny": {"patch": 2, "time_dim": 32},
}
"""What no field of a training changes; the rest is in core.names."""


def _shape(name: str, image_size: int, channels: int, classes: int, learn_variance: bool) -> UNetConfig:
    return shape_of(TrainConfig(model=name), (image_size, image_size), channels, classes, learn_variance)


def shape_of(config: TrainConfig, size: tuple[int, int], channels: int, classes: int, learn_variance: bool) -> UNetConfig:
    """The U-Net of a training for such pictures."""
    own = config.shape
    return UNetConfig(
        image_size=size[0],
        width=size[1] if size[1] != size[0] else 0,
        channels=channels,
        base=own["base_channels"],
        multipliers=own["channel_multipliers"],
        blocks=own["blocks"],
        attention=own["attention"],
        classes=classes,
        learn_variance=learn_variance,
        dropout=float(own["dropout"]),
        **_FIXED[config.model],
    )


def parameter_count(model: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
