"""Training as an iterator of events. Pull for progress, stop pulling to pause, close to stop: a checkpoint is always left.

for event in Trainer(TrainConfig.of(dataset="mnist")):
    ...
"""

import contextlib
import json
import math
import platform
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from core import images
from core.compute.device import choose_compute, with_graphs
from core.compute.distributed import END, ROLL_BACK, check_share, is_first, join
from core.config import SampleConfig, TrainConfig, check_batch
from core.data.datasets import open_dataset
from core.diffusion.generate import classes_drawn, generate
from core.diffusion.model import Model, make_diffusion
from core.errors import Diverged, UserError
from core.files import user_path, write_failure
from core.network.unet import parameter_count
from core.plots import save_loss_plot
from core.runs.checkpoint import load_checkpoint, save_checkpoint
from core.runs.folder import RunDir, now
from core.runs.resume import load_or_offer, merge_for_resume
from core.training.batches import Batches, lr_fraction
from core.training.events import EpochEnd, Event, Finished, RolledBack, Sampling, Saved, Step
from core.training.events import Samples as SamplesEvent
from core.training.state import TrainState

LOG_EVERY = 10  # steps in one line of metrics.jsonl
LOOK_SECONDS = 0.25  # how often requests in the run's folder are looked for
MOST_ROLLBACKS = 5
GRID_IMAGES = 64


