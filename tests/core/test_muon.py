"""Muon: what its updates look like, which parameters it takes, and that it learns and resumes."""

import torch
from torch import nn

from core.config import TrainConfig
from core.muon import Muon, orthogonalized
from core.state import make_optimizer
from core.unet import make_unet


def test_orthogonalized_has_singular_values_near_one() -> None:
    generator = torch.Generator().manual_seed(0)
    for shape in ((16, 144), (64, 64), (96, 24)):
        matrix = torch.randn(shape, generator=generator)
        result = orthogonalized(matrix)
        values = torch.linalg.svdvals(result)
        assert values.min() > 0.3 and values.max() < 1.3
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        assert (result * (u @ v)).sum() / (result.norm() * (u @ v).norm()) > 0.95


def test_kernels_go_by_muon_and_the_rest_by_adamw() -> None:
    network = make_unet("tiny", 28, 1, classes=10)
    optimizer = make_optimizer(TrainConfig.of(model="tiny"), network)
    kernels, rest = (set(map(id, group["params"])) for group in optimizer.param_groups)
    assert id(network.stem.weight) in kernels
    assert network.label is not None
    for plain in (network.out.weight, network.label.weight, network.stem.bias, network.norm.weight):
        assert id(plain) in rest
    assert len(kernels) + len(rest) == len(list(network.parameters()))


def test_an_update_moves_every_kernel_by_about_the_size_of_adamw() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(32, 32, 3)
    before = layer.weight.detach().clone()
    optimizer = Muon(layer.parameters(), [], lr=1e-2, weight_decay=0.0)
    layer(torch.randn(4, 32, 8, 8)).square().mean().backward()
    optimizer.step()
    moved = (layer.weight - before).square().mean().sqrt() / 1e-2
    assert 0.1 < moved < 0.4


def test_state_survives_a_round_trip_bit_for_bit() -> None:
    def trained(split: bool) -> torch.Tensor:
        torch.manual_seed(0)
        layer = nn.Sequential(nn.Conv2d(4, 8, 3), nn.GroupNorm(2, 8))
        images = torch.randn(6, 2, 4, 6, 6)
        optimizer = Muon(layer.parameters(), [], lr=1e-2, weight_decay=0.1)
        for k, batch in enumerate(images):
            if split and k == 3:
                saved = optimizer.state_dict()
                optimizer = Muon(layer.parameters(), [], lr=1.0, weight_decay=0.0)
                optimizer.load_state_dict(saved)
            optimizer.zero_grad()
            (layer(batch) - 1).square().mean().backward()
            optimizer.step()
        return torch.cat([p.detach().flatten() for p in layer.parameters()])

    assert torch.equal(trained(split=False), trained(split=True))
