"""The panel that shows a sample beside the training images that it is nearest to: is it a copy?"""

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Static

from core.config import TrainConfig
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.panels import Panel
from tinydiff_tui.terminal.cells import Pixels
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.text import for_app, printable
from tinydiff_tui.widgets.plain import plain
from tinydiff_tui.widgets.sheet import Label, Sheet, SpreadGrid

if TYPE_CHECKING:
    from tinydiff_tui.app.app import TinydiffApp
    from tinydiff_tui.jobs.jobs import Job
    from tinydiff_tui.jobs.nearness import Kin, Nearness


class Nearest(Panel):
    """Samples uint8 (N, H, W, C) of a model of `config`, one at a time, and the nearest real images of each."""

    DEFAULT_CSS = """
    Nearest > Vertical { height: 80%; max-width: 150; width: 96%; }
    Nearest Sheet { height: 1fr; }
    Nearest Labels { width: 18; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,up", "turn(-1)", "Sample before", tooltip="The sample before"),
        Binding("right,down", "turn(1)", "Sample", tooltip="The next sample"),
        Binding("i", "close", "Close", show=False),
    ]

    def __init__(self, samples: Pixels, index: int, config: TrainConfig) -> None:
        super().__init__()
        self.samples = samples
        self.index = index
        self.config = config
        self.shown: Nearness | None = None
        self._job: Job | None = None

    def compose(self) -> ComposeResult:
        with self.frame("The nearest training images", "← → another sample · escape closes"):
            yield Static(id="about")
            yield Sheet(SpreadGrid)

    def on_mount(self) -> None:
        self._look()

    def on_unmount(self) -> None:
        if self._job is not None:
            self._job.stop()  # by itself: the name may be another panel's by now

    def action_turn(self, step: int) -> None:
        self.index = (self.index + step) % len(self.samples)
        self._look()

    def _look(self) -> None:
        """Have the present sample looked at; the one before is looked at no more."""
        from tinydiff_tui.jobs.nearness import looking

        app = cast("TinydiffApp", self.app)
        self.shown = None
        self._say(f"#{self.index}: looking through {self.config.dataset} …")
        picture, config, data_dir = self.samples[self.index], self.config, app.data_dir
        self._job = app.jobs.replace("nearest", lambda: looking(picture, config, data_dir), self, pace=0.0)

    def on_job_update(self, message: JobUpdate) -> None:
        self._take(message.snapshot)

    def on_job_finished(self, message: JobFinished) -> None:
        if message.error:
            self._say(message.error)
        else:
            self._take(message.snapshot)

    def _say(self, sentence: str) -> None:
        self.query_one("#about", Static).update(plain(for_app(sentence)))

    def _take(self, item: object) -> None:
        if item is None:
            return
        near = self.shown = cast("Nearness", item)
        self._say(f"#{self.index}: {self._about(near.kin[0])}, of {near.count:,} images of {near.dataset}")
        rows = np.stack([np.concatenate([near.picture[None], kin.pictures]) for kin in near.kin])
        labels = [Label(kin.measure, "x0", tuple(self._line(kin, k) for k in range(len(kin.numbers)))) for kin in near.kin]
        self.query_one(Sheet).show(rows, labels, ["sample", *(f"{k}" for k in range(1, rows.shape[1]))])

    def _about(self, kin: "Kin") -> str:
        return f"the nearest is {kin.distances[0]:.1f} levels of grey away, {printable(kin.classes[0])} #{kin.numbers[0]}"

    def _line(self, kin: "Kin", place: int) -> str:
        return f"{place + 1} {printable(kin.classes[place])} {kin.distances[place]:.1f}"
