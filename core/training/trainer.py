"""Training as an iterator of events. Pull for progress, stop pulling to pause, close to stop: a checkpoint is always left.

for event in Trainer(TrainConfig.of(dataset="mnist")):
    ...
"""

import contextlib
import dataclasses
import math
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from core import images
from core.compute.device import choose_compute
from core.compute.distributed import BEAT_SECONDS, END, ROLL_BACK, WAIT, check_share, is_first, join
from core.config import SampleConfig, TrainConfig, check_batch
from core.data.datasets import ImageSet, open_split
from core.diffusion.generate import classes_drawn, generate
from core.diffusion.model import Model
from core.errors import Diverged, UserError
from core.extend.needs import changed
from core.network.unet import parameter_count
from core.plots import save_loss_plot, thinned
from core.runs import pace
from core.runs.checkpoint import config_of, load_checkpoint, save_checkpoint
from core.runs.curves import Curves, require_log
from core.runs.folder import RunDir, now, read_run
from core.runs.metrics import MetricsReader
from core.runs.resume import load_or_offer, merge_for_resume, with_whole_paths
from core.training.aside import Aside
from core.training.batches import lr_fraction
from core.training.clock import Clock
from core.training.distil import stepper, with_teacher
from core.training.events import EpochEnd, Event, Finished, HeldOut, Noted, RolledBack, Sampling, Saved, Step
from core.training.events import Samples as SamplesEvent
from core.training.state import TrainState
from core.training.steps import Gradient

LOG_EVERY = 10  # steps in one line of metrics.jsonl
LOOK_SECONDS = 0.25  # how often requests in the run's folder are looked for
MOST_ROLLBACKS = 5
GRID_IMAGES = 64


