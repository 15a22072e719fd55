"""Does a judge order what is plainly worse? Its distance of real images, of the same ones spoilt, and of noise.

    python -m benchmarks.judges --dataset folder:PATH

Trains the judge of the data set where there is none yet, and says how long that took. --num-images of the training split are
spoilt: the first row, which leaves them as they are, is the floor.
"""

import argparse
import time
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from core.data.datasets import open_dataset
from core.images import to_float
from core.judge.judge import chosen_of
from core.judge.store import kept_judge, load_judge


def spoilt(x: Tensor) -> Iterator[tuple[str, Tensor]]:
    """What is done to images (N, C, H, W) in [-1, 1], and what becomes of them."""
    generator = torch.Generator().manual_seed(0)
    yield "real images", x
    for share in (0.05, 0.1, 0.2):
        yield f"noise of {share} added", x + share * torch.randn(x.shape, generator=generator)
    for across in (2, 4):
        yield f"blurred over {across} pixels", F.interpolate(F.avg_pool2d(x, across), x.shape[2:], mode="bilinear")
    yield "without colour", x.mean(1, keepdim=True).expand_as(x)
    yield "noise alone", torch.randn(x.shape, generator=generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--image-size", type=int, default=0)
    parser.add_argument("--num-images", type=int, default=500)
    options = parser.parse_args()
    known = kept_judge(options.dataset, image_size=options.image_size) is not None
    began, cpu = time.monotonic(), time.process_time()
    judge = load_judge(options.dataset, image_size=options.image_size)
    trained = f"trained in {time.monotonic() - began:.0f} s, {time.process_time() - cpu:.0f} s of CPU"
    training = open_dataset(options.dataset, image_size=options.image_size).images
    images = training[chosen_of(len(training))[: options.num_images]]  # the first ones would be of one class
    print(f"{judge.name}, right on {judge.accuracy:.1%}, {'kept from before' if known else trained}\n")
    print("| images | distance | precision | recall |\n|---|---|---|---|")
    for what, pictures in spoilt(to_float(images)):
        scores = judge.report(pictures.clamp(-1, 1)).samples
        print(f"| {what} | {scores.distance:.2f} | {scores.precision:.2f} | {scores.recall:.2f} |")


if __name__ == "__main__":
    main()
