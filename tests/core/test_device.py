"""What is chosen for a machine: threads and precision by measurement, and one line that says so."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from core.compute import device
from core.compute.device import choose_compute
from core.config import TrainConfig
from core.errors import UserError


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
    device._measure_cpu_threads.cache_clear()
    device._measure_cpu_precision.cache_clear()


def test_threads_are_measured_once_and_come_back_after_a_run_with_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(device, "_ALL_THREADS", 2)
    device._measure_cpu_threads.cache_clear()
    first = choose_compute("cpu")
    assert first.threads == torch.get_num_threads() and first.threads in (1, 2)
    measured = r"\(measured: (bf16|fp32) \d\.\dx as fast, \d threads? \d\.\dx\)"
    assert re.fullmatch(r"cpu, (fp32|bf16), \d threads? " + measured, first.describe())
    one = choose_compute("cpu", "fp32", 1)
    assert one.describe() == "cpu, fp32, 1 thread (as asked)" and torch.get_num_threads() == 1
    assert choose_compute("cpu") == first and torch.get_num_threads() == first.threads


@pytest.mark.parametrize(
    ("seconds", "chosen", "why"),
    [
        ([1.0, 1.7, 3.0], 4, ", 2 threads 0.6x"),
        ([1.0, 0.9, 1.5], 4, ", 2 threads 1.1x"),
        ([1.0, 0.7, 1.5], 2, ", 4 threads 0.7x"),
        ([3.0, 2.0, 1.0], 1, ", 4 threads 0.3x"),
    ],
)
def test_fewer_threads_must_win_clearly(monkeypatch: pytest.MonkeyPatch, seconds: list[float], chosen: int, why: str) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(device, "_ALL_THREADS", 4)
    monkeypatch.setattr(device, "_least_seconds", lambda _: seconds)
    device._measure_cpu_threads.cache_clear()
    assert device._measure_cpu_threads() == (chosen, why)


def test_threads_of_the_environment_are_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setattr(device, "_ALL_THREADS", 2)
    device._measure_cpu_threads.cache_clear()
    assert choose_compute("cpu", "fp32").describe() == "cpu, fp32, 2 threads (as asked)"


def test_the_precision_of_a_processor_is_the_same_beside_other_work() -> None:
    """A run that is repeated or gone on with, and the app beside the command, must not come to another one."""
    over = threading.Event()

    def work() -> None:
        torch.set_num_threads(1)
        matrix = torch.randn(500, 500)
        while not over.is_set():
            torch.mm(matrix, matrix)

    alone = choose_compute("cpu").precision
    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for threads in (1, 2, 1, 2, 1, 2):
            device._measure_cpu_precision.cache_clear()
            chosen = choose_compute("cpu", threads=threads)
            assert (chosen.precision, chosen.threads) == (alone, threads)
    finally:
        over.set()
        for worker in workers:
            worker.join()


@pytest.mark.parametrize(
    "asked", [{"device": "nowhere"}, {"precision": "fp8"}, {"threads": -1}], ids=lambda asked: next(iter(asked))
)
def test_what_is_not_there_is_said(asked: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TrainConfig.of(**asked)
