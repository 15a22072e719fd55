"""Muon: what its updates look like, which parameters it takes, and that it learns and resumes."""

import torch
from torch import nn

from core.config import TrainConfig
from core.network.muon import Muon, muon_and_adamw, orthogonalized
from core.network.unet import tiny
from core.training.state import make_optimizers


def test_orthogonalized_has_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((16, 144), (64, 64), (96, 24)):
        matrix = torch.randn(shape, generator=generator)
        other, result = orthogonalized([torch.randn(shape, generator=generator), matrix])
        assert not torch.allclose(other, result)
        values = torch.linalg.svdvals(result)
        assert values.min() > 0.3 and values.max() < 1.3
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        assert (result * (u @ v)).sum() / (result.norm() * (u @ v).norm()) > 0.95


def test_orthogonalized_is_the_iteration_of_jordan_et_al() -> None:
    """Equation and coefficients as published, x by x; ours gathers the polynomials on the short side, at half the products."""
    generator = torch.Generator().manual_seed(1)
    for shape in ((24, 216), (32, 32), (48, 12)):
        matrix = torch.randn(shape, generator=generator, dtype=torch.float64)
        matrix *= torch.logspace(0, -3, shape[1], dtype=torch.float64)  # badly conditioned, as gradients are
        x = matrix / matrix.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        assert (orthogonalized([matrix])[0] - x).abs().max() < 1e-6
        assert (orthogonalized([matrix.float()])[0] - x).norm() < 1e-3 * x.norm()


def test_a_kernel_moves_alike_in_either_memory_format() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 16, 3)
    moved = nn.Conv2d(8, 16, 3).to(memory_format=torch.channels_last)
    moved.load_state_dict(plain.state_dict())
    images = torch.randn(4, 8, 6, 6)
    for layer in (plain, moved):
        layer(images).square().mean().backward()
        for optimizer in muon_and_adamw(layer.parameters(), [], lr=1e-2, weight_decay=0.0):
            optimizer.step()
    assert torch.allclose(plain.weight, moved.weight, atol=1e-5)
    assert moved.weight.is_contiguous(memory_format=torch.channels_last)


def test_kernels_go_by_muon_and_the_rest_by_adamw() -> None:
    network = tiny(28, 1, classes=10)
    optimizers = make_optimizers(TrainConfig.of(model="tiny"), network)
    assert [type(optimizer) for optimizer in optimizers] == [Muon, torch.optim.AdamW]
    kernels, rest = ({id(p) for group in optimizer.param_groups for p in group["params"]} for optimizer in optimizers)
    assert id(network.stem.weight) in kernels
    assert network.label is not None
    for plain in (network.out.weight, network.label.weight, network.stem.bias, network.norm.weight):
        assert id(plain) in rest
    assert len(kernels) + len(rest) == len(list(network.parameters()))


def test_an_update_moves_every_kernel_by_about_the_size_of_adamw() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, 3)
    before = layer.weight.detach().clone()
    layer(torch.randn(4, 32, 8, 8)).square().mean().backward()
    for optimizer in muon_and_adamw(layer.parameters(), [], lr=1e-2, weight_decay=0.0):
        optimizer.step()
    moved = (layer.weight - before).square().mean().sqrt() / 1e-2
    assert 0.1 < moved < 0.4


def test_state_survives_a_round_trip_bit_for_bit() -> None:
    def trained(split: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Sequential(nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8))
        images = torch.randn(6, 2, 4, 6, 6)
        optimizers = muon_and_adamw(layer.parameters(), [], lr=1e-2, weight_decay=0.1)
        for k, batch in enumerate(images):
            if split and k == 3:
                saved = [optimizer.state_dict() for optimizer in optimizers]
                optimizers = muon_and_adamw(layer.parameters(), [], lr=1.0, weight_decay=0.0)
                for optimizer, state in zip(optimizers, saved, strict=True):
                    optimizer.load_state_dict(state)
            layer.zero_grad()
            (layer(batch) - 1).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
        return torch.cat([p.detach().flatten() for p in layer.parameters()])

    assert torch.equal(trained(split=False), trained(split=True))
