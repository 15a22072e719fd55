"""What benchmarks/training.py trains in turns: ours by its own Trainer, the peers as their documentation trains them."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from core.compute.seeds import generator_for
from core.config import SampleConfig, TrainConfig
from core.data.datasets import ImageSet, open_dataset
from core.diffusion.generate import generate
from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from core.images import Pixels, to_float, to_uint8
from core.names import NETWORKS
from core.network.norms import GroupNorm
from core.network.unet import Grow, reference
from core.training.events import Step
from core.training.trainer import Trainer


@dataclass(frozen=True)
class Setting:
    """What all contestants share; ours trains for `seconds` as its recipe says, its learning rate 0 at their end, or for ever (0)
    by `batch`. `seed` is that of the training."""

    dataset: str
    data_dir: str
    image_size: int
    batch: int
    seconds: int
    device: str
    seed: int

    def data(self) -> ImageSet:
        return open_dataset(self.dataset, "train", Path(self.data_dir) if self.data_dir else None, self.image_size)


class Contestant(Protocol):
    """Something that learns to draw."""

    name: str
    samplers: Sequence[str]  # those that may be its best

    def step(self) -> Tensor:
        """Train on one batch; the loss, on the device."""

    def draw(self, sampler: str, count: int) -> Pixels:
        """uint8 (N, H, W, C) of the averaged weights."""

    def close(self) -> None:
        """Leave nothing behind."""


class Ours:
    """A model of this project."""

    def __init__(self, model: str, setting: Setting) -> None:
        self.name = f"ours {model}"
        self.samplers: Sequence[str] = ("default",)
        self._folder = tempfile.TemporaryDirectory()
        config = TrainConfig.of(
            model=model, dataset=setting.dataset, data_dir=setting.data_dir, image_size=setting.image_size, device=setting.device,
            sample_interval=0, save_interval=0, seed=setting.seed, checkpoint_seconds=100_000,
            output_dir=str(Path(self._folder.name) / "run"),
            **({"budget": f"{setting.seconds}s"} if setting.seconds else {"budget": "168h", "batch_size": setting.batch}),
        )  # fmt: skip
        self.trainer = Trainer(config)
        self._events = iter(self.trainer)

    def step(self) -> Tensor:
        for event in self._events:
            if isinstance(event, Step):
                return event.loss
        raise AssertionError("more steps than were asked for")

    def draw(self, sampler: str, count: int) -> Pixels:
        drawn = generate(self.trainer.model(), SampleConfig(num_images=count), self.trainer.compute)
        return to_uint8(torch.cat([batch.frame.x.cpu() for batch in drawn if batch.frame.t < 0]))

    def close(self) -> None:
        self._events.close()
        self._folder.cleanup()


def at_once(count: int) -> list[int]:
    """How many images a peer draws at a time."""
    return [min(64, count - first) for first in range(0, count, 64)]


class Peer:
    """What the peers share: batches cut from the data on the device, AdamW, an average of the weights.

    The average forgets faster at first, min(0.999, (1 + n) / (10 + n)) after n steps, as that of diffusers and of torch_ema do.
    """

    name = ""
    samplers: Sequence[str] = ()
    rate = 1e-3
    clip = 1.0
    average = 0.999

    def __init__(self, network: nn.Module, data: ImageSet, batch: int, device: torch.device, *, half: bool, fast: bool) -> None:
        self.device, self.batch, self.half = device, batch, half
        self.data, self.labels = data.images.to(device), data.labels.to(device)
        self.network = network.to(device)
        if fast:
            self.network = self.network.to(memory_format=torch.channels_last)
        self.run: Any = torch.compile(self.network) if fast and device.type == "cuda" else self.network
        self.optimizer = torch.optim.AdamW(self.network.parameters(), self.rate, fused=fast)
        self.averaged = torch.optim.swa_utils.AveragedModel(self.network, multi_avg_fn=self._average)

    def _average(self, averaged: Any, current: Any, count: Any) -> None:
        kept = min(self.average, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    def step(self) -> Tensor:
        index = torch.randint(len(self.data), (self.batch,)).to(self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
            loss = self.loss(to_float(self.data[index]), self.labels[index])
        loss.backward()
        if self.clip:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.averaged.update_parameters(self.network)
        return loss.detach()

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        raise NotImplementedError

    def draw(self, sampler: str, count: int) -> Pixels:
        raise NotImplementedError

    def close(self) -> None:
        pass


class PlainGrow(nn.Conv2d):
    """core.network.unet.Grow by its definition."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(F.interpolate(input, scale_factor=2.0, mode="nearest"))


