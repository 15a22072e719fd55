"""Training against diffusers, denoising-diffusion-pytorch, smalldiffusion and TorchCFM, in turns, in one run on one machine.

    python -m benchmarks.training [--device cuda] [--dataset mnist] [--image-size 0] [--batch-size 128] [--rounds 3]
        [--seconds 10] [--minutes 0] [--seed 0]

Each contestant has a process of its own. A round gives each the machine for --seconds, all with one batch size: images/s (the
median of the rounds), GFLOP/s by torch's own counter, their share of what a bf16 matrix product reaches here, the time that 20
epochs take at that rate, the seconds for 64 images by its fastest sampler, the peak memory of its process, and how much of a
step a GPU has a kernel to run. With --minutes each is then trained anew for so long, ours with the batch of its recipe, in
slices that take turns; its pictures are judged at a twentieth, a quarter, half and the end of it (Frechet distance by the
project's own judge), the first mark at which the first contestant has passed what each other has at the end is named, and
OUTPUT.png draws them. The data's images are the same, and on the device, for all.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.apart import Apart
from benchmarks.peers import NAMES, Contestant, Setting
from benchmarks.plots import save_distances
from core.compute.device import choose_compute
from core.images import Pixels
from core.judge.store import load_judge

MARKS = (0.05, 0.25, 0.5, 1.0)
EPOCHS, IMAGES = 20, 64
SLICE_SECONDS = 20

# --- what a contestant is asked in its own process


def train(contestant: Contestant, seconds: float) -> tuple[int, float]:
    """Train for about so long; steps, and the seconds that they took."""
    at_once = 10 if torch.cuda.is_initialized() else 1  # or a GPU's queue would take thousands of steps ahead
    wait()
    started, steps = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        train_steps(contestant, at_once)
        steps += at_once
    return steps, time.perf_counter() - started


def train_steps(contestant: Contestant, count: int) -> None:
    """So many steps, done when this returns."""
    for _ in range(count):
        contestant.step()
    wait()


def wait() -> None:
    """Until the device has done what it was asked."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def flops(contestant: Contestant) -> int:
    """Of one training step."""
    with FlopCounterMode(display=False) as counter:
        contestant.step()
    return int(counter.get_total_flops())


def busy(contestant: Contestant, rate: float) -> str:
    """The share of a step's seconds, at `rate` steps a second, in which a GPU has a kernel to run."""
    if not torch.cuda.is_initialized():
        return "-"
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        train_steps(contestant, 10)
    return f"{sum(event.self_device_time_total for event in profiler.key_averages()) / 10e6 * rate:.0%}"


def seconds_for_images(contestant: Contestant) -> float:
    """For IMAGES images, the least of two turns of its fastest sampler; not a number where it has none."""
    spent = []
    for _ in range(2):
        for sampler in contestant.samplers:
            wait()
            started = time.perf_counter()
            contestant.draw(sampler, IMAGES)
            wait()
            spent.append(time.perf_counter() - started)
    return min(spent, default=float("nan"))


def peak_memory(_: Contestant) -> float:
    """MiB at the peak so far of its process, its libraries and data included; on a GPU those of its tensors."""
    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / 2**20
    status = Path("/proc/self/status").read_text()  # ru_maxrss would count the process that started this one
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def draw(contestant: Contestant, sampler: str, count: int) -> Pixels:
    """Images of its averaged weights."""
    return contestant.draw(sampler, count)


# --- the tables


def peak(device: torch.device) -> float:
    """FLOP/s of a bf16 matrix product, the best of ten."""
    side = 8192 if device.type == "cuda" else 1024
    a = torch.randn(side, side, device=device, dtype=torch.bfloat16)
    best = float("inf")
    for _ in range(10):
        wait()
        started = time.perf_counter()
        a @ a
        wait()
        best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def enter(keys: Sequence[str], setting: Setting) -> list[Apart]:
    """Those that were asked for; a peer that is not installed is left out with a word."""
    field = []
    for key in keys:
        try:
            field.append(Apart(key, setting))
        except ImportError:
            print(f"{key} is not installed: left out (pip install '.[bench]')")
    return field


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dataset", default="mnist")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--image-size", type=int, default=0, help="of a folder")
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument(
        "--only", nargs="+", choices=NAMES, default=NAMES, help="the first of them is what the others are compared with"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0, help="of every contestant: another one is a run of its own")
    parser.add_argument("--num-images", type=int, default=1000, help="images that are judged at each mark")
    parser.add_argument("--output", default="training")
    options = parser.parse_args()
    setting = Setting(
        options.dataset, options.data_dir, options.image_size, options.batch_size, 0, choose_compute(options.device).device.type,
        options.seed,
    )  # fmt: skip
    data = setting.data()
    shape = "x".join(map(str, data.images.shape[1:]))
    print(f"torch {torch.__version__}, batch {options.batch_size}, {options.dataset}, {len(data):,} images of {shape}")
    rated(options, setting, len(data))
    if options.minutes:
        judged(options, replace(setting, seconds=round(options.minutes * 60)))


