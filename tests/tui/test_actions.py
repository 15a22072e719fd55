"""Every action of every mode: it stands in the line of keys, in the palette and in the help, and its key does something."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.binding import Binding
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Static

from core.runs.folder import RunDir, read_run
from tests.tui import test_data
from tests.tui.modes import ENDLESS, at_mode, fill, start, until
from tinydiff_tui.app.palette import BindingCommands
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.data import DataScreen
from tinydiff_tui.screens.nearest import Nearest
from tinydiff_tui.screens.noise import NoiseScreen
from tinydiff_tui.screens.note import Note
from tinydiff_tui.screens.panels import Ask, key_groups
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.sample import SampleScreen
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.screens.verdict import Verdict
from tinydiff_tui.widgets.dashboard import Dashboard
from tinydiff_tui.widgets.key_bar import MODES, key_text
from tinydiff_tui.widgets.scrubber import Scrubber
from tinydiff_tui.widgets.train_form import PRESETS, TrainForm

pytestmark = pytest.mark.usefixtures("small_glyphs")


def bindings(kind: type[Any]) -> list[Binding]:
    """What a screen or the app declares itself, not what Textual or every mode does."""
    own = [base for base in kind.__mro__ if base.__module__.startswith("tinydiff_tui") and base is not ModeScreen]
    return [binding for base in own for binding in vars(base).get("BINDINGS", []) if isinstance(binding, Binding)]


class Driver:
    """Presses the declared key of an action and waits until what it changes has changed."""

    def __init__(self, pilot: Pilot[Any]) -> None:
        self.pilot = pilot
        self.app: Any = pilot.app
        self.done: set[str] = set()

    def key_of(self, action: str) -> str:
        """The first key of an action, looked up in its declaration."""
        declared = [*bindings(type(self.app.screen)), *bindings(type(self.app))]
        return next(binding.key for binding in declared if binding.action == action).split(",")[0]

    async def __call__(self, action: str, changes: Callable[[], object]) -> None:
        screen, key = self.app.screen, self.key_of(action)
        found = [b for b in screen.active_bindings.values() if b.binding.action == action and b.enabled]
        assert found, f"{action} does nothing now"
        active = found[0]
        shown = key_text(screen, self.app, 200).plain
        assert active.node is self.app or self.app.get_key_display(active.binding) in shown, (action, shown)
        assert any(active.binding.tooltip == text for _, keys in key_groups(screen) for _, text in keys), action
        assert any(active.binding.tooltip == text for _, text, _ in BindingCommands(screen)._commands()), action
        before = changes()
        await self.pilot.press(key)
        await until(self.pilot, lambda: changes() != before)
        self.done.add(action)


@asynccontextmanager
async def driving(mode: str, folder: Path, screen: type[ModeScreen]) -> AsyncIterator[tuple[Driver, Any]]:
    """A driver in a mode; at the end every declared action of the mode has been driven."""
    async with at_mode(mode, folder) as pilot:
        drive = Driver(pilot)
        yield drive, pilot.app.screen_stack[0]
        assert drive.done == {b.action for b in screen.BINDINGS if isinstance(b, Binding)}


def picture(screen: ModeScreen) -> Callable[[], object]:
    """The frame that a slider points at."""
    return lambda: screen.query_one("#slider, #frames", Scrubber).value


def status(screen: ModeScreen) -> Callable[[], object]:
    return lambda: str(screen.query_one("#status", Static).visual)


async def test_actions_of_the_app(tmp_path: Path) -> None:
    async with at_mode("runs", tmp_path) as pilot:
        drive, app = Driver(pilot), pilot.app
        for mode in MODES:
            await drive(f"switch_mode('{mode}')", lambda: app.current_mode) if mode != "runs" else None
            app.screen.set_focus(None)
        await drive("switch_mode('runs')", lambda: app.current_mode)
        for action in ("help", "explain"):
            await drive(action, lambda: app.screen)
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        app.screen.query_one(DataTable).focus()
        await drive("jump", lambda: app.screen)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen))
        await drive("toggle_theme", lambda: app.theme)
        await drive("toggle_theme", lambda: app.theme)
        assert drive.done | {"ask_quit", "read_again"} == {b.action for b in type(app).BINDINGS if isinstance(b, Binding)}


async def test_actions_of_data(tmp_path: Path) -> None:
    async with driving("data", tmp_path, DataScreen) as (drive, screen):
        await until(drive.pilot, lambda: screen.browser.index is not None)
        browser = screen.browser
        for action in ("move(1,0)", "move(0,1)", "move(-1,0)", "move(0,-1)", "page(1)", "page(-1)", "go(-1)", "go(0)"):
            await drive(action, lambda: browser.index)
        for action in ("next_class(1)", "next_class(-1)"):
            await drive(action, lambda: browser.label)
        await drive("examples", lambda: tuple(browser.every))
        await drive("more", lambda: screen.has_class("-more"))
        await drive("more", lambda: screen.has_class("-more"))
        await drive("zoom", lambda: screen.has_class("-zoomed"))
        await drive("leave", lambda: screen.has_class("-zoomed"))
        await drive("folder", lambda: drive.app.focused)
        assert isinstance(drive.app.focused, Input)
        await drive("leave", lambda: drive.app.focused)
        await drive("download", status(screen))  # glyphs need none
        assert callable(test_data.test_download_can_be_cancelled)
        drive.done.add("cancel")
        await drive("add_noise", lambda: drive.app.current_mode)


async def test_actions_of_noise(tmp_path: Path) -> None:
    async with driving("noise", tmp_path, NoiseScreen) as (drive, screen):
        await until(drive.pilot, lambda: screen.noising is not None)
        steps = ["move(1)", "move(-1)", "move(10)", "move(-10)", "mark(1)", "mark(-1)", "go(999)", "go(0)", "play", "go(0)"]
        for action in steps:
            await drive(action, picture(screen))
        await drive("schedule", lambda: screen.schedule)
        for action in ("image(1)", "image(-1)"):
            await drive(action, lambda: screen.index)
        await drive("more", lambda: screen.has_class("-more"))
        await drive("zoom", lambda: screen.has_class("-zoomed"))
        await drive("leave", lambda: screen.has_class("-zoomed"))
        await drive("noise", lambda: screen.seed)
        await drive("save", status(screen))
        assert list(tmp_path.glob("*.png"))


async def test_actions_of_sample(tmp_path: Path, tiny_run: Path) -> None:
    shutil.copytree(tiny_run, tmp_path / "outputs")
    async with driving("sample", tmp_path, SampleScreen) as (drive, screen):
        await until(drive.pilot, lambda: screen.facts is not None)
        await drive("options", lambda: screen.has_class("-folded"))
        await drive("options", lambda: screen.has_class("-folded"))
        await drive("options", lambda: screen.has_class("-folded"))
        screen.set_focus(screen.query_one("#steps", Input))
        await drive("leave_field", lambda: drive.app.focused)
        screen.query_one("#num_images", Input).value = "4000"
        await drive("generate", lambda: screen.drawn is not None)
        await drive("cancel", lambda: "stopped after" in str(status(screen)()))
        screen.query_one("#num_images", Input).value = "8"
        box = screen.trajectory.box("pictures")
        await drive("generate", lambda: box.state == "finished")
        await drive("new_seed", lambda: box.state == "finished" and screen.drawn.options.seed)
        for action in ("move(-1)", "move(1)", "go(0)", "go(100000)", "replay"):
            await drive(action, picture(screen))
        await drive("kind", lambda: screen.trajectory.kind)
        for action in ("pick(1)", "pick(-1)", "pick_row(1)", "pick_row(-1)"):
            await drive(action, lambda: screen.trajectory.cursor)
        await drive("zoom", lambda: screen.trajectory.grid.zoomed)
        await drive("save_png", lambda: len(list(tmp_path.glob("outputs/*sampled*.png"))))
        await until(drive.pilot, lambda: not drive.app.jobs.running("save"))
        await drive("save_gif", lambda: len(list(tmp_path.glob("outputs/*sampled*.gif"))))
        await drive("nearest", lambda: isinstance(drive.app.screen, Nearest))
        await drive.pilot.press("escape")
        await until(drive.pilot, lambda: drive.app.screen is screen)
        await drive("judge", lambda: isinstance(drive.app.screen, Verdict))


async def test_actions_of_train(tmp_path: Path) -> None:
    async with driving("train", tmp_path, TrainScreen) as (drive, screen):
        form = await fill(drive.pilot, epochs=ENDLESS)
        screen.set_focus(form.row("lr").query_one(Input))
        await drive("leave_field", lambda: drive.app.focused)
        await drive("fields", lambda: form.shows_all)
        for preset in PRESETS:
            await drive(f"preset('{preset}')", lambda: (form.row("budget").read(), form.row("epochs").read()))
        await fill(drive.pilot, epochs=ENDLESS)
        form.row("budget").write(None)
        await drive.pilot.pause()
        await drive("start", lambda: screen.view is not None and screen.view.step > 2)
        run = RunDir(tmp_path / "outputs")
        await drive("scale_lr(1)", lambda: screen.training.trainer.state.lr_factor)
        await drive("scale_lr(-1)", lambda: screen.training.trainer.state.lr_factor)
        board = screen.query_one(Dashboard)
        await drive("log_scale", lambda: board.log_scale)
        await drive("unit", lambda: board.unit)
        await drive("grid", lambda: board.has_class("-grid"))
        await drive("turn(1)", lambda: board.page)
        await drive("turn(-1)", lambda: board.page)
        await drive("checkpoint", lambda: sum("checkpoints/last.pt" in line for line in screen.view.log))
        await drive("sample", lambda: screen.view.pictures is not None)
        await drive("pause", lambda: read_run(run.path).status)
        await drive("go_on", lambda: read_run(run.path).status)
        await drive("judge_now", lambda: isinstance(drive.app.screen, Ask))
        await drive.pilot.press("escape")
        await until(drive.pilot, lambda: drive.app.screen is screen)
        await drive("stop", lambda: screen.outcome)
        await drive("judge", lambda: isinstance(drive.app.screen, Verdict))
        await drive.pilot.press("escape")
        await until(drive.pilot, lambda: drive.app.screen is screen)
        await drive("new_run", lambda: screen.has_class("-running"))
        await drive("back", lambda: screen.has_class("-running"))
        await drive("new_run", lambda: screen.has_class("-running"))
        await fill(drive.pilot, dataset="mnist")
        await drive("detach", lambda: str(form.query_one("#problem", Static).content))
        await drive("back", lambda: screen.has_class("-running"))
        await drive("distil", lambda: form.row("teacher").read())
        await drive.pilot.press("escape", drive.key_of("back"))
        await until(drive.pilot, lambda: screen.has_class("-running"))
        await drive("open_in_sample", lambda: drive.app.current_mode)


async def test_actions_of_runs(tmp_path: Path, tiny_run: Path) -> None:
    """The live run is one of this very process: the requests go through its folder all the same."""
    shutil.copytree(tiny_run, tmp_path / "done")
    async with at_mode("train", tmp_path) as pilot:
        train = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: train.view is not None and train.view.step > 2)
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        drive, screen = Driver(pilot), pilot.app.screen
        assert isinstance(screen, RunsScreen)
        await until(pilot, lambda: [row.name for row in screen.rows] == ["outputs", "done"])
        await drive("ask('pause')", lambda: screen.rows[0].cells[0] == "paused")
        await drive("ask('resume')", lambda: screen.rows[0].cells[0] == "running")
        await drive("ask('checkpoint')", lambda: any("checkpoints/last.pt" in line for line in train.view.log))  # type: ignore[union-attr]
        await drive("ask('sample')", lambda: any(tmp_path.glob("outputs/samples/*.png")))
        await drive("ask('stop')", lambda: screen.rows[0].cells[0] == "stopped")
        shutil.copytree(tiny_run, tmp_path / "late")
        await drive("refresh", lambda: len(screen.rows))
        await drive("log_scale", lambda: screen.views.log_scale)
        for action in ("view(1)", "view(-1)"):
            await drive(action, lambda: screen.views.view)
        await drive("zoom", lambda: screen.has_class("-zoomed"))
        await drive("zoom", lambda: screen.has_class("-zoomed"))
        for action in ("sort(1)", "sort(-1)"):
            await drive(action, lambda: screen.sort)
        await drive("filter", lambda: pilot.app.focused)
        await pilot.press(*"outputs")
        await drive("leave", lambda: len(screen.shown))
        await drive("mark", lambda: len(screen.marked))
        await drive("compare", lambda: screen.comparison is not None and not screen.drawing)
        await drive("save", lambda: len(list(tmp_path.glob("same_noises*.png"))))
        for action, panel in (("note", Note), ("judge", Verdict)):
            await drive(action, lambda panel=panel: isinstance(pilot.app.screen, panel))  # type: ignore[misc]
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen)
        await drive("delete", lambda: pilot.app.screen)
        assert isinstance(pilot.app.screen, Ask)
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen)
        await drive("resume", lambda: train.outcome == "" and train.view is not None)
        await drive.pilot.press(drive.key_of("stop"))
        await until(pilot, lambda: train.outcome == "stopped")
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        await drive("new_run", lambda: pilot.app.current_mode)
        assert not train.has_class("-running")  # the form, and not the run that was stopped
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        await drive("distil", lambda: pilot.app.current_mode)
        assert train.query_one(TrainForm).row("teacher").read()
        await pilot.press("escape", "5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        await drive("open", lambda: pilot.app.current_mode)
        assert drive.done == {binding.action for binding in bindings(RunsScreen)}
