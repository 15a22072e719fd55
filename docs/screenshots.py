"""Screenshots of every mode, from the real app on a real run: python docs/screenshots.py FOLDER

FOLDER holds at least one finished run that `tinydiff-tui train` made. Writes
docs/{data,noise,train,sample,runs,steer,race,learn}.svg, and docs/denoising.gif, the way of the samples out of noise as Sample
saves it.
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
from tinydiff_tui.screens.play_race import Race
from tinydiff_tui.widgets.train_form import TrainForm

if TYPE_CHECKING:
    from tinydiff_tui.screens.data import DataScreen
    from tinydiff_tui.screens.learn import LearnScreen
    from tinydiff_tui.screens.play import PlayScreen
    from tinydiff_tui.screens.runs import RunsScreen
    from tinydiff_tui.screens.sample import SampleScreen

DOCS = Path(__file__).resolve().parent
SIZE = (120, 40)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app run until the condition holds."""
    while not condition():
        await pilot.pause(0.1)
    await pilot.pause(0.5)


async def main(folder: Path) -> None:
    """One app, one picture a mode; the training is a real one, in a temporary folder."""
    folder = folder.resolve()
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
        before = set(folder.rglob("*.gif"))
        await pilot.press("W")
        await until(pilot, lambda: set(folder.rglob("*.gif")) - before and not app.jobs.running("save"))
        (set(folder.rglob("*.gif")) - before).pop().rename(DOCS / "denoising.gif")
        await pilot.press("5")
        await until(pilot, lambda: len(cast("RunsScreen", app.screen).rows))
        await pilot.press("m", "down", "m", "down", "m", "g")
        await until(pilot, lambda: not app.jobs.running("same noises"))
        shoot(app, "runs")
        await play(pilot, app)
        await pilot.press("7")
        await learn(pilot, app)
        shoot(app, "learn")
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


async def learn(pilot: Pilot[None], app: TinydiffApp) -> None:
    """Predict and run the lesson on what the network predicts."""
    screen = cast("LearnScreen", app.screen)
    screen.action_open_lesson(3)
    await until(pilot, lambda: screen.wanted is None)
    await pilot.press("right", "right", "enter")
    await until(pilot, lambda: screen.outcome is not None)


async def play(pilot: Pilot[None], app: TinydiffApp) -> None:
    """Steer a little, then race the lanes that stand there."""
    await pilot.press("6")
    screen = cast("PlayScreen", app.screen)
    await until(pilot, lambda: screen.facts is not None)
    await pilot.press(*["right"] * 6, *["down"] * 4)
    await pilot.pause(3)
    shoot(app, "steer")
    await pilot.press("right_square_bracket", "right_square_bracket", "d", "s", "enter")
    await until(pilot, lambda: screen.query_one(Race).standing is not None and not app.jobs.running("race"))
    shoot(app, "race")


async def start_training(pilot: Pilot[None], folder: Path) -> None:
    """Start from the form with its defaults, the run going to a temporary folder."""
    pilot.app.screen.query_one(TrainForm).row("output_dir").write(str(folder / "run"))
    await pilot.pause()
    await pilot.press("ctrl+s")


def shoot(app: TinydiffApp, name: str) -> None:
    (DOCS / f"{name}.svg").write_text(app.export_screenshot(title=f"tinydiff-tui: {name}"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
