"""A plane of noises: lengths, angles, and what it depends on."""

import math

import pytest
import torch

from core.diffusion.plane import noise_of, plane_through

SHAPE = (1, 28, 28)


def test_every_point_is_as_long_as_the_middle_and_as_far_from_it_as_asked() -> None:
    centre = noise_of(7, 0, SHAPE, torch.device("cpu"))
    plane = plane_through(centre, 7, "plane", 0)
    points = [(0.0, 0.0), (0.3, 0.0), (0.0, -0.5), (0.6, 0.8), (3.0, 0.0)]
    noises = plane.at(points)
    assert torch.equal(noises[0], centre)
    for (x, y), noise in zip(points, noises, strict=True):
        assert float(noise.norm()) == pytest.approx(float(centre.norm()), rel=1e-5)
        cosine = float((noise * centre).sum() / centre.norm() ** 2)
        assert cosine == pytest.approx(math.cos(math.hypot(x, y)), abs=1e-5)
    assert abs(float((plane.across * plane.down).sum())) < 1e-2


def test_directions_are_a_function_of_the_purpose() -> None:
    centre = noise_of(7, 0, SHAPE, torch.device("cpu"))
    first, again, other = (plane_through(centre, 7, "plane", number) for number in (0, 0, 1))
    assert torch.equal(first.across, again.across) and torch.equal(first.down, again.down)
    assert abs(float((first.across * other.across).sum() / centre.norm() ** 2)) < 0.2


def test_the_middle_of_a_seed_is_the_noise_that_its_image_is_drawn_from() -> None:
    from core.compute.seeds import SampleNoise

    assert torch.equal(noise_of(3, 1, SHAPE, torch.device("cpu")), SampleNoise(3, 0, 2, SHAPE, torch.device("cpu"))()[1])
