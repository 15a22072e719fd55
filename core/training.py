"""Training as an iterator of events. Pull for progress, stop pulling to pause, close to stop: a checkpoint is always left.

for event in Trainer(TrainConfig.of(dataset="mnist")):
    ...
"""

import json
import math
import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from core import images
from core.batches import Batches, lr_fraction
from core.checkpoint import (
    Model,
    build_network,
    describe_network,
    load_checkpoint,
    make_diffusion,
    save_checkpoint,
)
from core.config import SampleConfig, TrainConfig, check_batch
from core.datasets import open_dataset
from core.device import choose_compute
from core.ema import EMA
from core.errors import Diverged, UserError
from core.events import EpochEnd, Event, Finished, Sampling, Saved, Step
from core.events import Samples as SamplesEvent
from core.files import write_failure
from core.runs import RunDir, now
from core.sampling import generate
from core.unet import UNet, make_unet

LOG_EVERY = 10  # steps in one line of metrics.jsonl
GRID_IMAGES = 64


class Trainer:
    """One run in its folder. Iterate over it once; the methods below may be called from another thread meanwhile.

    resume continues the run in config.output_dir from checkpoints/last.pt; only epochs, lr, intervals and the device may differ
    from what it was started with. overwrite replaces it. Raises UserError before anything is written when something does not fit.
    """

    def __init__(self, config: TrainConfig, *, resume: bool = False, overwrite: bool = False) -> None:
        self.run = RunDir(config.output_dir)
        self.run.check_free(resume=resume, overwrite=overwrite)
        self.overwrite = overwrite
        saved = load_checkpoint(self.run.last) if resume else None
        if saved is not None:
            config = merge_for_resume(config, TrainConfig.from_dict(saved["config"]))
        self.config = config
        root = Path(config.data_dir).expanduser() if config.data_dir else None
        self.data = open_dataset(config.dataset, "train", root, config.image_size)
        check_batch(config.batch_size, config.dataset, len(self.data))
        self.compute = choose_compute(config.device, config.precision, config.threads)
        self.diffusion = make_diffusion(config)
        self.network, self.ema, self.optimizer = self._build(saved)
        self.steps_per_epoch = len(self.data) // config.batch_size
        self.total_steps = config.epochs * self.steps_per_epoch
        self.step = saved["step"] if saved else 0
        self.seconds = saved["seconds"] if saved else 0.0
        self.lr_factor = saved["lr_factor"] if saved else 1.0
        self.started = saved["started"] if saved else now()
        self.tally = saved["tally"].to(self.compute.device) if saved else self._new_tally()
        self.epoch_loss = saved["epoch_loss"].to(self.compute.device) if saved else torch.zeros((), device=self.compute.device)
        self._session_start = self.step
        self._session_seconds = 0.0
        self._saved_step = -1
        self._sample_asked = threading.Event()
        self._save_asked = threading.Event()

    # --- asked for from other threads; take effect between two steps

    def scale_lr(self, factor: float) -> None:
        """Multiply the learning rate, on top of its schedule."""
        self.lr_factor *= factor

    def sample_now(self) -> None:
        """Draw a grid of samples after the present step."""
        self._sample_asked.set()

    def checkpoint_now(self) -> None:
        """Write the resume point after the present step."""
        self._save_asked.set()

    def describe(self) -> str:
        """One line: what is trained on what, where."""
        count = sum(p.numel() for p in self.network.parameters())
        return (
            f"{self.config.model} ({count / 1e6:.2f}M parameters, {self.config.objective}) on {self.config.dataset} "
            f"({len(self.data):,} images {self.data.side}x{self.data.side}x{self.data.channels}); {self.compute.describe()}"
        )

    # --- the run

    def __iter__(self) -> Iterator[Event]:
        lock = self.run.lock()
        status = "stopped"
        try:
            if self.overwrite:
                self.run.clear()
            self.run.truncate_metrics(self.step)
            self._write_info("running")
            if self._session_start == 0:
                self._save()
            with self._open_metrics() as metrics:
                yield from self._train(metrics)
            self._finish()
            status = "finished"
            yield Finished(self.step, self.seconds, self.run.final)
        except Diverged:
            status = "diverged"
            raise
        finally:
            try:
                if status == "stopped" and self._saved_step != self.step:
                    self._save()
                self._write_info(status)
            finally:
                lock.release()

    def _train(self, metrics: IO[str]) -> Iterator[Event]:
        batches = Batches(self.config, self.data, self.compute.device)
        parameters = list(self.network.parameters())
        last_save = time.monotonic()
        while self.step < self.total_steps:
            started = time.perf_counter()
            lr = self._set_lr()
            x0, labels, generator = batches.at(self.step)
            t = self.diffusion.draw_t(len(x0), generator)
            noise = torch.randn(x0.shape, generator=generator, device=x0.device)
            self.network.train()
            with self.compute.autocast():
                losses = self.diffusion.loss(self.network, x0, t, noise, labels)
            loss = losses.mean()
            loss.backward()  # type: ignore[no-untyped-call]
            grad_norm = nn.utils.clip_grad_norm_(parameters, self.config.grad_clip or math.inf)
            if self.compute.device.type == "cpu" or self.step % LOG_EVERY == 0:
                self._require_finite(loss, grad_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.ema.update()
            quartiles = _by_quartile(losses.detach(), t, self.config.timesteps)
            self.tally += torch.cat([loss.detach()[None], grad_norm.detach()[None], quartiles.flatten()])
            self.epoch_loss += loss.detach()
            self.step += 1
            self._clock(started)
            if self.step % LOG_EVERY == 0 or self.step == self.total_steps:
                self._log(metrics, lr)
            yield self._step_event(loss.detach(), quartiles, grad_norm, lr)
            epoch, position = divmod(self.step, self.steps_per_epoch)
            if self._sample_asked.is_set():
                self._sample_asked.clear()
                yield from self._sample(epoch + (position > 0))
            if position == 0:
                yield from self._end_epoch(epoch)
            if self._save_asked.is_set() or time.monotonic() - last_save > self.config.checkpoint_seconds:
                self._save_asked.clear()
                self._require_finite(loss, grad_norm)
                self._save()
                last_save = time.monotonic()
                yield Saved(self.step, self.run.last)

    def _end_epoch(self, epoch: int) -> Iterator[Event]:
        mean = self.epoch_loss.item() / self.steps_per_epoch
        self.epoch_loss.zero_()
        yield EpochEnd(epoch, self.config.epochs, mean)
        interval = self.config.sample_interval
        if interval and epoch % interval == 0:
            yield from self._sample(epoch)
        interval = self.config.save_interval
        if interval and epoch % interval == 0:
            path = self.run.checkpoint(epoch)
            save_checkpoint(path, self._content())
            yield Saved(self.step, path)

    def _sample(self, epoch: int) -> Iterator[Event]:
        model = Model(self.ema.network, self.diffusion, self.config, self.data.classes, self.step)
        drawn: Tensor | None = None
        for batch in generate(model, SampleConfig(num_images=GRID_IMAGES, seed=self.config.seed), self.compute):
            drawn = batch.frame.x
            yield Sampling(epoch, batch)
        assert drawn is not None
        path = self.run.samples(epoch)
        images.save_png(path, images.grid(images.to_uint8(drawn)))
        yield SamplesEvent(epoch, drawn, path)

    def _finish(self) -> None:
        self._save()
        save_checkpoint(self.run.final, self._content())
        entries = self.run.read_metrics()
        if entries:
            title = f"{self.config.dataset}, {self.config.model}, {self.config.objective} loss"
            images.save_loss_plot(self.run.loss_plot, [e["step"] for e in entries], [e["loss"] for e in entries], title)

    # --- pieces of a step

    def _set_lr(self) -> float:
        lr = self.config.lr * self.lr_factor * lr_fraction(self.config, self.step, self.total_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _require_finite(self, loss: Tensor, grad_norm: Tensor) -> None:
        if not math.isfinite(loss.item()) or not math.isfinite(grad_norm.item()):
            raise Diverged(
                f"the loss or its gradient stopped being finite at step {self.step + 1}; the last good checkpoint is "
                f"{self.run.last}; continue from it with --resume and a lower --lr, or --precision fp32"
            )

    def _clock(self, started: float) -> None:
        spent = time.perf_counter() - started
        self.seconds += spent
        self._session_seconds += spent

    def _step_event(self, loss: Tensor, quartiles: Tensor, grad_norm: Tensor, lr: float) -> Step:
        batch = self.config.batch_size
        return Step(
            step=self.step,
            total_steps=self.total_steps,
            epoch=(self.step - 1) // self.steps_per_epoch + 1,
            epochs=self.config.epochs,
            steps_per_epoch=self.steps_per_epoch,
            loss=loss,
            quartiles=quartiles,
            grad_norm=grad_norm,
            lr=lr,
            images=self.step * batch,
            seconds=self.seconds,
            session_images=(self.step - self._session_start) * batch,
            session_seconds=self._session_seconds,
        )

    def _new_tally(self) -> Tensor:
        """Sums since the last line of metrics: loss, gradient norm, loss by quarter of t (4), images by quarter of t (4)."""
        return torch.zeros(10, device=self.compute.device)

    def _log(self, metrics: IO[str], lr: float) -> None:
        steps = (self.step - 1) % LOG_EVERY + 1
        loss, grad_norm, *rest = self.tally.tolist()
        self.tally.zero_()
        quartiles = [round(total / count, 6) if count else None for total, count in zip(rest[:4], rest[4:], strict=True)]
        entry = {
            "step": self.step,
            "epoch": (self.step - 1) // self.steps_per_epoch + 1,
            "images": self.step * self.config.batch_size,
            "loss": round(loss / steps, 6),
            "quartiles": quartiles,
            "grad_norm": round(grad_norm / steps, 6),
            "lr": lr,
            "seconds": round(self.seconds, 3),
        }
        try:
            metrics.write(json.dumps(entry) + "\n")
            metrics.flush()
        except OSError as error:
            raise UserError(write_failure(self.run.metrics, error)) from error

    # --- building and saving

    def _build(self, saved: dict[str, Any] | None) -> tuple[UNet, EMA, torch.optim.AdamW]:
        config, device = self.config, self.compute.device
        if saved:
            network = build_network(saved["network"], saved["model"], self.run.last)
        else:
            classes = len(self.data.classes) if config.conditional else 0
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(config.seed)
                network = make_unet(config.model, self.data.side, self.data.channels, classes, config.learn_variance)
        network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        ema = EMA(network, config.ema_decay)
        fused = device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(network.parameters(), config.lr, weight_decay=config.weight_decay, fused=fused)
        if saved:
            ema.network.load_state_dict(saved["ema"])
            ema.updates = saved["ema_updates"]
            optimizer.load_state_dict(saved["optimizer"])
        return network, ema, optimizer

    def _content(self) -> dict[str, Any]:
        return {
            "config": self.config.to_dict(),
            "network": describe_network(self.network),
            "classes": list(self.data.classes),
            "step": self.step,
            "model": self.network.state_dict(),
            "ema": self.ema.state_dict(),
            "ema_updates": self.ema.updates,
            "optimizer": self.optimizer.state_dict(),
            "tally": self.tally,
            "epoch_loss": self.epoch_loss,
            "seconds": self.seconds,
            "lr_factor": self.lr_factor,
            "started": self.started,
        }

    def _save(self) -> None:
        save_checkpoint(self.run.last, self._content())
        self._saved_step = self.step
        self._write_info("running")

    def _write_info(self, status: str) -> None:
        self.run.write_info(
            {
                "config": self.config.to_dict(),
                "seed": self.config.seed,
                "versions": {"torch": torch.__version__, "python": platform.python_version()},
                "device": self.compute.describe(),
                "status": status,
                "step": self.step,
                "total_steps": self.total_steps,
                "started": self.started,
                "ended": now() if status != "running" else None,
            }
        )

    def _open_metrics(self) -> IO[str]:
        try:
            return self.run.metrics.open("a")
        except OSError as error:
            raise UserError(write_failure(self.run.metrics, error)) from error


_FREE_ON_RESUME = (
    "epochs",
    "lr",
    "precision",
    "sample_interval",
    "save_interval",
    "checkpoint_seconds",
    "output_dir",
    "data_dir",
    "device",
    "threads",
)


def merge_for_resume(asked: TrainConfig, saved: TrainConfig) -> TrainConfig:
    """The saved config with what may change taken from the one asked for. Raises UserError for any other difference."""
    old, new = saved.to_dict(), asked.to_dict()
    different = [name for name in old if old[name] != new[name] and name not in _FREE_ON_RESUME]
    if different:
        name = different[0]
        flag = "--" + name.replace("_", "-")
        raise UserError(
            f"the run in {asked.output_dir} has {flag} {old[name]}, not {new[name]}; leave {flag} out to continue it, "
            "replace it with --overwrite, or choose another --output-dir"
        )
    return TrainConfig.of(**(old | {name: new[name] for name in _FREE_ON_RESUME}))


def _by_quartile(losses: Tensor, t: Tensor, timesteps: int) -> Tensor:
    """(2, 4): the sum of the losses and the number of images in each quarter of the schedule."""
    member = nn.functional.one_hot(t * 4 // timesteps, 4).to(losses.dtype)
    return torch.stack([losses @ member, member.sum(0)])
