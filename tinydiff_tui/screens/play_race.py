"""Race: the same noises through two to four lanes, frame by frame at equal network evaluations."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.timer import Timer

from core.config import SampleConfig
from core.errors import UserError
from core.names import SAMPLERS
from tinydiff_tui.jobs.messages import JobFinished, JobUpdate
from tinydiff_tui.screens.keys import key
from tinydiff_tui.screens.play_part import Part, after
from tinydiff_tui.terminal.deferred import np
from tinydiff_tui.text import cut, evaluations, number
from tinydiff_tui.widgets.film import PictureBox
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber

if TYPE_CHECKING:
    from tinydiff_tui.jobs.racing import Racer, Standing
    from tinydiff_tui.jobs.sampling import ModelFacts

FEWEST, MOST = 2, 4
"""Lanes."""
IMAGES = 10
EVALUATIONS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 30.0, 50.0, 100.0)
FRAMES_A_SECOND = 4
STEP, ENDS, LANE, SPEND = (Binding.Group(name) for name in ("Step", "Ends", "Lane", "Evaluations"))


@dataclass(frozen=True)
class Setting:
    """What a lane is given: a checkpoint, or none for the one of the mode, and what it draws by; -1 is the model's guidance."""

    sampler: str
    steps: int
    guidance: float = -1.0
    checkpoint: Path | None = None


class LaneGrid(PixelGrid):
    """The pictures of a lane; what they are compared with is in the boxes around."""

    LEAST: ClassVar[int] = 3


