"""The figures of metrics.jsonl for TensorBoard too, in the run's folder. The package is an extra, imported where it is used."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from core.errors import UserError, not_installed

PACKAGE = "tensorboard"
_FIGURES = ("loss", "held_out", "distance", "floor", "grad_norm", "lr")


def require_log(log: str) -> None:
    """Raise UserError where a log in TensorBoard's files is asked for, and that is not installed."""
    if log and find_spec(PACKAGE) is None:
        raise UserError(f"{not_installed('tensorboard', 'tensorboard')}, or leave --log out")


class Curves:
    """Writes lines of metrics as they come. What was written after `step`, by a session that was cut short, counts no more."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1)

    def add(self, entry: Mapping[str, Any]) -> None:
        """One line: each of its figures over the steps, the loss by quarter of t among them."""
        figures = {name: entry.get(name) for name in _FIGURES}
        for name, key in (("loss by t", "quartiles"), ("held_out by t", "held_out_quartiles")):
            figures |= {f"{name}/quarter {number}": value for number, value in enumerate(entry.get(key, ()), start=1)}
        for name, value in figures.items():
            if value is not None:
                self._writer.add_scalar(name, value, entry["step"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()
