"""Where sampling starts: from noise, between two noises, from a picture, or around the part of a picture that is kept."""

import torch
from torch import Tensor

from core.compute.seeds import SampleNoise
from core.config import SampleConfig
from core.diffusion.process import Denoise, Prediction
from core.diffusion.schedule import NoiseSchedule


def slerp(a: Tensor, b: Tensor, weight: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985) from a to b, (C, H, W) each; weight (N,) in 0..1 gives (N, C, H, W).

    Between two noises it keeps the length that the network expects of noise; a straight line would fall short of it.
    """
    angle = torch.arccos((a * b).sum() / (a.norm() * b.norm()))
    w = weight.reshape(-1, 1, 1, 1)
    return (torch.sin((1 - w) * angle) * a + torch.sin(w * angle) * b) / torch.sin(angle)


def interpolated(options: SampleConfig, first: int, count: int, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """The noises of images first .. first + count - 1 on the way from the seed's image 0 to its image 1."""
    a, b = SampleNoise(options.seed, 0, 2, shape, device)()
    weight = torch.arange(first, first + count, device=device) / max(1, options.num_images - 1)
    return slerp(a, b, weight)


def noised(x0: Tensor, noise: Tensor, schedule: NoiseSchedule, t: int) -> Tensor:
    """x_t of given images: where SDEdit starts (Meng et al. 2021, algorithm 1)."""
    a, s = schedule.point(t)
    return a * x0 + s * noise


def keep_outside(denoise: Denoise, known: Tensor, mask: Tensor) -> Denoise:
    """Inpainting by projection: every predicted x_0 takes the known pixels where the mask (H, W) is 0.

    The data-consistency step of Wang et al. 2022 (DDNM), equation 13, for a masking operator; any sampler can use it.
    """

    def projected(x: Tensor, t: int) -> Prediction:
        prediction = denoise(x, t)
        return Prediction(torch.where(mask.bool(), prediction.x0, known), prediction.variance)

    return projected


def region(name: str, height: int, width: int) -> Tensor:
    """A mask (H, W) that is 1 where a picture is to be redrawn: a half of it, or the middle quarter."""
    mask = torch.zeros(height, width)
    rows = {"top": slice(0, height // 2), "bottom": slice(height // 2, height), "centre": slice(height // 4, -(height // 4))}
    columns = {"left": slice(0, width // 2), "right": slice(width // 2, width), "centre": slice(width // 4, -(width // 4))}
    mask[rows.get(name, slice(None)), columns.get(name, slice(None))] = 1
    return mask
