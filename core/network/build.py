"""The network of a training: a U-Net of the shape that is asked for, or a person's own."""

import torch

from core.config import MOST_PARAMETERS, TrainConfig
from core.errors import UserError
from core.names import NETWORKS
from core.network.own import AnyNetwork
from core.network.unet import UNet, parameter_count, shape_of


def build(config: TrainConfig, size: tuple[int, int], channels: int, classes: int) -> AnyNetwork:
    """For pictures of this height and width, and `classes` to tell apart. Raises UserError for one that is too large to be kept,
    before memory is taken for it, and for pictures that are too small."""
    if not config.shape:
        network: AnyNetwork = NETWORKS[config.model].load()(size, channels, classes)
        _refuse_large(network)
        return network
    shape = shape_of(config, size, channels, classes, config.learn_variance)
    with torch.device("meta"):
        _refuse_large(UNet(shape))
    return UNet(shape)


def _refuse_large(network: AnyNetwork) -> None:
    count = parameter_count(network)
    if count > MOST_PARAMETERS:
        raise UserError(
            f"this network has {count:,} parameters, more than the {MOST_PARAMETERS:,} that a checkpoint keeps; use fewer "
            "--base-channels, --channel-multipliers or --blocks"
        )
