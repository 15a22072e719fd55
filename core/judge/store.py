"""Where judges are kept: read from its file, or trained, which is kept too wherever it was stopped."""

import contextlib
import json
import os
import stat
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from core.data.datasets import ImageSet, default_data_dir, describe, open_dataset, require
from core.errors import UserError, printable
from core.files import atomic_write, notices, require_space, user_folder
from core.judge.classifier import FEATURES, Fitting, Learner, fit, new_classifier
from core.judge.judge import MOST_REFERENCES, NEAREST, VERSION, Judge, introduce
from core.runs.checkpoint import is_whole, read_safetensors

KEEP_SECONDS = 20.0
"""How often a judge that learns is put down, should the machine stop."""
LEAST_STEPS = 50  # a judge that learned for less is sooner begun anew than found again
_KEY, _HALF_KEY = "tinydiff-tui judge", "tinydiff-tui judge that learns"
_FILE_BYTES = 16 << 20


@dataclass(frozen=True)
class Ready:
    """The judge is there; `path` is its file."""

    judge: Judge
    path: Path


def load_judge(
    dataset: str,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Fitting], object] = lambda fitting: None,
) -> Judge:
    """The judge of a data set, trained now if there is none yet; `progress` is called after each step. Raises UserError."""
    for event in prepare_judge(dataset, root, device):
        if isinstance(event, Ready):
            return event.judge
        progress(event)
    raise AssertionError("prepare_judge ends in Ready")


def prepare_judge(
    dataset: str,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], object] = lambda line: None,
) -> Generator[Fitting | Ready, None, None]:
    """Read the judge of a data set from its file, or train it: Fitting after each step, Ready at the end.

    A file that is torn, foreign, or of another version or data set counts as none; `say` is told what is read for a training.
    One that is closed between two steps goes on from there the next time, as if it had not been.
    Raises UserError for a data set that is not there or has no labels, and for a folder that cannot be written.
    """
    if dataset.startswith("folder:"):
        raise UserError(
            f"{dataset} has no judge: one is trained on the labels of a named data set; evaluate a model of one of those"
        )
    require(dataset, root)
    if ready := kept_judge(dataset, root, device):
        yield ready
        return
    files = cache_files(dataset, root)
    path = files[0]
    if path.is_fifo() or path.is_socket():  # to write there would be to wait
        path.unlink()
    require_space(path, _FILE_BYTES)
    train, test = open_dataset(dataset, "train", root), open_dataset(dataset, "test", root)
    say(train.describe())
    say(test.describe())
    learner = _learner(train, torch.device(device), half_of(path))
    yield from _fitted(learner, half_of(path))
    judge = introduce(learner.averaged, train, test)
    yield Ready(judge, _keep(judge, files))


def kept_judge(dataset: str, root: Path | None = None, device: torch.device | str = "cpu") -> Ready | None:
    """The judge of a data set from its file; None where none was trained, as for pictures that have no name in the table.

    Raises UserError for an unknown name.
    """
    if dataset.startswith("folder:"):
        return None
    for file in cache_files(dataset, root):
        if cached := _read(file, dataset, torch.device(device)):
            return Ready(cached, file)
    return None


def _learner(train: ImageSet, device: torch.device, half: Path) -> Learner:
    """A judge on its way: as far as it came the last time, or at its start."""
    learner = Learner(train, device)
    try:
        described, state = read_safetensors(half, _HALF_KEY, _FILE_BYTES)
        if described == _course(learner):
            learner.load(state)
    except (OSError, ValueError, KeyError, TypeError):
        return Learner(train, device)
    return learner


def _fitted(learner: Learner, half: Path) -> Generator[Fitting, None, None]:
    """Train to the end; put down what is learned every KEEP_SECONDS, and when it is closed."""
    kept = time.monotonic()
    try:
        for event in fit(learner):
            if time.monotonic() - kept > KEEP_SECONDS:
                _put_down(learner, half)
                kept = time.monotonic()
            yield event
    except GeneratorExit:
        _put_down(learner, half)
        raise


