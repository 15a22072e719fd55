"""`tinydiff-tui race`."""

import argparse
import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.config import SampleConfig
from core.errors import UserError
from core.files import user_path
from core.runs.models import name_of, require_model, run_of
from tinydiff_tui.commands.flags import RACED
from tinydiff_tui.commands.newest import checkpoint_of, pictures_folder
from tinydiff_tui.commands.options import check_compute, chosen_compute, given, output_path
from tinydiff_tui.commands.output import can_show, remark, say, say_json, show
from tinydiff_tui.commands.progress import make_progress

if TYPE_CHECKING:
    from rich.table import Table

    from tinydiff_tui.jobs.racing import Lane, Standing

MOST_LANES = 12


def run(options: argparse.Namespace) -> int:
    """Draw the same noises in every lane, write the sheet and print the table, as JSON on request."""
    checkpoints = _checkpoints(options)
    lanes = _lanes(options, checkpoints)
    check_compute(options)
    output = output_path(options.output or pictures_folder(checkpoints[0]) / "race.png", checkpoints[0])

    from tinydiff_tui.jobs.racing import Racing, Standing, save_race

    compute = chosen_compute(options)
    data_dir = user_path(options.data_dir) if options.data_dir else None
    standing, doing, began = Standing(()), "", time.monotonic()
    with make_progress(plain=options.plain, aside=options.json) as progress:
        progress.say(f"{len(lanes)} lanes, {options.num_images} images each; {compute.describe()}")
        for standing in Racing(lanes, compute, data_dir):
            if standing.doing != doing and (doing := standing.doing) not in ("", "racing"):
                progress.say(doing)
            spent, total = (sum(getattr(racer, name) for racer in standing.racers) for name in ("done", "evaluations"))
            if doing == "racing" and spent and (progress.due(spent, 10) or spent == total):
                progress.update(spent, total, "of all lanes", (time.monotonic() - began) / spent * (total - spent))
    for _ in save_race(output, standing):
        pass
    if options.json:
        say_json(_document(standing, output))
        return 0
    show(_table(standing))
    shown = ""
    if can_show() and not options.plain:
        shown = _show(standing)
    if not standing.judge:
        say("no distances: the data set has no judge here yet; 'tinydiff-tui evaluate' trains one")
    say(f"{len(lanes)} rows: {output}{shown}")
    return 0


def _checkpoints(options: argparse.Namespace) -> list[Path]:
    """Those that were named, each once, or the newest run's; the program's own where nothing was trained."""
    if options.checkpoint is None:
        return [checkpoint_of(options, remark if options.json else say, embedded=True)]
    found = [user_path(name) for name in dict.fromkeys(options.checkpoint)]
    for path in found:
        require_model(path)
    return found


def _lanes(options: argparse.Namespace, checkpoints: list[Path]) -> "list[Lane]":
    """Every checkpoint by every sampler, with every number of evaluations and every guidance. Raises UserError."""
    asked = given(options, SampleConfig, RACED)
    settings = [dict.fromkeys(part) for part in (options.samplers, options.steps, options.guidance_scales)]
    lanes: list[tuple[Path, SampleConfig]] = []
    for path, sampler, steps, guidance in itertools.product(checkpoints, *settings):
        named: dict[str, Any] = {"sampler": sampler} if sampler else {}
        named |= {"steps": steps} if options.steps != [0] else {}
        named |= {"guidance_scale": guidance} if options.guidance_scales != [-1.0] else {}
        lanes.append((path, SampleConfig.asked(**(asked | {"num_images": options.num_images} | named))))
    if not 2 <= len(lanes) <= MOST_LANES:
        raise UserError(
            f"a race has 2 to {MOST_LANES} lanes, not {len(lanes)}; give lists to --samplers, --steps or --guidance-scales, "
            "or more than one --checkpoint"
        )
    from tinydiff_tui.jobs.racing import Lane  # imports torch, which a mistake need not wait for

    return [Lane(path, _name_of(path, alone=len(checkpoints) == 1), config) for path, config in lanes]


def _name_of(checkpoint: Path, *, alone: bool) -> str:
    run = run_of(checkpoint)
    return name_of(checkpoint) if run is None else run.name + ("" if alone else f" · {checkpoint.stem}")


def _document(standing: "Standing", output: Path) -> dict[str, Any]:
    from tinydiff_tui.jobs.racing import JUDGED

    lanes = [
        {
            "checkpoint": str(racer.lane.checkpoint), "sampler": racer.options.sampler, "steps": racer.options.steps,
            "evaluations": racer.evaluations, "guidance_scale": racer.options.guidance_scale, "seconds": racer.seconds,
            "distance": racer.distance, "floor": racer.floor, "judge": racer.judge or None,
        }
        for racer in standing.racers
    ]  # fmt: skip
    options = standing.racers[0].options
    judged = {"judge": standing.judge or None, "judged": JUDGED if standing.judge else None}
    return {"output": str(output), "num_images": options.num_images, "seed": options.seed, **judged, "lanes": lanes}


def _table(standing: "Standing") -> "Table":
    """A row a lane: who, what it was given, its time, the judge's distance, and that of as many real images."""
    from rich.table import Table
    from rich.text import Text

    from core.errors import printable
    from tinydiff_tui.jobs.racing import JUDGED
    from tinydiff_tui.text import number

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("lane")
    table.add_column("sampler")
    judged = f"distance of {JUDGED} ({printable(standing.judge)})" if standing.judge else "distance"
    for heading in ("evaluations", "guidance", "seconds", judged, *(["real images"] if standing.judge else [])):
        table.add_column(Text(heading), justify="right")
    for racer in standing.racers:
        guidance = f"{racer.options.guidance_scale:g}" if racer.labels or racer.options.guidance_scale != 1 else "–"
        figures = (str(racer.evaluations), guidance, f"{racer.seconds:.2f}", number(racer.distance, ".3f"))
        real = [number(racer.floor, ".3f")] if standing.judge else []
        table.add_row(Text(printable(racer.lane.name)), racer.options.sampler, *figures, *real)
    return table


def _show(standing: "Standing") -> str:
    import numpy as np

    from tinydiff_tui.commands.pictures import show_pictures

    finished = [view.x for racer in standing.racers if (view := racer.at(racer.evaluations)) is not None]
    return show_pictures(np.concatenate(finished), standing.headings)
