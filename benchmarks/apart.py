"""A contestant in a process of its own, as its users run it: ours with what the program sets for torch, a peer as torch comes.

How memory is freed and how threads wait belong to a process, so contestants that share one would share ours.
"""

import os
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from benchmarks.peers import Contestant, contestant
from core.config import MODELS
from core.datasets import open_dataset
from tinydiff_tui.__main__ import FOR_TORCH

P = ParamSpec("P")
T = TypeVar("T")

_here: Contestant


class Apart:
    """One of benchmarks.peers.NAMES. Raises ImportError when it is not installed."""

    def __init__(self, key: str, dataset: str, data_dir: str, batch: int, seconds: int, device: str) -> None:
        before = dict(os.environ)
        os.environ.update(FOR_TORCH if key in MODELS else {})
        self._pool = get_context("spawn").Pool(1)
        os.environ.clear()
        os.environ.update(before)
        self.name, self.samplers = self._pool.apply(_enter, (key, dataset, data_dir, batch, seconds, device))

    def ask(self, question: Callable[Concatenate[Contestant, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """What a function of a module says of the contestant, there."""
        return self._pool.apply(_answer, (question, arguments, named))

    def close(self) -> None:
        """Leave nothing behind."""
        self.ask(_close)
        self._pool.terminate()


def _enter(key: str, dataset: str, data_dir: str, batch: int, seconds: int, device: str) -> tuple[str, tuple[str, ...]]:
    global _here  # noqa: PLW0603 (the only thing that this process is for)
    data = open_dataset(dataset, "train", Path(data_dir) if data_dir else None)
    _here = contestant(key, data, data_dir, batch, seconds, device)
    return _here.name, tuple(_here.samplers)


def _answer(question: Callable[..., Any], arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    return question(_here, *arguments, **named)


def _close(contestant: Contestant) -> None:
    contestant.close()
