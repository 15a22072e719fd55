"""Distance and seconds of every sampler by network evaluations, on one trained model, as the project's own judge tells them.

    python -m benchmarks.sampling --checkpoint RUN/model_final.pt [--num-images 1000] [--most 200] [--output sampling]

Draws --num-images images a row, only --most of them beyond 50 evaluations, and judges the first --most of each row too, so that
all rows compare. Rows are kept in OUTPUT.jsonl as they come: a second start goes on where the first one ended. Prints the table
at the end and draws OUTPUT.png. Without guidance, unless --guidance-scale says more; "as asked" is the share of the worst class
that the judge reads as the class that was asked for.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.plots import save_distances
from core.compute.device import Compute, choose_compute
from core.config import INTERVALS, SampleConfig
from core.diffusion.generate import generate
from core.diffusion.model import Model
from core.images import Pixels, to_uint8
from core.judge.judge import Judge
from core.judge.store import load_judge
from core.runs.checkpoint import load_model

MANY = 50  # evaluations from which on fewer images are drawn


def draw(model: Model, options: SampleConfig, compute: Compute) -> tuple[Pixels, float]:
    """The images, and the seconds that 64 of them took."""
    started = time.perf_counter()
    finished = [to_uint8(batch.frame.x) for batch in generate(model, options, compute) if batch.frame.t < 0]
    spent = time.perf_counter() - started
    return np.concatenate(finished), spent * 64 / options.num_images


def figures(judge: Judge, images: Pixels, labels: int) -> dict[str, float]:
    scores = judge.report(images)
    samples = scores.samples
    read = judge.classify(images).argmax(1).numpy()
    asked = np.arange(len(images)) % max(labels, 1)
    return {
        "count": samples.count,
        "distance": samples.distance,
        "floor": scores.floor.distance,
        "precision": samples.precision,
        "recall": samples.recall,
        "sure": float("nan") if samples.sure is None else samples.sure,
        "asked": min(float((read[asked == label] == label).mean()) for label in range(labels)) if labels else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--samplers", nargs="+", default=["ddpm", "ddim", "heun", "dpmpp_2m", "unipc"])
    parser.add_argument("--evaluations", nargs="+", type=int, default=[5, 10, 20, 50, 1000])
    parser.add_argument("--num-images", type=int, default=1000)
    parser.add_argument("--most", type=int, default=200, help="images of a row of more than 50 evaluations")
    parser.add_argument("--guidance-scale", type=float, default=1.0)
    parser.add_argument("--guidance-interval", choices=INTERVALS, default="middle")
    parser.add_argument("--data-dir")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--output", default="sampling")
    options = parser.parse_args()
    compute = choose_compute(threads=options.threads)
    model = load_model(Path(options.checkpoint), device=compute.device)
    data_dir = options.data_dir or model.config.data_dir
    judge = load_judge(model.config.dataset, Path(data_dir) if data_dir else None)
    kept = Path(f"{options.output}.jsonl")
    rows = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    for evaluations in options.evaluations:
        for sampler in options.samplers:
            if any((row["sampler"], row["evaluations"]) == (sampler, evaluations) for row in rows):
                continue
            count = options.num_images if evaluations <= MANY else options.most
            wanted = SampleConfig(
                num_images=count, sampler=sampler, steps=evaluations, guidance_scale=options.guidance_scale,
                guidance_interval=options.guidance_interval,
            )  # fmt: skip
            images, seconds = draw(model, wanted, compute)
            row = {"sampler": sampler, "evaluations": evaluations, "seconds": seconds}
            row |= {
                "few": figures(judge, images[: options.most], model.label_count),
                "all": figures(judge, images, model.label_count),
            }
            with kept.open("a") as file:
                file.write(json.dumps(row) + "\n")
            rows.append(row)
    print(f"{judge.name}, {compute.describe()}; floor: as many real images of the training split\n")
    columns = ("sampler", "evaluations", "distance of few (floor)", "of all (floor)", "precision", "recall", "sure", "as asked")
    print("| " + " | ".join((*columns, "64 images")) + " |\n" + "|---" * (len(columns) + 1) + "|")
    for row in rows:
        few, whole = row["few"], row["all"]
        distances = " | ".join(f"{of['distance']:.2f} ({of['floor']:.2f}, {of['count']})" for of in (few, whole))
        shares = f"{whole['precision']:.3f} | {whole['recall']:.3f} | {whole['sure']:.1%} | {whole['asked']:.1%}"
        print(f"| {row['sampler']} | {row['evaluations']} | {distances} | {shares} | {row['seconds']:.1f} s |")
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault(row["sampler"], []).append((row["evaluations"], row["few"]["distance"]))
    few = rows[0]["few"]
    label = f"Frechet distance of {few['count']} images"
    save_distances(Path(f"{options.output}.png"), curves, "network evaluations", label, log_x=True, floor=few["floor"])


if __name__ == "__main__":
    main()
