"""The app: its modes, one key each; themes, signals, the jobs and what the modes share."""

import asyncio
import gc
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

from rich.text import Text
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.dom import DOMNode
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.theme import ThemeProvider

from core.data.datasets import default_dataset
from core.errors import UserError
from core.files import take_notices, working_folder, write_failure
from core.names import OWN_FILES, OwnFile
from tinydiff_tui.app.launch import run_app, summary_of, write_crash
from tinydiff_tui.app.palette import BindingCommands, Palette
from tinydiff_tui.app.settings import load_settings, save_settings
from tinydiff_tui.app.themes import DARK, LIGHT, THEMES
from tinydiff_tui.jobs.jobs import Jobs
from tinydiff_tui.jobs.messages import EngineLoaded, JobFinished
from tinydiff_tui.jobs.signals import heeded
from tinydiff_tui.screens.base import WIDE, ModeScreen
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.terminal.gate import Gate
from tinydiff_tui.terminal.known import coarser
from tinydiff_tui.terminal.support import LOOKS
from tinydiff_tui.text import for_app, printable
from tinydiff_tui.widgets.key_bar import ModeBar
from tinydiff_tui.widgets.pixel_grid import PixelGrid

if TYPE_CHECKING:
    from tinydiff_tui.screens.runs import RunsScreen
    from tinydiff_tui.screens.sample import SampleScreen
    from tinydiff_tui.screens.train import TrainScreen

__all__ = ["TinydiffApp", "run_app"]


MOST_DENSITY = 12
"""Sizes that pictures can be made smaller or larger by."""


def make_mode(name: str) -> ModeScreen:
    """The screen of a mode; its module is imported when it is first shown."""
    mode: ModeScreen = getattr(import_module(f"tinydiff_tui.screens.{name}"), f"{name.title()}Screen")()
    return mode


class JobsStopped(Message, bubble=False):
    """Every job has ended: the app may go."""


