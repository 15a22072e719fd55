"""Device, precision and threads: choosing them, and saying in one line what was chosen."""

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import lru_cache
from threading import Lock
from typing import cast

import torch
from torch import Tensor, nn

from core.compute.distributed import local_rank
from core.errors import UserError

_ALL_THREADS = torch.get_num_threads()  # before anyone asked for fewer
_MEASURING = Lock()  # two jobs that measure at once would disturb each other, and could come to different answers


@dataclass(frozen=True)
class Compute:
    """Where and in what precision a network runs. `why` says how precision and threads were chosen."""

    device: torch.device
    precision: str
    threads: int
    why: str

    def autocast(self) -> AbstractContextManager[object]:
        """bf16 for matrix products and convolutions where that was chosen; weights and the path stay float32."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")

    def describe(self) -> str:
        """One line: device, precision, threads, and why."""
        name = torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else self.device.type
        threads = f", {_threads(self.threads)}" if self.device.type == "cpu" else ""
        return f"{name}, {self.precision}{threads} ({self.why})"


def choose_compute(device: str = "auto", precision: str = "auto", threads: int = 0) -> Compute:
    """Resolve `auto` to what this machine has and does best; threads 0 takes what is fastest.

    Raises UserError for a device that is not there.
    """
    chosen = _device(device)
    why, threads_why = "as asked", ""
    if chosen.type == "cpu":
        _keep_freed_memory()
        with _MEASURING:
            if not threads:
                threads, threads_why = _measure_cpu_threads()
            if precision == "auto":
                precision, why = _measure_cpu_precision()
    elif precision == "auto" and chosen.type == "cuda":
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
        precision, why = ("bf16", "tensor cores") if has_bf16 else ("fp32", "no bf16 in this GPU")
    elif precision == "auto":
        precision, why = "fp32", "bf16 is not reliable on MPS"
    if threads:
        torch.set_num_threads(threads)
    return Compute(chosen, precision, torch.get_num_threads(), why + threads_why)


def with_graphs(network: nn.Module, inputs: tuple[Tensor, ...], compute: Compute) -> tuple[nn.Module, Compute]:
    """The network on a GPU with its forward and its backward pass as one CUDA graph each, for inputs of these shapes.

    A small network spends its step on launching some hundred kernels one after the other; a graph launches them as one. Where
    the capture fails the network stays as it is, and `why` says so.
    """
    try:
        with torch.autocast("cuda", torch.bfloat16, enabled=compute.precision == "bf16", cache_enabled=False):
            # thread_local: the app may be sampling in another thread meanwhile.
            graphed = torch.cuda.make_graphed_callables(network, inputs, capture_error_mode="thread_local")
    except (RuntimeError, AssertionError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        return network, replace(compute, why=f"{compute.why}; no CUDA graphs: {reason}")
    return cast("nn.Module", graphed), replace(compute, why=f"{compute.why}, CUDA graphs")


def _device(name: str) -> torch.device:
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(kind for kind, there in available.items() if there)
    if not available[name]:
        raise UserError(f"this machine has no {name} device that torch can use; choose --device cpu or auto")
    if name == "cuda":
        return torch.device("cuda", local_rank())
    return torch.device(name)


def _keep_freed_memory() -> None:
    """Have glibc keep what a training step frees for the next one: to give it back and take it anew costs a tenth of a step."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other libraries of C have none
        if mallopt is not None:
            trim_threshold, mmap_threshold = -1, -3  # names of malloc.h
            mallopt(trim_threshold, -1)
            mallopt(mmap_threshold, 1 << 30)


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count != 1)}"


@lru_cache(maxsize=1)
def _measure_cpu_threads() -> tuple[int, str]:
    """How many threads to take: all that torch has, unless half of them, a quarter and so on are faster (about 0.3 s).

    Fewer must win by a clear quarter, as where some share a core or another process keeps one busy: a near tie must not flip
    between two runs of one seed. OMP_NUM_THREADS is an answer, and ends the question.
    """
    most = _ALL_THREADS
    if most == 1 or os.environ.get("OMP_NUM_THREADS"):
        return most, ""
    counts = [most]
    while counts[-1] > 1:
        counts.append(counts[-1] // 2)
    seconds = dict(zip(counts, _least_seconds([(count, "fp32") for count in counts]), strict=True))
    chosen = min(counts, key=lambda count: seconds[count] * (1.0 if count == most else 1.25))
    other = most if chosen < most else counts[1]
    return chosen, f", {_threads(other)} {seconds[chosen] / seconds[other]:.1f}x"


@lru_cache(maxsize=1)
def _measure_cpu_precision() -> tuple[str, str]:
    """fp32, unless bf16 is faster by a clear fifth (about 0.3 s).

    Processors that compute in bf16 measure 1.4 and more, those that emulate it 0.5 and less. It is a fact of the processor: on
    one thread, whose own seconds are counted, it comes out the same beside other busy processes, and in the next run of one seed.
    """
    fp32, bf16 = _least_seconds([(1, "fp32"), (1, "bf16")], time.thread_time)
    if fp32 / bf16 > 1.2:
        return "bf16", f"measured: fp32 {bf16 / fp32:.1f}x as fast"
    return "fp32", f"measured: bf16 {fp32 / bf16:.1f}x as fast"


def _least_seconds(settings: Sequence[tuple[int, str]], clock: Callable[[], float] = time.perf_counter) -> list[float]:
    """Seconds of a convolution like those of the network, forward and backward, for each (threads, precision)."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(32, 64, 14, 14, generator=generator).to(memory_format=torch.channels_last)
    convolution = nn.Conv2d(64, 64, 3, padding=1).to(memory_format=torch.channels_last)
    seconds = [float("inf")] * len(settings)
    for _ in range(4):  # in turns, the best of all: another busy process must not decide it
        for index, (threads, precision) in enumerate(settings):
            torch.set_num_threads(threads)
            for _ in range(3):
                start = clock()
                with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
                    output = convolution(images)
                output.float().square().sum().backward()
                seconds[index] = min(seconds[index], clock() - start)
    return seconds
