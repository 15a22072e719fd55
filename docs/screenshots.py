"""Screenshots of every mode, from the real app on a real run: python docs/screenshots.py FOLDER

FOLDER holds at least one finished run (`tinydiff-tui train` made it). Writes docs/{data,noise,train,sample,runs}.svg.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from tinydiff_tui.app import TinydiffApp

DOCS = Path(__file__).parent
SIZE = (120, 40)


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Let the app run until the condition holds."""
    while not condition():
        await pilot.pause(0.1)
    await pilot.pause(0.5)


async def main(folder: Path) -> None:
    """One app, one picture a mode; the training is a real one, in a temporary folder."""
    app = TinydiffApp(cwd=folder)
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
            for _ in range(600):
                await pilot.pause(0.1)
            await pilot.press("s")
            await pilot.pause(20)
            shoot(app, "train")
            await asyncio.to_thread(app.jobs.stop_all)


async def start_training(pilot: Pilot[int], folder: Path) -> None:
    """Start from the form with its defaults, the run going to a temporary folder."""
    screen = pilot.app.screen
    screen.query_one("#output_dir").value = str(folder / "run")  # type: ignore[attr-defined]
    await pilot.press("ctrl+s")


def shoot(app: TinydiffApp, name: str) -> None:
    (DOCS / f"{name}.svg").write_text(app.export_screenshot(title=f"tinydiff-tui: {name}"))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
