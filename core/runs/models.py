"""What the path of a model is: a checkpoint of this program, or the folder of a model that diffusers saved.

Free of torch, so that commands and lists can ask before they import it.
"""

import os
from pathlib import Path

from core.errors import UserError
from core.files import require_checkpoint
from core.runs.embedded import embedded_model
from core.runs.folder import folders_below, run_folder_of

INDEX = "model_index.json"
"""What a pipeline of diffusers says of its parts."""
NETWORK, SCHEDULER = "unet", "scheduler"
"""Its parts that make a model of pictures, and their folders."""


def is_pipeline(path: Path) -> bool:
    """Whether this is a folder that diffusers saved a model in, whole or not."""
    # Path's own raises in a folder that may not be looked into.
    return any(os.path.isfile(path / name) for name in (INDEX, f"{NETWORK}/config.json"))  # noqa: PTH113


def require_model(path: Path) -> None:
    """Raise UserError when there is no model of this path; whether it can be read is known when it is."""
    if is_pipeline(path):
        return
    if path.is_dir():
        raise UserError(
            f"there is no checkpoint {path}: it is a folder, and no model of diffusers (without {INDEX}); name a file in it"
        )
    require_checkpoint(path)


def find_pipelines(root: Path) -> list[Path]:
    """The folders below `root` that diffusers saved a model in, by name."""
    return list(folders_below(root, lambda folder, _: is_pipeline(folder)))


def run_of(path: Path) -> Path | None:
    """The folder of the run that a model is of; None for one that no run here made, beside which nothing is written."""
    return None if path == embedded_model() or is_pipeline(path) else run_folder_of(path)


def name_of(path: Path) -> str:
    """What a model is called that no run made."""
    return path.name if is_pipeline(path) else path.stem


def modified(path: Path) -> int:
    """When a model was written, in ns, to tell it from another one of its path; 0 where there is none."""
    files = [*path.glob("*"), *path.glob("*/*")] if is_pipeline(path) else [path]
    return max((file.stat().st_mtime_ns for file in files if file.is_file()), default=0)
