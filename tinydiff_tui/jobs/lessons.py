"""The lessons of the Learn mode: their questions, and what running one yields. What they compute is in jobs.experiments.

A lesson asks for a prediction first. Its answers are computed when it is run, from noises of a seed, and stored nowhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.names import SCHEDULES
from tinydiff_tui.terminal.cells import Pixels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[np.float64]


@dataclass(frozen=True)
class Line:
    """A curve: y (n,) at rising x (n,), in a colour of the theme, and its name."""

    x: "Values"
    y: "Values"
    colour: str
    name: str


@dataclass(frozen=True)
class Scene:
    """What is seen of a lesson at one moment: `pictures` uint8 (rows, columns, H, W, C), a name and a colour of the theme for
    each row, `headings` for the columns; curves over `unit`; and how far it is."""

    rows: tuple[tuple[str, str], ...]
    pictures: Pixels
    headings: tuple[str, ...]
    curves: tuple[Line, ...] = ()
    unit: str = "t"
    curves_title: str = ""
    progress: str = ""


@dataclass(frozen=True)
class Outcome:
    """What running a lesson came to: its last scene, which of the choices is right, what was computed in a sentence, and the
    figures that it rests on."""

    scene: Scene
    right: int
    said: str
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Lesson:
    """A lesson. Its text is learn/NAME.md; jobs.experiments has a function NAME(seed) that runs it, and NAME_before(seed) for
    what is seen before."""

    name: str
    title: str
    question: str
    choices: tuple[str, ...]

    def before(self, seed: int) -> Iterator[Scene]:
        """What is seen while one predicts. In a worker thread."""
        from tinydiff_tui.jobs import experiments

        scenes: Iterator[Scene] = getattr(experiments, f"{self.name}_before")(seed)
        return scenes

    def run(self, seed: int) -> "Iterator[Scene | Outcome]":
        """Scenes as they are computed, the outcome last. In a worker thread; closing stops within one network evaluation."""
        from tinydiff_tui.jobs import experiments

        scenes: Iterator[Scene | Outcome] = getattr(experiments, self.name)(seed)
        return scenes


LESSONS = (
    Lesson(
        "noise", "What noise is",
        "Average 64 noises, pixel by pixel. How strong is what is left, where one noise has strength 1?",
        ("as strong: 1", "half: 1/2", "an eighth: 1/8", "a 64th: 1/64"),
    ),
    Lesson(
        "forward", "The forward process",
        "At t = 999 no digit is to be seen. Take s·ε away from x_t and divide by a: what is left?",
        ("the digit, exactly", "a blurred digit", "noise", "plain grey"),
    ),
    Lesson(
        "schedules", "Schedules",
        "On which schedule do the fewest of 1,000 steps have less than 1 % of the image's power (ᾱ < 0.01)?",
        tuple(SCHEDULES)[:4],
    ),
    Lesson(
        "prediction", "What the network predicts",
        "The network is shown x_t and says x̂₀. In which third of the way to noise does its error grow most?",
        ("the first third", "the middle third", "the last third"),
    ),
    Lesson(
        "training", "Training, and its loss",
        "A network is trained now. From the middle of it to the end, by how much does the loss fall?",
        ("by half or more", "by a quarter", "by a tenth or less"),
    ),
    Lesson(
        "sampling", "Sampling, step by step",
        "Of 16 evaluations from noise to digit: after how many does x̂₀ have nine tenths of its way behind it?",
        ("4", "8", "12", "16"),
    ),
    Lesson(
        "guidance", "Guidance",
        "With guidance 8 instead of 1, what grows most in pictures of one class?",
        ("the right class", "their differences", "their contrast", "nothing"),
    ),
    Lesson(
        "steps", "Few steps",
        "From how many evaluations on are the pictures nearly (to 5 % of their power) those of 50?",
        ("2", "4", "8", "16"),
    ),
)  # fmt: skip