class Trainer:
    """One run in its folder. Iterate over it once; the methods below may be called from another thread meanwhile.

    resume continues the run in config.output_dir from checkpoints/last.pt (or from `checkpoint`); only epochs, lr, intervals and
    the device may differ from what it was started with. overwrite replaces it. Raises UserError before anything is written when
    something does not fit.
    """

    def __init__(
        self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False, checkpoint: Path | None = None
    ) -> None:
        self.run = RunDir(config.output_dir)
        if is_first():
            self.run.check_free(resume=resume, overwrite=overwrite)
        self.overwrite = overwrite
        self.resumed_from = (checkpoint or self.run.last) if resume else None
        self.processes, self.compute = join(choose_compute(config.device, config.precision, config.threads))
        saved = None
        if self.resumed_from:
            saved = self.processes.tell(load_or_offer(self.resumed_from, self.run) if self.processes.first else {})
            config = merge_for_resume(config, TrainConfig.from_dict(saved["config"]))
        self.config = config
        root = user_path(config.data_dir) if config.data_dir else None
        self.data = open_dataset(config.dataset, "train", root, config.image_size)
        check_batch(config.batch_size, config.dataset, len(self.data))
        check_share(config.batch_size)
        self.diffusion = make_diffusion(config)
        self.state = TrainState(config, self.data, self.compute.device)
        if saved and self.resumed_from:
            self.state.restore(saved, self.resumed_from)
        self.batches = Batches(config, self.data, self.compute.device, self.processes)
        self.network = self.processes.wrap(self.state.network)
        if self.compute.device.type == "cuda" and self.processes.size == 1:
            x0, t, _, labels = self._draw()
            inputs = (x0, t) if labels is None else (x0, t, labels)
            self.network, self.compute = with_graphs(self.network, inputs, self.compute)
        self.steps_per_epoch = len(self.data) // config.batch_size
        self.total_steps = self._length()
        self._session_start = self.state.step
        self._session_seconds = 0.0
        self._saved_step = -1
        self._in_step = False
        self._sample_asked = threading.Event()
        self._save_asked = threading.Event()
        self._pause_asked = threading.Event()
        self._stop_asked = threading.Event()
        self._told_paused = False
        self._looked = -math.inf

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
    def paused(self) -> bool:
        """Whether the run rests, which run.json says too."""
        return self._pause_asked.is_set() and not self._stop_asked.is_set()

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
        return (
            f"{self.config.model} ({parameter_count(self.state.network) / 1e6:.2f}M parameters, {self.config.objective}) on "
            f"{self.config.dataset} ({len(self.data):,} images {self.data.side}x{self.data.side}x{self.data.channels})"
        )

    # --- the run

    def __iter__(self) -> Generator[Event, None, None]:
        return self._lead() if self.processes.first else self._follow()

    def _lead(self) -> Generator[Event, None, None]:
        lock = self.run.lock()
        status = "stopped"
        try:
            self.run.take_requests()  # what an earlier process left unanswered is not meant for this one
            if self.overwrite:
                self.run.clear()
            self.run.truncate_metrics(self.step)
            if self.resumed_from != self.run.last:  # before run.json: a run can always be resumed
                save_checkpoint(self.run.last, self.state.content(self.config))
            self._write_status("running")
            with self._open_metrics() as metrics:
                yield from self._train(metrics)
            if self.step >= self.total_steps:
                self._finish()
                status = "finished"
                yield Finished(self.step, self.state.seconds, self.run.final)
        except Diverged:
            status = "diverged"
            raise
        finally:
            try:
                # Half a step (a KeyboardInterrupt inside it) is no state to go on from: the checkpoint before it is.
                if status == "stopped" and self._saved_step != self.step and not self._in_step:
                    self._save()
                self._write_status(status)
            finally:
                lock.release()
                with contextlib.suppress(UserError):  # those who are gone need not be told
                    self.processes.order(END)

    def _follow(self) -> Generator[Event, None, None]:
        """What every process but the first does: what it is told to."""
        while (order := self.processes.order()) != END:
            if order == ROLL_BACK:
                self._restore({}, 0.0)
                continue
            self.total_steps = order
            with contextlib.suppress(Diverged):  # the first process sees the same numbers, and decides
                yield self._step()

    def _train(self, metrics: IO[str]) -> Iterator[Event]:
        rollbacks = 0
        last_save = time.monotonic()
        while True:
            # What is due between two steps comes first, so that a run stopped anywhere resumes with what it still owes.
            epoch, position = divmod(self.step, self.steps_per_epoch)
            if position == 0 and epoch > self.state.ended_epochs:
                yield from self._end_epoch(epoch)
            if self._sample_asked.is_set():
                self._sample_asked.clear()
                yield from self._sample(epoch + (position > 0))
            if self._stop_asked.is_set() and self.step < self.total_steps:
                return
            if self.step >= self.total_steps:
                if position and self.config.sample_interval:  # a budget ends within an epoch
                    yield from self._sample(epoch + 1)
                return
            try:
                self.processes.order(self.total_steps)
                event = self._step()
                if self.step % LOG_EVERY == 0 or self.step == self.total_steps:
                    self._log(metrics, event.lr)
                self._in_step = False
                if self._save_asked.is_set() or time.monotonic() - last_save > self.config.checkpoint_seconds:
                    self._save_asked.clear()
                    self._require_finite(event.loss, event.grad_norm)
                    self._save()
                    last_save = time.monotonic()
            except Diverged as error:
                rollbacks += 1
                if self.config.on_nan == "stop" or rollbacks > MOST_ROLLBACKS:
                    raise
                yield self._roll_back(str(error), metrics)
                continue
            yield event
            if self._saved_step == self.step:
                yield Saved(self.step, self.run.last)

    def _step(self) -> Step:
        """One optimizer step on this process's share of the global batch. Raises Diverged."""
        started = time.perf_counter()
        state = self.state
        lr = self.config.lr * state.lr_factor * lr_fraction(self.config, state.step, self.total_steps)
        x0, t, noise, labels = self._draw()
        state.network.train()
        with self.compute.autocast():
            losses = self.diffusion.loss(self.network, x0, t, noise, labels)
        with self.processes.exchange():
            losses.mean().backward()
        quartiles = _by_quartile(losses.detach(), t, self.config.timesteps)
        sums = torch.cat([losses.detach().mean()[None] / self.processes.size, quartiles.flatten()])
        self.processes.add_up(sums)
        loss, quartiles = sums[0], sums[1:].view(2, 4)
        grad_norm = nn.utils.clip_grad_norm_(state.network.parameters(), self.config.grad_clip or math.inf)
        if self.compute.device.type == "cpu" or state.step % LOG_EVERY == 0:  # reading them stalls a GPU
            self._require_finite(loss, grad_norm)
        self._in_step = True
        for optimizer in state.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        state.network.zero_grad(set_to_none=True)
        state.ema.update()
        state.tally += torch.cat([loss[None], grad_norm.detach()[None], quartiles.flatten()])
        state.epoch_loss += loss
        state.step += 1
        spent = time.perf_counter() - started
        state.seconds += spent
        self._session_seconds += spent
        self.total_steps = self._length()
        return self._step_event(loss, quartiles, grad_norm, lr)

    def _draw(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """x_0, t, noise and labels of this process in the present step: its rows of what is drawn for the whole batch."""
        x0, labels, generator = self.batches.at(self.step)
        t = self.diffusion.draw_t(self.config.batch_size, generator)
        noise = torch.randn((self.config.batch_size, *x0.shape[1:]), generator=generator, device=x0.device)
        return x0, self.processes.share(t), self.processes.share(noise), labels

    def _end_epoch(self, epoch: int) -> Iterator[Event]:
        yield EpochEnd(epoch, self.epochs, self.state.epoch_loss.item() / self.steps_per_epoch)
        interval = self.config.sample_interval
        if interval and epoch % interval == 0:
            yield from self._sample(epoch)
        self.state.epoch_loss.zero_()
        self.state.ended_epochs = epoch
        interval = self.config.save_interval
        if interval and (epoch % interval == 0 or epoch == self.epochs):
            path = self.run.checkpoint(epoch)
            save_checkpoint(path, self.state.content(self.config))
            self.run.prune(self.config.keep_last)
            yield Saved(self.step, path)

    def model(self) -> Model:
        """The averaged weights as they stand, to draw from."""
        return Model(self.state.ema.network, self.diffusion, self.config, self.data.classes, self.step)

    def _sample(self, epoch: int) -> Iterator[Event]:
        model = self.model()
        drawn: Tensor | None = None
        wanted = SampleConfig(num_images=GRID_IMAGES, seed=self.config.seed)
        for batch in generate(model, wanted, self.compute):
            drawn = batch.frame.x
            yield Sampling(epoch, batch)
        assert drawn is not None
        path = self.run.samples(epoch)
        images.save_png(path, images.class_grid(images.to_uint8(drawn), classes_drawn(model, wanted)))
        yield SamplesEvent(epoch, drawn, path)

    def _roll_back(self, reason: str, metrics: IO[str]) -> RolledBack:
        """Go back to the last good checkpoint with half the learning rate."""
        factor = self.state.lr_factor / 2
        self.processes.order(ROLL_BACK)
        self._restore(load_checkpoint(self.run.last), factor)
        metrics.flush()
        self.run.truncate_metrics(self.step)
        return RolledBack(self.step, self.config.lr * factor, reason)

    def _restore(self, saved: dict[str, Any], lr_factor: float) -> None:
        """Take up what the first process read from the last good checkpoint."""
        saved, lr_factor = self.processes.tell((saved, lr_factor))
        self.state.network.zero_grad(set_to_none=True)
        self.state.restore(saved, self.run.last)
        self.state.lr_factor = lr_factor

    def _finish(self) -> None:
        self._save()
        save_checkpoint(self.run.final, self.state.content(self.config))
        entries = self.run.read_metrics()
        if entries:
            title = f"{self.config.dataset}, {self.config.model}, {self.config.objective} loss"
            save_loss_plot(self.run.loss_plot, [e["step"] for e in entries], [e["loss"] for e in entries], title)

    # --- pieces

    def _length(self) -> int:
        return self.config.steps(self.steps_per_epoch, self.step, self.state.seconds)

    def _require_finite(self, loss: Tensor, grad_norm: Tensor) -> None:
        if not math.isfinite(loss.item()) or not math.isfinite(grad_norm.item()):
            raise Diverged(
                f"the loss or its gradient stopped being finite at step {self.step + 1}; the last good checkpoint is "
                f"{self.run.last}; continue from it with --resume and a lower --lr, or --precision fp32"
            )

    def _step_event(self, loss: Tensor, quartiles: Tensor, grad_norm: Tensor, lr: float) -> Step:
        batch = self.config.batch_size
        return Step(
            step=self.step,
            total_steps=self.total_steps,
            epoch=(self.step - 1) // self.steps_per_epoch + 1,
            epochs=self.epochs,
            steps_per_epoch=self.steps_per_epoch,
            loss=loss,
            quartiles=quartiles,
            grad_norm=grad_norm,
            lr=lr,
            images=self.step * batch,
            seconds=self.state.seconds,
            session_images=max(1, self.step - self._session_start) * batch,
            session_seconds=self._session_seconds,
        )

    def _log(self, metrics: IO[str], lr: float) -> None:
        steps = (self.step - 1) % LOG_EVERY + 1
        loss, grad_norm, *rest = self.state.tally.tolist()
        self.state.tally.zero_()
        quartiles = [round(total / count, 6) if count else None for total, count in zip(rest[:4], rest[4:], strict=True)]
        entry = {
            "step": self.step,
            "epoch": (self.step - 1) // self.steps_per_epoch + 1,
            "images": self.step * self.config.batch_size,
            "loss": round(loss / steps, 6),
            "quartiles": quartiles,
            "grad_norm": round(grad_norm / steps, 6),
            "lr": lr,
            "seconds": round(self.state.seconds, 3),
        }
        try:
            metrics.write(json.dumps(entry) + "\n")
            metrics.flush()
        except OSError as error:
            raise UserError(write_failure(self.run.metrics, error)) from error

    def _save(self) -> None:
        self.run.sync_metrics()
        save_checkpoint(self.run.last, self.state.content(self.config))
        self._saved_step = self.step
        self._write_status("running")

    def _write_status(self, status: str) -> None:
        """Write run.json."""
        self.run.write_info(
            {
                "config": self.config.to_dict(),
                "seed": self.config.seed,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "device": self.compute.describe(),
                "status": status,
                "step": self.step,
                "total_steps": self.total_steps,
                "started": self.state.started,
                "ended": now() if status != "running" else None,
            }
        )

    def _open_metrics(self) -> IO[str]:
        try:
            return self.run.metrics.open("a")
        except OSError as error:
            raise UserError(write_failure(self.run.metrics, error)) from error


def _by_quartile(losses: Tensor, t: Tensor, timesteps: int) -> Tensor:
    """(2, 4): the sum of the losses and the number of images in each quarter of the schedule."""
    member = nn.functional.one_hot(t * 4 // timesteps, 4).to(losses.dtype)
    return torch.stack([losses @ member, member.sum(0)])
