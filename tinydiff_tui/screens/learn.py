"""Learn: eight lessons, each in the same order: read, predict, run, compare. What is compared is computed there and then."""

from importlib.resources import files
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll

from tinydiff_tui.jobs.lessons import LESSONS, Lesson, Outcome, Scene
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.base import ModeScreen
from tinydiff_tui.screens.keys import key
from tinydiff_tui.text import for_app
from tinydiff_tui.widgets.axes import Curve, Frame
from tinydiff_tui.widgets.box import Box, Empty
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.question import Asked, Contents, Question
from tinydiff_tui.widgets.sheet import Label, Sheet, SpreadGrid

LESSON, ANSWER, TEXT = Binding.Group("Lesson"), Binding.Group("Choose"), Binding.Group("Scroll")


class LearnScreen(ModeScreen):
    """The mode of the lessons."""

    MODE = "learn"
    TITLE_TEXT = "Learn"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "choose(-1)", "Choice before", tooltip="The answer before", group=ANSWER),
        Binding("right", "choose(1)", "Choice", tooltip="The next answer", group=ANSWER),
        Binding("enter", "answer", "Predict", tooltip="Predict this, and run the lesson; afterwards: the next lesson"),
        key("before", "turn(-1)", "The lesson before", group=LESSON),
        key("next", "turn(1)", "The next lesson", group=LESSON),
        key("play", "again", "Run the lesson once more, with the same noises", label="Run again"),
        key("new", "noises", "The lesson with other noises: predict again", label="New noises"),
        key("stop", "stop", "Stop what runs within one network evaluation"),
        key("boxes", "more", "The curves in place of the pictures, or the pictures: there is no room for both"),
        Binding("up", "scroll_text(-1)", "Up", tooltip="Scroll the text up", group=TEXT),
        Binding("down", "scroll_text(1)", "Text", tooltip="Scroll the text down", group=TEXT),
        key("present", "present", "Large pictures and the question alone, for a class; escape leaves"),
        key("leave", "leave", "Leave the presentation"),
    ]
    DEFAULT_CSS = """
    LearnScreen #upper { height: 1fr; }
    LearnScreen #left { width: 42; }
    LearnScreen #list { height: 10; }
    LearnScreen #text { height: 1fr; }
    LearnScreen #text VerticalScroll { height: 1fr; }
    LearnScreen #text Markdown { padding: 0; margin: 0; background: $background; }
    LearnScreen #text MarkdownBlock { margin: 0 0 1 0; padding: 0; }
    LearnScreen #right { width: 1fr; }
    LearnScreen #pictures { height: 3fr; padding: 0; }
    LearnScreen #curves { height: 2fr; padding: 0; }
    LearnScreen #asked { height: auto; max-height: 11; border-title-color: $accent; }
    LearnScreen Labels { width: 18; }
    LearnScreen.-narrow Labels { width: 15; }
    LearnScreen.-narrow #left { width: 34; }
    LearnScreen.-low #list, LearnScreen.-narrow #list { display: none; }
    LearnScreen #pictures Empty { display: none; }
    LearnScreen.-empty #pictures Empty { display: block; }
    LearnScreen.-empty #pictures Sheet { display: none; }
    LearnScreen.-flat #curves, LearnScreen.-low #curves { display: none; }
    LearnScreen.-low.-more #curves { display: block; }
    LearnScreen.-low.-more #pictures { display: none; }
    LearnScreen.-present #left, LearnScreen.-present > ModeBar, LearnScreen.-present > KeyBar { display: none; }
    LearnScreen.-present #body > #explained, LearnScreen.-present #curves { display: none; }
    LearnScreen.-present.-tall #curves { display: block; }
    LearnScreen.-present.-low.-more #curves { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.add_class("-empty", "-flat", update=False)
        self.place = 0
        self.seed = 0
        self.chosen = 0
        self.outcome: Outcome | None = None
        self.wanted: bool | None = None
        """Whether the lesson is to be run, or what stands before it to be shown; None when nothing is to be made."""

    @property
    def lesson(self) -> Lesson:
        return LESSONS[self.place]

    def compose_mode(self) -> ComposeResult:
        with Horizontal(id="upper"):
            with Vertical(id="left"):
                yield Box(Contents(markup=False), title="Lessons", id="list")
                yield Box(VerticalScroll(can_focus=False), id="text")
            with Vertical(id="right"):
                yield Box(Sheet(SpreadGrid), Empty("loading the engine …"), id="pictures")
                yield Box(Chart(), id="curves")
        yield Box(Question(id="question"), title="Predict first", id="asked")

    def on_mount(self) -> None:
        self.place = next((k for k, lesson in enumerate(LESSONS) if lesson.name not in self.app.learned), 0)
        self._show_lesson()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._show_contents())

    def engine_loaded(self) -> None:
        self.call_later(self._write_text)
        self._make(run=False)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What has no room, nothing to stop or to leave, or no answer yet, is there only when it is so."""
        if not self.is_mounted:
            return True
        works = {
            "more": self.has_class("-low") and not self.has_class("-flat"),
            "leave": self.has_class("-present"),
            "stop": self.running,
            "again": self.outcome is not None and not self.running,
            "choose": self.outcome is None,
        }
        return works.get(action, True)

    @property
    def running(self) -> bool:
        """Whether the lesson is run now."""
        return bool(self.wanted) and self.app.jobs.busy("learn")

    # --- which lesson

    def action_turn(self, step: int) -> None:
        self.action_open_lesson((self.place + step) % len(LESSONS))

    def action_open_lesson(self, place: int) -> None:
        self.place = place
        self.remove_class("-more")
        self._show_lesson()
        self.call_later(self._write_text)
        self._make(run=False)

    def action_noises(self) -> None:
        self.seed += 1
        self._show_lesson()
        self._make(run=False)

    def _show_lesson(self) -> None:
        """The lesson as it stands before a prediction."""
        self.chosen, self.outcome = 0, None
        self.query_one("#text", Box).title = f"{self.place + 1} of {len(LESSONS)} · {self.lesson.title}"
        self._show_contents()
        self._ask()

    def _show_contents(self) -> None:
        titles = [lesson.title for lesson in LESSONS]
        done = [lesson.name in self.app.learned for lesson in LESSONS]
        self.query_one(Contents).show(titles, done, self.place)
        self.query_one("#list", Box).figures = f"{sum(done)} of {len(LESSONS)} done"

    async def _write_text(self) -> None:
        from tinydiff_tui.widgets.prose import Prose

        text = files("tinydiff_tui").joinpath("learn", f"{self.lesson.name}.md").read_text("utf-8")
        place = self.query_one("#text VerticalScroll", VerticalScroll)
        if shown := [*place.query(Prose)]:
            await shown[0].update(text)
        else:
            await place.mount(Prose(text))
        place.scroll_home(animate=False)

    def action_scroll_text(self, step: int) -> None:
        self.query_one("#text VerticalScroll", VerticalScroll).scroll_relative(y=step, animate=False)

    # --- predicting

    def _ask(self) -> None:
        """Bring the question up to date."""
        outcome = self.outcome
        said = "" if outcome is None else f"{self._verdict(outcome)} {outcome.said}"
        right = None if outcome is None else outcome.right
        self.query_one(Question).ask(Asked(self.lesson.question, self.lesson.choices, self.chosen, right, said))
        box = self.query_one("#asked", Box)
        box.title = "Predict first" if outcome is None else "Computed"
        asks = "enter predicts and runs" if outcome is None else "enter: next lesson · n: other noises"
        box.figures = "running …" if self.running else asks
        self.refresh_bindings()

    def _verdict(self, outcome: Outcome) -> str:
        return "As you said:" if outcome.right == self.chosen else "Not as you said:"

    def action_choose(self, step: int) -> None:
        if not self.running:
            self.chosen = (self.chosen + step) % len(self.lesson.choices)
            self._ask()

    def action_pick(self, number: int) -> None:
        """A click: on the choice that is chosen already it predicts."""
        if self.outcome is not None or self.running:
            return
        if number == self.chosen:
            self.action_answer()
        self.chosen = number
        self._ask()

    def action_answer(self) -> None:
        if self.outcome is not None:
            self.action_turn(1)
        elif self.app.engine_ready and not self.running:
            self._make(run=True)

    def action_again(self) -> None:
        self._make(run=True)

    def action_stop(self) -> None:
        self.app.jobs.stop("learn")

    # --- running

    def _make(self, *, run: bool) -> None:
        """Have the lesson run, or what stands before it shown; what is made now is stopped first."""
        if not self.app.engine_ready:
            return
        self.wanted = run
        self.query_one("#pictures", Box).state = "running" if run else ""
        lesson, seed = self.lesson, self.seed
        self.app.jobs.replace("learn", lambda: lesson.run(seed) if run else lesson.before(seed), self)
        self._ask()

    def on_job_update(self, message: JobUpdate) -> None:
        if message.name == "learn" and isinstance(message.snapshot, Scene):
            self._show_scene(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.name != "learn":
            return
        ran, self.wanted = self.wanted, None
        end, box = message.snapshot, self.query_one("#pictures", Box)
        box.state = ""
        if isinstance(end, Outcome):
            self.outcome = end
            self._show_scene(end.scene)
            box.state = "finished"
            self.app.remember_lesson(self.lesson.name)
            self._show_contents()
        elif isinstance(end, Scene):
            self._show_scene(end)
            box.state = "stopped" if ran else ""
        if message.error:
            box.state = "failed"
            self.add_class("-empty")
            self.query_one("#pictures Empty", Empty).say(for_app(message.error))
        self._ask()

    # --- showing

    def _show_scene(self, scene: Scene) -> None:
        self.remove_class("-empty")
        self.set_class(not scene.curves, "-flat")
        self.query_one(Sheet).show(scene.pictures, [Label(name, colour) for name, colour in scene.rows], scene.headings)
        box = self.query_one("#pictures", Box)
        box.title, box.figures = self.lesson.title, scene.progress if self.running else f"noises {self.seed}"
        if scene.curves:
            curves = [Curve(line.x, line.y, line.colour, line.name) for line in scene.curves]
            self.query_one(Chart).show(curves, Frame(scene.unit))
            self.query_one("#curves", Box).title = scene.curves_title
        self.refresh_bindings()

    def action_more(self) -> None:
        self.toggle_class("-more")

    def action_present(self) -> None:
        self.toggle_class("-present")
        self.refresh_bindings()

    def action_leave(self) -> None:
        if self.has_class("-present"):
            self.action_present()

    def on_resize(self, event: events.Resize) -> None:
        self.refresh_bindings()

    def explain_values(self) -> dict[str, str]:
        """The lesson that is open."""
        return {"title": self.lesson.title, "seed": str(self.seed)}
