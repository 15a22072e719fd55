"""What the parts of Play share: they have the focus and so the keys, and know the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.containers import Container

from core.config import SampleConfig
from core.files import unused
from core.runs.models import run_of
from tinydiff_tui.jobs.newest import Newest
from tinydiff_tui.text import printable

if TYPE_CHECKING:
    from tinydiff_tui.app.app import TinydiffApp
    from tinydiff_tui.jobs.sampling import ModelFacts
    from tinydiff_tui.screens.play import PlayScreen

GUIDANCES = (0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0)


class Worker(Protocol):
    """What draws in a thread, and rests while there is nothing to draw."""

    @property
    def idle(self) -> bool: ...

    def __iter__(self) -> Iterator[object]: ...


class Part(Container, can_focus=True):
    """Steer, Draw or Race. Subclasses give BINDINGS, compose, and what they do when the model is there."""

    DEFAULT_CSS = "Part { height: 1fr; }"

    if TYPE_CHECKING:
        app: TinydiffApp  # Textual's own, by the type of ours

    @property
    def play(self) -> PlayScreen:
        """The mode that this is a part of."""
        return cast("PlayScreen", self.screen)

    @property
    def facts(self) -> ModelFacts | None:
        """The model, once it is read."""
        return self.play.facts

    def model_read(self, facts: ModelFacts) -> None:
        """This is the model from now on."""

    def shown(self) -> None:
        """This part came to the screen."""

    def left(self) -> None:
        """It left the screen."""

    def explain_values(self) -> dict[str, str]:
        """The current numbers, by the names that the explanation uses."""
        return {}

    @property
    def in_sight(self) -> bool:
        """Whether this is the part on the screen, in the mode on the screen."""
        return self.play.is_current and self.play.part is self

    def say(self, sentence: str) -> None:
        """A sentence in the line of the mode."""
        self.play.say(sentence)

    def work(self, name: str, mail: Newest[Any], make: Callable[[], Worker]) -> None:
        """See that the job of this name looks at what was asked for."""
        job = self.app.jobs.get(name)
        if job is not None and not job.stopping:
            job.wake()
        elif mail.waits():
            worker = make()
            self.app.jobs.replace(name, lambda: iter(worker), self, rests=lambda: worker.idle, pace=0)

    def stop(self, name: str, mail: Newest[Any]) -> Newest[Any]:
        """Stop the job of this name, and what it draws. Returns the mailbox of its successor, whose requests are not for it."""
        self.app.jobs.stop(name)
        mail.close()
        return Newest()

    def class_name(self, label: int) -> str:
        """The name of one of the model's classes; empty for none of them."""
        return printable(self.facts.classes[label]) if self.facts is not None and 0 <= label < len(self.facts.classes) else ""

    def labels(self, lacking: str) -> int:
        """How many classes the model can be told; where there are none, the line of the mode says what is lacking."""
        count = self.facts.labels if self.facts is not None else 0
        if not count:
            self.say(lacking)
        return count

    def more_guidance(self, given: float) -> float:
        """The guidance after this one (-1: the model's own), after the most none; the same, and a sentence, where the model
        cannot be guided."""
        if self.facts is None:
            return given
        if not self.facts.guides:
            if self.facts.config.teacher:
                why = "is distilled, its teacher's guidance with it"
            elif self.facts.labels:
                why = "was always told the class in training"
            else:
                why = "knows no classes and comes without an early self"
            self.say(f"this model {why}, so there is nothing to guide it away from")
            return given
        offered = GUIDANCES if self.facts.labels else GUIDANCES[1:]  # 0 is the model told no class
        own = self.facts.resolved(SampleConfig()).guidance_scale if given < 0 else given
        return after(offered, own) if own < offered[-1] else offered[0]

    def file(self, name: str, ending: str) -> Path | None:
        """A new file beside the model's run, for one that no run made in the working folder; None while another
        one is being written."""
        if self.facts is None or self.app.jobs.running("play save"):
            return None
        return unused(run_of(self.facts.path) or self.app.cwd, name, ending)

    def save(self, write: Callable[[], Iterator[Path]]) -> None:
        """Write a file in a worker thread; the mode says where it lies."""
        self.app.jobs.start("play save", write, self.play)


def after(values: tuple[float, ...], value: float, step: int = 1) -> float:
    """The next of rising values beyond this one, or before it; the last and the first have none."""
    if step > 0:
        return next((each for each in values if each > value + 1e-9), values[-1])
    return next((each for each in reversed(values) if each < value - 1e-9), values[0])
