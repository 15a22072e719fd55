"""Where judges are kept: read from its file, or trained, which is kept too wherever it was stopped."""

import contextlib
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch

from core.data.datasets import UNNAMED, ImageSet, default_data_dir, describe, open_dataset, require
from core.errors import UserError, printable
from core.files import atomic_write, notices, require_space, user_folder
from core.judge.classifier import FEATURES, TURNS, Fitting, Learner, fit, new_classifier
from core.judge.judge import MOST_REFERENCES, NEAREST, VERSION, Judge, Subject, introduce
from core.names import DATASETS
from core.runs.checkpoint import is_whole, read_safetensors

KEEP_SECONDS = 20.0
"""How often a judge that learns is put down, should the machine stop."""
LEAST_STEPS = 50  # a judge that learned for less is sooner begun anew than found again
OWN_KEPT = 8
"""Judges of a person's own pictures that are kept; of more, those that were asked longest ago go."""
FEWEST = NEAREST + 1
"""Held-out images to compare with."""
LEAST_SIDE = 4
"""Pixels of the shorter side of an image: the network halves it twice."""
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
    image_size: int = 0,
) -> Judge:
    """The judge of a data set, trained now if there is none yet; `progress` is called after each step. Raises UserError."""
    for event in prepare_judge(dataset, root, device, image_size=image_size):
        if isinstance(event, Ready):
            return event.judge
        progress(event)
    raise AssertionError("prepare_judge ends in Ready")


def prepare_judge(
    dataset: str,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], object] = lambda line: None,
    image_size: int = 0,
) -> Generator[Fitting | Ready, None, None]:
    """Read the judge of a data set from its file, or train it: Fitting after each step, Ready at the end.

    A file that is torn, foreign, or of another version or data set counts as none; `say` is told what is read for a training.
    One that is closed between two steps goes on from there the next time, as if it had not been. `image_size` is that of
    open_dataset.
    Raises UserError for a data set that is not there or has too few images, and for a folder that cannot be written.
    """
    require(dataset, root)
    device = torch.device(device)
    subject, splits = _subject(dataset, root, image_size)
    files = _files(subject, root)
    if ready := _kept(subject, files, device):
        yield ready
        return
    train, test = splits or _splits(dataset, root, image_size)
    _check(train, test)
    path = files[0]
    if path.is_fifo() or path.is_socket():  # to write there would be to wait
        path.unlink()
    require_space(path, _FILE_BYTES)
    say(train.describe())
    say(test.describe())
    learner = _learner(subject, train, device, half_of(path))
    yield from _fitted(subject, learner, half_of(path))
    judge = introduce(learner.averaged, subject, train, test)
    yield Ready(judge, _keep(judge, files))


def kept_judge(dataset: str, root: Path | None = None, device: torch.device | str = "cpu", image_size: int = 0) -> Ready | None:
    """The judge of a data set from its file; None where none was trained, and of pictures that nobody knows.

    Raises UserError for an unknown name, and for pictures without one that cannot be read.
    """
    if dataset == UNNAMED:
        return None
    subject, _ = _subject(dataset, root, image_size)
    return _kept(subject, _files(subject, root), torch.device(device))


def _subject(dataset: str, root: Path | None, image_size: int) -> tuple[Subject, tuple[ImageSet, ImageSet] | None]:
    """What the judge of a data set is of; and the splits, where these had to be looked at: under the name of a folder or of a
    data set of a person's own there may be other pictures tomorrow."""
    entry = DATASETS.get(dataset)
    if not dataset.startswith("folder:") and not (entry and entry.origin):
        info = describe(dataset)
        return Subject(dataset, info.shape, info.size, info.classes), None
    train, test = _splits(dataset, root, image_size)
    names = train.classes if train.condition_classes else ()
    known = "|".join((train.fingerprint, test.fingerprint, *names))
    digest = hashlib.blake2b(known.encode(errors="surrogateescape"), digest_size=8).hexdigest()
    return Subject(dataset, (*train.size, train.channels), len(train), train.condition_classes, digest), (train, test)


def _splits(dataset: str, root: Path | None, image_size: int) -> tuple[ImageSet, ImageSet]:
    return open_dataset(dataset, "train", root, image_size), open_dataset(dataset, "test", root, image_size)


def _check(train: ImageSet, test: ImageSet) -> None:
    """Raise UserError where no judge can learn from these, or where it would have nothing to compare with."""
    if train.side < LEAST_SIDE:
        raise UserError(
            f"the images of {train.name} are too small for a judge: they have {train.side} pixels a side, and it takes "
            f"{LEAST_SIDE} or more"
        )
    held_out = 0 if test.fingerprint == train.fingerprint else len(test)
    if held_out < FEWEST:
        raise UserError(
            f"{train.name} has too few images for a judge: it compares with those that are held out, {FEWEST} or more, and here "
            f"are {held_out}; of folders one in ten is held out, or what lies in test/ beside train/"
        )