class TinydiffApp(App[None]):
    """The workbench. `data_dir` holds the data sets, `cwd` the runs; `start` is the mode shown first."""

    CSS_PATH = "app.tcss"
    TITLE = "tinydiff"
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "data": partial(make_mode, "data"),
        "noise": partial(make_mode, "noise"),
        "train": partial(make_mode, "train"),
        "sample": partial(make_mode, "sample"),
        "runs": partial(make_mode, "runs"),
        "play": partial(make_mode, "play"),
        "learn": partial(make_mode, "learn"),
    }
    COMMANDS: ClassVar[set[Any]] = App.COMMANDS | {BindingCommands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-normal"), (WIDE, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-low"), (34, "-high"), (50, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "switch_mode('data')", "Data", tooltip="Look at data sets"),
        Binding("2", "switch_mode('noise')", "Noise", tooltip="Scrub noise onto an image"),
        Binding("3", "switch_mode('train')", "Train", tooltip="Train a network and watch it learn"),
        Binding("4", "switch_mode('sample')", "Sample", tooltip="Draw images out of noise"),
        Binding("5", "switch_mode('runs')", "Runs", tooltip="Compare, resume and delete runs"),
        Binding("6", "switch_mode('play')", "Play", tooltip="Steer a model by hand, draw with it, race its samplers"),
        Binding("7", "switch_mode('learn')", "Learn", tooltip="Eight lessons: predict, run, compare"),
        Binding("question_mark", "help", "Help", key_display="?", tooltip="All keys that work now"),
        Binding("ctrl+o", "jump", "Jump", tooltip="A letter on everything that takes the focus: press it to go there"),
        Binding("e", "explain", "Explain", tooltip="What is on the screen: the idea, the formula, the code"),
        Binding("ctrl+r", "read_again", "Read again", tooltip="Read your own file again: what it registers takes the old place"),
        Binding("t", "toggle_theme", "Theme", tooltip="Dark or light; the choice is remembered"),
        Binding("q", "ask_quit", "Quit", tooltip="Leave; asks first while a training runs"),
        Binding("ctrl+c,ctrl+q", "ask_quit", "Quit", show=False, priority=True),
    ]

    def __init__(self, data_dir: Path | None = None, cwd: Path | None = None, start: str = "data") -> None:
        self.DEFAULT_MODE = start  # type: ignore[misc]  # read once, by the app itself
        super().__init__()
        self._filters.append(Gate())
        remembered = load_settings()
        for theme in THEMES:
            self.register_theme(theme)
        self._start_with(remembered.theme if remembered.theme in self.available_themes else DARK)
        self.density = min(max(remembered.density, -MOST_DENSITY), MOST_DENSITY)
        """How many sizes smaller than fidelity asks for pictures are shown, in every mode."""
        self.look = remembered.look if remembered.look in LOOKS else ""
        """What pictures are drawn with; empty: what the terminal is known to draw."""
        self.learned = set(remembered.learned.split())
        """The lessons that were run, by name; remembered."""
        self.training = ("", "")
        """State of the training that runs here, and its progress in words; empty when none does."""
        self.data_dir = data_dir
        self.cwd = cwd or working_folder()
        self.jobs = Jobs()
        self.engine_ready = False
        self.engine_error = ""
        self.dataset = default_dataset(data_dir)
        self.image = 0
        """The image of the data set on which Data's cursor stands, and which Noise shows."""
        self.trained: dict[Path, int | None] = {}
        """The folders of the runs that were started here and the processes of the detached ones, for the summary after exit."""
        self.failure = ""
        self._leaving = False
        self._leave_code = 0

    # --- starting

    def _start_with(self, theme: str) -> None:
        """Textual would style everything in its own theme, then all of it again in this one."""
        self.set_reactive(TinydiffApp.theme, theme)
        self.stylesheet.set_variables(self.get_css_variables())
        self.set_class(self.current_theme.dark, "-dark-mode", update=False)
        self.set_class(not self.current_theme.dark, "-light-mode", update=False)

    def on_load(self) -> None:
        self.stylesheet.apply(self)  # so that the first screen, which inherits from it, is styled once

    def on_mount(self) -> None:
        self.theme_changed_signal.subscribe(self, lambda theme: save_settings(theme=theme.name))
        loop = asyncio.get_running_loop()
        for number in heeded("SIGTERM", "SIGHUP"):
            try:
                loop.add_signal_handler(number, self.leave, 128 + number)
            except (NotImplementedError, RuntimeError, ValueError):  # not the main thread, or not Unix
                break

    def on_ready(self) -> None:
        # After the first paint: torch takes seconds to import. run_app put the collection of garbage off until here.
        gc.enable()
        threading.Thread(target=self._load_engine, name="engine", daemon=True).start()

    def _load_engine(self) -> None:
        error = None
        try:
            np.ndarray  # noqa: B018 (loaded as the app wants it, before torch asks for it)
            for mode in self.MODES:
                import_module(f"tinydiff_tui.screens.{mode}")  # the first look at a mode does not wait for its import
            import core.training.trainer  # noqa: F401
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
        self.tell_notices()

    def mode_screens(self) -> list[ModeScreen]:
        """The modes that were visited and are composed."""
        screens = (screen for stack in self._screen_stacks.values() for screen in stack)
        return [screen for screen in screens if isinstance(screen, ModeScreen) and screen.is_mounted]

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The colours of meaning, for themes that are not ours."""
        return THEMES[0 if self.current_theme.dark else 1].variables

    # --- what the modes share

    @property
    def train_screen(self) -> "TrainScreen | None":
        return cast("TrainScreen | None", next((mode for mode in self.mode_screens() if mode.MODE == "train"), None))

    def choose_dataset(self, name: str) -> None:
        """Make a data set the one of Data, Noise and Train."""
        self.dataset, self.image = name, 0
        for mode in self.mode_screens():
            mode.dataset_chosen(name)

    def tell_training(self, state: str, progress: str) -> None:
        """Show in the bar of every mode how the training that runs here stands; an empty state takes it away."""
        self.training = (state, progress)
        for mode in self.mode_screens():  # also while the app is left, when no screen is current any more
            for bar in mode.query_children(ModeBar):
                bar.tell(state, progress)

    def remember_lesson(self, name: str) -> None:
        """A lesson was run."""
        self.learned.add(name)
        save_settings(learned=" ".join(sorted(self.learned)))

    def remember_run(self, folder: Path, process: int | None = None) -> None:
        """Put a run that was started here into the summary after exit, last."""
        self.trained.pop(folder, None)
        self.trained[folder] = process

    async def show_in_runs(self, folder: Path) -> None:
        """Go to Runs with the cursor on the run in this folder."""
        await self.switch_mode("runs")
        cast("RunsScreen", self.screen).point_at(folder)

    async def open_in_sample(self, checkpoint: Path) -> None:
        """Go to Sample with this checkpoint chosen."""
        await self.switch_mode("sample")
        cast("SampleScreen", self.screen).choose_checkpoint(checkpoint)

    async def resume_in_train(self, folder: Path) -> None:
        """Go to Train and continue the run in this folder."""
        await self.switch_mode("train")
        if self.train_screen is not None:
            self.train_screen.resume_run(folder)

    async def distil_in_train(self, checkpoint: Path) -> None:
        """Go to Train, its form filled with a run that distils this model."""
        await self.switch_mode("train")
        if self.train_screen is not None:
            self.train_screen.distil(checkpoint)

    # --- a person's own files

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(OWN_FILES) if action == "read_again" else True

    def action_read_again(self) -> None:
        if self.engine_ready:
            from tinydiff_tui.jobs import ideas

            self.jobs.start("ideas", ideas.reading, self)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name != "ideas":  # a screen's own, on its way up
            return
        if message.error:
            self.notify(message.error, severity="error", timeout=15)
            return
        training = self.train_screen.config if self.train_screen is not None and self.jobs.running("train") else None
        from tinydiff_tui.jobs import ideas

        said = ideas.taken(cast("tuple[OwnFile, ...]", message.snapshot), training)
        for mode in self.mode_screens():
            mode.names_changed()
        self.notify(said, timeout=3)
        self.tell_notices()

    def tell_notices(self) -> None:
        """Show what a person should know and nobody has said yet."""
        for notice in take_notices():
            self.notify(notice, severity="warning", timeout=10)

    # --- leaving

    def leave(self, code: int = 0, *, keep: Path | None = None) -> None:
        """Stop every job, then exit; a stopped training leaves its checkpoint first.

        A process of its own goes on with the run in the folder `keep`.
        """
        if self._leaving:
            return
        self._leaving, self._leave_code = True, code
        self.notify("handing the run over to a process of its own …" if keep else "stopping …", timeout=60)
        # In a thread: the jobs may take a step to end, and the event loop must not wait.
        threading.Thread(target=self._stop_jobs, args=(keep,), name="leave", daemon=True).start()

    def _stop_jobs(self, keep: Path | None) -> None:
        from core.runs.folder import RunDir, read_run
        from tinydiff_tui.jobs.detach import start_detached

        self.jobs.stop_all()
        try:
            if keep is not None and read_run(keep).status == "stopped":  # it may have come to its end meanwhile
                process = start_detached(["train", "--resume", f"--output-dir={keep}"], RunDir(keep))
                self.remember_run(keep, process.pid)
        except UserError as error:
            self.failure = str(error)  # for the terminal after exit, which has flags
        finally:
            self.post_message(JobsStopped())

    def on_jobs_stopped(self) -> None:
        self.exit(return_code=self._leave_code)

    def action_ask_quit(self) -> None:
        from tinydiff_tui.screens.panels import Ask

        if isinstance(self.screen, Ask) and self.screen.name == "quit":
            self.leave()  # asked a second time
        elif self.jobs.running("train") and not self._leaving:
            answers = {
                "keep": "Keep it running in a process of its own, and quit",
                "stop": "Stop, save and quit",
                "": "Cancel",
            }
            self.push_screen(Ask("A training is running.", answers, name="quit"), self._quit_answered)
        else:
            self.leave()

    def _quit_answered(self, answer: str | None) -> None:
        if answer == "keep" and self.train_screen is not None:
            self.leave(keep=Path(self.train_screen.config.output_dir))
        elif answer == "stop":
            self.leave()

    def summary(self) -> list[str]:
        """What ran, where its files are and how to go on, for the terminal after exit."""
        lines = [line for folder, process in self.trained.items() for line in summary_of(folder, process)]
        return [*lines, self.failure] if self.failure else lines

    def _handle_exception(self, error: Exception) -> None:
        # One line instead of a page, whatever the error brings along; what is behind it goes to a file.
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        said = f"tinydiff-tui stopped by an error of its own: {type(error).__name__}: {error}{write_crash(error)}"
        self.panic(Text(printable(said)))

    # --- saying

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Textual's, for plain sentences in the words of the app: what stands in brackets is no markup."""
        super().notify(for_app(message), title=title, severity=severity, timeout=timeout, markup=False)

    # --- actions

    async def run_action(
        self, action: Any, default_namespace: DOMNode | None = None, namespaces: Mapping[str, DOMNode] | None = None
    ) -> bool:
        """Textual's lists fail on page up and down before they are laid out, or without room: then such a key does nothing."""
        try:
            return await super().run_action(action, default_namespace, namespaces)
        except KeyError:
            if "page_up" in str(action) or "page_down" in str(action):
                return False
            raise

    def action_command_palette(self) -> None:
        """The palette, which closes once however often it is told to."""
        if not isinstance(self.screen, Palette):
            self.push_screen(Palette())  # without an id: the one before may still be on its way out

    def search_themes(self) -> None:
        """The palette with the themes in it."""
        self.push_screen(Palette([ThemeProvider], placeholder="Search for themes …"))

    def action_help(self) -> None:
        from tinydiff_tui.screens.panels import Help, key_groups

        if not isinstance(self.screen, Help):  # from a panel, too, but not over itself
            self.push_screen(Help(key_groups(self.screen)))

    def action_explain(self) -> None:
        from tinydiff_tui.screens.panels import Explain

        if not isinstance(self.screen, ModeScreen):
            return
        if self.screen.has_class("-wide") and self.engine_ready:
            self.screen.dock_explanation(not self.screen.explained)
        else:
            self.push_screen(Explain(self.screen.MODE, self.screen.explain_values()))

    def action_jump(self) -> None:
        from tinydiff_tui.screens.jump import jump_over

        if isinstance(self.screen, ModeScreen):
            self.push_screen(jump_over(self.screen), lambda widget: widget.focus() if widget is not None else None)

    def action_density(self, step: int) -> None:
        self.density = min(max(self.density + step, -MOST_DENSITY), MOST_DENSITY)
        save_settings(density=self.density)
        self._show_pictures_anew()

    def action_next_look(self) -> None:
        self.look = coarser(self, self.look)
        save_settings(look=self.look)
        drawn = "in the terminal's own pixels where they rest" if self.look == "pixels" else f"with {self.look} blocks"
        self.notify(f"pictures are drawn {drawn} now", timeout=2)
        self._show_pictures_anew()

    def _show_pictures_anew(self) -> None:
        for mode in self.mode_screens():
            for grid in mode.query(PixelGrid):
                grid.density, grid.look = self.density, self.look

    def action_toggle_theme(self) -> None:
        self.theme = DARK if self.theme == LIGHT else LIGHT

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Commands that are no binding."""
        yield SystemCommand("Choose a theme", "All colour themes", self.action_change_theme)
        yield SystemCommand("Screenshot", "Save the screen as SVG here", lambda: self.set_timer(0.1, self._save_screen))

    def _save_screen(self) -> None:
        try:
            self.notify(f"saved {self.save_screenshot(path=str(self.cwd))}")
        except OSError as error:
            self.notify(write_failure(self.cwd, error), severity="error")
