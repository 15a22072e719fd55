"""What stands beside the steps of a training, the loss on images held out and previews: it changes nothing and costs little."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.compute.device import choose_compute
from core.config import TrainConfig
from core.data.datasets import open_dataset
from core.data.tree import find_pictures
from core.diffusion.model import make_diffusion
from core.runs.folder import RunDir
from core.training.aside import HELD_OUT, PREVIEWS, SHARE_HELD_OUT, SHARE_PREVIEWS, Allowance, HeldOutLoss, evenly
from core.training.clock import Clock
from core.training.events import Event, HeldOut, Noted, Preview, Step
from core.training.measure import measure
from core.training.trainer import Trainer

from .compare import assert_same_run

Config = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("small_glyphs")


def lavish(trainer: Trainer) -> Trainer:
    """The trainer, with everything beside the steps after each of them."""
    trainer.watched = True
    trainer.aside._previews = trainer.aside._looks = Allowance(1e9, every=0.0)
    return trainer


def kind(events: list[Event], of: type) -> list[Any]:
    return [event for event in events if isinstance(event, of)]


@pytest.mark.parametrize("conditional", [False, True])
def test_what_stands_beside_the_steps_changes_no_bit(tiny_config: Config, tmp_path: Path, conditional: bool) -> None:
    for name, made in (("plain", Trainer), ("lavish", lambda config: lavish(Trainer(config)))):
        events = list(made(tiny_config(tmp_path / name, conditional=conditional)))
    previews, held_out = kind(events, Preview), kind(events, HeldOut)
    assert [preview.step for preview in previews] == list(range(13))
    assert [look.step for look in held_out] == [10, 12], "one a line of metrics"
    assert_same_run(tmp_path / "plain", tmp_path / "lavish")
    lines = RunDir(tmp_path / "lavish").read_metrics()
    assert [line["held_out"] for line in lines] == pytest.approx([look.loss for look in held_out], abs=1e-6)
    assert [line["held_out_quartiles"] for line in lines] == [pytest.approx(look.quartiles, abs=1e-6) for look in held_out]
    assert not kind(events, Noted)
    assert all(preview.images.shape == (PREVIEWS, 1, 28, 28) for preview in previews)
    assert previews[0].labels == (tuple(range(10)) if conditional else ())
    assert not torch.equal(previews[0].images, previews[-1].images)


def test_nobody_who_does_not_look_pays_for_previews(tiny_config: Config, tmp_path: Path) -> None:
    trainer = lavish(Trainer(tiny_config(tmp_path / "run")))
    trainer.watched = False
    assert not kind(list(trainer), Preview)


def test_all_of_it_takes_three_hundredths_of_the_time(tiny_config: Config, tmp_path: Path) -> None:
    """By a clock that goes on by what networks evaluate: steps of a quarter of a second, and what is cheap beside them."""

    class Watch:
        time = 100.0

        def __call__(self) -> float:
            return self.time

    watch = Watch()
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, save_interval=0, epochs=120, batch_size=96))
    trainer._clock, trainer.watched = Clock(watch), True

    def forward(step: float, alone: float) -> Callable[..., None]:
        def hook(*_: object) -> None:
            watch.time += step if torch.is_grad_enabled() else alone

        return hook

    trainer.state.network.register_forward_hook(forward(0.25, 0.07))
    trainer.state.ema.network.register_forward_hook(forward(0.0, 0.01))
    seen: list[Any] = []
    for event in trainer:
        if isinstance(event, Preview | HeldOut):
            seen.append(event)
            assert trainer.aside.share <= 0.03
    previews = [event.seconds for event in seen if isinstance(event, Preview)]
    assert previews[0] < 2.5, "the first one after two seconds"
    assert len(previews) > 10 and np.diff(previews).min() >= 2
    looks = [event.seconds for event in seen if isinstance(event, HeldOut)]
    assert len(looks) == 1, "three batches, 0.21 s, have to wait for their share"


@given(costs=st.lists(st.floats(0.001, 20), min_size=1, max_size=30), step=st.floats(0.001, 3))
def test_an_allowance_waits_until_what_was_spent_is_a_share(costs: list[float], step: float) -> None:
    allowance, trained, last = Allowance(0.02, every=2.0), 0.0, costs[0]
    for cost in costs:
        waited = 0
        while not allowance.due(trained, guess=costs[0]):
            jump = max(step, (allowance.spent + last) / 0.02 - trained - step)
            trained, waited = trained + jump, waited + 1
            assert waited < 5000
        assert allowance.spent + last <= 0.02 * trained * (1 + 1e-9)
        trained, last = trained + cost, cost
        allowance.done(trained, cost)
    assert SHARE_HELD_OUT + SHARE_PREVIEWS <= 0.03


@given(labels=st.lists(st.integers(0, 6), min_size=1, max_size=80), seed=st.integers(0, 99))
def test_the_first_of_an_even_choice_are_of_all_classes(labels: list[int], seed: int) -> None:
    order = evenly(torch.tensor(labels), torch.Generator().manual_seed(seed)).tolist()
    assert sorted(order) == list(range(len(labels)))
    left = {label: labels.count(label) for label in labels}
    taken = dict.fromkeys(left, 0)
    for place in order:
        taken[labels[place]] += 1
        assert all(taken[a] >= min(left[a], max(taken.values()) - 1) for a in left)


def test_the_batch_held_out_is_spread_as_the_training_draws(tiny_config: Config, tmp_path: Path) -> None:
    config, compute = tiny_config(tmp_path, conditional=True, label_dropout=0.25), choose_compute("cpu", "fp32")
    trainer = Trainer(config)
    one = HeldOutLoss(config, open_dataset("glyphs", "test"), make_diffusion(config), compute.device)
    assert one.labels is not None and one.labels.bincount(minlength=11)[10].item() == pytest.approx(HELD_OUT / 4, abs=24)
    drawn = trainer.stepper.diffusion.draw_t(100_000, torch.Generator().manual_seed(1))
    for share in (0.1, 0.5, 0.9):
        assert one.t.double().quantile(share).item() == pytest.approx(drawn.double().quantile(share).item(), abs=2)
    again = HeldOutLoss(tiny_config(tmp_path, conditional=True, seed=9, batch_size=96), open_dataset("glyphs", "test"),
                        make_diffusion(config), compute.device)  # fmt: skip
    assert torch.equal(one.x0, again.x0) and torch.equal(one.t, again.t) and torch.equal(one.noise, again.noise)
    network = trainer.state.network.train()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.01)
    loss, quarters = one.measure(network, compute)
    assert network.training
    with torch.no_grad():
        whole = one.diffusion.loss(network, one.x0, one.t, one.noise, one.labels)
    assert loss == pytest.approx(whole.mean().item(), rel=1e-5)
    assert quarters[0] == pytest.approx(whole[one.t < 25].mean().item(), rel=1e-5)


def pictures(folder: Path, count: int, held_out: bool) -> Iterator[Path]:
    """Pictures none of which, or about one in ten, belongs to the test split."""
    names = (f"{number}.png" for number in range(10_000))
    for name in names:
        folder.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(count).integers(0, 255, (16, 16), dtype=np.uint8)).save(folder / name)
        kept = held_out or not find_pictures(folder).in_test(Path(name))
        count -= kept
        if not kept:
            (folder / name).unlink()
        if not count:
            return
        yield folder / name


@pytest.mark.parametrize("held_out", [True, False])
def test_a_folder_without_a_test_split_says_that_nothing_is_held_out(tiny_config: Config, tmp_path: Path, held_out: bool) -> None:
    list(pictures(tmp_path / "set", 60, held_out))
    config = tiny_config(tmp_path / "run", dataset=f"folder:{tmp_path / 'set'}", epochs=7, sample_interval=0, save_interval=0)
    events = list(lavish(Trainer(config)))
    looks, notes = kind(events, HeldOut), [note.text for note in kind(events, Noted)]
    assert bool(looks) == held_out
    assert len(notes) == (not held_out), notes
    assert all(note.startswith("nothing is held out: all pictures of folder:") for note in notes)


def test_a_few_measured_steps_tell_what_the_run_will_be(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    trainer = Trainer(config)
    state = torch.random.get_rng_state()
    *steps, measured = measure(config, (28, 28, 1), 10)
    assert measured is not None and steps == [None] * len(steps) and len(steps) >= 2
    assert torch.equal(state, torch.random.get_rng_state())
    assert measured.parameters == sum(weight.numel() for weight in trainer.state.network.parameters())
    assert f"{measured.parameters / 1e6:.2f}M parameters" in trainer.title
    assert measured.checkpoint_bytes == pytest.approx(RunDir(tiny_run).final.stat().st_size, rel=0.2)
    assert measured.compute == trainer.compute
    assert 0 < measured.step_seconds < 10
    assert not (tmp_path / "run").exists()
    assert next(event for event in trainer if isinstance(event, Step)).step == 1
