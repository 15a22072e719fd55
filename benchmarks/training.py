"""Training against diffusers and denoising-diffusion-pytorch, in turns, in one run on one machine.

    python -m benchmarks.training [--device cuda] [--dataset mnist] [--batch-size 128] [--rounds 3] [--seconds 10] [--minutes 0]

Every round gives each contestant the machine for --seconds: images/s (the median of the rounds), GFLOP/s by torch's own counter,
and their share of what a bf16 matrix product reaches here. With --minutes each is then trained anew for so long, in slices that
take turns; its pictures are judged at a tenth, a quarter, half and the end of it (Frechet distance by the project's own judge),
and OUTPUT.png draws them. The data's images are the same, and on the device, for all.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.peers import NAMES, Contestant, contestants
from benchmarks.plots import save_distances
from core.datasets import ImageSet, open_dataset
from core.device import Compute, choose_compute
from core.quality import load_judge

MARKS = (0.5, 1.0)
WEEK = 7 * 24 * 3600
SLICE_SECONDS = 20


def wait(device: torch.device) -> None:
    """Until the device has done what it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def train(contestant: Contestant, seconds: float, device: torch.device) -> tuple[int, float]:
    """Train for about so long; steps, and the seconds that they took."""
    wait(device)
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        contestant.step()
        steps += 1
        if steps % 10 == 0:
            wait(device)  # or the queue would take thousands of steps ahead
    wait(device)
    return steps, time.perf_counter() - started


def peak(device: torch.device) -> float:
    """FLOP/s of a bf16 matrix product, the best of ten."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        wait(device)
        started = time.perf_counter()
        a @ a
        wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def flops(contestant: Contestant) -> int:
    """Of one training step."""
    with FlopCounterMode(display=False) as counter:
        contestant.step()
    return int(counter.get_total_flops())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, help="the first of them is what the others are compared with"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--num-images", type=int, default=1000, help="images that are judged at each mark")
    parser.add_argument("--output", default="training")
    options = parser.parse_args()
    compute = choose_compute(options.device)
    root = Path(options.data_dir) if options.data_dir else None
    data = open_dataset(options.dataset, "train", root)
    print(f"{compute.describe()}, torch {torch.__version__}, batch {options.batch_size}, {options.dataset}")
    field = contestants(options.only, data, options.data_dir, options.batch_size, WEEK, options.device)
    work = {}
    for contestant in field:
        work[contestant.name] = flops(contestant)
        train(contestant, options.seconds / 2, compute.device)  # compiled and warm
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in field}
    for _ in range(options.rounds):
        for contestant in field:
            steps, seconds = train(contestant, options.seconds, compute.device)
            rates[contestant.name].append(steps / seconds)
    for contestant in field:
        contestant.close()
    best = peak(compute.device)
    print(f"a bf16 matrix product reaches {best / 1e9:.0f} GFLOP/s\n\n| contestant | images/s | of ours | GFLOP/s | of that |")
    print("|---|---|---|---|---|")
    ours = statistics.median(rates[field[0].name])
    for name, found in rates.items():
        rate = statistics.median(found)
        speed = rate * work[name]
        print(f"| {name} | {rate * options.batch_size:.0f} | {rate / ours:.3f} | {speed / 1e9:.0f} | {speed / best:.1%} |")
    if options.minutes:
        judged(options, compute, data)


def judged(options: argparse.Namespace, compute: Compute, data: ImageSet) -> None:
    """Train anew for the minutes asked, in turns, and print the least distance of its samplers at the marks."""
    judge = load_judge(options.dataset, Path(options.data_dir) if options.data_dir else None)
    budget = options.minutes * 60
    field = contestants(options.only, data, options.data_dir, options.batch_size, round(budget), options.device)
    spent = {contestant.name: 0.0 for contestant in field}
    distances: dict[str, list[tuple[float, float]]] = {contestant.name: [] for contestant in field}
    print(f"\n{judge.name}, {options.num_images} images\n")
    print("| contestant | trained | sampler | distance (floor) | precision | recall | sure |")
    print("|---|---|---|---|---|---|---|")
    for mark in MARKS:
        while any(seconds < mark * budget for seconds in spent.values()):
            for contestant in field:
                left = mark * budget - spent[contestant.name]
                if left > 0:
                    spent[contestant.name] += train(contestant, min(SLICE_SECONDS, left), compute.device)[1]
        for contestant in field:
            reports = {name: judge.report(images) for name, images in contestant.samples(options.num_images).items()}
            sampler, report = min(reports.items(), key=lambda item: item[1].samples.distance)
            found = report.samples
            distances[contestant.name].append((mark * budget, found.distance))
            text = f"{found.distance:.2f} ({report.floor.distance:.2f}) | {found.precision:.3f} | {found.recall:.3f}"
            print(f"| {contestant.name} | {mark * budget:.0f} s | {sampler} | {text} | {found.sure:.1%} |", flush=True)
    for contestant in field:
        contestant.close()
    save_distances(Path(f"{options.output}.png"), distances, "seconds of training", "Frechet distance")


if __name__ == "__main__":
    main()
