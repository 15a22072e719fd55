"""What several commands do with their flags."""

import argparse
import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import COMPUTE_FIELDS, TrainConfig, check_value
from core.errors import UserError
from core.files import require_writable, user_path

if TYPE_CHECKING:
    from core.compute.device import Compute


def given(options: argparse.Namespace, config: type, only: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a config, or `only` some of them, that were on the command line."""
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in vars(options).items() if name in names and (not only or name in only)}


def check_compute(options: argparse.Namespace) -> None:
    """Raise UserError for a device or a precision that there is not, before torch is imported."""
    wanted = given(options, TrainConfig, COMPUTE_FIELDS)
    for field in dataclasses.fields(TrainConfig):
        if field.name in wanted:
            check_value(field, wanted[field.name])


def output_path(asked: str | Path, checkpoint: Path | None = None) -> Path:
    """Where a command writes its result. Raises UserError, before hours are spent on it, when that cannot be or costs a run."""
    path = user_path(asked)
    require_writable(path)
    if checkpoint is not None and path.exists() and path.samefile(checkpoint):
        raise UserError(f"{path} is the checkpoint itself, which would be lost; choose another name")
    from core.runs.folder import holds_file

    if holds_file(path):
        raise UserError(f"{path} is a part of a trained run, which would be lost; choose another name")
    return path


def chosen_compute(options: argparse.Namespace) -> "Compute":
    """Where to compute, as asked for; imports torch. Raises UserError."""
    from core.compute.device import choose_compute

    return choose_compute(**given(options, TrainConfig, COMPUTE_FIELDS))
