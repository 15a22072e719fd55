"""What several commands do with their flags."""

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from core.config import TrainConfig, check_value

if TYPE_CHECKING:
    from core.compute.device import Compute

COMPUTE = ("device", "precision", "threads")


def given(options: argparse.Namespace, config: type, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a config, or `only` some of them, that were on the command line."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(options).items() if name in names and (not only or name in only)}


def check_compute(options: argparse.Namespace) -> None:
    """Raise UserError for a device or a precision that there is not, before torch is imported."""
    wanted = given(options, TrainConfig, COMPUTE)
    for field in dataclasses.fields(TrainConfig):
        if field.name in wanted:
            check_value(field, wanted[field.name])


def chosen_compute(options: argparse.Namespace) -> "Compute":
    """Where to compute, as asked for; imports torch. Raises UserError."""
    from core.compute.device import choose_compute

    return choose_compute(**given(options, TrainConfig, COMPUTE))