def _kept(subject: Subject, files: list[Path], device: torch.device) -> Ready | None:
    for file in files:
        if judge := _read(file, subject, device):
            return Ready(judge, file)
    return None


def _learner(subject: Subject, train: ImageSet, device: torch.device, half: Path) -> Learner:
    """A judge on its way: as far as it came the last time, or at its start."""
    learner = Learner(train, device)
    try:
        described, state = read_safetensors(half, _HALF_KEY, _FILE_BYTES)
        if described == _course(subject, learner):
            learner.load(state)
    except (OSError, ValueError, KeyError, TypeError):
        return Learner(train, device)
    return learner


def _fitted(subject: Subject, learner: Learner, half: Path) -> Generator[Fitting, None, None]:
    """Train to the end; put down what is learned every KEEP_SECONDS, and when it is closed."""
    kept = time.monotonic()
    try:
        for event in fit(learner):
            if time.monotonic() - kept > KEEP_SECONDS:
                _put_down(subject, learner, half)
                kept = time.monotonic()
            yield event
    except GeneratorExit:
        _put_down(subject, learner, half)
        raise


def _put_down(subject: Subject, learner: Learner, half: Path) -> None:
    if learner.step < LEAST_STEPS:
        return
    state = {name: value.contiguous() for name, value in learner.state().items()}
    content = safetensors.torch.save(state, {_HALF_KEY: json.dumps(_course(subject, learner))})
    with contextlib.suppress(UserError), atomic_write(half) as file:  # what cannot be kept is learned again
        file.write(content)


def _course(subject: Subject, learner: Learner) -> dict[str, object]:
    """What training a half-trained judge must be of."""
    return _identity(subject) | {"steps": learner.total, "batch": learner.batch}


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
            if judge.subject.pictures:
                _forget_old(path.parent)
            return path
    return files[0]


def _forget_old(folder: Path) -> None:
    """Of the judges of a person's own pictures keep those that were asked last."""
    with contextlib.suppress(OSError):  # another process forgets them too
        found = sorted(folder.glob("*.safetensors"), key=lambda file: file.stat().st_mtime, reverse=True)
        for old in found[OWN_KEPT:]:
            old.unlink()


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


def _files(subject: Subject, root: Path | None) -> list[Path]:
    """Where a judge may lie; that of a person's own pictures under what these are, in the user's cache folder."""
    if not subject.pictures:
        return cache_files(subject.dataset, root)
    return [user_folder("cache") / "judges" / "own" / f"{subject.kind}-v{subject.version}-{subject.pictures}.safetensors"]


def _identity(subject: Subject) -> dict[str, object]:
    """What a cached judge must be of: the pictures themselves, where they have no lasting name."""
    of = {"kind": subject.kind, "pictures": subject.pictures} if subject.pictures else {"dataset": subject.dataset}
    return {"version": subject.version, **of, "shape": list(subject.shape), "count": subject.count}


def _write(path: Path, judge: Judge) -> None:
    described = {"identity": _identity(judge.subject), "classes": judge.classes, "accuracy": judge.accuracy}
    weights = {f"network.{name}": value.cpu().contiguous() for name, value in judge.network.state_dict().items()}
    content = safetensors.torch.save(weights | {"test": judge.test, "train": judge.train}, {_KEY: json.dumps(described)})
    with atomic_write(path) as file:
        file.write(content)


def _read(path: Path, subject: Subject, device: torch.device) -> Judge | None:
    """The judge in a file; None when it is missing, torn, foreign, or of another version or data set."""
    try:
        described, tensors = read_safetensors(path, _KEY, _FILE_BYTES)
        classes, accuracy, identity = (described[key] for key in ("classes", "accuracy", "identity"))
        test, train = tensors.pop("test"), tensors.pop("train")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    named = isinstance(classes, list) and len(classes) == subject.classes and all(isinstance(name, str) for name in classes)
    if identity != _identity(subject) or not named or type(accuracy) is not float or not 0 <= accuracy <= 1:
        return None
    network = new_classifier(subject.shape[2], subject.classes or TURNS)
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
    if subject.pictures:
        with contextlib.suppress(OSError):  # of a cache that may be read only
            os.utime(path)  # asked now
    return Judge(subject, tuple(map(printable, classes)), accuracy, judge, test, train)
