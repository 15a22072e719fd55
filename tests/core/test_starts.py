"""Interpolation, SDEdit and inpainting: the ends they must meet, and the pixels they must keep."""

import pytest
import torch

from core.compute.device import choose_compute
from core.compute.seeds import SampleNoise
from core.config import REGIONS, SampleConfig, TrainConfig
from core.diffusion.generate import Source, generate, timesteps_for
from core.diffusion.model import Model, make_diffusion
from core.diffusion.starts import interpolated, region, slerp
from core.errors import UserError
from core.images import to_float
from core.network.unet import tiny


@pytest.fixture(scope="module")
def model() -> Model:
    config = TrainConfig.of(model="tiny")
    torch.manual_seed(0)
    network = tiny(28, 1).eval()
    torch.nn.init.normal_(network.out.weight, std=0.05)
    return Model(network, make_diffusion(config), config, ("a", "b"), 0)


def final(model: Model, options: SampleConfig, source: torch.Tensor | None = None) -> torch.Tensor:
    pictures = None if source is None else Source(source, torch.zeros(len(source), dtype=torch.int64))
    return list(generate(model, options, choose_compute("cpu", "fp32"), pictures))[-1].frame.x


def test_slerp_meets_its_ends_and_keeps_the_length() -> None:
    a, b = torch.randn(2, 1, 28, 28, generator=torch.Generator().manual_seed(1)).unbind(0)
    path = slerp(a, b, torch.linspace(0, 1, 5))
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    straight = torch.lerp(a, b, 0.5).norm()
    assert path[2].norm() > 0.95 * a.norm() > 1.2 * straight


def test_interpolation_runs_from_image_0_to_image_1_of_the_seed(model: Model) -> None:
    ends = SampleNoise(7, 0, 2, model.shape, torch.device("cpu"))()
    options = SampleConfig(num_images=5, seed=7, start="interpolate")
    way = interpolated(options, 0, 5, model.shape, torch.device("cpu"))
    torch.testing.assert_close(way[[0, -1]], ends)
    drawn = final(model, options)
    two = final(model, SampleConfig(num_images=2, seed=7, sampler="euler"))
    torch.testing.assert_close(drawn[[0, -1]], two, atol=1e-4, rtol=0)


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m", "ddpm", "heun"])
def test_inpainting_keeps_every_known_pixel(model: Model, sampler: str) -> None:
    source = torch.randint(0, 256, (3, 28, 28, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    drawn = final(model, SampleConfig(num_images=3, start="inpaint", region="left", sampler=sampler, steps=6), source)
    known = to_float(source)
    torch.testing.assert_close(drawn[..., 14:], known[..., 14:], atol=1e-5, rtol=0)
    assert (drawn[..., :14] - known[..., :14]).abs().mean() > 0.1


def test_sdedit_walks_only_its_share_of_the_schedule(model: Model) -> None:
    options = SampleConfig(start="image", strength=0.3, steps=10).resolve(model.config, model.label_count)
    timesteps = timesteps_for(model, options)
    assert timesteps[0] == 299 and len(timesteps) == 10 and timesteps == sorted(set(timesteps), reverse=True)
    source = torch.full((2, 28, 28, 1), 200, dtype=torch.uint8)
    slight = final(model, SampleConfig(num_images=2, start="image", strength=0.01, steps=2), source)
    assert (slight - to_float(source)).abs().mean() < 0.2


def test_regions_are_halves_and_a_middle() -> None:
    assert {name: int(region(name, 28, 28).sum()) for name in REGIONS} == {
        "centre": 14 * 14, "left": 14 * 28, "right": 14 * 28, "top": 14 * 28, "bottom": 14 * 28,
    }  # fmt: skip


def test_pictures_of_another_size_are_refused(model: Model) -> None:
    with pytest.raises(UserError, match="28x28"):
        final(model, SampleConfig(num_images=1, start="inpaint"), torch.zeros(1, 32, 32, 1, dtype=torch.uint8))