class Trainer:
    """One run in its folder. Iterate over it once; the methods below may be called from another thread meanwhile.

    resume continues the run in config.output_dir from checkpoints/last.pt (or from `checkpoint`); only epochs, lr, intervals, the
    device and where the data lie may differ from what it was started with. overwrite replaces it. Pictures that are others than
    those it was trained on are taken when the data set lies elsewhere or was named (`other_data`). Raises UserError before
    anything is written when something does not fit.
    """

    _curves: Curves | None = None

    def __init__(
        self,
        config: TrainConfig,
        *,
        resume: bool = False,
        overwrite: bool = False,
        checkpoint: Path | None = None,
        other_data: bool = False,
    ) -> None:
        require_log(config.log)
        self.run = RunDir(config.output_dir)  # as it was named: what is said of it stays short
        config = with_whole_paths(config)
        if is_first():
            self.run.check_free(resume=resume, overwrite=overwrite)
        self.overwrite = overwrite
        self.resumed_from = (checkpoint or self.run.last) if resume else None
        self._seen = self.run.stamp()
        self._notes: list[str] = []
        self.processes, self.compute = join(choose_compute(config.device, config.precision, config.threads))
        saved, before = None, config
        if self.resumed_from:
            saved = self.processes.tell(load_or_offer(self.resumed_from, self.run) if self.processes.first else {})
            before = TrainConfig.from_dict(saved["config"])
            config = merge_for_resume(config, before)
        config, teacher = (config, None) if saved else with_teacher(config)
        config, self.data = _opened(config, saved)
        self.config = config
        check_batch(config.batch_size, config.dataset, len(self.data))
        check_share(config.batch_size)
        self.state = TrainState(config, self.data, self.compute.device, teacher)
        self.steps_per_epoch = len(self.data) // config.batch_size
        self._clock = Clock()
        self._counted = self._clock()
        self._grid_seconds: float | None = None
        if saved and self.resumed_from:
            self.state.restore(saved, self.resumed_from)
            moved = (before.dataset, before.data_dir) != (config.dataset, config.data_dir)
            self._compare_pictures(saved.get("fingerprint"), allowed=moved or other_data)
            self._refuse_passed(before)
            self._notes += filter(None, [changed(config, saved.get("extend"))])
        self.stepper = stepper(config, self.data, self.state, self.compute, self.processes)
        self.compute = self.stepper.compute
        self.total_steps = self._length()
        self._lately: deque[tuple[int, float]] = deque(maxlen=pace.LINES)
        self._saved_step = -1
        self._in_step = False
        self._sample_asked = threading.Event()
        self._save_asked = threading.Event()
        self._pause_asked = threading.Event()
        self._stop_asked = threading.Event()
        self.watched = False
        """Whether somebody wants to see what the same few noises become; who trains alone does not pay for it."""
        self._trained = 0.0  # seconds of this session, which never go back
        self.aside = Aside(config, self.data, self.stepper, self._seconds_trained)
        self._newest: HeldOut | None = None
        self._figures: dict[str, Any] = {}  # for the next line of metrics
        self._told_paused = False
        self._looked = -math.inf
        self._ordered = time.monotonic()

    def _compare_pictures(self, before: object, *, allowed: bool) -> None:
        """Raise UserError when the run was trained on other pictures, which nobody asked for."""
        if before in (None, self.data.fingerprint):
            return
        if not allowed:
            raise UserError(
                f"the pictures of {self.config.dataset} are not those that the run in {self.run.path} was trained on; say where "
                "those lie with --dataset folder:PATH or --data-dir, or go on with these by naming the data set: --dataset "
                f"{self.config.dataset}"
            )
        self._notes.append(f"going on with other pictures than before: {len(self.data):,} of {self.config.dataset}")
        self.state.ended_epochs = max(self.state.ended_epochs, self.step // self.steps_per_epoch)

    def _refuse_passed(self, before: TrainConfig) -> None:
        """Raise UserError when the run has come to the end that is asked for, or past it."""
        total = self._length()
        budget = self.config.budget
        if self.step > total or (budget != before.budget and self.step >= total):
            done = f"was trained for {self.state.seconds:.0f} s" if budget else f"has {self.step:,} of {total:,} steps"
            asked = f"a longer --budget than {budget}" if budget else f"more --epochs than {self.config.epochs}"
            raise UserError(f"the run in {self.run.path} {done} already; ask for {asked} to train it further")
        if self.step == total and self._is_finished():
            raise UserError(
                f"the run in {self.run.path} is finished already, after {self.step:,} steps; train it further with more --epochs "
                "or a longer --budget"
            )

    def _is_finished(self) -> bool:
        try:
            return self.run.final.exists() and read_run(self.run.path).status == "finished"
        except UserError:
            return False

    # --- asked for from other threads or through the run's folder; take effect between two steps

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate, on top of its schedule."""
        self.state.scale_lr(factor)

    def sample_now(self) -> None:
        """Draw a grid of samples after the present step."""
        self._sample_asked.set()

    def checkpoint_now(self) -> None:
        """Write the resume point after the present step."""
        self._save_asked.set()

    def pause(self) -> None:
        """Rest after the present step: `attend` tells whoever pulls."""
        self._pause_asked.set()

    def resume(self) -> None:
        """Go on after a pause."""
        self._pause_asked.clear()

    def stop(self) -> None:
        """End the iteration after the present step, with a checkpoint."""
        self._stop_asked.set()

    @property
    def stopping(self) -> bool:
        """Whether the run was asked to end after the present step."""
        return self._stop_asked.is_set()

    def note_distance(self, distance: float, floor: float, judge: str) -> None:
        """Put what the data set's judge says of the averaged weights, and of as many real images, into the next line of metrics.
        For the thread that pulls."""
        self._figures |= {"distance": round(distance, 4), "floor": round(floor, 4), "judge": judge}

    @property
    def paused(self) -> bool:
        """Whether the run rests, which run.json says too."""
        return self._pause_asked.is_set() and not self.stopping

    def attend(self, say: Callable[[str], object]) -> bool:
        """Between two events, for the thread that pulls: answer what was asked through the run's folder, each request once.

        True while the run is paused: pull no more, and ask again soon. Looks at the folder four times a second at most; `say` is
        told what was asked.
        """
        if time.monotonic() - self._looked >= LOOK_SECONDS:
            self._looked = time.monotonic()
            answers = {
                "pause": self.pause,
                "resume": self.resume,
                "checkpoint": self.checkpoint_now,
                "sample": self.sample_now,
                "stop": self.stop,
            }
            for request in self.run.take_requests():
                say(f"asked to {request}")
                answers[request]()
        if self.paused != self._told_paused:
            self._told_paused = self.paused
            self._write_status("paused" if self.paused else "running")
        self._keep_waiting()
        return self.paused

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.state.step

    @property
    def epochs(self) -> int:
        """Epochs of the whole run, the last of which a budget may cut short."""
        return -(-self.total_steps // self.steps_per_epoch)

    @property
    def title(self) -> str:
        """What is trained on what; `compute` says where."""
        height, width = self.data.size
        return (
            f"{self.config.model} ({parameter_count(self.state.network) / 1e6:.2f}M parameters, {self.config.objective}) on "
            f"{self.config.dataset} ({len(self.data):,} images {height}x{width}x{self.data.channels})"
        )

    # --- the run

    def __iter__(self) -> Generator[Event, None, None]:
        return self._timed(self._lead()) if self.processes.first else self._follow()

    def _timed(self, events: Generator[Event, None, None]) -> Generator[Event, None, None]:
        """The same events. The time they take is the run's; what the consumer does with one, a pause above all, is not."""
        with self._clock:
            self._counted = self._clock()
            try:
                for event in events:
                    self._count_time()
                    self._keep_waiting()
                    yield event
                    self._counted = self._clock()
            except BaseException as error:
                try:
                    events.close()
                except Exception as later:
                    if isinstance(error, GeneratorExit):
                        raise later from None
                    error.add_note(str(later))
                raise

    def _lead(self) -> Generator[Event, None, None]:
        lock = self.run.lock()
        try:
            self._begin()
            finished = False
            try:
                yield from self._train()
                if self.step >= self.total_steps:
                    yield from self._finish()
                    finished = True
            except BaseException as error:  # a consumer that closes is among them
                self._end("diverged" if isinstance(error, Diverged) else "stopped", error)
                raise
            self._end("finished" if finished else "stopped")
            if finished:
                yield Finished(self.step, self.state.seconds, self.run.final)
        finally:
            if self._curves is not None:
                self._curves.close()
            lock.release()
            with contextlib.suppress(UserError):  # those who are gone need not be told
                self._order(END)

    def _begin(self) -> None:
        """Under the lock: make sure that the folder is as it was looked at, then make it this run's."""
        if self.resumed_from:
            self.run.check_unchanged(self._seen)
        elif not self.overwrite:
            self.run.check_free(resume=False, overwrite=False, locked=True)
        self.run.take_requests()  # what an earlier process left unanswered is not meant for this one
        if self.overwrite:
            self.run.clear()
        self.run.truncate_metrics(self.step)
        for entry in MetricsReader(self.run).read():
            self._lately.append((entry["step"], _number(entry.get("seconds"))))
        if self.resumed_from != self.run.last:  # before run.json: a run can always be resumed
            save_checkpoint(self.run.last, self._content())
        self._write_status("running")
        if self.config.log:
            self._curves = Curves(self.run.curves, self.step)

    def _end(self, status: str, first: BaseException | None = None) -> None:
        """Leave the resume point, then the status; each is tried. The first error is the one that is told, the rest its notes."""
        failures = [] if first is None or isinstance(first, GeneratorExit) else [first]
        # Half a step (a KeyboardInterrupt inside it) is no state to go on from: the checkpoint before it is.
        if status == "stopped" and self._saved_step != self.step and not self._in_step:
            try:
                self._save()
            except Exception as error:
                failures.append(error)
                status = "diverged" if isinstance(error, Diverged) else status
        try:
            self._write_status(status)
        except Exception as error:
            failures.append(error)
        for later in failures[1:]:
            failures[0].add_note(str(later))
        if failures and failures[0] is not first:
            raise failures[0]

    def _follow(self) -> Generator[Event, None, None]:
        """What every process but the first does: what it is told to."""
        while (order := self.processes.order()) != END:
            if order == WAIT:
                continue
            if order == ROLL_BACK:
                self._restore({}, 0.0)
                continue
            self.total_steps = order
            with contextlib.suppress(Diverged):  # the first process sees the same numbers, and decides
                yield self._step_event(*self._step())

    def _order(self, order: int) -> None:
        self.processes.order(order)
        self._ordered = time.monotonic()

    def _keep_waiting(self) -> None:
        """Tell the other processes now and then that there is nothing to do yet: they take a long silence for the end."""
        if self.processes.size > 1 and self.processes.first and time.monotonic() - self._ordered > BEAT_SECONDS:
            self._order(WAIT)

    def _train(self) -> Iterator[Event]:
        rollbacks = 0
        last_save = time.monotonic()
        self._keep_early()
        for note in self._notes:
            yield Noted(note)
        if self.step % LOG_EVERY == 0:
            yield from self._attempt("a line of metrics", self._log)  # which a stop may have left owed
        while True:
            try:
                # What is due between two steps comes first, so that a run stopped anywhere resumes with what it still owes.
                yield from self._between()
                if self.stopping and self.step < self.total_steps:
                    return
                if self.step >= self.total_steps:
                    yield from self._last_samples()
                    self._save()
                    return
                for drawn in self.stepper.prepare():
                    self._counted = self._clock()  # they were drawn before, in the time of their steps
                    yield drawn
                    if self.stopping:
                        return
                self._order(self.total_steps)
                done = self._step()
                self._in_step = False
                if self.step % LOG_EVERY == 0 or self.step == self.total_steps:
                    yield from self._attempt("nothing is held out", self._measure_held_out)
                    yield from self._attempt("a line of metrics", self._log)
                if self._save_asked.is_set() or time.monotonic() - last_save > self.config.checkpoint_seconds:
                    self._save_asked.clear()
                    self._save()
                    yield from self._attempt("the step in run.json", lambda: self._write_status("running"))
                    last_save = time.monotonic()
            except Diverged as error:
                rollbacks += 1
                if self.config.on_nan == "stop" or rollbacks > MOST_ROLLBACKS:
                    raise
                yield self._roll_back(str(error))
                continue
            yield self._step_event(*done)  # after the line of metrics, so that both tell the same pace
            if self._newest is not None:
                yield self._newest
                self._newest = None
            if self._saved_step == self.step:
                yield Saved(self.step, self.run.last)

    def _between(self) -> Iterator[Event]:
        """What is due at the end of an epoch, and the samples that were asked for."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position == 0 and epoch > self.state.ended_epochs:
            yield from self._end_epoch(epoch)
        if self._sample_asked.is_set():
            self._sample_asked.clear()
            yield from self._sample(epoch + (position > 0))
        if self.watched and self.aside.preview_due():
            yield from self._preview()

    def _last_samples(self) -> Iterator[Event]:
        """Those of an epoch that a budget cut short."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if position and self.config.sample_interval:
            yield from self._sample(epoch + 1)

    def _attempt(self, what: str, deed: Callable[[], object]) -> Iterator[Event]:
        """Do what a run can do without: a failure decides nothing."""
        try:
            deed()
        except Diverged:
            raise
        except Exception as error:  # whatever a library of pictures or plots came upon
            yield from self._note(what, error)

    def _note(self, what: str, error: Exception) -> Iterator[Event]:
        """Tell a failure, the same one once."""
        note = f"{what}: {str(error) or type(error).__name__}"
        if note not in self._notes:
            self._notes.append(note)
            yield Noted(note)

    def _step(self) -> tuple[Gradient, float]:
        """One optimizer step and its learning rate. Raises Diverged before it moves anything."""
        state = self.state
        lr = self.config.lr * state.lr_factor * lr_fraction(self.config, state.step, self.total_steps)
        gradient = self.stepper.gradient()
        look = self.compute.device.type == "cpu" or state.step % LOG_EVERY == 0  # reading them stalls a GPU
        if look and not (math.isfinite(gradient.loss.item()) and math.isfinite(gradient.norm.item())):
            raise self._diverged(state.step + 1)
        self._in_step = True
        self.stepper.update(lr)
        self._keep_early()
        state.tally += torch.cat([gradient.loss[None], gradient.norm.detach()[None], gradient.quartiles.flatten()])
        state.epoch_loss += gradient.loss
        self._count_time()
        self.total_steps = self._length()
        return gradient, lr

    def _end_epoch(self, epoch: int) -> Iterator[Event]:
        self._require_finite()
        yield EpochEnd(epoch, self.epochs, self.state.epoch_loss.item() / self.steps_per_epoch)
        if self._due(epoch, self.config.sample_interval):
            yield from self._sample(epoch)
        ended = {"ended_epochs": epoch, "epoch_loss": torch.zeros_like(self.state.epoch_loss)}
        saved = self.run.checkpoint(epoch) if self._due(epoch, self.config.save_interval) else None
        if saved:
            save_checkpoint(saved, self._content() | ended)
        self.state.ended_epochs = epoch  # when all of it is done: a failure leaves it owed
        self.state.epoch_loss.zero_()
        if saved:
            yield Saved(self.step, saved)
            yield from self._attempt("old checkpoints stay", lambda: self.run.prune(self.config.keep_last))

    def _due(self, epoch: int, interval: int) -> bool:
        """Whether an epoch is one of every `interval`, or the last one; 0 is never."""
        return interval > 0 and (epoch % interval == 0 or epoch == self.epochs)

    def model(self) -> Model:
        """The averaged weights as they stand, to draw from."""
        ema = self.state.ema
        early = None if self.config.teacher else ema.early
        return Model(ema.network, self.state.diffusion, self.config, self.data.classes, self.step, early)

    def _sample(self, epoch: int) -> Iterator[Event]:
        self._require_finite()
        began = self.state.seconds
        model = self.model()
        path = self.run.samples(epoch)
        wanted = SampleConfig(num_images=GRID_IMAGES, seed=self.config.seed)
        drawn: Tensor | None = None
        try:
            for batch in generate(model, wanted, self.compute):
                drawn = batch.frame.x
                yield Sampling(epoch, batch)
            assert drawn is not None
            images.save_png(path, images.class_grid(images.to_uint8(drawn), classes_drawn(model, wanted)))
        except Exception as error:  # a by-product: whatever happened, the training goes on
            yield from self._note(f"no samples of epoch {epoch}", error)
            return
        self._count_time()
        self._grid_seconds = self.state.seconds - began
        yield SamplesEvent(epoch, drawn, path)

    def _measure_held_out(self) -> None:
        """The loss on images held out, for the next line of metrics, when it is due."""
        held_out = self._newest = self.aside.held_out()
        if held_out is not None:
            quartiles = [None if q is None else round(q, 6) for q in held_out.quartiles]
            self._figures |= {"held_out": round(held_out.loss, 6), "held_out_quartiles": quartiles}

    def _preview(self) -> Iterator[Event]:
        try:
            yield self.aside.preview(self.model())
        except Exception as error:  # a by-product
            yield from self._note("no preview", error)

    def _roll_back(self, reason: str) -> RolledBack:
        """Go back to the last good checkpoint with half the learning rate."""
        factor = self.state.lr_factor / 2
        self._order(ROLL_BACK)
        self._restore(load_checkpoint(self.run.last), factor)
        self.run.truncate_metrics(self.step)
        if self._curves is not None:
            self._curves.close()
            self._curves = Curves(self.run.curves, self.step)
        self._lately = deque((line for line in self._lately if line[0] <= self.step), pace.LINES)
        return RolledBack(self.step, self.config.lr * factor, reason)

    def _restore(self, saved: dict[str, Any], lr_factor: float) -> None:
        """Take up what the first process read from the last good checkpoint."""
        saved, lr_factor = self.processes.tell((saved, lr_factor))
        self.state.network.zero_grad(set_to_none=True)
        self.state.restore(saved, self.run.last)
        self.state.lr_factor = lr_factor
        self._keep_early()
        self._counted = self._clock()  # what came after that checkpoint led to nothing

    def _finish(self) -> Iterator[Event]:
        save_checkpoint(self.run.final, self._content())
        yield from self._attempt("no plot of the loss", self._plot)

    def _plot(self) -> None:
        held_out: list[tuple[int, float]] = []

        def trained() -> Iterator[tuple[int, float]]:
            for entry in MetricsReader(self.run).read():
                if "held_out" in entry:
                    held_out.append((entry["step"], entry["held_out"]))
                yield entry["step"], entry["loss"]

        steps, losses = thinned(trained())
        if steps:
            title = f"{self.config.dataset}, {self.config.model}, {self.config.objective} loss"
            save_loss_plot(self.run.loss_plot, steps, losses, title, held_out)

    # --- pieces

    def _length(self) -> int:
        reserve = self._last_grid() if self.config.budget and self.config.sample_interval and self.step else 0.0
        return self.config.steps(self.steps_per_epoch, self.step, self.state.seconds, reserve)

    def _keep_early(self) -> None:
        """Until half of the run its early weights, away from which it will be guided, are those of now; a student has its
        teacher's."""
        if not self.config.teacher and 2 * self.step <= self.total_steps:
            self.state.ema.keep()

    def _last_grid(self) -> float:
        """Seconds of a budget to keep for the samples at its end: those of the last grid, before the first one a guess."""
        if self._grid_seconds is None:
            options = SampleConfig(num_images=GRID_IMAGES).resolve(*self.model().known)
            evaluation = self.state.seconds / self.step * GRID_IMAGES / self.config.batch_size / 2  # a step goes back too
            return min(options.steps * evaluation, self.config.budget_seconds / 2)
        return min(self._grid_seconds, self.config.budget_seconds / 2)

    def _count_time(self) -> None:
        """Add what has passed since the last look to the run's time."""
        now_ = self._clock()
        self.state.seconds += now_ - self._counted
        self._trained += now_ - self._counted
        self._counted = now_

    def _seconds_trained(self) -> float:
        self._count_time()
        return self._trained

    def _require_finite(self) -> None:
        """Raise Diverged unless all that a checkpoint would hold are numbers."""
        if not self.state.is_finite():
            raise self._diverged(self.step)

    def _diverged(self, step: int) -> Diverged:
        return Diverged(
            f"the loss, its gradient or the weights stopped being finite at step {step}; the last good checkpoint is "
            f"{self.run.last}; continue from it with --resume and a lower --lr, or --precision fp32"
        )

    def _step_event(self, gradient: Gradient, lr: float) -> Step:
        batch = self.config.batch_size
        step_seconds = pace.seconds_a_step(self._lately)
        if not math.isfinite(step_seconds):
            step_seconds = max(self.state.seconds, 1e-9) / self.step
        return Step(
            step=self.step,
            total_steps=self.total_steps,
            epoch=(self.step - 1) // self.steps_per_epoch + 1,
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            loss=gradient.loss,
            quartiles=gradient.quartiles,
            grad_norm=gradient.norm,
            lr=lr,
            images=self.step * batch,
            seconds=self.state.seconds,
            images_per_second=batch / step_seconds,
            eta_seconds=pace.seconds_left(self.config, self.step, self.total_steps, self.state.seconds, step_seconds),
        )

    def _log(self) -> None:
        """A line of metrics: means over the steps since the last one, which are known by the images counted in them."""
        loss, grad_norm, *rest = self.state.tally.tolist()
        steps = round(sum(rest[4:]) / self.config.batch_size)
        if not steps:
            return
        if not math.isfinite(loss) or not math.isfinite(grad_norm):
            raise self._diverged(self.step)
        quartiles = [round(total / count, 6) if count else None for total, count in zip(rest[:4], rest[4:], strict=True)]
        seconds = round(self.state.seconds, 3)
        entry = {
            "step": self.step,
            "epoch": (self.step - 1) // self.steps_per_epoch + 1,
            "images": self.step * self.config.batch_size,
            "loss": round(loss / steps, 6),
            "quartiles": quartiles,
            "grad_norm": round(grad_norm / steps, 6),
            "lr": self.state.optimizers[0].param_groups[0]["lr"],
            "seconds": seconds,
            **self._figures,
        }
        self.run.append_metrics(entry)
        self._figures = {}
        self.state.tally.zero_()  # only now: what could not be written goes into the next line
        self._lately.append((self.step, seconds))
        if self._curves is not None:
            self._curves.add(entry)

    def _content(self) -> dict[str, Any]:
        """What a checkpoint of this moment holds. Raises Diverged rather than let it hold what is no number."""
        self._count_time()
        self._require_finite()
        return self.state.content(self.config)

    def _save(self) -> None:
        with contextlib.suppress(UserError):  # the weights do not wait for the log
            self.run.sync_metrics()
        save_checkpoint(self.run.last, self._content())
        self._saved_step = self.step

    def _write_status(self, status: str) -> None:
        """Write run.json."""
        self.run.write_info(
            {
                "config": self.config.to_dict(),
                "seed": self.config.seed,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "device": self.compute.describe(),
                "fingerprint": self.data.fingerprint,
                "extend": self.state.own_files,
                "status": status,
                "step": self.step,
                "total_steps": self.total_steps,
                "started": self.state.started,
                "ended": now() if status != "running" else None,
                **({"spread": list(self.state.spread)} if self.state.spread else {}),
            }
        )


def _opened(config: TrainConfig, saved: dict[str, Any] | None) -> tuple[TrainConfig, ImageSet]:
    """The data set to train on, and the epochs that suit it. A run of squares that were cut before there was anything else goes
    on with them."""
    data = open_split(config, "train")
    if saved and data.size[0] != data.size[1] and "width" not in saved["network"]:
        config = dataclasses.replace(config, image_size=config_of(saved).image_size)
        data = open_split(config, "train")
    return config.suited(len(data) // config.batch_size), data


def _number(value: object) -> float:
    return value if isinstance(value, float) else math.nan
