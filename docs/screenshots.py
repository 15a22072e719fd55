"""Screenshots of every mode, from the real app on a real run: python docs/screenshots.py FOLDER

FOLDER holds at least one finished run that `tinydiff-tui train` made. Writes docs/{data,noise,train,sample,runs}.svg.
"""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ |= {"TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONIOENCODING": "utf-8"}  # read on import

from textual.pilot import Pilot

from tinydiff_tui.app.app import TinydiffApp
from tinydiff_tui.widgets.train_form import TrainForm

DOCS = Path(__file__).resolve().parent
SIZE = (120, 40)


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
        await until(pilot, lambda: app.engine_ready and not app.jobs.running("data"))
        shoot(app, "data")
        await pilot.press("2")
        await until(pilot, lambda: not app.jobs.running("noise"))
        await pilot.press("]", "]", "]", "]")
        await until(pilot, lambda: True)
        shoot(app, "noise")
        await pilot.press("4")
        await until(pilot, lambda: not app.jobs.running("checkpoints") and not app.jobs.running("model"))
        await pilot.press("g")
        await until(pilot, lambda: not app.jobs.running("sample"))
        shoot(app, "sample")
        await pilot.press("5")
        await pilot.pause(3)
        shoot(app, "runs")
    with tempfile.TemporaryDirectory() as empty:
        app = TinydiffApp(cwd=Path(empty))
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: app.engine_ready and not app.jobs.running("data"))
            await pilot.press("3")
            await until(pilot, lambda: True)
            await start_training(pilot, Path(empty))
            await pilot.pause(45)
            await pilot.press("s")
            await pilot.pause(25)
            shoot(app, "train")
            await asyncio.to_thread(app.jobs.stop_all)


async def start_training(pilot: Pilot[None], folder: Path) -> None:
    """Start from the form with its defaults, the run going to a temporary folder."""
    pilot.app.screen.query_one(TrainForm).row("output_dir").write(str(folder / "run"))
    await pilot.pause()
    await pilot.press("ctrl+s")


def shoot(app: TinydiffApp, name: str) -> None:
    (DOCS / f"{name}.svg").write_text(app.export_screenshot(title=f"tinydiff-tui: {name}"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