class Plain(Peer):
    """Our `reference` as a plain script trains it: fp32, torch's own GroupNorm and memory format. It is not drawn from."""

    name, rate = "reference, plain fp32", 2e-4

    def __init__(self, data: ImageSet, batch: int, device: torch.device) -> None:
        network = reference(data.side, data.channels)
        for module in network.modules():
            if isinstance(module, GroupNorm):
                module.__class__ = nn.GroupNorm  # type: ignore[assignment]
            if isinstance(module, Grow):
                module.__class__ = PlainGrow  # type: ignore[assignment]
        self.diffusion = Diffusion(NoiseSchedule("linear", 1000))
        super().__init__(network, data, batch, device, half=False, fast=False)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        t = torch.randint(1000, (len(x),), device=x.device)
        return self.diffusion.loss(self.run, x, t, torch.randn_like(x)).mean()


class Diffusers(Peer):
    """The U-Net and training of diffusers' course, without classes; drawn in 20 evaluations by DDPM or DPM-Solver++."""

    def __init__(self, data: ImageSet, batch: int, device: torch.device, *, half: bool) -> None:
        from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, UNet2DModel

        self.name = "diffusers " + ("bf16 channels_last" if half else "fp32")
        self.name += " compile" if half and device.type == "cuda" else ""
        network = UNet2DModel(
            sample_size=data.side, in_channels=data.channels, out_channels=data.channels, layers_per_block=2,
            block_out_channels=(32, 64, 64), down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        self.scheduler = DDPMScheduler(1000, beta_schedule="squaredcos_cap_v2")
        kinds = {"ddpm": DDPMScheduler, "dpm++": DPMSolverMultistepScheduler}
        self.schedulers = {name: kind(1000, beta_schedule="squaredcos_cap_v2") for name, kind in kinds.items()}
        self.samplers = tuple(kinds)
        super().__init__(network, data, batch, device, half=half, fast=half)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        noise = torch.randn_like(x)
        t = torch.randint(1000, (len(x),), device=x.device)
        return F.mse_loss(self.run(self.scheduler.add_noise(x, noise, t), t).sample, noise)

    @torch.inference_mode()
    def draw(self, sampler: str, count: int) -> Pixels:
        scheduler = self.schedulers[sampler]
        x = torch.randn(count, self.data.shape[3], *self.data.shape[1:3], generator=generator_for("cpu", 0, "draw")).to(
            self.device
        )
        scheduler.set_timesteps(20)
        for t in scheduler.timesteps:
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.half):
                predicted = torch.cat([self.averaged(part, t.to(self.device)).sample for part in x.split(64)])
            x = scheduler.step(predicted.float(), t, x).prev_sample
        return to_uint8(x)


class Lucidrains(Peer):
    """denoising-diffusion-pytorch as its README builds it, at a width that MNIST needs; DDIM in 20 evaluations."""

    name = "denoising-diffusion-pytorch"
    samplers: Sequence[str] = ("ddim",)
    rate = 8e-5

    def __init__(self, data: ImageSet, batch: int, device: torch.device) -> None:
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet

        network = Unet(dim=32, dim_mults=(1, 2, 4), channels=data.channels)
        diffusion = GaussianDiffusion(network, image_size=data.side, timesteps=1000, sampling_timesteps=20)
        super().__init__(diffusion, data, batch, device, half=False, fast=False)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        return torch.as_tensor(self.run((x + 1) / 2))  # it scales to [-1, 1] itself

    @torch.inference_mode()
    def draw(self, sampler: str, count: int) -> Pixels:
        sample: Any = self.averaged.module.sample
        drawn = [sample(batch_size=size) for size in at_once(count)]
        return to_uint8(torch.cat(drawn) * 2 - 1)


