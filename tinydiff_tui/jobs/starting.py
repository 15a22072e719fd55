"""Before a run starts from the app: where it goes, whether it can begin, and what a resume takes over from the run before."""

import dataclasses
from pathlib import Path
from typing import Any

from core.config import TrainConfig, check_batch, without_teachers
from core.data.datasets import data_root, describe, require
from core.files import require_folder, user_path, working_folder
from core.runs.folder import RunDir


def placed(config: TrainConfig, cwd: Path, data_dir: Path | None) -> TrainConfig:
    """The app's folders where the form names none of its own. Raises UserError when the run's folder cannot be written."""
    base = None if cwd == working_folder() else cwd
    place = user_path(config.output_dir, base)
    require_folder(place)
    teacher = str(user_path(config.teacher, base)) if config.teacher else ""
    data = config.data_dir or (str(data_dir) if data_dir else "")
    return dataclasses.replace(config, output_dir=str(place), teacher=teacher, data_dir=data)


def check_data(config: TrainConfig) -> None:
    """Raise UserError when the data set is not there, or smaller than a batch."""
    root = data_root(config.data_dir)
    require(config.dataset, root)
    if config.dataset != "glyphs" and not config.dataset.startswith("folder:"):
        check_batch(config.batch_size, config.dataset, describe(config.dataset, root).size)


def resumed(asked: TrainConfig, given: dict[str, Any]) -> TrainConfig:
    """The config of the run in asked.output_dir with what the form changed of it. Raises UserError."""
    from core.runs.resume import saved_config  # imports torch, as the run that follows does

    own = saved_config(RunDir(asked.output_dir))
    own_place = ["output_dir", "data_dir"]
    if not (own["dataset"].startswith("folder:") and asked.dataset.startswith("folder:")):  # else the pictures may have moved
        own_place.append("dataset")
    given = {name: value for name, value in given.items() if name not in own_place}
    return TrainConfig.continued(own, given | {"output_dir": asked.output_dir, "data_dir": asked.data_dir})


def changes(config: TrainConfig) -> dict[str, Any]:
    """The fields that differ from the recipe of the config's model and objective; with a teacher itself, without what is its."""
    if config.teacher:
        recipe = TrainConfig.of(teacher=config.teacher).to_dict() | {"teacher": ""}
    else:
        recipe = TrainConfig.of(model=config.model, objective=config.objective).to_dict()
    return {name: value for name, value in without_teachers(config.to_dict()).items() if value != recipe[name]}


def train_flags(config: TrainConfig) -> list[str]:
    """The flags of `tinydiff-tui train` that make exactly this config, whatever recipes and defaults are where they are read."""
    flags = [] if config.budget or not config.teacher else ["--budget="]
    values = config.to_dict()
    for name, value in without_teachers(values).items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value != "":  # which no field but those that are empty by default can be
            flags.append(f"--{flag}={value}")
    return flags