def rated(options: argparse.Namespace, setting: Setting, count: int) -> None:
    """Print what each trains and draws in a second, and how long it takes for so many images of an epoch."""
    compute = choose_compute(setting.device)
    field = enter(options.only, setting)
    on_cpu = (
        field if setting.device == "cpu" else enter(options.only, replace(setting, device="cpu"))
    )  # no CUDA graph to count in
    work = {contestant.name: counted.ask(flops) for contestant, counted in zip(field, on_cpu, strict=True)}
    for counted in set(on_cpu) - set(field):
        counted.close()
    for contestant in field:
        contestant.ask(train, options.seconds / 2)  # compiled and warm
    rates: dict[str, list[float]] = {contestant.name: [] for contestant in field}
    for _ in range(options.rounds):
        for contestant in field:
            steps, seconds = contestant.ask(train, options.seconds)
            rates[contestant.name].append(steps / seconds)
    best = peak(compute.device)
    print(f"{compute.describe()}; a bf16 matrix product reaches {best / 1e9:.0f} GFLOP/s\n")
    print(f"| contestant | images/s | of ours | GFLOP/s | of that | {EPOCHS} epochs | {IMAGES} images | peak memory | GPU busy |")
    print("|---|---|---|---|---|---|---|---|---|")
    ours = statistics.median(rates[field[0].name])
    for contestant in field:
        rate = statistics.median(rates[contestant.name])
        images, speed = rate * options.batch_size, rate * work[contestant.name]
        memory, share = contestant.ask(peak_memory), contestant.ask(busy, rate)
        drawn = contestant.ask(seconds_for_images)
        contestant.close()
        print(
            f"| {contestant.name} | {images:.0f} | {rate / ours:.3f} | {speed / 1e9:.0f} | {speed / best:.1%} "
            f"| {EPOCHS * count / images:.0f} s | {drawn:.2f} s | {memory:.0f} MiB | {share} |",
            flush=True,
        )


def judged(options: argparse.Namespace, setting: Setting) -> None:
    """Train anew for the seconds of the setting, in turns, and print the least distance of its samplers at the marks."""
    judge = load_judge(setting.dataset, Path(setting.data_dir) if setting.data_dir else None, image_size=setting.image_size)
    budget = setting.seconds
    field = [contestant for contestant in enter(options.only, setting) if contestant.samplers]
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
                    spent[contestant.name] += contestant.ask(train, min(SLICE_SECONDS, left))[1]
        for contestant in field:
            reports = {s: judge.report(contestant.ask(draw, s, options.num_images)) for s in contestant.samplers}
            sampler, report = min(reports.items(), key=lambda item: item[1].samples.distance)
            found = report.samples
            distances[contestant.name].append((mark * budget, found.distance))
            text = f"{found.distance:.2f} ({report.floor.distance:.2f}) | {found.precision:.3f} | {found.recall:.3f}"
            sure = "–" if found.sure is None else f"{found.sure:.1%}"
            print(f"| {contestant.name} | {mark * budget:.0f} s | {sampler} | {text} | {sure} |", flush=True)
    for contestant in field:
        contestant.close()
    ours, *others = distances
    for name in others:
        goal = distances[name][-1][1]
        seconds = next((f"after {s:.0f} s at the latest" for s, distance in distances[ours] if distance <= goal), "never")
        print(f"\n{ours} passes the {goal:.2f} that {name} has after {budget:.0f} s {seconds}")
    save_distances(Path(f"{options.output}.png"), distances, "seconds of training", "Frechet distance")


if __name__ == "__main__":
    main()
