"""The answers of the lessons, each computed another way than the lesson does."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from core import images
from core.config import SampleConfig
from core.data.glyphs import make_glyphs
from core.diffusion.samplers import spaced_timesteps
from tinydiff_tui.jobs import experiments
from tinydiff_tui.jobs.experiments import digits, the_model
from tinydiff_tui.jobs.lessons import LESSONS, Outcome, Scene


def outcome(name: str, seed: int) -> Outcome:
    """Run a lesson to its end; every scene on the way can be shown."""
    (lesson,) = (each for each in LESSONS if each.name == name)
    for scene in lesson.before(seed):
        check(scene)
    last: Scene | Outcome | None = None
    for last in lesson.run(seed):
        check(last.scene if isinstance(last, Outcome) else last)
    assert isinstance(last, Outcome)
    assert 0 <= last.right < len(lesson.choices) and last.said
    return last


def check(scene: Scene) -> None:
    rows, columns = scene.pictures.shape[:2]
    assert scene.pictures.dtype == np.uint8 and len(scene.rows) == rows and len(scene.headings) in (0, columns)
    assert all(line.x.shape == line.y.shape for line in scene.curves)


def noises(seed: int, count: int) -> torch.Tensor:
    """The first noises of a seed, as the samplers have them, image by image."""
    from core.compute.seeds import generator_for

    return torch.stack([torch.randn((1, 28, 28), generator=generator_for("cpu", seed, "image", k)) for k in range(count)])


@pytest.mark.parametrize("seed", [0, 5])
def test_noise(seed: int) -> None:
    mean = noises(seed, 64).double().sum(0) / 64
    left = math.sqrt(float((mean**2).mean() - mean.mean() ** 2))
    found = outcome("noise", seed)
    assert found.figures["left"] == pytest.approx(left, rel=1e-6)
    assert found.right == int(np.abs(np.log2(left) - np.array([0, -1, -3, -6])).argmin()) == 2


@pytest.mark.parametrize("seed", [0, 5])
def test_forward(seed: int) -> None:
    """In float64, where the algebra is exact, and from the betas of the paper."""
    a = math.sqrt(np.prod(1 - np.linspace(1e-4, 0.02, 1000)))
    s, x0, epsilon = math.sqrt(1 - a * a), images.to_float(digits(seed, 1)[0]).double(), noises(seed, 1).double()
    assert torch.allclose((a * x0 + s * epsilon - s * epsilon) / a, x0)
    found = outcome("forward", seed)
    assert found.right == 0 and found.figures["off"] < 1e-3
    assert np.array_equal(found.scene.pictures[2, -1], digits(seed, 1)[0][0].numpy())


def test_schedules() -> None:
    """By the formulas of the papers."""
    u = np.arange(1, 1001) / 1000
    alpha_bar = {
        "linear": np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)),
        "cosine": np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2 / np.cos(0.008 / 1.008 * np.pi / 2) ** 2,
        "sigmoid": (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3 - 6 * u))) / (1 / (1 + np.exp(-3)) - 1 / (1 + np.exp(3))),
        "flow": (1 - u) ** 2,
    }
    counts = {name: int((values < 0.01).sum()) for name, values in alpha_bar.items()}
    found = outcome("schedules", 0)
    assert found.figures.keys() == counts.keys()
    assert all(abs(found.figures[name] - count) <= 1 for name, count in counts.items())
    assert list(counts)[found.right] == min(counts, key=counts.__getitem__)


def network(x_t: torch.Tensor, t: int, labels: torch.Tensor | None = None) -> torch.Tensor:
    """x_0 by the embedded model asked as it was trained, for the velocity epsilon - x_0 at x_t = (1 - s) x_0 + s epsilon."""
    s, unet = (t + 1) / 1000, the_model().network
    with torch.inference_mode():
        velocity: torch.Tensor = unet(x_t, torch.full((len(x_t),), t), labels).float()
    return (x_t - s * velocity).clamp(-1, 1)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer pictures, in full precision, so that another way to the same numbers comes to the same numbers."""
    from core.compute.device import choose_compute

    plain = choose_compute("cpu", "fp32", 2)
    monkeypatch.setattr(experiments, "choose_compute", lambda: plain)
    for name, value in {"MEASURED": 6, "OF_A_CLASS": 4, "_REAL": 300, "MANY": 20}.items():
        monkeypatch.setattr(experiments, name, value)


@pytest.mark.usefixtures("small")
def test_prediction() -> None:
    clean, epsilon = images.to_float(digits(3, 6)[0]), noises(3, 6)
    errors = []
    for t in (0, 333, 666, 999):
        s = (t + 1) / 1000
        errors.append(float(F.mse_loss(network((1 - s) * clean + s * epsilon, t), clean)))
    found = outcome("prediction", 3)
    assert [found.figures[f"third {k}"] for k in (1, 2, 3)] == pytest.approx(np.diff(errors), abs=1e-3)
    assert found.right == int(np.diff(errors).argmax())


