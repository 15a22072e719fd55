"""A person's own files, read again while the app runs: in a worker thread, so that a slow one freezes nothing."""

from collections.abc import Iterator

from core.config import TrainConfig
from core.extend.files import read, take
from core.extend.needs import own_entries
from core.names import OWN_FILES, OwnFile


def reading() -> Iterator[tuple[OwnFile, ...]]:
    """Run every file again, as an iterator of one; the table stays as it is. Raises UserError."""
    yield tuple(map(read, OWN_FILES))


def taken(read_again: tuple[OwnFile, ...], training: TrainConfig | None) -> str:
    """Put what was read into the table, and say so. What a training is made of stays as it was until that has ended: its
    checkpoints are checked against it. For the thread of the event loop, which reads the table."""
    keep = own_entries(training) if training is not None else []
    for file in read_again:
        take(file, keep)
    _forget()
    names = " and ".join(file.path.name for file in read_again)
    kept = f"; {' and '.join(entry.name for entry in keep)} of the training here stay as they were" if keep else ""
    return f"{names} read again{kept}"


def _forget() -> None:
    """Drop what was made from the entries of before."""
    from tinydiff_tui.jobs import data, noising, sampling

    noising.diffusion.cache_clear()
    noising.tables.cache_clear()
    data.open_set.cache_clear()
    sampling.forget_model()
