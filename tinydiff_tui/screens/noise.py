"""Noise: x_t = a x_0 + s epsilon as an equation of pictures, a slider for t, its marks as a film strip, schedules as curves."""

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer
from textual.widgets import Static

from core.errors import UserError
from core.files import unused
from core.names import DATASETS, SCHEDULES
from tinydiff_tui.jobs.data import OpenedSet, opening
from tinydiff_tui.jobs.messages import JobFinished
from tinydiff_tui.screens.base import ModeScreen, listed
from tinydiff_tui.screens.keys import key
from tinydiff_tui.text import cut, for_app, printable
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.equation import FRAME, Equation, Film, Weight
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.room import Room
from tinydiff_tui.widgets.schedules import Schedules
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.noising import Learned, Noising

FRAMES_A_SECOND = 10
FOLLOW_SECONDS = 1.0
"""Between two looks at what a training has learned of its schedule."""
PLAY_STEP = 10
LEAST_FILM, MOST_FILM, LEAST_CHARTS = 7, 13, 8  # rows of their boxes
ONE, TEN, ENDS = Binding.Group("t±1"), Binding.Group("±10"), Binding.Group("Ends")
MARK, IMAGE = Binding.Group("Mark"), Binding.Group("Image")


class NoiseScreen(ModeScreen):
    """The mode that scrubs noise on to an image."""

    MODE = "noise"
    TITLE_TEXT = "Noise"
    BINDINGS: ClassVar[list[BindingType]] = [
        key("play", "play", "Play from here to pure noise, or stop"),
        Binding("left", "move(-1)", "t −1", tooltip="One timestep back", group=ONE),
        Binding("right", "move(1)", "t +1", tooltip="One timestep further into the noise", group=ONE),
        Binding("shift+left", "move(-10)", "t −10", key_display="⇧←", tooltip="Ten timesteps back", group=TEN),
        Binding("shift+right", "move(10)", "t +10", key_display="⇧→", tooltip="Ten timesteps further", group=TEN),
        key("before", "mark(-1)", "Mark before", group=MARK),
        key("next", "mark(1)", "Next of the marks 0, 50, …", group=MARK),
        Binding("home", "go(0)", "t = 0", tooltip="To the clean image", group=ENDS),
        Binding("end", "go(999)", "t = 999", tooltip="To the last timestep", group=ENDS),
        Binding("up", "image(-1)", "Image before", tooltip="Image before", group=IMAGE),
        Binding("down", "image(1)", "Image", tooltip="Next image of the data set", group=IMAGE),
        Binding("s", "schedule", "Schedule", tooltip="Next noise schedule, with the same noise"),
        key("new", "noise", "Draw new noise", label="New noise"),
        key("zoom", "zoom", "Show x_t alone, as large as it fits, or all again"),
        key("boxes", "more", "The boxes for which there is no room: the curves of the schedules; or the film strip"),
        key("save", "save", "Write the image at all marks as a PNG"),
        key("leave", "leave", "Leave the picture that is shown alone"),
    ]
    DEFAULT_CSS = """
    NoiseScreen #slider-box { height: 4; }
    NoiseScreen #slider { height: 1fr; color: $x-t; }
    NoiseScreen #film-box { height: 9; padding: 0; }
    NoiseScreen #film-box { border-title-color: $x-t; }
    NoiseScreen #status { height: auto; max-height: 2; display: none; }
    NoiseScreen.-none #film-box, NoiseScreen.-none Schedules { display: none; }
    NoiseScreen.-low #slider-box { height: 3; }
    NoiseScreen.-low #film-box { height: 1fr; }
    NoiseScreen.-low Schedules, NoiseScreen.-low.-more #film-box { display: none; }
    NoiseScreen.-low.-more Schedules { display: block; }
    NoiseScreen.-zoomed #film-box, NoiseScreen.-zoomed Schedules, NoiseScreen.-zoomed.-low.-more Schedules { display: none; }
    NoiseScreen.-narrow #values-box { display: none; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_class("-none", update=False)
        self.opened: OpenedSet | None = None
        self.noising: Noising | None = None
        self.schedule = next(iter(SCHEDULES))
        self.index = 0
        self.seed = 0
        self.player: Timer | None = None

    def compose_mode(self) -> ComposeResult:
        with Room():
            yield Box(Scrubber(id="slider"), id="slider-box")
            yield Empty(id="empty")
            yield Equation()
            yield Box(Film(id="film"), title="x_t at the marks", id="film-box")
            yield Schedules()
            yield Static(id="status", markup=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What has no room, or can be left, is there only when it is so."""
        if not self.is_mounted:
            return True
        needed = {"more": "-low", "leave": "-zoomed"}.get(action)
        return needed is None or self.has_class(needed)

    # --- the data set

    def on_mount(self) -> None:
        slider = self.query_one(Scrubber)
        slider.label, slider.maximum = "t", 999
        self.watch(slider, "value", self._show, init=False)
        self._say_empty("loading the engine …")

    def engine_loaded(self) -> None:
        from tinydiff_tui.jobs.noising import MARKS

        self.query_one(Scrubber).marks = MARKS
        self._open()
        self.set_interval(FOLLOW_SECONDS, self._follow)

    def on_screen_resume(self) -> None:
        self._open()
        self._follow()
        if self.opened is not None and self.opened.name == self.app.dataset and self.index != self.app.image:
            self._show_image(self.app.image)

    def on_screen_suspend(self) -> None:
        self._stop_playing()

    def say(self, sentence: str) -> None:
        """A sentence in the last line, which is there only while it says something."""
        self.query_one("#status").display = bool(sentence)
        super().say(sentence)

    def _say_empty(self, sentence: str) -> None:
        """What stands in place of the pictures; with no words the pictures."""
        self.query_one("#empty", Empty).say(for_app(sentence))
        self.query_one("#empty").display = bool(sentence)
        self.query_one(Equation).display = not sentence
        self.set_class(bool(sentence), "-none")

    def dataset_chosen(self, name: str) -> None:
        if self.is_current:  # else it is opened as one comes here
            self._open()

    @property
    def _current(self) -> bool:
        """Whether the chosen data set is the one that is shown."""
        return self.opened is not None and self.opened.name == self.app.dataset

    def _open(self) -> None:
        name, root = self.app.dataset, self.app.data_dir
        if not self.app.engine_ready:
            return
        if self._current:
            self.app.jobs.stop("noise")  # another one was chosen for a moment
            return
        self.app.jobs.replace("noise", lambda: opening(name, root), self)
        if self.opened is None:
            self._say_empty(f"opening {name} …")
        else:
            self.say(f"opening {name} …")

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name == "learned" and not message.error:
            self._learn(cast("Learned", message.snapshot))
        if message.name != "noise":
            return
        if self._current:  # it was chosen again meanwhile
            self.say("")
        elif message.error and self.opened is None:
            self._say_empty(message.error)
        elif message.error:
            self.say(message.error)
        elif isinstance(message.snapshot, OpenedSet):
            self.opened = message.snapshot
            self.say("")
            self._say_empty("" if len(self.opened) else f"{self.opened.short_name} holds no images")
            self._show_image(self.app.image)

    # --- a schedule that is learned

    def _follow(self) -> None:
        """Have the learned schedule be that of the training in the app; without one, when it is looked at, of the newest run."""
        if self is not self.app.screen or not self.app.engine_ready:
            return
        from tinydiff_tui.jobs.noising import Learned, newest_learned

        root, train = self.app.cwd, self.app.train_screen
        if train is not None and train.view is not None and train.view.spread:
            self._learn(Learned(train.view.folder.name, train.view.step, train.view.spread))
        elif SCHEDULES[self.schedule].learned:
            self.app.jobs.start("learned", lambda: newest_learned(root), self)

    def _learn(self, newer: "Learned") -> None:
        from tinydiff_tui.jobs.noising import learn

        if learn(newer):
            self._show_film()
        else:
            self._say_schedule()

    def _say_schedule(self) -> None:
        """Which schedule this is; of a learned one, whose and when."""
        from tinydiff_tui.jobs.noising import learned

        entry, now = SCHEDULES[self.schedule], learned()
        said = entry.formula
        if entry.learned:
            said = f"by {cut(printable(now.run), 30)}, step {now.step:,}" if now.run else "of no run yet: as it starts, cosine"
        self.query_one("#slider-box", Box).title = f"{self.schedule} · {said}"

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

    @on(PixelGrid.Pointed)
    def film_clicked(self, event: PixelGrid.Pointed) -> None:
        if event.grid.id == "film":
            self.action_go(self.query_one(Scrubber).marks[event.index])

    def action_play(self) -> None:
        if self.player is not None:
            self._stop_playing()
            return
        if self._t >= self.query_one(Scrubber).maximum:
            self._go(0)
        self.player = self.set_interval(1 / FRAMES_A_SECOND, self._play_on)
        self.query_one("#slider-box", Box).state = "▶ playing"

    def _play_on(self) -> None:
        self._go(self._t + PLAY_STEP)
        if self._t >= self.query_one(Scrubber).maximum:
            self._stop_playing()

    def _stop_playing(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None
            self.query_one("#slider-box", Box).state = ""

    def action_schedule(self) -> None:
        names = list(SCHEDULES)
        self.schedule = names[(names.index(self.schedule) + 1) % len(names)]
        self._show_film()
        self._follow()

    def names_changed(self) -> None:
        if self.schedule not in SCHEDULES:
            self.schedule = next(iter(SCHEDULES))
        if self.opened is not None and self.opened.name in DATASETS and DATASETS[self.opened.name].origin:
            self.opened = None
            self._open()
        else:
            self._show_film()

    def action_image(self, step: int) -> None:
        if self.opened is not None and len(self.opened):
            self._show_image((self.index + step) % len(self.opened))
            self.app.image = self.index

    def action_noise(self) -> None:
        self.seed += 1
        self._show_image(self.index)

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")
        self.query_one(Equation).set_class(self.has_class("-zoomed"), "-alone")
        self._fit()
        self.refresh_bindings()

    def action_leave(self) -> None:
        if self.has_class("-zoomed"):
            self.action_zoom()

    def action_more(self) -> None:
        self.toggle_class("-more")

    @property
    def _t(self) -> int:
        return self.query_one(Scrubber).value

    def _go(self, t: int) -> None:
        self.query_one(Scrubber).value = t

    # --- showing

    @on(Room.Resized)
    def _fit(self) -> None:
        """Give the equation and the film strip the rows that they can use, and the charts the rest."""
        self.refresh_bindings()
        if self.opened is None:
            return
        from tinydiff_tui.jobs.noising import MARKS

        (width, height), low = self.query_one(Room).size, self.has_class("-low")
        height -= 3 if low else 4  # the slider's
        least = 0 if self.has_class("-zoomed") else LEAST_FILM if low else LEAST_FILM + LEAST_CHARTS
        height -= self.query_one(Equation).fit(width, height - least, self.opened.side)
        rows, columns = self.opened.side
        film = min(((width - FRAME) // len(MARKS) - 1) * rows // columns // 2 + 1 + FRAME, MOST_FILM, height - LEAST_CHARTS)
        self.query_one("#film-box").styles.height = None if low else max(film, LEAST_FILM)

    def _show_image(self, index: int) -> None:
        """Another image, or other noise."""
        if self.opened is None or not len(self.opened):
            return
        from tinydiff_tui.jobs.noising import Noising

        self.index = min(index, len(self.opened) - 1)
        self.noising = Noising(self.opened.images[self.index], self.seed, self.index)
        self._fit()
        self.query_one("#x0", PixelGrid).show(self.noising.picture[None])
        self.query_one("#epsilon", PixelGrid).show(self.noising.noise_picture())
        name = cut(self.opened.class_name(self.index), 12)
        self.query_one("#x0-box", Box).title = " ".join(filter(None, ("x₀ ·", name, f"#{self.index}")))
        self.query_one("#epsilon-box", Box).title = f"ε · noise {self.seed}"
        self._show_film()

    def _show_film(self) -> None:
        """What the marks show, which another image, other noise and another schedule change."""
        if self.noising is None:
            return
        from tinydiff_tui.jobs.noising import MARKS

        self.query_one(Film).show(self.noising.film(self.schedule), [f"t={mark}" for mark in MARKS], cursor=self._passed)
        self._show()

    @property
    def _passed(self) -> int:
        """Which mark t is at, or has passed last."""
        return sum(mark <= self._t for mark in self.query_one(Scrubber).marks) - 1

    def _show(self) -> None:
        """What every t changes."""
        if self.noising is None or self.opened is None:
            return
        from tinydiff_tui.jobs.noising import point

        t, here = self._t, point(self.schedule, self._t)
        self.query_one("#x_t", PixelGrid).show(self.noising.at(self.schedule, t))
        self.query_one("#x_t-box", Box).title = f"x_t · t={t}"
        film = self.query_one(Film)
        if film.cursor != self._passed:
            film.point(self._passed)
        root = ("√ᾱ", "√(1 − ᾱ)") if SCHEDULES[self.schedule].preserves_variance else ("a", "s")
        self.query_one("#a", Weight).show(here.a, root[0])
        self.query_one("#s", Weight).show(here.s, root[1])
        self._say_schedule()
        self.query_one("#slider-box", Box).figures = f"ᾱ {here.alpha_bar:.5f} · SNR {here.decibels} dB"
        self.query_one(Schedules).show(self.schedule, t, self.noising)

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
