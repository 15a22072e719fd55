"""Normalisation, alone or with what follows it in a residual block: silu(norm(x) (1 + scale) + shift)."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_GROUPS = 32
WHOLE, PART = 2**21, 2**19  # values up to which a pass of GroupNorm takes them all, and otherwise takes at a time


class GroupNorm(nn.GroupNorm):
    """GroupNorm (Wu & He 2018) with the largest number of groups that divides the channels and is not above 32.

    Its arithmetic is float32 under bf16 too. On a CPU torch's own is written for another memory format than channels_last,
    and takes about four times as long as the passes of `_Normalized`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(max(g for g in range(1, min(MOST_GROUPS, channels) + 1) if channels % g == 0), channels)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        if input.device.type == "cpu":
            weight, bias = (p.expand(len(input), -1) for p in (self.weight, self.bias))
            return _normalized(input, weight, bias, self, False)
        return F.group_norm(input.float(), self.num_groups, self.weight, self.bias, self.eps)


class LayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of every pixel, which lie side by side in channels_last (Liu et al. 2022, ConvNeXt)."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)  # on a CPU faster than mixed precision
        return F.layer_norm(input.movedim(1, -1), self.normalized_shape, weight, bias, self.eps).movedim(-1, 1)


NORMS: dict[str, type[GroupNorm] | type[LayerNorm]] = {"group": GroupNorm, "layer": LayerNorm}


def activated(norm: nn.Module, x: Tensor, modulation: Tensor | None = None) -> Tensor:
    """silu(norm(x) (1 + scale) + shift) of (N, C, H, W); modulation (N, 2 C) holds scale and shift, none is 0 (Dhariwal &
    Nichol 2021, equation 6)."""
    if isinstance(norm, GroupNorm) and x.device.type == "cpu":
        weight, bias = norm.weight.expand(len(x), -1), norm.bias.expand(len(x), -1)
        if modulation is not None:
            scale, shift = modulation.float().chunk(2, dim=1)
            weight, bias = weight * (1 + scale), bias * (1 + scale) + shift
        return _normalized(x, weight, bias, norm, True)
    h = norm(x)
    if modulation is not None:
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        h = h * (1 + scale) + shift
    return F.silu(h)


def _normalized(x: Tensor, weight: Tensor, bias: Tensor, norm: GroupNorm, silu: bool) -> Tensor:
    return _Normalized.apply(x, weight, bias, norm.num_groups, norm.eps, silu)  # type: ignore[no-any-return]


class _Normalized(torch.autograd.Function):
    """GroupNorm of x (N, C, H, W) with a weight and a bias for every image, (N, C), then silu where asked.

    With statistics by image and channel it is y = x a + b, and its gradient for x is one more such line: whole passes over
    memory instead of one group after the other, over a few images at a time so that the next pass finds them in the cache.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        n, c, height, width = x.shape
        flat = x.movedim(1, -1).reshape(n, height * width, c)
        mean, deviation, a, b = (torch.empty_like(weight, memory_format=torch.contiguous_format) for _ in range(4))
        y = torch.empty_like(flat)
        for part in _parts(flat):
            f = flat[part].float()
            mean[part], square = (_over_groups(moment, groups) for moment in (f.mean(1), f.square().mean(1)))
            deviation[part] = (square - mean[part].square()).clamp(min=0).add(eps).rsqrt()  # its inverse
            a[part] = deviation[part] * weight[part]
            b[part] = bias[part] - mean[part] * a[part]
            line = torch.addcmul(b[part, None], f, a[part, None])
            y[part] = F.silu(line, inplace=True) if silu else line
        ctx.save_for_backward(flat, mean, deviation, weight, a, b)
        ctx.groups, ctx.silu, ctx.shape = groups, silu, (n, height, width, c)
        return y.view(ctx.shape).movedim(-1, 1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        flat, mean, deviation, weight, a, b = ctx.saved_tensors
        gradient = gradients[0].movedim(1, -1).reshape(flat.shape)
        to_weight, to_bias, to_x = torch.empty_like(a), torch.empty_like(a), torch.empty_like(flat)
        count = flat.shape[1]
        for part in _parts(flat):
            f, g = flat[part].float(), gradient[part].float()
            if ctx.silu:
                g = torch.ops.aten.silu_backward(g, torch.addcmul(b[part, None], f, a[part, None]))
            to_bias[part] = g.sum(1)
            to_weight[part] = ((g * f).sum(1) - mean[part] * to_bias[part]) * deviation[part]
            # Through the statistics: -deviation (mean of w g + x^ mean of w g x^), with x^ = (x - mean) deviation.
            through_mean = _over_groups(weight[part] * to_bias[part], ctx.groups) / count
            slope = -deviation[part].square() * _over_groups(weight[part] * to_weight[part], ctx.groups) / count
            offset = -deviation[part] * through_mean - mean[part] * slope
            to_x[part] = torch.addcmul(offset[:, None], f, slope[:, None]).addcmul_(g, a[part, None])
        return to_x.view(ctx.shape).movedim(-1, 1), to_weight, to_bias, None, None, None


def _parts(flat: Tensor) -> list[slice]:
    """Of the images of (N, H W, C): so many at a time as a cache holds in float32, or all where they are few."""
    n, values = len(flat), flat.numel()
    size = n if values <= WHOLE else max(1, PART * n // values)
    return [slice(first, first + size) for first in range(0, n, size)]


def _over_groups(values: Tensor, groups: int) -> Tensor:
    """The mean over the channels of each group, for every channel; (N, C) both."""
    n, c = values.shape
    return values.view(n, groups, -1).mean(2, keepdim=True).expand(-1, -1, c // groups).reshape(n, c)
