"""What a checkpoint costs a run: the time of one save against the interval between two of them.

    python -m benchmarks.checkpoints [--model fast] [--saves 20] [--folder .]

The network and its optimizer are those of a run on MNIST after a step. Also the bare write and fsync of as many bytes, which no
program can avoid, and a load with all its checks. The processor's time says what another load on the machine does not.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from core.config import TrainConfig
from core.data.datasets import ImageSet
from core.runs.checkpoint import load_checkpoint, load_model, save_checkpoint
from core.training.state import TrainState


def state_after_a_step(config: TrainConfig) -> TrainState:
    """A run's state with every moment of the optimizers in place."""
    images = torch.zeros(config.batch_size, 28, 28, 1, dtype=torch.uint8)
    labels = torch.zeros(config.batch_size, dtype=torch.int64)
    data = ImageSet(config.dataset, images, labels, tuple("0123456789"))
    state = TrainState(config, data, torch.device("cpu"))
    for parameter in state.network.parameters():
        parameter.grad = torch.randn_like(parameter)
    for optimizer in state.optimizers:
        optimizer.step()
    return state


def timed(action: Callable[[], object], times: int) -> tuple[list[float], float]:
    """How long the action took each time, in order of size, and the processor's time of one."""
    spent, processor = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        action()
        spent.append(time.perf_counter() - started)
    return sorted(spent), (time.process_time() - processor) / times


def write_and_sync(path: Path, size: int) -> None:
    with path.open("wb") as file:
        file.write(bytes(size))
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--saves", type=int, default=20)
    parser.add_argument("--folder", default=".", help="on the disk to be measured")
    options = parser.parse_args()
    config = TrainConfig.of(model=options.model, dataset="mnist")
    state = state_after_a_step(config)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        path = Path(name) / "last.pt"
        save_checkpoint(path, state.content(config))
        size = path.stat().st_size
        measured = {
            "gathering the state": lambda: state.content(config),
            "one save (on the step path)": lambda: save_checkpoint(path, state.content(config)),
            "bare write and fsync": lambda: write_and_sync(Path(name) / "bare", size),
            "load with all checks": lambda: load_checkpoint(path),
            "load as a model": lambda: load_model(path),
        }
        interval, load = config.checkpoint_seconds, os.getloadavg()[0]
        print(f"{options.model}, {size / 2**20:.1f} MiB a checkpoint, every {interval:.0f} s; load of the machine {load:.1f}")
        print(f"{'':<30}{'best ms':>10}{'median ms':>11}{'worst ms':>10}{'processor ms':>14}{'median / interval':>19}")
        for what, action in measured.items():
            spent, processor = timed(action, options.saves)
            median = statistics.median(spent)
            times = f"{spent[0] * 1e3:>10.0f}{median * 1e3:>11.0f}{spent[-1] * 1e3:>10.0f}{processor * 1e3:>14.0f}"
            print(f"{what:<30}{times}{median / interval:>19.2%}")


if __name__ == "__main__":
    main()
