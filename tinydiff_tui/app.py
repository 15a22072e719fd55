"""The app: five modes, one key each; themes, signals, the jobs and what the modes share."""

import asyncio
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen

from core.datasets import default_dataset
from tinydiff_tui.jobs import JobEnded, Jobs
from tinydiff_tui.messages import EngineLoaded
from tinydiff_tui.palette import BindingCommands
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.data import DataScreen
from tinydiff_tui.screens.dialogs import Choice
from tinydiff_tui.screens.explain import ExplainScreen
from tinydiff_tui.screens.help import HelpScreen
from tinydiff_tui.screens.noise import NoiseScreen
from tinydiff_tui.screens.runs import RunsScreen
from tinydiff_tui.screens.sample import SampleScreen
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.settings import DARK, LIGHT, load_theme, save_theme
from tinydiff_tui.start import run_app

__all__ = ["TinydiffApp", "run_app"]

SIGNALS = ("SIGTERM", "SIGHUP")


class TinydiffApp(App[None]):
    """The workbench. `data_dir` holds the data sets, `cwd` the runs."""

    CSS_PATH = "app.tcss"
    TITLE = "tinydiff"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "data": DataScreen,
        "noise": NoiseScreen,
        "train": TrainScreen,
        "sample": SampleScreen,
        "runs": RunsScreen,
    }
    DEFAULT_MODE = "data"
    COMMANDS: ClassVar[set[Any]] = App.COMMANDS | {BindingCommands}
    HORIZONTAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-w0"), (60, "-w80"), (110, "-w120"), (170, "-w200")]
    VERTICAL_BREAKPOINTS: ClassVar[list[tuple[int, str]] | None] = [(0, "-h0"), (18, "-h24"), (34, "-h40"), (50, "-h60")]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "switch_mode('data')", "Data", tooltip="Look at data sets"),
        Binding("2", "switch_mode('noise')", "Noise", tooltip="Scrub noise onto an image"),
        Binding("3", "switch_mode('train')", "Train", tooltip="Train a network and watch it learn"),
        Binding("4", "switch_mode('sample')", "Sample", tooltip="Draw images out of noise"),
        Binding("5", "switch_mode('runs')", "Runs", tooltip="Compare, resume and delete runs"),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys that work now"),
        Binding("e", "explain", "Explain", tooltip="What is on the screen: the idea, the formula, the code"),
        Binding("t", "toggle_theme", "Theme", tooltip="Dark or light; the choice is remembered"),
        Binding("q", "ask_quit", "Quit", tooltip="Leave; asks first while a training runs"),
        Binding("ctrl+c,ctrl+q", "ask_quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, data_dir: Path | None = None, cwd: Path | None = None) -> None:
        super().__init__()
        self.data_dir = data_dir
        self.cwd = cwd or Path.cwd()
        self.jobs = Jobs(self)
        self.engine_ready = False
        self.engine_error = ""
        self.dataset = default_dataset(data_dir)
        self.trained: list[str] = []
        """One line for each training that ended, for the summary after exit."""
        self._quitting = False
        self.theme = load_theme() if load_theme() in self.available_themes else DARK
        self.watch(self, "theme", self._remember_theme, init=False)

    # --- starting

    def on_mount(self) -> None:
        loop = asyncio.get_running_loop()
        for name in SIGNALS:
            if hasattr(signal, name):
                try:
                    loop.add_signal_handler(getattr(signal, name), self.leave, 128 + getattr(signal, name))
                except (NotImplementedError, RuntimeError, ValueError):  # not the main thread, or not Unix
                    break

    def on_ready(self) -> None:
        # After the first paint: torch takes seconds to import.
        self.run_worker(self._load_engine, name="engine", group="engine", thread=True, exit_on_error=False)

    def _load_engine(self) -> None:
        error = None
        try:
            import core.training  # noqa: F401
        except Exception as problem:
            error = f"torch cannot be imported ({type(problem).__name__}: {problem}); reinstall tinydiff-tui"
        self.post_message(EngineLoaded(error))

    def on_engine_loaded(self, message: EngineLoaded) -> None:
        if message.error:
            self.engine_error = message.error
            self.notify(message.error, severity="error", timeout=60)
            return
        self.engine_ready = True
        for mode in self.mode_screens():
            mode.tell_engine()

    def mode_screens(self) -> list[ModeScreen]:
        """The modes that were visited."""
        return [screen for stack in self._screen_stacks.values() for screen in stack if isinstance(screen, ModeScreen)]

    # --- what the modes share

    @property
    def train_screen(self) -> TrainScreen | None:
        return next((mode for mode in self.mode_screens() if isinstance(mode, TrainScreen)), None)

    def choose_dataset(self, name: str) -> None:
        """Make a data set the one of Data, Noise and Train."""
        self.dataset = name
        if self.train_screen is not None:
            self.train_screen.dataset_chosen(name)

    async def open_in_sample(self, checkpoint: Path) -> None:
        """Go to Sample with this checkpoint chosen."""
        await self.switch_mode("sample")
        next(mode for mode in self.mode_screens() if isinstance(mode, SampleScreen)).choose_checkpoint(checkpoint)

    async def resume_in_train(self, folder: Path) -> None:
        """Go to Train and continue the run in this folder."""
        await self.switch_mode("train")
        if self.train_screen is not None:
            self.train_screen.resume_run(folder)

    def on_job_ended(self, message: JobEnded) -> None:
        self.jobs.ended(message)
        if self._quitting and not self.jobs:
            self.exit(return_code=self._leave_code)

    # --- leaving

    _leave_code = 0

    def leave(self, code: int = 0) -> None:
        """Stop every job, then exit; a stopped training leaves its checkpoint first."""
        self._quitting, self._leave_code = True, code
        self.jobs.stop_all()
        if not self.jobs:
            self.exit(return_code=code)
        else:
            self.notify("stopping …", timeout=30)

    def action_ask_quit(self) -> None:
        if isinstance(self.screen, Choice) and self.screen.name == "quit":
            self.leave()
        elif self.jobs.running("train") and not self._quitting:
            question = "A training is running."
            choices = {"k": "Keep running", "s": "Stop, save and quit"}
            self.push_screen(Choice(question, choices, name="quit"), lambda key: self.leave() if key == "s" else None)
        else:
            self.leave()

    def summary(self) -> list[str]:
        """What ran, where its files are and how to go on, for the terminal after exit."""
        return self.trained

    def _fatal_error(self) -> None:
        # One line instead of a page; what is behind it goes to a file.
        import traceback

        import platformdirs

        log = platformdirs.user_log_path("tinydiff-tui") / "crash.log"
        self.jobs.stop_all()
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(traceback.format_exc())
            where = f"; please report it with {log}"
        except OSError:
            where = ""
        error = self._exception
        self.panic(f"tinydiff-tui stopped by an error of its own: {type(error).__name__}: {error}{where}")

    # --- actions

    def action_help(self) -> None:
        self.push_screen(HelpScreen(self.screen))

    def action_explain(self) -> None:
        if isinstance(self.screen, ModeScreen):
            self.push_screen(ExplainScreen(self.screen.MODE, self.screen.explain_values()))

    def action_toggle_theme(self) -> None:
        self.theme = DARK if self.theme == LIGHT else LIGHT

    def _remember_theme(self, theme: str) -> None:
        save_theme(theme)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Commands that are no binding."""
        yield SystemCommand("Choose a theme", "All colour themes", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save the screen as SVG", lambda: self.set_timer(0.1, self.deliver_screenshot))
