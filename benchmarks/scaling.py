"""What an epoch costs by the side of the images and by their number: seconds of training steps, in turns, in one run.

    python -m benchmarks.scaling [--model fast] [--batch-size 64] [--rounds 3]

Trains on glyphs as files of a folder: four steps a turn at 28, 32 and 64 pixels a side, and one epoch of about 640, 1,280 and
2,560 of them.
"""

import argparse
import statistics
import tempfile
from collections.abc import Generator
from itertools import islice
from pathlib import Path

from PIL import Image

from core.config import TrainConfig
from core.data.glyphs import make_glyphs
from core.training.events import Step
from core.training.trainer import Trainer

SIDES = (28, 32, 64)
COUNTS = (640, 1280, 2560)
TURN = 4


def write_glyphs(folder: Path, count: int) -> str:
    """The name of a data set whose training split has about so many glyphs: 9 in 10 of the files."""
    folder.mkdir()
    for index, image in enumerate(make_glyphs(count * 10 // 9, seed=0)[0].numpy()):
        Image.fromarray(image[:, :, 0]).save(folder / f"{index:05d}.png")
    return f"folder:{folder}"


def step_seconds(config: TrainConfig) -> Generator[float, None, None]:
    """What each step of a run takes."""
    before = 0.0
    for event in Trainer(config):
        if isinstance(event, Step):
            yield event.seconds - before
            before = event.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="fast")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        sets = {count: write_glyphs(place / str(count), count) for count in COUNTS}

        def config(count: int, **more: object) -> TrainConfig:
            return TrainConfig.of(
                model=options.model, dataset=sets[count], batch_size=options.batch_size, sample_interval=0, save_interval=0,
                checkpoint_seconds=100_000, output_dir=str(place / f"run {count} {more}"), **more,
            )  # fmt: skip

        runs = {side: step_seconds(config(COUNTS[0], image_size=side, epochs=10_000)) for side in SIDES}
        turns: dict[int, list[float]] = {side: [] for side in SIDES}
        for _ in range(1 + options.rounds):  # the first turn warms up
            for side, run in runs.items():
                turns[side].append(sum(islice(run, TURN)) / TURN / options.batch_size)
        for run in runs.values():
            run.close()
        cost = {side: statistics.median(found[1:]) for side, found in turns.items()}
        print("| side | ms an image | of 28 | pixels, of 28 |\n|---|---|---|---|")
        for side, spent in cost.items():
            print(f"| {side} | {spent * 1e3:.2f} | {spent / cost[28]:.2f} | {(side / 28) ** 2:.2f} |")
        print("\n| images | seconds of an epoch | ms an image |\n|---|---|---|")
        for count in COUNTS:
            steps = list(step_seconds(config(count, epochs=1)))
            trained = len(steps) * options.batch_size
            print(f"| {trained:,} | {sum(steps):.1f} | {sum(steps) / trained * 1e3:.2f} |")


if __name__ == "__main__":
    main()
