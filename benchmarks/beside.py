"""What an evaluation of a network takes in a thread beside Python that never rests, as a busy screen does not.

    python -m benchmarks.beside [--seconds 2]

16 pictures, one evaluation, on each number of threads; alone, and beside a loop of Python for some lengths of time after which
Python hands its lock on (sys.setswitchinterval), its own 5 ms and the app's among them. Prints one table.
"""

import argparse
import sys
import threading
import time

import numpy as np
import torch

from core.runs.checkpoint import load_model
from core.runs.embedded import embedded_model
from tinydiff_tui.app.launch import GIL_SECONDS

IMAGES = 16


class Loop(threading.Thread):
    """Python that never rests."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.rounds = 0
        self.ended = False

    def run(self) -> None:
        while not self.ended:
            sum(range(2000))
            self.rounds += 1


def measured(seconds: float, threads: int) -> float:
    """The median of an evaluation, in ms."""
    torch.set_num_threads(threads)
    network = load_model(embedded_model(), device=torch.device("cpu")).network.eval()
    x = torch.randn(IMAGES, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    t, labels = torch.full((IMAGES,), 500), torch.zeros(IMAGES, dtype=torch.long)
    spent: list[float] = []
    end = time.perf_counter() + seconds
    with torch.inference_mode():
        while time.perf_counter() < end or len(spent) < 3:
            began = time.perf_counter()
            network(x, t, labels)
            spent.append(time.perf_counter() - began)
    return 1000 * float(np.median(spent))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each figure")
    options = parser.parse_args()
    counts = sorted({1, torch.get_num_threads()})
    print(f"| lock handed on after | {' | '.join(f'{n} thread(s)' for n in counts)} | rounds of Python a second |")
    print(f"|---|{'---|' * len(counts)}---|")

    def row(name: str, loop: Loop | None) -> None:
        began, before = time.perf_counter(), 0 if loop is None else loop.rounds
        figures = [f"{measured(options.seconds, n):.0f} ms" for n in counts]
        rate = "–" if loop is None else f"{(loop.rounds - before) / (time.perf_counter() - began):,.0f}"
        print(f"| {name} | {' | '.join(figures)} | {rate} |", flush=True)

    def all_rows() -> None:  # in one thread, which is not the first one: as a job of the app
        row("no Python beside", None)
        for interval in (sys.getswitchinterval(), 1e-3, GIL_SECONDS, 1e-5):
            sys.setswitchinterval(interval)
            loop = Loop()
            loop.start()
            row(f"{1000 * interval:g} ms" + (" (the app's)" if interval == GIL_SECONDS else ""), loop)
            loop.ended = True
            loop.join()

    worker = threading.Thread(target=all_rows)
    worker.start()
    worker.join()


if __name__ == "__main__":
    main()
