"""The four decorators: each makes an entry of what it stands on, once that has shown that it does what it has to."""

import inspect
import re
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from core.config import TrainConfig, check_value
from core.errors import UserError
from core.names import DATASETS, NETWORKS, SAMPLERS, SCHEDULES, Dataset, Entry, Network, Sampler, Schedule

F = TypeVar("F", bound=Callable[..., Any])

TABLES: Mapping[str, dict[str, Any]] = {
    "schedule": SCHEDULES,
    "network": NETWORKS,
    "sampler": SAMPLERS,
    "data set": DATASETS,
}
RECIPE = {
    "objective": "flow", "optimizer": "adamw", "lr": 1e-3, "lr_schedule": "linear", "warmup": 100, "conditional": True,
}  # fmt: skip
"""Of a network of which nothing else is known."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass
class Reading:
    """A file that is being read: what it has registered so far, and the seconds that went into checking that."""

    path: Path
    entries: list[tuple[str, Entry]] = field(default_factory=list)
    checked: float = 0.0


READING: ContextVar[Reading | None] = ContextVar("reading", default=None)
"""None while nobody reads a file for its entries."""


def schedule(name: str, *, help: str = "", formula: str = "", source: str = "") -> Callable[[F], F]:
    """f(u) -> alpha_bar at u = t / T, which falls from 1 at u = 0 to 0 at u = 1; the path is a variance-preserving one."""

    def register(function: F) -> F:
        def make(reading: Reading) -> Entry:
            from core.extend.checks import check_alpha_bar

            check_alpha_bar(function)

            def tabulated(timesteps: int) -> Any:
                from core.diffusion.schedule import of_alpha_bar

                return of_alpha_bar(lambda u: float(function(u)), timesteps)

            said: dict[str, Any] = {"formula": formula or f"ᾱ = {function.__name__}(t/T)", "source": source, "made": tabulated}
            return Schedule(**_named(name, help, function, reading), **said)

        return _registered("schedule", name, function, make)

    return register


def network(name: str, *, help: str = "", source: str = "", recipe: Mapping[str, Any] | None = None) -> Callable[[F], F]:
    """f(image_size, channels, classes) -> a torch module whose forward(x_t, t, labels) is like x_t.

    image_size is (height, width); x_t (N, channels, height, width), t (N,) whole numbers. labels: (N,) of 0 .. classes, where
    `classes` itself says that none was told, or None for a network without classes (classes = 0). `recipe`: fields of a training,
    by the names of the flags, that suit it.
    """

    def register(function: F) -> F:
        def make(reading: Reading) -> Entry:
            from core.extend.checks import check_network
            from core.network.own import OwnNetwork

            _check_recipe(recipe or {})

            def made(image_size: tuple[int, int], channels: int, classes: int = 0, learn_variance: bool = False) -> OwnNetwork:
                return OwnNetwork(name, function, image_size, channels, classes)

            check_network(made)
            own: dict[str, Any] = {
                "source": source,
                "recipe": RECIPE | dict(recipe or {}),
                "made": made,
                "learns_variance": False,
            }
            return Network(**_named(name, help, function, reading), **own)

        return _registered("network", name, function, make)

    return register


def sampler(
    name: str, *, evaluations: int = 20, least: int = 1, help: str = "", formula: str = "", source: str = ""
) -> Callable[[F], F]:
    """f(denoise, x, schedule, timesteps, noise): a generator of frames as those of core.diffusion.samplers, which see.

    `evaluations` are spent where none are asked for, and at least `least`.
    """

    def register(function: F) -> F:
        def make(reading: Reading) -> Entry:
            from core.extend.checks import check_sampler, whole_frames

            if not 1 <= least <= evaluations:
                raise UserError(f"evaluations ({evaluations}) must be at least `least` ({least}), and that at least 1")

            def made(denoise: Any, x: Any, schedule: Any, timesteps: Any, noise: Any) -> Any:
                return whole_frames(name, function(denoise, x, schedule, timesteps, noise))

            check_sampler(made, max(least, 5))
            own: dict[str, Any] = {"formula": formula, "source": source, "evaluations": evaluations, "least": least, "made": made}
            return Sampler(**_named(name, help, function, reading), **own)

        return _registered("sampler", name, function, make)

    return register


def dataset(name: str, *, help: str = "", source: str = "") -> Callable[[F], F]:
    """f(split) -> (images uint8 (N, H, W, C), labels (N,), names of the classes) for the splits "train" and "test".

    Each is called once, when the file is read, and kept.
    """

    def register(function: F) -> F:
        def make(reading: Reading) -> Entry:
            from core.data.own import opened_split

            splits = {split: opened_split(function(split), split) for split in ("train", "test")}
            (images, _, classes), (held_out, _, named) = splits["train"], splits["test"]
            if images.shape[1:] != held_out.shape[1:] or classes != named:
                raise UserError("its test images have another size, or other classes, than those to train on")

            def made(entry: Dataset, split: str, root: Path) -> Any:
                return splits[split]

            height, width, channels = images.shape[1:]
            return Dataset(
                **_named(name, help, function, reading), source=source, made=made, shape=(height, width, channels),
                size=len(images), test_size=len(held_out), classes=len(classes),
            )  # fmt: skip

        return _registered("data set", name, function, make)

    return register


def _registered(kind: str, name: str, function: F, make: Callable[[Reading], Entry]) -> F:
    """Put the entry that `make` makes into the file that is being read. Raises UserError, which says where it stands."""
    reading = READING.get()
    if reading is None:
        return function
    with _Said(f"{reading.path.name}, line {_line(function)}:", f"{kind} '{name}'", reading):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UserError("is no name: use small letters, digits and _, at most 40 of them, with a letter first")
        there = TABLES[kind].get(name)
        if (there is not None and there.origin != str(reading.path)) or name in [e.name for k, e in reading.entries if k == kind]:
            whose = there.origin if there is not None and there.origin else "the program" if there is not None else "this file"
            raise UserError(f"would hide the one that {whose} has already; choose another name")
        reading.entries.append((kind, make(reading)))
    return function


class _Said:
    """Puts what and where in front of a complaint, and counts the seconds as those of a check."""

    def __init__(self, where: str, what: str, reading: Reading) -> None:
        self.where = where
        self.what = what
        self.reading = reading

    def __enter__(self) -> None:
        self.began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.reading.checked += time.monotonic() - self.began
        if isinstance(error, UserError):
            said = str(error).removeprefix(f"{self.what} ")  # what is checked while it is used names itself
            raise UserError(f"{self.where} {self.what} {said}") from error


def _named(name: str, help: str, function: Callable[..., Any], reading: Reading) -> dict[str, Any]:
    """What every entry of a file has: its name, what it is, and where it stands."""
    said = help or next(iter((inspect.getdoc(function) or "").splitlines()), "") or f"of {reading.path.name}"
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):
        text = ""
    code = f"{reading.path.stem}:{getattr(function, '__name__', name)}"
    return {"name": name, "help": said, "code": code, "origin": str(reading.path), "text": text}


def _line(function: Callable[..., Any]) -> int:
    """Where a function or class begins, its decorators among it."""
    try:
        return inspect.getsourcelines(function)[1]
    except (OSError, TypeError):
        return 1


def _check_recipe(recipe: Mapping[str, Any]) -> None:
    known = {f.name: f for f in fields(TrainConfig)}
    for key, value in recipe.items():
        if key not in known or key in ("model", "dataset", "output_dir"):
            raise UserError(f"has '{key}' in its recipe, which is no field of a training that a network decides")
        check_value(known[key], value)
