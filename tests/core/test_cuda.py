"""The CUDA path, on a machine that has one: trained, resumed and drawn there, and equal to the CPU's up to rounding."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.compute.device import choose_compute
from core.config import SampleConfig
from core.diffusion.generate import generate
from core.runs.checkpoint import load_model
from core.training.events import Step
from core.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


def losses(trainer: Trainer, steps: int) -> list[float]:
    """Of the next steps; the run is then closed, which leaves its checkpoint."""
    found: list[float] = []
    events = iter(trainer)
    for event in events:
        if isinstance(event, Step):
            found.append(event.loss.item())
            if len(found) == steps:
                break
    events.close()
    return found


def test_data_weights_and_losses_stay_on_the_device(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", device="cuda", precision="auto"))
    assert trainer.compute.device.type == "cuda"
    assert trainer.stepper.batches.images.is_cuda
    event = next(event for event in trainer if isinstance(event, Step))
    assert event.loss.is_cuda and event.grad_norm.is_cuda and event.quartiles.is_cuda


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dataset_options", [{}, {"conditional": True}, {"objective": "epsilon", "learn_variance": True}])
def test_graphs_train_as_the_network_does(
    tmp_path: Path, tiny_config: Callable[..., Any], precision: str, dataset_options: dict[str, Any]
) -> None:
    config = tiny_config(tmp_path / "graphs", device="cuda", precision=precision, epochs=50, sample_interval=0, **dataset_options)
    graphed = Trainer(config)
    assert graphed.compute.why.endswith("CUDA graphs") and "no CUDA graphs" not in graphed.compute.why
    eager = Trainer(replace(config, output_dir=str(tmp_path / "eager")))
    eager.stepper.network.forward = type(eager.state.network).forward.__get__(eager.state.network)
    assert losses(graphed, 20) == pytest.approx(losses(eager, 20), rel=1e-3 if precision == "fp32" else 2e-2)


@pytest.mark.parametrize("model", ["tiny", "fast", "reference"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_it_learns_and_resumes(tmp_path: Path, tiny_config: Callable[..., Any], model: str, precision: str) -> None:
    config = tiny_config(tmp_path / "run", model=model, device="cuda", precision=precision, epochs=50, sample_interval=0)
    first = losses(Trainer(config), 40)
    assert sum(first[-10:]) < 0.8 * sum(first[:10])
    trainer = Trainer(config, resume=True)
    assert trainer.step == 40
    assert sum(losses(trainer, 10)) < sum(first[:10])


def test_it_draws_what_the_cpu_draws(tiny_run: Path) -> None:
    drawn = {}
    for device in ("cpu", "cuda"):
        compute = choose_compute(device, "fp32")
        model = load_model(tiny_run / "model_final.pt", device=compute.device)
        *_, last = generate(model, SampleConfig(num_images=8, steps=10), compute)
        drawn[device] = last.frame.x.cpu()
    assert torch.allclose(drawn["cpu"], drawn["cuda"], atol=2e-2)


def test_the_first_steps_lose_what_the_cpu_loses(tmp_path: Path, tiny_config: Callable[..., Any]) -> None:
    """The generators differ, so the mean is compared, not each loss."""
    found = [
        losses(Trainer(tiny_config(tmp_path / d, device=d, precision="fp32", epochs=50, sample_interval=0)), 30)
        for d in ("cpu", "cuda")
    ]
    assert sum(found[0]) == pytest.approx(sum(found[1]), rel=0.25)
