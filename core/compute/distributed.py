"""One run of many processes: torchrun starts them, torch.distributed joins them, each takes its share of every global batch.

The first process (rank 0) decides everything: it alone reads and writes the run folder and tells the others, before every step,
what comes next. A process on its own is a group of one, and none of this costs it anything.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from core.compute.device import Compute

T = TypeVar("T")

ROLL_BACK, END, WAIT = -1, -2, -3  # orders of the first process; any other: take a step of a run that is so many steps long
BEAT_SECONDS = 5.0  # a process with nothing to do hears WAIT so often
PATIENCE_SECONDS = 600.0  # a process that says nothing for so long stands still, and the others end


def is_first() -> bool:
    """Whether this process speaks for its run; known from torchrun's environment, without torch."""
    try:
        return _place()[0] == 0
    except UserError:
        return True  # each one says what is wrong with the environment


def world_size() -> int:
    """How many processes torchrun started; 1 without it. Raises UserError when its environment makes no sense."""
    return _place()[1]


def local_rank() -> int:
    """Which of the processes on this machine this is: its GPU."""
    return _whole("LOCAL_RANK", 0, 1_000, "0") if world_size() > 1 else 0


def end_process(code: int) -> None:
    """End this process at once where torchrun started it, without the interpreter's clean-up: threads of gloo may free their last
    tensors meanwhile, for which they want the interpreter, and abort it (pytorch/pytorch#179291). Otherwise do nothing.
    """
    with suppress(UserError):
        if world_size() > 1:
            for stream in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    stream.flush()
            os._exit(code)


def _place() -> tuple[int, int]:
    """(rank, world size), with everything else checked that torch will read."""
    if "MASTER_ADDR" not in os.environ or "WORLD_SIZE" not in os.environ:
        return 0, 1
    size = _whole("WORLD_SIZE", 1, 1_000_000)
    if size == 1:
        return 0, 1
    _whole("MASTER_PORT", 1, 65535)
    _whole("LOCAL_RANK", 0, 1_000, "0")
    return _whole("RANK", 0, size - 1), size


def _whole(name: str, low: int, high: int, default: str = "") -> int:
    value = os.environ.get(name, default)
    if not (value.isascii() and value.isdecimal() and len(value) < 10 and low <= int(value) <= high):
        raise UserError(
            f"{name} of the environment must be a whole number from {low} to {high}, got '{value}'; start the processes with "
            "torchrun, or unset WORLD_SIZE to train in one"
        )
    return int(value)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run, seen from one of them. Every method but `share` is called by all of them in the same order."""

    rank: int = 0
    size: int = 1
    control: Any = None  # a gloo group of its own: an order must not wait for a GPU

    @property
    def first(self) -> bool:
        return self.rank == 0

    def share(self, batch: "Tensor") -> "Tensor":
        """This process's rows of something with a row for every image of the global batch."""
        return batch.chunk(self.size)[self.rank]

    def add_up(self, values: "Tensor") -> None:
        """Put the sum over all processes in place of the values."""
        if self.size > 1:
            import torch.distributed as dist

            with self.exchange():
                dist.all_reduce(values)

    def tell(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        values = [value]
        with self.exchange():
            dist.broadcast_object_list(values, src=0, group=self.control)
        return values[0]

    def order(self, order: int = END) -> int:
        """The order of the first process, in all of them."""
        if self.size == 1:
            return order
        import torch
        import torch.distributed as dist

        told = torch.tensor(order)
        with self.exchange():
            dist.broadcast(told, src=0, group=self.control)
        return int(told.item())

    def gather(self, value: T) -> list[T]:
        """The values of all processes by rank, in the first one; an empty list in the others."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.size if self.first else None
        with self.exchange():
            dist.gather_object(value, values, dst=0, group=self.control)
        return values or []

    def wrap(self, network: "nn.Module") -> "nn.Module":
        """The network whose backward pass averages the gradients over all processes (DistributedDataParallel)."""
        if self.size == 1:
            return network
        from torch.nn.parallel import DistributedDataParallel

        device = next(network.parameters()).device
        with self.exchange():
            return DistributedDataParallel(network, device_ids=[device] if device.type == "cuda" else None)

    def exchange(self) -> AbstractContextManager[None]:
        """Around what talks to the other processes: one sentence when one of them is gone."""
        return _exchange() if self.size > 1 else nullcontext()

    def leave(self) -> None:
        """Say goodbye to the others; a group of one has nothing to do."""
        if self.size > 1:
            import torch.distributed as dist

            dist.destroy_process_group()


def join(compute: "Compute", patience: float | None = None) -> "tuple[ProcessGroup, Compute]":
    """The process group that torchrun's environment describes, gloo between CPUs or NCCL between GPUs, and the compute in it.

    Each process measured its precision by itself; the first one's counts. One that lets the others wait longer than `patience`
    seconds (PATIENCE_SECONDS) ends the run. Raises UserError.
    """
    if world_size() == 1:
        return ProcessGroup(), compute
    import torch.distributed as dist

    with _exchange():
        import datetime

        timeout = datetime.timedelta(seconds=patience or PATIENCE_SECONDS)
        dist.init_process_group("nccl" if compute.device.type == "cuda" else "gloo", timeout=timeout)
        processes = ProcessGroup(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo", timeout=timeout))
    return processes, replace(compute, precision=processes.tell(compute.precision))


def check_share(batch_size: int) -> None:
    """Raise UserError when the processes cannot share a batch evenly."""
    if batch_size % world_size():
        raise UserError(
            f"--batch-size {batch_size} is for all {world_size()} processes together and must be a multiple of {world_size()}"
        )


@contextmanager
def _exchange() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # gloo and NCCL have no class of their own for it
        if type(error).__name__ == "OutOfMemoryError":
            raise
        raise UserError(
            "another process of this run is gone or stands still, so this one ends too; continue from the last checkpoint with "
            "--resume, with any number of processes"
        ) from error
