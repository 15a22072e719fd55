"""Noise: one slider t, the image on its way into noise, and the numbers that take it there."""

from typing import TYPE_CHECKING, ClassVar

import numpy as np
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.timer import Timer
from textual.widgets import Static

from core.errors import UserError
from core.files import unused
from core.names import SCHEDULES
from tinydiff_tui.jobs.data import OpenedSet, opening
from tinydiff_tui.jobs.messages import JobFinished
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.text import printable
from tinydiff_tui.widgets.curve import Curve
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.noising import Noising

FRAMES_A_SECOND = 10
PLAY_STEP = 10
ONE, TEN, ENDS = Binding.Group("t±1"), Binding.Group("±10"), Binding.Group("Ends")
MARK, IMAGE = Binding.Group("Mark"), Binding.Group("Image")


class NoiseScreen(ModeScreen):
    """The mode that scrubs noise on to an image."""

    MODE = "noise"
    TITLE_TEXT = "Noise"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "move(-1)", "t −1", tooltip="One timestep back", group=ONE),
        Binding("right", "move(1)", "t +1", tooltip="One timestep further into the noise", group=ONE),
        Binding("shift+left", "move(-10)", "t −10", key_display="⇧←", tooltip="Ten timesteps back", group=TEN),
        Binding("shift+right", "move(10)", "t +10", key_display="⇧→", tooltip="Ten timesteps further", group=TEN),
        Binding("home", "go(0)", "t = 0", tooltip="To the clean image", group=ENDS),
        Binding("end", "go(999)", "t = 999", tooltip="To the last timestep", group=ENDS),
        Binding("left_square_bracket", "mark(-1)", "Mark before", key_display="[", tooltip="Mark before", group=MARK),
        Binding("right_square_bracket", "mark(1)", "Mark", key_display="]", tooltip="Next of the marks 0, 50, …", group=MARK),
        Binding("space", "play", "Play", tooltip="Play from here to pure noise, or stop"),
        Binding("s", "schedule", "Schedule", tooltip="Next noise schedule, with the same noise"),
        Binding("n", "image(1)", "Image", tooltip="Next image of the data set", group=IMAGE),
        Binding("p", "image(-1)", "Image before", tooltip="Image before", group=IMAGE),
        Binding("r", "noise", "New noise", tooltip="Draw new noise"),
        Binding("w", "save", "Save", tooltip="Write the image at all marks as a PNG"),
    ]
    DEFAULT_CSS = """
    NoiseScreen #large { width: 2fr; }
    NoiseScreen #small { width: 1fr; }
    NoiseScreen #readout { width: 30; padding: 0 0 0 1; }
    NoiseScreen #numbers { height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    NoiseScreen .caption { height: 1; color: $text-muted; }
    NoiseScreen #formula { height: 1; text-wrap: nowrap; }
    NoiseScreen #status { height: auto; max-height: 2; }
    NoiseScreen.-normal #readout { width: 44; }
    NoiseScreen.-wide #readout { width: 68; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.opened: OpenedSet | None = None
        self.noising: Noising | None = None
        self.schedule = next(iter(SCHEDULES))
        self.index = 0
        self.seed = 0
        self.player: Timer | None = None

    def compose_mode(self) -> ComposeResult:
        yield Scrubber(id="slider")
        with Horizontal():
            with Vertical(id="large"):
                yield Static("x_t", classes="caption")
                yield PixelGrid(id="x_t")
            with Vertical(id="small"):
                yield Static("x0", classes="caption")
                yield PixelGrid(id="x0")
                yield Static("ε", classes="caption")
                yield PixelGrid(id="epsilon")
            with Vertical(id="readout"):
                yield Static(id="numbers", markup=False)
                yield Curve(id="alpha_bar")
                yield Curve(id="snr")
        yield Static(id="formula", markup=False)
        yield Static(id="status", markup=False)

    # --- the data set

    def on_mount(self) -> None:
        slider = self.query_one(Scrubber)
        slider.label, slider.maximum = "t", 999
        self.watch(slider, "value", self._show, init=False)
        if not self.app.engine_ready:
            self.say("loading the engine …")

    def engine_loaded(self) -> None:
        from tinydiff_tui.jobs.noising import MARKS

        self.query_one(Scrubber).marks = MARKS
        self._open()

    def on_screen_resume(self) -> None:
        self._open()

    def on_screen_suspend(self) -> None:
        self._stop_playing()

    def _open(self) -> None:
        name, root = self.app.dataset, self.app.data_dir
        current = self.opened is not None and self.opened.name == name
        if current or not self.app.engine_ready or self.app.jobs.running("noise"):
            return
        self.app.jobs.start("noise", lambda: opening(name, root), self, lambda opened: opened)
        self.say(f"opening {name} …")

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name != "noise":
            return
        if message.error:
            self.say(message.error)
        elif isinstance(message.snapshot, OpenedSet):
            self.opened, self.index = message.snapshot, 0
            self.say("")
            self._draw_noise()
            self._open()  # another set may have been chosen meanwhile

    # --- moving

    def action_move(self, step: int) -> None:
        self._stop_playing()
        self._go(self._t + step)

    def action_go(self, t: int) -> None:
        self._stop_playing()
        self._go(t)

    def action_mark(self, direction: int) -> None:
        self._stop_playing()
        marks = self.query_one(Scrubber).marks
        ahead = [m for m in marks if (m > self._t if direction > 0 else m < self._t)]
        if ahead:
            self._go(min(ahead) if direction > 0 else max(ahead))

    @on(Scrubber.Clicked)
    def click(self, event: Scrubber.Clicked) -> None:
        self.action_go(event.value)

    def action_play(self) -> None:
        if self.player is not None:
            self._stop_playing()
            return
        if self._t >= self.query_one(Scrubber).maximum:
            self._go(0)
        self.player = self.set_interval(1 / FRAMES_A_SECOND, self._play_on)

    def _play_on(self) -> None:
        self._go(self._t + PLAY_STEP)
        if self._t >= self.query_one(Scrubber).maximum:
            self._stop_playing()

    def _stop_playing(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None

    def action_schedule(self) -> None:
        names = list(SCHEDULES)
        self.schedule = names[(names.index(self.schedule) + 1) % len(names)]
        self._show()

    def action_image(self, step: int) -> None:
        if self.opened is not None:
            self.index = (self.index + step) % len(self.opened)
            self._draw_noise()

    def action_noise(self) -> None:
        self.seed += 1
        self._draw_noise()

    @property
    def _t(self) -> int:
        return self.query_one(Scrubber).value

    def _go(self, t: int) -> None:
        self.query_one(Scrubber).value = t

    # --- showing

    def _draw_noise(self) -> None:
        if self.opened is None or not len(self.opened):
            return
        from tinydiff_tui.jobs.noising import Noising

        self.noising = Noising(self.opened.images[self.index], self.seed, self.index)
        self.query_one("#x0", PixelGrid).show(self.noising.picture[None])
        self.query_one("#epsilon", PixelGrid).show(self.noising.noise_picture())
        self._show()

    def _show(self) -> None:
        if self.noising is None or self.opened is None:
            return
        from tinydiff_tui.jobs.noising import DB_SPAN, point, tables

        t, here = self._t, point(self.schedule, self._t)
        self.query_one("#x_t", PixelGrid).show(self.noising.at(self.schedule, t))
        name = self.opened.classes[int(self.opened.labels[self.index])]
        numbers = Text.assemble(
            ("schedule ", "dim"),
            (f"{self.schedule}\n", "bold"),
            ("image ", "dim"),
            f"{self.index} ({printable(name)})  ",
            ("noise ", "dim"),
            f"{self.seed}\n",
            no_wrap=True,
            overflow="ellipsis",
        )
        self.query_one("#numbers", Static).update(numbers)
        alpha_bar, snr_db = tables(self.schedule)
        self.query_one("#alpha_bar", Curve).show(f"ᾱ_t = {here.alpha_bar:.5f}", alpha_bar, t, 0.0, 1.0)
        self.query_one("#snr", Curve).show(f"SNR = {here.decibels} dB", np.asarray(snr_db), t, -DB_SPAN, DB_SPAN)
        formula = Text.assemble("x_t = ", (f"{here.a:.3f}", "bold"), " x0 + ", (f"{here.s:.3f}", "bold"), " ε   ")
        formula.append(SCHEDULES[self.schedule].formula, "dim")
        self.query_one("#formula", Static).update(formula)

    def action_save(self) -> None:
        if self.noising is None or self.opened is None:
            return
        path = unused(self.app.cwd, f"noise_{self.opened.name.replace(':', '_').replace('/', '_')[:40]}_{self.schedule}", ".png")
        try:
            self.noising.save_strip(path, self.schedule)
        except (OSError, UserError) as error:
            self.say(f"{path} could not be written: {error}")
        else:
            self.say(f"the image at all marks: {path}")

    def explain_values(self) -> dict[str, str]:
        """The numbers at the present t."""
        values = {"t": str(self._t), "schedule": self.schedule, "dataset": self.app.dataset, "schedules": listed(SCHEDULES)}
        if self.noising is None:
            values |= dict.fromkeys(("a", "s", "alpha_bar", "snr_db"), "…")
        else:
            from tinydiff_tui.jobs.noising import point

            here = point(self.schedule, self._t)
            values |= {"a": f"{here.a:.3f}", "s": f"{here.s:.3f}", "alpha_bar": f"{here.alpha_bar:.5f}", "snr_db": here.decibels}
        return values
