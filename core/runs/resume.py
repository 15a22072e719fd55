"""What a run is continued from: a checkpoint that can be read, and a config that fits it."""

import dataclasses
from pathlib import Path
from typing import Any

from core.config import TrainConfig
from core.data.datasets import folder_path
from core.errors import UserError
from core.extend.needs import NeedsFile
from core.files import shell_word, user_path
from core.runs.checkpoint import load_checkpoint
from core.runs.folder import RunDir, read_run


def with_whole_paths(config: TrainConfig) -> TrainConfig:
    """The config with absolute paths, so that a run means the same files from every working directory."""
    return dataclasses.replace(
        config,
        output_dir=str(user_path(config.output_dir).absolute()),
        data_dir=str(user_path(config.data_dir).absolute()) if config.data_dir else "",
        teacher=str(user_path(config.teacher).absolute()) if config.teacher else "",
        dataset=f"folder:{folder_path(config.dataset).absolute()}" if _of_folder(config) else config.dataset,
    )


def saved_config(run: RunDir, checkpoint: Path | None = None) -> dict[str, Any]:
    """The config of the run in a folder, of a checkpoint when run.json is torn or was not written yet. Raises UserError."""
    try:
        return read_run(run.path).config.to_dict()
    except NeedsFile:
        raise
    except UserError:
        return dict(load_or_offer(checkpoint or run.last, run)["config"])


def load_or_offer(path: Path, run: RunDir) -> dict[str, Any]:
    """Load a checkpoint to resume from; when it is torn or gone, name the newest of the run that is good."""
    try:
        return load_checkpoint(path)
    except NeedsFile:
        raise
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
    "judge_seconds",
    "log",
    "output_dir",
    "data_dir",
    "device",
    "threads",
)


def merge_for_resume(asked: TrainConfig, saved: TrainConfig) -> TrainConfig:
    """The saved config with what may change taken from the one asked for: of a data set only where its folder lies now.

    Raises UserError for any other difference.
    """
    old, new = saved.to_dict(), asked.to_dict()
    free = (*_FREE_ON_RESUME, "dataset") if _of_folder(asked) and _of_folder(saved) else _FREE_ON_RESUME
    different = [name for name in old if old[name] != new[name] and name not in free]
    if different:
        name = different[0]
        flag = "--" + name.replace("_", "-")
        raise UserError(
            f"the run in {asked.output_dir} has {flag} {old[name] or 'none'}, not {new[name]}; leave {flag} out to continue it, "
            "replace it with --overwrite, or choose another --output-dir"
        )
    return TrainConfig.of(**(old | {name: new[name] for name in free}))


def _of_folder(config: TrainConfig) -> bool:
    return config.dataset.startswith("folder:")
