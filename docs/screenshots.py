"""Screenshots of every mode, from the real app on a real run: python docs/screenshots.py FOLDER

FOLDER holds at least one finished run that `tinydiff-tui train` made. Writes docs/{data,noise,train,sample,runs}.svg, and
docs/denoising.svg, which moves: the same screen after every network evaluation.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf-8"}  # read on import

from textual.pilot import Pilot

from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.widgets.train_form import TrainForm
from tinydiff_tui.widgets.trajectory import Trajectory

if TYPE_CHECKING:
    from tinydiff_tui.screens.data import DataScreen
    from tinydiff_tui.screens.runs import RunsScreen
    from tinydiff_tui.screens.sample import SampleScreen

DOCS = Path(__file__).resolve().parent
SIZE, SMALL = (120, 40), (100, 30)
FRAME_SECONDS, LAST_SECONDS = 0.6, 2.5


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app run until the condition holds."""
    while not condition():
        await pilot.pause(0.1)
    await pilot.pause(0.5)


async def main(folder: Path) -> None:
    """One app, one picture a mode; the training is a real one, in a temporary folder."""
    os.chdir(folder)  # so that the pictures show names, not where they lie
    app = TinydiffApp(cwd=Path())
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.engine_ready and cast("DataScreen", app.screen).opened is not None)
        await pilot.press("right", "right", "down")
        await until(pilot, lambda: True)
        shoot(app, "data")
        await pilot.press("2")
        await until(pilot, lambda: not app.jobs.running("noise"))
        await pilot.press("]", "]", "]")
        await until(pilot, lambda: True)
        shoot(app, "noise")
        await pilot.press("4")
        await draw(pilot, app)
        shoot(app, "sample")
        await pilot.press("5")
        await until(pilot, lambda: len(cast("RunsScreen", app.screen).rows))
        await pilot.press("m", "down", "m", "down", "m", "g")
        await until(pilot, lambda: not app.jobs.running("same noises"))
        shoot(app, "runs")
    app = TinydiffApp(cwd=Path(), start="sample")
    async with app.run_test(size=SMALL) as pilot:
        await draw(pilot, app)
        frames = []
        for frame in range(len(app.screen.query_one(Trajectory).frames)):
            await pilot.press("right" if frame else "home")
            await until(pilot, lambda: True)
            frames.append(app.export_screenshot(title="tinydiff-tui: digits out of noise"))
        (DOCS / "denoising.svg").write_text(moving(frames))
    with tempfile.TemporaryDirectory() as empty:
        app = TinydiffApp(cwd=Path(empty))
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.engine_ready and not app.jobs.running("data"))
            await pilot.press("3")
            await until(pilot, lambda: True)
            await start_training(pilot, Path(empty))
            await pilot.pause(60)
            shoot(app, "train")
            await asyncio.to_thread(app.jobs.stop_all)


async def draw(pilot: Pilot[None], app: TinydiffApp) -> None:
    """Draw from the model that Sample has chosen, to the end."""
    await until(pilot, lambda: app.engine_ready and cast("SampleScreen", app.screen).facts is not None)
    await pilot.press("g")
    await until(pilot, lambda: cast("SampleScreen", app.screen).drawn is not None and not app.jobs.running("sample"))


async def start_training(pilot: Pilot[None], folder: Path) -> None:
    """Start from the form with its defaults, the run going to a temporary folder."""
    pilot.app.screen.query_one(TrainForm).row("output_dir").write(str(folder / "run"))
    await pilot.pause()
    await pilot.press("ctrl+s")


def shoot(app: TinydiffApp, name: str) -> None:
    (DOCS / f"{name}.svg").write_text(app.export_screenshot(title=f"tinydiff-tui: {name}"))


def moving(frames: list[str]) -> str:
    """Pictures (SVG, of one size) as one that shows them in turn, again and again, the last one longest."""
    whole = FRAME_SECONDS * (len(frames) - 1) + LAST_SECONDS
    opening = frames[0][: frames[0].index(">") + 1]
    rules, groups = [], []
    for k, frame in enumerate(frames):
        begin, end = 100 * k * FRAME_SECONDS / whole, 100 * (k + 1) * FRAME_SECONDS / whole if k < len(frames) - 1 else 100
        before = f"0%,{begin - 0.01:.2f}%{{visibility:hidden}}" if k else ""
        after = f"{end:.2f}%,100%{{visibility:hidden}}" if end < 100 else ""
        rules.append(f"@keyframes f{k}{{{before}{begin:.2f}%,{end - 0.01:.2f}%{{visibility:visible}}{after}}}")
        inside = frame[frame.index(">") + 1 : frame.rindex("</svg>")]
        groups.append(f'<g style="animation:f{k} {whole:.1f}s step-end infinite">{inside}</g>')
    return f"{opening}<style>{''.join(rules)}</style>{''.join(groups)}</svg>"


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