class Race(Part):
    """A box a lane, all at the same number of evaluations."""

    TITLE_TEXT = "Race"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "Race", key_display="⏎", tooltip="Let all lanes draw the same noises"),
        key("stop", "stop", "Stop within one network evaluation; what is there stays"),
        Binding("up", "lane(-1)", "Lane above", tooltip="Choose the lane above", group=LANE),
        Binding("down", "lane(1)", "Lane below", tooltip="Choose the lane below", group=LANE),
        Binding("s", "sampler(1)", "Sampler", tooltip="The next sampler in this lane"),
        Binding("S", "sampler(-1)", "Sampler before", tooltip="The sampler before in this lane", show=False),
        key("more", "spend(1)", "More network evaluations in this lane", group=SPEND),
        key("fewer", "spend(-1)", "Fewer network evaluations in this lane", group=SPEND),
        key("guidance", "guidance", "More guidance in this lane; after the most none"),
        Binding("k", "checkpoint", "Checkpoint", tooltip="Another checkpoint in this lane"),
        Binding("d", "add", "Add", tooltip="Another lane like this one, up to four"),
        Binding("backspace,delete", "remove", "Remove", key_display="⌫", tooltip="Take this lane out of the race, down to two"),
        key("undo", "undo", "The lanes as they were before the last change"),
        key("new", "new", "Other noises: the next seed", label="Noises"),
        key("class", "label", "Draw one class, the next at each key; after the last all in turn"),
        Binding("left", "move(-1)", "Back", tooltip="One evaluation back towards the noise", group=STEP),
        Binding("right", "move(1)", "Step", tooltip="One evaluation on", group=STEP),
        Binding("home", "go(0)", "Noise", tooltip="To the noise", group=ENDS),
        Binding("end", "go(100000)", "Image", tooltip="To the finished images", group=ENDS),
        key("play", "play", "Play the race again, or stop"),
        key("switch", "kind", "Show x_t, or the image that the network predicts from it"),
        key("zoom", "zoom", "Show this lane alone, or all of them"),
        key("save", "save('.png')", "Save the finished images, a row a lane, as a PNG beside the model's run", label="PNG"),
        key("save_motion", "save('.gif')", "Save the race as a GIF beside the model's run"),
    ]
    DEFAULT_CSS = """
    Race { layout: vertical; }
    Race #lanes { height: 1fr; layout: grid; grid-size: 1; grid-gutter: 0; }
    Race #lanes.-two { grid-size: 2; }
    Race #lanes PictureBox { height: 1fr; }
    Race #lanes PictureBox.-chosen { border: round $accent; border-title-color: $accent; }
    Race #lanes PictureBox.-out { display: none; }
    Race.-zoomed #lanes { grid-size: 1; }
    Race.-zoomed #lanes PictureBox { display: none; }
    Race.-zoomed #lanes PictureBox.-chosen { display: block; }
    Race #spent { padding: 0 2; }
    """

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self.settings: tuple[Setting, ...] = ()
        self.lane = 0
        self.seed, self.label = 0, -1
        self.kind = "x"
        self.standing: Standing | None = None
        self.player: Timer | None = None
        self._before: list[tuple[tuple[Setting, ...], int]] = []

    def compose(self) -> ComposeResult:
        with Container(id="lanes"):
            for place in range(MOST):
                yield PictureBox("⏎ starts the race", grid=LaneGrid(), title=f"lane {place + 1}", id=f"lane{place}")
        yield Scrubber(id="spent")

    def on_mount(self) -> None:
        self.watch(self._scrubber, "value", self._redraw, init=False)
        self._show()

    @property
    def _scrubber(self) -> Scrubber:
        return self.query_one("#spent", Scrubber)

    def model_read(self, facts: ModelFacts) -> None:
        own = facts.resolved(SampleConfig())
        steps = min(own.steps, 20)
        other = "ddim" if own.sampler != "ddim" else "euler"
        self.settings = self.settings or (Setting(own.sampler, steps), Setting(other, steps))
        self.label = min(self.label, facts.labels - 1)
        self._forget()

    def left(self) -> None:
        self._stop_playing()

    def on_unmount(self) -> None:
        self.app.jobs.stop("race")

    # --- what the lanes are given

    def _change(self, settings: tuple[Setting, ...], lane: int | None = None) -> None:
        self._before.append((self.settings, self.lane))
        self.settings = settings
        self.lane = self.lane if lane is None else lane
        self._forget()

    def _set(self, **changes: object) -> None:
        """Give the chosen lane something else."""
        if self.settings:
            changed = dataclasses.replace(self.settings[self.lane], **changes)  # type: ignore[arg-type]
            self._change((*self.settings[: self.lane], changed, *self.settings[self.lane + 1 :]))

    def _forget(self) -> None:
        """What was drawn was drawn with other settings."""
        self.app.jobs.stop("race")
        self._stop_playing()
        self.standing = None
        self._show()

    def action_lane(self, step: int) -> None:
        if self.settings:
            self.lane = (self.lane + step) % len(self.settings)
            self._show()

    def action_sampler(self, step: int) -> None:
        if self.settings:
            names, here = list(SAMPLERS), self.settings[self.lane]
            at = names.index(here.sampler) if here.sampler in names else 0  # a file of one's own may have lost it
            name = names[(at + step) % len(names)]
            self._set(sampler=name, steps=max(here.steps, SAMPLERS[name].least))

    def action_spend(self, step: int) -> None:
        if self.settings:
            here = self.settings[self.lane]
            self._set(steps=max(int(after(EVALUATIONS, here.steps, step)), SAMPLERS[here.sampler].least))

    def action_guidance(self) -> None:
        if self.settings:
            here = self.settings[self.lane].guidance
            if (guidance := self.more_guidance(here)) != here:
                self._set(guidance=guidance)

    def action_checkpoint(self) -> None:
        if self.settings:
            self.play.ask_model(lambda path: self._set(checkpoint=path))

    def action_add(self) -> None:
        if len(self.settings) >= MOST:
            self.say(f"a race has at most {MOST} lanes")
        elif self.settings:
            here = self.settings[self.lane]
            self._change((*self.settings[: self.lane], here, *self.settings[self.lane :]), self.lane + 1)

    def action_remove(self) -> None:
        if len(self.settings) <= FEWEST:
            self.say(f"a race has at least {FEWEST} lanes")
        else:
            left = (*self.settings[: self.lane], *self.settings[self.lane + 1 :])
            self._change(left, min(self.lane, len(left) - 1))

    def action_undo(self) -> None:
        if self._before:
            self.settings, self.lane = self._before.pop()
            self._forget()
        else:
            self.say("there is nothing to undo")

    def action_new(self) -> None:
        self.seed += 1
        self._forget()

    def action_label(self) -> None:
        if self.facts is not None:
            self.label = self.label + 1 if self.label + 1 < self.facts.labels else -1
            self._forget()

    # --- racing

    def action_start(self) -> None:
        if self.facts is None or not self.settings or self.app.jobs.busy("race"):
            return
        from core.compute.device import choose_compute
        from tinydiff_tui.jobs.racing import Lane, Racing

        lanes = []
        try:
            for each in self.settings:
                options = SampleConfig.asked(
                    num_images=IMAGES, seed=self.seed, label=self.label, sampler=each.sampler, steps=each.steps,
                    guidance_scale=each.guidance,
                )  # fmt: skip
                path = each.checkpoint or self.facts.path
                lanes.append(Lane(path, self.play.name_of(path), options))
        except UserError as error:
            self.say(str(error))
            return
        data_dir = self.app.data_dir
        self.app.jobs.replace("race", lambda: iter(Racing(lanes, choose_compute(), data_dir)), self)
        self._stop_playing()
        self.standing = None
        self.say("")
        self._show()

    def action_stop(self) -> None:
        self.app.jobs.stop("race")

    def on_job_update(self, message: JobUpdate) -> None:
        if not message.job.stopping:
            self._take(cast("Standing", message.snapshot))

    def on_job_finished(self, message: JobFinished) -> None:
        standing = cast("Standing | None", message.snapshot)
        if standing is not None and (self.standing is not None or not message.job.stopping):
            self._take(standing)
        if message.error:
            self.say(message.error)
        elif self.standing is not None and not self.standing.judge and all(_done(racer) for racer in self.standing.racers):
            self.say("no distances: the data set has no judge here yet; j in Sample (4) trains one")
        self._show()

    def _take(self, standing: Standing) -> None:
        first = self.standing is None
        self.standing = standing
        self._scrubber.maximum = max(standing.most, 1)
        if first or self.player is None:
            before = self._scrubber.value
            self._scrubber.value = max(racer.done for racer in standing.racers)
            if self._scrubber.value == before:
                self._redraw()
        if standing.doing not in ("", "racing"):
            self.say(standing.doing)
        elif not standing.doing and standing.judge:
            floors = {racer.judge: racer.floor for racer in standing.racers if racer.judge}
            said = "; ".join(f"{judge}, real images {number(floor, '.2f')}" for judge, floor in floors.items())
            self.say(f"distance by the {said}")

    # --- looking

    def action_move(self, step: int) -> None:
        self._stop_playing()
        self._go(self._scrubber.value + step)

    def action_go(self, place: int) -> None:
        self._stop_playing()
        self._go(place)

    def _go(self, place: int) -> None:
        if self.standing is not None:
            self._scrubber.value = min(place, max(racer.done for racer in self.standing.racers))

    @on(Scrubber.Clicked)
    def _clicked(self, event: Scrubber.Clicked) -> None:
        event.stop()
        self.action_go(event.value)

    @on(PixelGrid.Pointed)
    def _pointed(self, event: PixelGrid.Pointed) -> None:
        event.stop()
        self.lane = next(k for k in range(MOST) if self._box(k).grid is event.grid)
        self._show()

    def action_play(self) -> None:
        if self.player is not None:
            self._stop_playing()
        elif self.standing is not None and not self.app.jobs.running("race"):
            if self._scrubber.value >= self.standing.most:
                self._scrubber.value = 0
            self.player = self.set_interval(1 / FRAMES_A_SECOND, self._play_on)

    def _play_on(self) -> None:
        self._go(self._scrubber.value + 1)
        if self.standing is None or self._scrubber.value >= self.standing.most:
            self._stop_playing()

    def _stop_playing(self) -> None:
        if self.player is not None:
            self.player.stop()
            self.player = None

    def action_kind(self) -> None:
        self.kind = "x0" if self.kind == "x" else "x"
        self._redraw()

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")
        self._arrange()

    # --- showing

    def on_resize(self, event: events.Resize) -> None:
        self._arrange()

    def _arrange(self) -> None:
        """Two beside each other where one below the other would have no room."""
        count, height = max(len(self.settings), 1), self.size.height - 1  # the slider's
        two = count > 2 and height < 11 * count
        self.query_one("#lanes").set_class(two, "-two")
        alone = self.has_class("-zoomed")
        for place in range(MOST):  # of one height, so that their pictures are of one size
            self._box(place).styles.height = None if alone else height // (-(-count // 2) if two else count)

    def _box(self, place: int) -> PictureBox:
        return self.query_one(f"#lane{place}", PictureBox)

    def _show(self) -> None:
        """The boxes of the lanes, and what each is given."""
        for place in range(MOST):
            box = self._box(place)
            box.set_class(place >= len(self.settings), "-out")
            box.set_class(place == self.lane, "-chosen")
            if self.standing is None:
                box.show(np.zeros((0, 1, 1, 1), dtype=np.uint8))
                box.figures = ""
                box.say("reading the model …" if self.app.jobs.busy("race") else "⏎ starts the race")
        for place, each in enumerate(self.settings):
            known = self.facts is not None and self.facts.guides
            guided = "" if not known else " · guidance " + ("default" if each.guidance < 0 else f"{each.guidance:g}")
            whose = "" if each.checkpoint is None else f" · {self.play.name_of(each.checkpoint)}"
            title = f"{place + 1} · {each.sampler} · {evaluations(each.steps)}{guided}{whose}"
            self._box(place).title = cut(title, max(self._box(place).size.width - 6, 20))
        if self.standing is None:
            self._scrubber.maximum, self._scrubber.value, self._scrubber.label = 1, 0, f"seed {self.seed}"
        self._arrange()
        self._redraw()

    def _redraw(self) -> None:
        """Every lane after as many evaluations as the slider says."""
        if self.standing is None:
            return
        spent = self._scrubber.value
        for place, racer in enumerate(self.standing.racers):
            view, box = racer.at(spent), self._box(place)
            if view is not None:
                box.show(view.pictures(self.kind), racer.headings)
                moment = "finished" if view.t < 0 else f"t {view.t}"
                far = f" · distance {number(racer.distance, '.2f')}" if math.isfinite(racer.distance) else ""
                box.figures = f"{min(spent, racer.evaluations)}/{racer.evaluations} · {moment} · {racer.seconds:.2f} s{far}"
        shown = "x_t" if self.kind == "x" else "x̂₀"
        self._scrubber.label = f"seed {self.seed} · {shown} after {evaluations(spent)} ·"

    def action_save(self, ending: str) -> None:
        path = self.file("race", ending)
        if self.standing is None or path is None or self.app.jobs.busy("race"):
            return
        from tinydiff_tui.jobs.racing import save_race

        standing, kind = self.standing, self.kind
        self.save(lambda: save_race(path, standing, kind))
        self.say(f"writing {path} …")

    def explain_values(self) -> dict[str, str]:
        return {"lanes": ", ".join(f"{each.sampler} with {each.steps}" for each in self.settings) or "…"}


def _done(racer: Racer) -> bool:
    return racer.done >= racer.evaluations
