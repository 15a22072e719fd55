"""Training: reproducible, stoppable anywhere, resumed to the bit, and clear about what it refuses."""

import dataclasses
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from core.compute.device import Compute, with_graphs
from core.config import SampleConfig, TrainConfig
from core.data.datasets import open_dataset
from core.diffusion.generate import generate
from core.errors import Diverged, UserError
from core.network.unet import tiny
from core.runs.checkpoint import export_safetensors, load_checkpoint, load_model
from core.runs.folder import RunDir, read_run
from core.runs.resume import merge_for_resume
from core.training.batches import lr_fraction
from core.training.clock import Clock
from core.training.ema import EMA
from core.training.events import EpochEnd, Event, Finished, Samples, Sampling, Saved, Step
from core.training.trainer import Trainer

from .compare import assert_same_run, metrics, same_tensors

Config = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("small_glyphs")


def stop_at(trainer: Trainer, stop: Callable[[Event], bool]) -> None:
    """Pull events until `stop`, then close."""
    events = iter(trainer)
    for event in events:
        if stop(event):
            break
    events.close()


def test_the_same_seed_is_the_same_run(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "again")))
    assert_same_run(tiny_run, tmp_path / "again")
    list(Trainer(tiny_config(tmp_path / "other", seed=1, sample_interval=0)))
    assert metrics(tiny_run) != metrics(tmp_path / "other")


def test_a_run_leaves_every_file(tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path)))
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and p.name != ".lock"}
    assert names == {
        "run.json",
        "metrics.jsonl",
        "samples/epoch_001.png",
        "samples/epoch_002.png",
        "checkpoints/model_epoch_001.pt",
        "checkpoints/model_epoch_002.pt",
        "checkpoints/last.pt",
        "model_final.pt",
        "training_loss.png",
    }
    for picture in tmp_path.rglob("*.png"):
        with Image.open(picture) as file:
            file.load()
            assert file.width > 100
    info = json.loads((tmp_path / "run.json").read_text())
    assert info["status"] == "finished"
    assert info["step"] == info["total_steps"] == 12
    assert info["seed"] == 0
    assert info["ended"] >= info["started"]
    assert info["versions"]["torch"] == torch.__version__
    assert [e["step"] for e in metrics(tmp_path)] == [10, 12]


def test_the_events_of_a_run(tiny_config: Config, tmp_path: Path) -> None:
    events = list(Trainer(tiny_config(tmp_path / "run", save_interval=2)))
    assert [e.step for e in events if isinstance(e, Step)] == list(range(1, 13))
    assert [e.epoch for e in events if isinstance(e, Step)] == [1] * 6 + [2] * 6
    assert [e.epoch for e in events if isinstance(e, EpochEnd)] == [1, 2]
    assert [e.images.shape for e in events if isinstance(e, Samples)] == [(64, 1, 28, 28)] * 2
    assert [e.path.name for e in events if isinstance(e, Saved)] == ["model_epoch_002.pt"]
    assert isinstance(events[-1], Finished)
    steps = [e for e in events if isinstance(e, Step)]
    ends = [e for e in events if isinstance(e, EpochEnd)]
    assert ends[0].loss == pytest.approx(sum(e.loss.item() for e in steps[:6]) / 6, rel=1e-5)
    assert ends[1].loss == pytest.approx(sum(e.loss.item() for e in steps[6:]) / 6, rel=1e-5)
    assert steps[-1].eta_seconds == 0
    assert steps[5].images == 96