def _put_down(learner: Learner, half: Path) -> None:
    if learner.step < LEAST_STEPS:
        return
    state = {name: value.contiguous() for name, value in learner.state().items()}
    content = safetensors.torch.save(state, {_HALF_KEY: json.dumps(_course(learner))})
    with contextlib.suppress(UserError), atomic_write(half) as file:  # what cannot be kept is learned again
        file.write(content)


def _course(learner: Learner) -> dict[str, object]:
    """What training a half-trained judge must be of."""
    return _identity(learner.data.name) | {"steps": learner.total, "batch": learner.batch}


def _keep(judge: Judge, files: list[Path]) -> Path:
    """Write a judge to the first of these files that takes it, and say which; of one that no file takes a notice is left."""
    for number, path in enumerate(files, start=1):
        try:
            _write(path, judge)
        except UserError as error:
            if number == len(files):
                notices.append(f"the {judge.name} could not be kept: {error}")
        else:
            for file in files:
                with contextlib.suppress(OSError):
                    half_of(file).unlink(missing_ok=True)
            return path
    return files[0]


def half_of(path: Path) -> Path:
    """Where a judge lies that has not learned to the end, beside the file of the whole one."""
    return path.with_name(f"{path.stem}-half{path.suffix}")


def cache_files(dataset: str, root: Path | None = None) -> list[Path]:
    """Where the judge of a data set may lie, the place to write it first: beside the data if that folder may be written,
    else (and for the embedded set) in the user's cache folder."""
    name = f"{dataset}-v{VERSION}.safetensors"
    own = user_folder("cache") / "judges" / name
    if dataset == "glyphs":
        return [own]
    root = root or default_data_dir()
    # The mode too: a folder without its write bits is meant to stay as it is, also for a superuser.
    writable = os.access(root, os.W_OK) and root.stat().st_mode & stat.S_IWUSR
    return [root / "judges" / name, own] if writable else [own, root / "judges" / name]


def _identity(dataset: str) -> dict[str, object]:
    """What a cached judge must be of."""
    info = describe(dataset)
    return {"version": VERSION, "dataset": dataset, "shape": list(info.shape), "count": info.size}


def _write(path: Path, judge: Judge) -> None:
    described = {"identity": _identity(judge.dataset), "classes": judge.classes, "accuracy": judge.accuracy}
    weights = {f"network.{name}": value.cpu().contiguous() for name, value in judge.network.state_dict().items()}
    content = safetensors.torch.save(weights | {"test": judge.test, "train": judge.train}, {_KEY: json.dumps(described)})
    with atomic_write(path) as file:
        file.write(content)


def _read(path: Path, dataset: str, device: torch.device) -> Judge | None:
    """The judge in a file; None when it is missing, torn, foreign, or of another version or data set."""
    try:
        described, tensors = read_safetensors(path, _KEY, _FILE_BYTES)
        classes, accuracy, identity = (described[key] for key in ("classes", "accuracy", "identity"))
        test, train = tensors.pop("test"), tensors.pop("train")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    info = describe(dataset)
    named = isinstance(classes, list) and len(classes) == info.classes and all(isinstance(name, str) for name in classes)
    if identity != _identity(dataset) or not named or type(accuracy) is not float or not 0 <= accuracy <= 1:
        return None
    network = new_classifier(info.shape[2], info.classes)
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    if {k: (v.shape, v.dtype) for k, v in tensors.items()} != {k: (v.shape, v.dtype) for k, v in own.items()}:
        return None
    numbers = [test, train, *(value for value in tensors.values() if value.is_floating_point())]  # the rest are counts
    if not all(map(is_whole, numbers)) or any(shown.dim() != 2 or shown.shape[1] != FEATURES for shown in (test, train)):
        return None
    if not all(NEAREST < len(shown) <= MOST_REFERENCES for shown in (test, train)):
        return None
    network.load_state_dict({name.removeprefix("network."): value for name, value in tensors.items()})
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    judge = network.eval().requires_grad_(False)
    return Judge(dataset, tuple(map(printable, classes)), accuracy, judge, test, train)
