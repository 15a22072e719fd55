"""Which files a run needs, and what is said when they are not there or have changed: a checkpoint never runs code of its own."""

from collections.abc import Mapping
from pathlib import Path

from core.config import MOST_TEXT, TrainConfig
from core.errors import UserError
from core.extend.files import FLAG, files
from core.files import shell_word
from core.names import DATASETS, NETWORKS, SCHEDULES, Entry

FIELDS: Mapping[str, tuple[str, Mapping[str, Entry]]] = {
    "model": ("network", NETWORKS),
    "schedule": ("schedule", SCHEDULES),
    "dataset": ("data set", DATASETS),
}
"""Fields of a training that may name an entry of a person's own: what that is, and the table."""
_MOST_FILES = 16


class NeedsFile(UserError):
    """A run that was trained with a file which this program was not started with."""


def own_entries(config: TrainConfig) -> list[Entry]:
    """The entries of a training that are of a person's own files."""
    entries = (table.get(getattr(config, name)) for name, (_, table) in FIELDS.items())
    return [entry for entry in entries if entry is not None and entry.origin]


def needed(config: TrainConfig) -> list[dict[str, str]]:
    """Path and digest of the files that a training is made of, for run.json and checkpoints."""
    origins = {entry.origin for entry in own_entries(config)}
    return [{"path": str(file.path), "digest": file.digest} for file in files() if str(file.path) in origins]


def is_told(told: object) -> bool:
    """Whether this is what `needed` gives."""
    return isinstance(told, list) and len(told) <= _MOST_FILES and all(
        isinstance(each, dict) and each.keys() == {"path", "digest"}
        and all(isinstance(value, str) and len(value) <= MOST_TEXT for value in each.values())
        for each in told
    )  # fmt: skip


def require_files(config: object, told: object, what: Path) -> None:
    """Raise NeedsFile when a run was trained with names of a file that is not read now. What is damaged is not told here."""
    if not isinstance(config, dict) or not isinstance(told, list) or not told or not is_told(told):
        return
    lacking = [
        f"{kind} '{config[name]}'" for name, (kind, table) in FIELDS.items()
        if isinstance(config.get(name), str) and config[name] not in table and not config[name].startswith("folder:")
    ]  # fmt: skip
    if lacking:
        flags = " ".join(f"{FLAG} {shell_word(each['path'])}" for each in told)
        names = " and ".join(Path(each["path"]).name for each in told)
        raise NeedsFile(f"{what} needs {names}, which has its {' and '.join(lacking)}; start with {flags}")


def changed(config: TrainConfig, told: object) -> str:
    """A sentence when a file is not as it was when the run was trained; empty when all are."""
    if not is_told(told):
        return ""
    digests = {each["digest"] for each in told if isinstance(each, dict)} if isinstance(told, list) else set()
    others = [each["path"] for each in needed(config) if each["digest"] not in digests]
    return f"{' and '.join(others)} changed since this run was trained with it" if others else ""