def test_the_lines_of_metrics_are_means_of_their_steps(tiny_config: Config, tmp_path: Path) -> None:
    steps = [e for e in Trainer(tiny_config(tmp_path / "run", sample_interval=0)) if isinstance(e, Step)]
    first, last = metrics(tmp_path / "run")
    assert first["loss"] == pytest.approx(sum(e.loss.item() for e in steps[:10]) / 10, abs=1e-5)
    assert last["loss"] == pytest.approx(sum(e.loss.item() for e in steps[10:]) / 2, abs=1e-5)
    assert first["grad_norm"] == pytest.approx(sum(e.grad_norm.item() for e in steps[:10]) / 10, rel=1e-4)
    sums, counts = sum((e.quartiles for e in steps[:10]), torch.zeros(2, 4))
    assert counts.sum() == 160
    assert first["quartiles"] == pytest.approx((sums / counts).tolist(), abs=1e-5)
    assert (sums.sum() / 160).item() == pytest.approx(first["loss"], abs=1e-5)


def nth(kind: type, n: int) -> Callable[[Event], bool]:
    """True at the n-th event of a kind."""
    left = [n]

    def hit(event: Event) -> bool:
        left[0] -= isinstance(event, kind)
        return left[0] == 0

    return hit


@pytest.mark.parametrize(
    ("kind", "n"),
    [
        pytest.param(Step, 1, marks=pytest.mark.slow),
        (Step, 4),
        pytest.param(Step, 6, marks=pytest.mark.slow),
        pytest.param(EpochEnd, 1, marks=pytest.mark.slow),
        (Sampling, 3),
        pytest.param(Samples, 1, marks=pytest.mark.slow),
        (Saved, 1),
        pytest.param(Step, 10, marks=pytest.mark.slow),
        pytest.param(Step, 12, marks=pytest.mark.slow),
        pytest.param(Sampling, 25, marks=pytest.mark.slow),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_stop_and_resume_is_the_uninterrupted_run(
    tiny_run: Path, tiny_config: Config, tmp_path: Path, kind: type, n: int
) -> None:
    config = tiny_config(tmp_path / "run")
    stop_at(Trainer(config), nth(kind, n))
    assert read_run(tmp_path / "run").status == "stopped"
    events = list(Trainer(config, resume=True))
    assert isinstance(events[-1], Finished)
    assert_same_run(tiny_run, tmp_path / "run")


@pytest.mark.slow
def test_the_mean_loss_of_an_epoch_survives_a_stop_at_its_end(tiny_config: Config, tmp_path: Path) -> None:
    whole = [e for e in Trainer(tiny_config(tmp_path / "a", sample_interval=0)) if isinstance(e, EpochEnd)]
    for n in (3, 6, 9):
        config = tiny_config(tmp_path / str(n), sample_interval=0)
        stop_at(Trainer(config), nth(Step, n))
        rest = [e for e in Trainer(config, resume=True) if isinstance(e, EpochEnd)]
        assert rest == whole[-len(rest) :]
        assert len(rest) == (1 if n == 9 else 2)


@pytest.mark.slow
def test_many_stops_are_no_stop(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    stop_at(Trainer(config), nth(Step, 2))
    for _ in range(3):
        stop_at(Trainer(config, resume=True), nth(Step, 3))
    list(Trainer(config, resume=True))
    assert_same_run(tiny_run, tmp_path / "run")


def test_closing_before_the_first_step_leaves_a_run_to_resume(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    Trainer(config)
    assert not (tmp_path / "run").exists()  # nothing is written before the first pull
    stop_at(Trainer(config), nth(Step, 1))
    list(Trainer(config, resume=True))
    assert_same_run(tiny_run, tmp_path / "run")


def test_an_exception_in_the_consumer_leaves_a_checkpoint(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    events = iter(Trainer(config))
    next(events)
    with pytest.raises(RuntimeError, match="consumer"):
        events.throw(RuntimeError("consumer"))
    list(Trainer(config, resume=True))
    assert_same_run(tiny_run, tmp_path / "run")


def test_an_interrupt_inside_a_step_does_not_save_half_of_it(
    tiny_run: Path, tiny_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(tmp_path / "run")
    trainer = Trainer(config)
    events = iter(trainer)
    for _ in range(3):
        next(events)

    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer.state.ema, "update", interrupt)  # the weights have moved, the average has not
    with pytest.raises(KeyboardInterrupt):
        next(events)
    list(Trainer(config, resume=True))
    assert_same_run(tiny_run, tmp_path / "run")


def test_a_finished_run_can_be_extended(tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "run", lr_schedule="constant", sample_interval=0)))
    list(Trainer(tiny_config(tmp_path / "run", lr_schedule="constant", epochs=3), resume=True))
    assert read_run(tmp_path / "run").step == 18
    assert read_run(tmp_path / "run").config.epochs == 3
    assert [e["step"] for e in metrics(tmp_path / "run")] == [10, 12, 18] or metrics(tmp_path / "run")[-1]["step"] == 18
    assert (tmp_path / "run" / "samples" / "epoch_003.png").exists()


def test_the_lr_of_an_extended_run_follows_its_new_length(tiny_config: Config, tmp_path: Path) -> None:
    # A falling schedule ends at the new end: the rate rises again where the old one had fallen to nothing.
    list(Trainer(tiny_config(tmp_path / "run", sample_interval=0)))
    more = tiny_config(tmp_path / "run", sample_interval=0, epochs=4)
    rates = [e.lr for e in Trainer(more, resume=True) if isinstance(e, Step)]
    assert rates == pytest.approx([more.lr * lr_fraction(more, s, 24) for s in range(12, 24)])


# --- the folder


def test_a_budget_ends_the_schedule_of_the_lr_when_it_ends(tiny_config: Config, tmp_path: Path) -> None:
    class Watch:
        time = 0.0

        def __call__(self) -> float:
            return self.time

    folder, watch = tmp_path / "run", Watch()

    def a_step(*_: object) -> None:
        watch.time += 0.1

    trainer = Trainer(tiny_config(folder, budget="2s", warmup=2, sample_interval=0))
    trainer._clock = Clock(watch)
    trainer.state.network.register_forward_hook(a_step)
    events = list(trainer)
    steps = [event for event in events if isinstance(event, Step)]
    assert 2 <= steps[-1].seconds < 2.15, "ends with the step in hand"
    assert steps[-1].lr < 0.5 * max(step.lr for step in steps), "falls towards 0"
    assert isinstance(events[-1], Finished)
    info = read_run(folder)
    assert (info.status, info.total_steps, info.step) == ("finished", len(steps), len(steps))
    assert metrics(folder)[-1]["step"] == len(steps)
    stop_at(
        Trainer(tiny_config(folder, budget="1h", warmup=2, sample_interval=0), resume=True), lambda event: isinstance(event, Step)
    )
    info = read_run(folder)
    assert info.step == len(steps) + 1 and info.total_steps > 100 * len(steps)


@given(done=st.integers(1, 10**6), budget=st.integers(1, 10**6), share=st.floats(0, 2))
def test_a_budget_is_as_many_steps_as_fit(done: int, budget: int, share: float) -> None:
    config = TrainConfig.of(budget=f"{budget}s")
    total = config.steps(7, done, share * budget)
    assert total == done if share >= 1 else total > done
    if 0.01 < share < 1:
        assert total == pytest.approx(done / share, abs=1)


@pytest.mark.parametrize("wrong", ["5", "0s", "m", "5 minutes", "-5m", "1.5h", "5m1h", "٥m", "9" * 50 + "s"])
def test_a_budget_is_a_time(wrong: str) -> None:
    assert TrainConfig.of(budget="1h30m").budget_seconds == 5400
    with pytest.raises(UserError, match="takes a time such as 90s, 5m or 1h30m"):
        TrainConfig.of(budget=wrong)


def test_a_folder_with_a_run_names_three_ways_out(tiny_run: Path, tiny_config: Config) -> None:
    with pytest.raises(UserError) as error:
        Trainer(tiny_config(tiny_run))
    assert all(way in str(error.value) for way in ("--resume", "--overwrite", "--output-dir"))
    assert "\n" not in str(error.value)


def test_overwrite_starts_anew_and_keeps_foreign_files(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "run", epochs=3, seed=5, sample_interval=3)))
    (tmp_path / "run" / "notes.txt").write_text("mine")
    list(Trainer(tiny_config(tmp_path / "run"), overwrite=True))
    assert_same_run(tiny_run, tmp_path / "run")
    assert (tmp_path / "run" / "notes.txt").read_text() == "mine"


def test_nothing_to_resume_is_said(tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run to resume"):
        Trainer(tiny_config(tmp_path / "run"), resume=True)
    assert not (tmp_path / "run").exists()


def test_a_folder_below_a_file_is_refused(tiny_config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written: not a directory; choose another folder"):
        Trainer(tiny_config(tmp_path / "file" / "run"))


def test_resume_takes_only_what_may_change(tiny_config: Config, tmp_path: Path) -> None:
    saved = tiny_config(tmp_path)
    merged = merge_for_resume(tiny_config(tmp_path / "moved", epochs=9, sample_interval=4, checkpoint_seconds=7.0), saved)
    assert (merged.epochs, merged.sample_interval, merged.checkpoint_seconds) == (9, 4, 7.0)
    assert merged.output_dir == str(tmp_path / "moved")
    for change in (
        {"batch_size": 8},
        {"seed": 1},
        {"objective": "v"},
        {"conditional": True},
        {"model": "fast"},
        {"timesteps": 50},
    ):
        with pytest.raises(UserError) as error:
            merge_for_resume(tiny_config(tmp_path, **change), saved)
        assert "\n" not in str(error.value)
        assert "--overwrite" in str(error.value)


def test_a_second_process_is_refused(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    first = iter(Trainer(config))
    next(first)
    code = (
        "import sys; from core.runs.folder import RunDir, read_run; from core.errors import UserError; from pathlib import Path\n"
        "assert read_run(Path(sys.argv[1])).status == 'running'\n"
        "try: RunDir(sys.argv[1]).lock()\n"
        "except UserError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    refused = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "another process is training in" in refused
    with pytest.raises(UserError, match="another process"):
        next(iter(Trainer(config, resume=True)))
    with pytest.raises(UserError, match="another process"):  # not that it could be resumed or overwritten
        Trainer(config)
    first.close()
    RunDir(tmp_path / "run").lock().release()
    assert not RunDir(tmp_path / "run").is_live()


# --- bad input and divergence


def test_a_batch_larger_than_the_set_is_refused(tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="smaller --batch-size"):
        Trainer(tiny_config(tmp_path / "run", batch_size=97))
    assert not (tmp_path / "run").exists()


def test_divergence_stops_before_it_spoils_the_checkpoint(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run")
    trainer = Trainer(config)
    events = iter(trainer)
    for _ in range(4):
        next(events)
    trainer.checkpoint_now()
    while not isinstance(next(events), Saved):
        pass
    with torch.no_grad():
        next(trainer.state.network.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match="step 6") as error:
        list(events)
    assert "\n" not in str(error.value)
    assert "--resume" in str(error.value)
    assert read_run(tmp_path / "run").status == "diverged"
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert last["step"] == 5
    assert all(v.isfinite().all() for v in last["model"].values())
    list(Trainer(config, resume=True))


def test_a_huge_learning_rate_diverges_and_says_so(tiny_config: Config, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", lr=1.0, grad_clip=0.0, sample_interval=0, epochs=5))
    trainer.scale_lr(1e30)
    with pytest.raises(Diverged, match="lower --lr"):
        list(trainer)
    assert load_model(tmp_path / "run" / "checkpoints" / "last.pt").step == 0


def test_checkpoint_and_sample_on_request(tiny_config: Config, tmp_path: Path) -> None:
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, save_interval=0))
    events = iter(trainer)
    next(events)
    trainer.sample_now()
    trainer.checkpoint_now()
    wanted: set[type] = {Samples, Saved}
    while wanted:
        event = next(events)
        assert event.step < 6 if isinstance(event, Step) else True  # asked for is done before the epoch is over
        wanted.discard(type(event))
    events.close()
    assert (tmp_path / "run" / "samples" / "epoch_001.png").exists()


def test_a_scaled_learning_rate_survives_a_resume(tiny_config: Config, tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", sample_interval=0)
    trainer = Trainer(config)
    events = iter(trainer)
    next(events)
    trainer.scale_lr(0.5)
    event = next(events)
    assert isinstance(event, Step) and event.lr == pytest.approx(0.5 * config.lr * lr_fraction(config, 1, 12))
    events.close()
    again = next(iter(Trainer(config, resume=True)))
    assert isinstance(again, Step) and again.lr == pytest.approx(0.5 * config.lr * lr_fraction(config, 2, 12))


# --- kinds of runs


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without CUDA")
def test_a_network_whose_graphs_cannot_be_captured_stays_as_it_is() -> None:
    network = tiny(28, 1)
    inputs = (torch.zeros(2, 1, 28, 28), torch.zeros(2, dtype=torch.long))
    same, compute = with_graphs(network, inputs, Compute(torch.device("cpu"), "fp32", 2, "as asked"))
    assert same is network and same(*inputs).shape == inputs[0].shape
    assert compute.why.startswith("as asked; no CUDA graphs: ") and "\n" not in compute.describe()


def test_a_conditional_model_draws_the_class_that_it_is_asked_for(tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "run", conditional=True, sample_interval=2)))
    model = load_model(tmp_path / "run" / "model_final.pt")
    assert model.label_count == 10
    cpu = Compute(torch.device("cpu"), "fp32", 2, "as asked")

    def draw(**options: Any) -> torch.Tensor:
        return list(generate(model, SampleConfig(num_images=2, steps=3, **options), cpu))[-1].frame.x

    assert not torch.equal(draw(label=3), draw(label=7))
    assert not torch.equal(draw(label=3), draw(label=3, guidance_scale=3.0))
    assert draw(label=3, guidance_scale=3.0).isfinite().all()
    with pytest.raises(UserError, match="between 0 and 9"):
        draw(label=10)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_model_keeps_what_it_was_half_way_and_is_guided_away_from_it(
    conditional: bool, tiny_config: Config, tmp_path: Path
) -> None:
    """Autoguidance by Karras et al. 2024; in an export too."""
    trainer = Trainer(tiny_config(tmp_path / "run", sample_interval=0, conditional=conditional))
    early: dict[str, torch.Tensor] = {}
    for event in trainer:
        if isinstance(event, Step) and 2 * event.step <= event.total_steps:
            early = {name: value.clone() for name, value in trainer.state.ema.network.state_dict().items()}
    cpu = Compute(torch.device("cpu"), "fp32", 2, "as asked")
    export_safetensors(tmp_path / "run" / "model_final.pt", tmp_path / "model.safetensors")
    pictures = []
    for path in (tmp_path / "run" / "model_final.pt", tmp_path / "model.safetensors"):
        model = load_model(path)
        assert model.early is not None and same_tensors(model.early.state_dict(), early)
        assert not same_tensors(model.network.state_dict(), early)
        for scale in (-1.0, 1.75, 1.0):
            wanted = SampleConfig(num_images=2, sampler="unipc", steps=6, guidance_scale=scale)
            pictures.append(list(generate(model, wanted, cpu))[-1].frame.x)
    guided, named, unguided, *again = pictures
    assert torch.equal(guided, named) and not torch.equal(guided, unguided)
    assert same_tensors([guided, named, unguided], again)


def test_there_is_no_early_model_before_half_of_a_run_and_a_stop_there_changes_nothing(
    tiny_run: Path, tiny_config: Config, tmp_path: Path
) -> None:
    config = tiny_config(tmp_path / "run")
    trainer = Trainer(config)
    half = trainer.total_steps // 2
    stop_at(trainer, lambda event: isinstance(event, Step) and event.step == half)
    model = load_model(tmp_path / "run" / "checkpoints" / "last.pt")
    assert model.step == half and model.early is None
    assert SampleConfig().resolve(*model.known).guidance_scale == 1.0
    list(Trainer(config, resume=True))
    assert_same_run(tmp_path / "run", tiny_run)
    assert load_model(tmp_path / "run" / "model_final.pt").early is not None


def test_a_run_that_is_extended_to_twice_its_length_keeps_what_it_was_at_its_end(tiny_config: Config, tmp_path: Path) -> None:
    short = tiny_config(tmp_path / "run", sample_interval=0)
    list(Trainer(short))
    ended = load_checkpoint(tmp_path / "run" / "model_final.pt")["ema"]
    list(Trainer(dataclasses.replace(short, epochs=2 * short.epochs), resume=True))
    assert same_tensors(load_checkpoint(tmp_path / "run" / "model_final.pt")["early"], ended)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"objective": "epsilon"},
        {"objective": "x0", "weighting": "min_snr"},
        {"objective": "v", "zero_terminal_snr": True},
        {"objective": "epsilon", "learn_variance": True},
        {"precision": "bf16"},
    ],
    ids=str,
)
def test_every_kind_of_run_trains_and_samples(tiny_config: Config, tmp_path: Path, change: dict[str, Any]) -> None:
    events = list(Trainer(tiny_config(tmp_path / "run", epochs=1, **change)))
    assert [e.images.isfinite().all().item() for e in events if isinstance(e, Samples)] == [True]
    assert all(math.isfinite(e["loss"]) for e in metrics(tmp_path / "run"))


def test_the_loss_falls(tiny_config: Config, tmp_path: Path) -> None:
    list(Trainer(tiny_config(tmp_path / "run", epochs=10, sample_interval=0, save_interval=0)))
    losses = [e["loss"] for e in metrics(tmp_path / "run")]
    assert losses[-1] < 0.7 * losses[0]


# --- pieces


@pytest.mark.parametrize("cap", [0.999, 0.3])
def test_ema_warms_up_as_the_closed_form_says(cap: float) -> None:
    network = tiny(8, 1)
    ema = EMA(network, cap)
    weight = next(network.parameters())
    expected = weight.detach().double().clone()
    for n in range(8):
        with torch.no_grad():
            weight.add_(n + 1.0)
        ema.update()
        decay = min(cap, (1 + n) / (10 + n)) if n else 0.0  # the first update copies
        expected = decay * expected + (1 - decay) * weight.detach().double()
        assert torch.allclose(next(ema.network.parameters()).double(), expected, rtol=1e-6)
    assert ema.updates == 8


@pytest.mark.parametrize("shape", ["linear", "cosine", "constant"])
def test_lr_rises_then_follows_its_schedule(shape: str) -> None:
    config = TrainConfig.of(model="tiny", lr_schedule=shape, warmup=10)
    rates = [lr_fraction(config, step, 1000) for step in range(1000)]
    assert rates[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    assert rates[10] == pytest.approx(1.0)
    middle = {"linear": 0.5, "cosine": 0.5, "constant": 1.0}[shape]
    assert rates[505] == pytest.approx(middle)
    assert rates[999] == pytest.approx({"linear": 1 / 990, "cosine": 0, "constant": 1}[shape], abs=1e-4)
    assert all(0 < r <= 1 for r in rates)


def test_a_short_run_warms_up_for_a_tenth_of_it_at_most() -> None:
    config = TrainConfig.of(model="tiny", warmup=500)
    assert lr_fraction(config, 10, 100) == 1.0


def test_training_reads_the_set_once_an_epoch(tiny_config: Config, tmp_path: Path) -> None:
    from core.training.batches import Batches

    config = tiny_config(tmp_path)
    data = open_dataset("glyphs")
    batches = Batches(config, data, torch.device("cpu"))
    epochs = [torch.cat([batches.at(s)[0] for s in range(e * 6, e * 6 + 6)]) for e in (0, 1)]
    whole = data.images.float().sum((1, 2, 3)).sort().values
    for epoch in epochs:
        assert torch.allclose(((epoch + 1) * 127.5).sum((1, 2, 3)).sort().values, whole, rtol=1e-4)
    assert not torch.equal(*epochs)
    assert same_tensors(Batches(config, data, torch.device("cpu")).at(9)[0], batches.at(9)[0])


def test_flips_mirror_every_other_image_and_change_nothing_else(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    from core.data.datasets import ImageSet
    from core.training.batches import Batches

    pictures = torch.randint(256, (64, 8, 8, 1), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    data = ImageSet("folder:x", pictures, torch.arange(64) % 2, ("a", "b"))
    batches = {
        flip: Batches(tiny_config(tmp_path, flip=flip, conditional=True), data, torch.device("cpu"))
        for flip in ("no", "yes", "auto")
    }
    (plain, labels, noise), (flipped, same, noise_too) = batches["no"].at(5), batches["yes"].at(5)
    turned = [torch.equal(a, b.flip(2)) for a, b in zip(plain, flipped, strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(plain, flipped, strict=True)]
    assert all(a != b for a, b in zip(turned, kept, strict=True)) and 0 < sum(turned) < len(turned)
    assert labels is not None and same is not None and torch.equal(labels, same)
    assert torch.equal(torch.rand(9, generator=noise), torch.rand(9, generator=noise_too))
    assert torch.equal(batches["yes"].at(5)[0], flipped), "a step is a function of its number"
    assert not batches["auto"].flips, "without colour they are letters as likely as photos"
    colour = dataclasses.replace(data, images=pictures.expand(-1, -1, -1, 3))
    assert Batches(tiny_config(tmp_path), colour, torch.device("cpu")).flips
    for name, mirrored in (("glyphs", False), ("mnist", False), ("fashion_mnist", True), ("cifar10", True)):
        assert dataclasses.replace(data, name=name).mirrored == mirrored


def test_a_run_of_before_there_were_flips_goes_on_without(tiny_run: Path) -> None:
    saved = load_checkpoint(tiny_run / "model_final.pt")["config"]
    del saved["flip"]
    assert TrainConfig.from_dict(saved).flip == "no"


@pytest.mark.parametrize(
    "per_epoch, given, wanted",
    [
        (625, {}, (20, 1, 5)),
        (30, {}, (20, 1, 5)),
        (1, {}, (600, 30, 150)),
        (0, {}, (600, 30, 150)),
        (7, {}, (100, 5, 25)),
        (1, {"epochs": 3}, (3, 30, 150)),
        (1, {"budget": "1m", "sample_interval": 0, "save_interval": 2}, (600, 0, 2)),
    ],
)
def test_a_small_set_gets_as_many_steps_and_no_more_looks(per_epoch: int, given: dict[str, Any], wanted: tuple[int, ...]) -> None:
    config = TrainConfig.of(**given).suited(per_epoch)
    assert (config.epochs, config.sample_interval, config.save_interval) == wanted
    assert config.suited(1000) == config, "a run keeps them, whatever it is continued on"


def test_a_run_says_the_epochs_that_suited_its_pictures(tiny_config: Config, tmp_path: Path) -> None:
    run = tmp_path / "run"
    trainer = Trainer(tiny_config(run, epochs=0, sample_interval=-1, save_interval=-1))
    assert trainer.epochs == trainer.config.epochs == 100 and trainer.total_steps == 600
    next(iter(trainer))
    trainer.stop()
    assert (trainer.config.sample_interval, trainer.config.save_interval) == (5, 25)