class Small(Peer):
    """smalldiffusion as its Fashion-MNIST example trains a U-Net, attention at half the side; its sampler in 20 evaluations."""

    name = "smalldiffusion"
    samplers: Sequence[str] = ("accelerated",)
    rate, clip = 7e-4, 0

    def __init__(self, data: ImageSet, batch: int, device: torch.device) -> None:
        from smalldiffusion import Scaled, ScheduleLogLinear, Unet

        network = Scaled(Unet)(
            data.side, data.channels, data.channels, ch=64, ch_mult=(1, 1, 2), attn_resolutions=(data.side // 2,)
        )  # fmt: skip
        self.schedule = ScheduleLogLinear(sigma_min=0.01, sigma_max=20, N=800)
        super().__init__(network, data, batch, device, half=False, fast=False)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        from smalldiffusion import generate_train_sample

        x, sigma, noise, _ = generate_train_sample(x, self.schedule)
        return torch.as_tensor(self.run.get_loss(x, sigma, noise))

    @torch.inference_mode()
    def draw(self, sampler: str, count: int) -> Pixels:
        from accelerate import Accelerator
        from smalldiffusion import samples

        here, sigmas = Accelerator(cpu=self.device.type == "cpu"), self.schedule.sample_sigmas(20)
        drawn = (samples(self.averaged.module, sigmas, gam=1.6, batchsize=size, accelerator=here) for size in at_once(count))
        return to_uint8(torch.cat([list(frames)[-1] for frames in drawn]))


class CFM(Peer):
    """TorchCFM as its MNIST example trains a U-Net that is told the class; Euler in 20 evaluations, or its dopri5 to 1e-4."""

    name = "TorchCFM"
    samplers: Sequence[str] = ("euler", "dopri5")
    clip = 0

    def __init__(self, data: ImageSet, batch: int, device: torch.device) -> None:
        from torchcfm.conditional_flow_matching import ConditionalFlowMatcher
        from torchcfm.models.unet import UNetModel

        self.flow, self.classes = ConditionalFlowMatcher(sigma=0.0), len(data.classes)
        network = UNetModel(
            dim=(data.channels, data.side, data.side),
            num_channels=32,
            num_res_blocks=1,
            num_classes=self.classes,
            class_cond=True,
        )
        super().__init__(network, data, batch, device, half=False, fast=False)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        t, between, flow = self.flow.sample_location_and_conditional_flow(torch.randn_like(x), x)
        return F.mse_loss(self.run(t, between, labels), flow)

    @torch.inference_mode()
    def draw(self, sampler: str, count: int) -> Pixels:
        from torchdiffeq import odeint

        noises = torch.randn(count, self.data.shape[3], *self.data.shape[1:3]).to(self.device)
        labels = (torch.arange(count) % self.classes).to(self.device)
        times = torch.linspace(0, 1, 21 if sampler == "euler" else 2, device=self.device)

        def sample(x: Tensor, y: Tensor) -> Tensor:
            path = odeint(lambda t, x: self.averaged(t, x, y), x, times, method=sampler, atol=1e-4, rtol=1e-4)
            return torch.as_tensor(path)[-1]

        return to_uint8(torch.cat([sample(x, y) for x, y in zip(noises.split(64), labels.split(64), strict=True)]))


NAMES = (
    "fast", "reference", "reference-plain", "diffusers-fp32", "diffusers-bf16", "denoising-diffusion-pytorch", "smalldiffusion",
    "torchcfm",
)  # fmt: skip


def contestant(key: str, setting: Setting) -> Contestant:
    """One of NAMES. Raises ImportError when not installed."""
    torch.manual_seed(setting.seed)
    if key in NETWORKS:
        return Ours(key, setting)
    data, batch, place = setting.data(), setting.batch, torch.device(setting.device)
    match key:
        case "reference-plain":
            return Plain(data, batch, place)
        case "denoising-diffusion-pytorch":
            return Lucidrains(data, batch, place)
        case "smalldiffusion":
            return Small(data, batch, place)
        case "torchcfm":
            return CFM(data, batch, place)
        case _:
            return Diffusers(data, batch, place, half=key == "diffusers-bf16")
