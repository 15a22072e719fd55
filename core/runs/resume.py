"""What a run is continued from: a checkpoint that can be read, and a config that fits it."""

from pathlib import Path
from typing import Any

from core.config import TrainConfig
from core.errors import UserError
from core.files import shell_word
from core.runs.checkpoint import load_checkpoint
from core.runs.folder import RunDir


def load_or_offer(path: Path, run: RunDir) -> dict[str, Any]:
    """Load a checkpoint to resume from; when it is torn or gone, name the newest of the run that is good."""
    try:
        return load_checkpoint(path)
    except UserError as error:
        good = _newest_whole(run)
        if good is None:
            raise UserError(f"{error}; no older checkpoint of this run is good, so start again with --overwrite") from error
        raise UserError(f"{error}; {good} is good, continue from it with --resume {shell_word(good)}") from error


def _newest_whole(run: RunDir) -> Path | None:
    """The checkpoint of the most steps that a run can be resumed from, whatever the times of the files say."""
    found: dict[Path, int] = {}
    for paths in ([run.last], reversed(run.epoch_checkpoints()), [run.final]):
        for path in paths:
            try:
                content = load_checkpoint(path)
            except UserError:
                continue
            if "optimizers" in content:
                found[path] = content["step"]
                break  # of the epochs, the last one has the most steps
    return max(found, key=lambda path: found[path], default=None)


_FREE_ON_RESUME = (
    "epochs",
    "budget",
    "lr",
    "on_nan",
    "keep_last",
    "precision",
    "sample_interval",
    "save_interval",
    "checkpoint_seconds",
    "output_dir",
    "data_dir",
    "device",
    "threads",
)


def merge_for_resume(asked: TrainConfig, saved: TrainConfig) -> TrainConfig:
    """The saved config with what may change taken from the one asked for. Raises UserError for any other difference."""
    old, new = saved.to_dict(), asked.to_dict()
    different = [name for name in old if old[name] != new[name] and name not in _FREE_ON_RESUME]
    if different:
        name = different[0]
        flag = "--" + name.replace("_", "-")
        raise UserError(
            f"the run in {asked.output_dir} has {flag} {old[name]}, not {new[name]}; leave {flag} out to continue it, "
            "replace it with --overwrite, or choose another --output-dir"
        )
    return TrainConfig.of(**(old | {name: new[name] for name in _FREE_ON_RESUME}))
