"""Normalisation against torch's own."""

import math
from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.network.norms import GroupNorm, LayerNorm, activated

N = TypeVar("N", bound=nn.Module)


@pytest.mark.parametrize(("channels", "groups"), [(64, 32), (48, 24), (16, 16), (7, 7), (37, 1), (66, 22), (1, 1)])
def test_groups_are_the_largest_divisor_not_above_32(channels: int, groups: int) -> None:
    assert GroupNorm(channels).num_groups == groups


def filled(norm: N) -> N:
    """The norm with a weight and a bias of its own for every channel."""
    for number, p in enumerate(norm.parameters()):
        nn.init.normal_(p, 1 - number, generator=torch.Generator().manual_seed(number))
    return norm


def layer_by_hand(norm: LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(1, keepdim=True)
    scaled = centred / (centred.square().mean(1, keepdim=True) + norm.eps).sqrt()
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def group_by_torch(norm: GroupNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("kind", "reference"), [(GroupNorm, group_by_torch), (LayerNorm, layer_by_hand)])
@pytest.mark.parametrize("shape", [(3, 48, 5, 4), (2, 66, 2, 1), (1, 8, 7, 7)])
def test_values_and_gradients(
    shape: tuple[int, ...],
    kind: type[nn.Module],
    reference: Callable[[nn.Module, Tensor], Tensor],
    memory: torch.memory_format,
    silu: bool,
    modulated: bool,
    whole: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not whole:  # two images at a time
        monkeypatch.setattr("core.network.norms.WHOLE", 0)
        monkeypatch.setattr("core.network.norms.PART", 2 * math.prod(shape[1:]))
    g = torch.Generator().manual_seed(1)
    norm = filled(kind(shape[1]))
    x = (3 + torch.randn(shape, generator=g)).contiguous(memory_format=memory).requires_grad_()
    modulation = torch.randn(shape[0], 2 * shape[1], generator=g, requires_grad=True) if modulated and silu else None
    expected = reference(norm, x)
    if modulation is not None:
        scale, shift = modulation[:, :, None, None].chunk(2, dim=1)
        expected = expected * (1 + scale) + shift
    expected = F.silu(expected) if silu else expected
    found = activated(norm, x, modulation) if silu else norm(x)
    assert torch.allclose(found, expected, atol=1e-4)
    inputs = [x, *norm.parameters(), *([] if modulation is None else [modulation])]
    to_output = torch.randn(shape, generator=g)
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, to_output), torch.autograd.grad(expected, inputs, to_output), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-3)


@pytest.mark.parametrize("kind", [GroupNorm, LayerNorm])
def test_bf16_is_as_near_as_its_rounding(kind: type[nn.Module]) -> None:
    norm = filled(kind(64))
    x = torch.randn(4, 64, 8, 8, generator=torch.Generator().manual_seed(0)).contiguous(memory_format=torch.channels_last)
    halved = activated(norm, x.bfloat16())
    assert halved.dtype == torch.bfloat16 and halved.is_contiguous(memory_format=torch.channels_last)
    exact = activated(norm, x)
    assert ((halved.float() - exact).abs() <= 0.02 * exact.abs() + 0.02).all()


def test_an_image_without_contrast_stays_finite() -> None:
    x = torch.full((2, 8, 4, 4), 1e4, requires_grad=True)
    found = activated(GroupNorm(8), x)
    found.sum().backward()
    assert found.isfinite().all() and x.grad is not None and x.grad.isfinite().all()
