"""A contestant in a process of its own, as its users run it: ours with what the program sets for torch, a peer as torch comes.

How memory is freed and how threads wait belong to a process, so contestants that share one would share ours.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any, Concatenate, ParamSpec, TypeVar
from unittest.mock import patch

from benchmarks.peers import Contestant, Setting, contestant
from core.names import NETWORKS
from tinydiff_tui.__main__ import FOR_TORCH

P = ParamSpec("P")
T = TypeVar("T")

_here: Contestant


class Apart:
    """One of benchmarks.peers.NAMES. Raises ImportError when it is not installed."""

    def __init__(self, key: str, setting: Setting) -> None:
        self._process = ProcessPoolExecutor(1, get_context("spawn"))
        with patch.dict(os.environ, FOR_TORCH if key in NETWORKS else {}):
            entered = self._process.submit(_enter, key, setting)
            self.name, self.samplers = entered.result()

    def ask(self, question: Callable[Concatenate[Contestant, P], T], *arguments: P.args, **named: P.kwargs) -> T:
        """What a function of a module says of the contestant, there."""
        answer: T = self._process.submit(_answer, question, *arguments, **named).result()
        return answer

    def close(self) -> None:
        """Leave nothing behind."""
        self.ask(_close)
        self._process.shutdown()


def _enter(key: str, setting: Setting) -> tuple[str, tuple[str, ...]]:
    global _here  # noqa: PLW0603 (the only thing that this process is for)
    _here = contestant(key, setting)
    return _here.name, tuple(_here.samplers)


def _answer(question: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return question(_here, *arguments, **named)


def _close(contestant: Contestant) -> None:
    contestant.close()