@pytest.mark.usefixtures("small", "small_glyphs")
def test_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the losses of the steps as the trainer tells them."""
    from core.training.events import Step
    from core.training.trainer import Trainer

    tiny = {"model": "tiny", "epochs": 20, "batch_size": 16, "precision": "fp32", "device": "cpu", "timesteps": 100}
    monkeypatch.setattr(experiments, "TRAINED", tiny)
    losses: list[float] = []
    run = Trainer.__iter__

    def told(self: Trainer) -> Iterator[object]:
        for event in run(self):
            if isinstance(event, Step):
                losses.append(float(event.loss))
            yield event

    monkeypatch.setattr(Trainer, "__iter__", told)
    found = outcome("training", 0)
    assert len(losses) == 120
    half, end = sum(losses[54:66]) / 12, sum(losses[-12:]) / 12
    assert (found.figures["half"], found.figures["end"]) == pytest.approx((half, end), rel=1e-5)
    fall = 1 - end / half
    assert found.right == int(np.abs(np.array([0.5, 0.25, 0.05]) - fall).argmin())
    assert found.scene.rows[-1][0] == "step 120"


@pytest.mark.usefixtures("small")
def test_sampling() -> None:
    """Euler's steps written out on the straight path, without a sampler of the engine; guided as the default is."""
    options, unet = SampleConfig().resolve(the_model().config, 10), the_model().network
    labels, none = torch.arange(10), torch.full((10,), 10)
    x = noises(4, 10)
    predicted = []
    times = spaced_timesteps(1000, 16)
    for t, following in zip(times, [*times[1:], -1], strict=True):
        s, s_next = (t + 1) / 1000, (following + 1) / 1000
        with torch.inference_mode():
            steps = torch.full((10,), t)
            v, free = (unet(x, steps, asked).float() for asked in (labels, none))
        if 0.25 <= s / max(1 - s, 1e-12) <= 10:
            v = free + options.guidance_scale * (v - free)
        x0 = (x - s * v).clamp(-1, 1)
        predicted.append(x0)
        x = x0 + s_next * (x - x0) / s
    left = [float((x0 - x).square().mean()) for x0 in predicted]
    needed = 1 + next(k for k, value in enumerate(left) if value < 0.1 * left[0])
    found = outcome("sampling", 4)
    assert found.figures["needed"] == needed
    assert found.right == min(range(4), key=lambda k: abs((4, 8, 12, 16)[k] - needed))
    curve = next(line for line in found.scene.curves if line.name == "x̂₀")
    assert curve.y[:-1] == pytest.approx(np.array(left) / left[0], abs=1e-3)


@pytest.mark.usefixtures("small")
def test_guidance() -> None:
    """Of the pictures themselves, pair by pair, and by the nearest real digit in numpy."""
    real, labels = (part.numpy() for part in make_glyphs(300, 0))
    found = outcome("guidance", 7)
    measures = []
    for row in (1, 4):  # guidance 1 and 8
        pictures = found.scene.pictures[row].astype(np.float64) / 127.5 - 1
        pairs = [np.sqrt(((a - b) ** 2).mean()) for k, a in enumerate(pictures) for b in pictures[k + 1 :]]
        far = [((picture - (real / 127.5 - 1)) ** 2).sum((1, 2, 3)) for picture in pictures]
        right = np.mean([labels[distances.argmin()] == 7 for distances in far])
        measures.append((float(right), float(np.mean(pairs)), float(pictures.std())))
    grown = [after / max(before, 1e-9) for before, after in zip(*measures, strict=True)]
    assert list(found.figures.values()) == pytest.approx(grown, rel=0.02)
    assert found.right == (int(np.argmax(grown)) if max(grown) > 1.05 else 3)


@pytest.mark.usefixtures("small")
def test_steps() -> None:
    """Of the pictures themselves."""
    found = outcome("steps", 2)
    drawn = found.scene.pictures.astype(np.float64) / 127.5 - 1
    off = [float(((row - drawn[-1]) ** 2).sum() / (drawn[-1] ** 2).sum()) for row in drawn[:-1]]
    assert list(found.figures.values()) == pytest.approx(off, abs=0.01)
    needed = next((n for n, value in zip((1, 2, 4, 8, 16), off, strict=True) if value < 0.05), 16)
    assert (2, 4, 8, 16)[found.right] == max(needed, 2)
    assert off == sorted(off, reverse=True)
