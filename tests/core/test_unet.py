"""The network: shapes, sizes, what it starts as, and what it refuses."""

import math

import pytest
import torch
import torch.nn.functional as F

from core.errors import UserError
from core.names import NETWORKS
from core.network.unet import Grow, UNet, UNetConfig, parameter_count, sinusoidal_embedding


def ready(network: UNet) -> UNet:
    """The network with its zero layers filled, so that everything reaches the output."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in network.parameters():
            if not p.any():
                p.copy_(torch.randn(p.shape, generator=g) * 0.1)
    return network.eval()


@pytest.mark.parametrize("preset", sorted(NETWORKS))
@pytest.mark.parametrize(("side", "channels"), [(28, 1), (32, 3), (29, 1), (17, 3)])
def test_the_output_has_the_shape_of_the_input(preset: str, side: int, channels: int) -> None:
    network = ready(NETWORKS[preset].load()(side, channels))
    x = torch.randn(2, channels, side, side)
    with torch.no_grad():
        out = network(x, torch.tensor([0, 999]))
    assert out.shape == x.shape
    assert out.isfinite().all()


def test_learned_variance_doubles_the_channels() -> None:
    assert NETWORKS["tiny"].load()(28, 3, learn_variance=True)(torch.zeros(1, 3, 28, 28), torch.zeros(1)).shape == (1, 6, 28, 28)


def test_reference_is_the_network_of_the_brief() -> None:
    network = NETWORKS["reference"].load()(28, 1)
    assert 1_800_000 <= parameter_count(network) <= 2_500_000
    assert network.config.base == 64
    assert network.config.time_dim == 256


def test_sizes_of_the_presets() -> None:
    assert parameter_count(NETWORKS["tiny"].load()(28, 1)) < 150_000
    assert 1_000_000 < parameter_count(NETWORKS["fast"].load()(28, 1)) < 1_500_000


@pytest.mark.parametrize("preset", sorted(NETWORKS))
def test_a_fresh_network_answers_zero(preset: str) -> None:
    network = NETWORKS[preset].load()(28, 1)
    assert not network(torch.randn(2, 1, 28, 28), torch.tensor([3, 900])).any()


@pytest.mark.parametrize(("preset", "least"), [("tiny", 4), ("fast", 4), ("reference", 4)])
def test_images_smaller_than_a_cell_are_refused(preset: str, least: int) -> None:
    NETWORKS[preset].load()(least, 1)
    with pytest.raises(UserError, match=f"at least {least} pixels") as error:
        NETWORKS[preset].load()(least - 1, 1)
    assert "\n" not in str(error.value)


def test_the_embedding_is_cosines_then_sines_of_falling_frequencies() -> None:
    e = sinusoidal_embedding(torch.tensor([0, 7]), 8)
    assert e[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    for i in range(4):
        angle = 7 * 10000 ** (-i / 4)  # divided by half
        assert e[1, i].item() == pytest.approx(math.cos(angle), abs=1e-5)
        assert e[1, 4 + i].item() == pytest.approx(math.sin(angle), abs=1e-5)
    assert sinusoidal_embedding(torch.tensor([5]), 2).isfinite().all()


def test_no_label_is_the_null_label_and_labels_matter() -> None:
    network = ready(NETWORKS["tiny"].load()(28, 1, classes=10))
    x, t = torch.randn(2, 1, 28, 28), torch.tensor([5, 5])
    with torch.no_grad():
        without, null = network(x, t), network(x, t, torch.tensor([10, 10]))
        seven = network(x, t, torch.tensor([7, 7]))
    assert network.null_label == 10
    assert torch.equal(without, null)
    assert not torch.allclose(without, seven)


def test_time_matters() -> None:
    network = ready(NETWORKS["tiny"].load()(28, 1))
    x = torch.randn(1, 1, 28, 28)
    with torch.no_grad():
        assert not torch.allclose(network(x, torch.tensor([5])), network(x, torch.tensor([900])))


def test_odd_sides_are_padded_inside_only() -> None:
    network = ready(UNet(UNetConfig(image_size=30, base=8, time_dim=8, blocks=1)))
    x = torch.randn(1, 1, 30, 27)
    with torch.no_grad():
        assert network(x, torch.tensor([1])).shape == (1, 1, 30, 27)


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 1, 1, 1), (3, 8, 2, 7)])
def test_growing_is_the_convolution_of_the_repeated_pixels(shape: tuple[int, ...]) -> None:
    grow = Grow(shape[1], 6)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = grow(x)
    expected = F.conv2d(F.interpolate(x, scale_factor=2.0, mode="nearest"), grow.weight, grow.bias, padding=1)
    assert torch.allclose(found, expected, atol=1e-5)
    to_output = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    inputs = [x, *grow.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(found, inputs, to_output), torch.autograd.grad(expected, inputs, to_output), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-4)
