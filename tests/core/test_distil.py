"""Distilling: what a student takes from its teacher, and how near it comes; the same run again, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from core.compute.device import choose_compute
from core.compute.distributed import ProcessGroup
from core.config import OF_TEACHER, SampleConfig, TrainConfig
from core.diffusion.generate import generate
from core.diffusion.model import Model
from core.errors import UserError
from core.network.critic import Critic, steepness
from core.runs.checkpoint import export_safetensors, load_checkpoint, load_model
from core.runs.folder import RunDir, read_run
from core.training import distil
from core.training.distil import FRESH, MOST_PAIRS, Pairs, as_taught
from core.training.events import Drawn, Finished, HeldOut, Preview, RolledBack, Step
from core.training.measure import measure
from core.training.trainer import Trainer

from .compare import assert_same_run, same_tensors

CPU = choose_compute("cpu", "fp32", 1)
Config = Callable[..., TrainConfig]
pytestmark = pytest.mark.usefixtures("small_glyphs")


@pytest.fixture
def conditional(tiny_config: Config, tmp_path: Path) -> Path:
    """A run whose model knows classes."""
    list(Trainer(tiny_config(tmp_path / "conditional", conditional=True, sample_interval=0)))
    return tmp_path / "conditional"


def student(teacher: Path, folder: Path, **changes: Any) -> TrainConfig:
    """A run of six steps that distils the run in a folder."""
    short: dict[str, Any] = {
        "epochs": 1,
        "batch_size": 16,
        "sample_interval": 0,
        "device": "cpu",
        "precision": "fp32",
        "threads": 1,
    }
    return TrainConfig.of(teacher=str(RunDir(teacher).final), output_dir=str(folder), **(short | changes))


def pictures(model: Model, steps: int, count: int = 32) -> Tensor:
    """Of the same noises, without guidance: of a student it is distilled in."""
    *_, last = generate(model, SampleConfig(num_images=count, sampler="euler", steps=steps, guidance_scale=1.0, seed=5), CPU)
    return last.frame.x


def test_a_student_is_as_its_teacher_and_draws_in_fewer_evaluations(tiny_run: Path, tmp_path: Path) -> None:
    """One evaluation comes nearer to what the teacher makes of the same noises than the teacher's own one."""
    trainer = Trainer(student(tiny_run, tmp_path / "student", epochs=5))
    trainer.watched = True
    events = list(trainer)
    assert not any(isinstance(event, HeldOut) for event in events), "a student is not measured by its teacher's loss"
    teacher, learned = load_model(RunDir(tiny_run).final), load_model(RunDir(tmp_path / "student").final)
    assert all(getattr(learned.config, name) == getattr(teacher.config, name) for name in OF_TEACHER)
    assert learned.about.startswith("tiny on glyphs, distilled")
    pairs = Pairs(teacher, 99, CPU)
    pairs.draw(0)
    x0, noise, labels = pairs.at(list(range(FRESH)))
    t = torch.full((FRESH,), 99)

    def off(model: Model) -> float:
        with torch.no_grad():
            once = model.diffusion.to_x0(model.network(noise, t, labels), noise, t)
        return float((once - x0).square().mean())

    assert off(learned) < 0.7 * off(teacher)


def test_it_is_drawn_from_in_two_evaluations_unguided(conditional: Path, tmp_path: Path) -> None:
    list(Trainer(student(conditional, tmp_path / "student")))
    export_safetensors(RunDir(tmp_path / "student").final, tmp_path / "model.safetensors")
    for path in (RunDir(tmp_path / "student").final, tmp_path / "model.safetensors"):
        model = load_model(path)
        own = SampleConfig().resolve(model.config, model.label_count)
        assert (own.sampler, own.steps, own.guidance_scale) == ("euler", 2, 1.0)
        with pytest.raises(UserError, match="was distilled, its teacher's guidance with it"):
            SampleConfig(guidance_scale=2.0).check(model.config, model.label_count)


def test_a_pair_is_what_the_teacher_draws_of_its_noise(conditional: Path) -> None:
    teacher = load_model(RunDir(conditional).final)
    pairs = Pairs(teacher, 3, CPU)
    pairs.draw(FRESH)
    x0, noise, labels = pairs.at([FRESH + 4, FRESH + 1])
    assert labels is not None and labels.tolist() == [(FRESH + 4) % 10, (FRESH + 1) % 10]
    again = Pairs(teacher, 3, CPU)
    again.draw(FRESH)
    x0_again, noise_again, _ = again.at([FRESH + 4, FRESH + 1])
    assert torch.equal(x0, x0_again) and torch.equal(noise, noise_again)
    other = Pairs(teacher, 4, CPU)
    other.draw(FRESH)
    assert not torch.equal(noise, other.at([FRESH + 4, FRESH + 1])[1])


def test_the_early_weights_of_a_teacher_guide_it_and_stay_as_they_are(tiny_run: Path, tmp_path: Path) -> None:
    teacher = load_model(RunDir(tiny_run).final)
    trainer = Trainer(student(tiny_run, tmp_path / "student"))
    list(trainer)
    assert teacher.early is not None and isinstance(trainer.stepper, distil.Distiller)
    guide = trainer.stepper.pairs.teacher.early
    assert guide is not None and same_tensors(guide.state_dict(), teacher.early.state_dict())
    assert trainer.stepper.pairs.options.guidance_scale == 1.75
    saved = load_checkpoint(RunDir(tmp_path / "student").final)
    assert same_tensors(saved["early"], dict(teacher.early.state_dict()))
    assert load_model(RunDir(tmp_path / "student").final).early is None, "guidance is distilled in"


def test_a_step_has_the_newest_pairs_and_keeps_no_others(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = load_model(RunDir(tiny_run).final)
    pairs = Pairs(teacher, 0, CPU)
    assert pairs.span(0) == range(FRESH)
    assert pairs.span(10**6) == range(FRESH * (10**6 + 1) - MOST_PAIRS, FRESH * (10**6 + 1))
    monkeypatch.setattr(distil, "MOST_PAIRS", 2 * FRESH)
    pairs = Pairs(teacher, 0, CPU)
    for step, missing in ((0, [0]), (1, [FRESH]), (2, [2 * FRESH]), (5, [4 * FRESH, 5 * FRESH])):
        assert pairs.missing(step) == missing
        for first in missing:
            pairs.draw(first)
        assert pairs.missing(step) == []
    assert set(pairs._drawn) == {4 * FRESH, 5 * FRESH}


@pytest.mark.parametrize("stop", [1, 4])
def test_stopped_and_resumed_it_is_the_same_run(tiny_run: Path, tmp_path: Path, stop: int) -> None:
    """Without its teacher's file too; the pairs are drawn again, which is told."""
    (tmp_path / "teacher").mkdir()
    for path in (RunDir(tiny_run).final, tiny_run / "run.json"):
        (tmp_path / "teacher" / path.name).write_bytes(path.read_bytes())
    list(Trainer(student(tmp_path / "teacher", tmp_path / "whole")))
    config = student(tmp_path / "teacher", tmp_path / "cut")
    events = iter(Trainer(config))
    for event in events:
        if isinstance(event, Step) and event.step == stop:
            break
    events.close()
    RunDir(tmp_path / "teacher").final.unlink()
    trainer = Trainer(TrainConfig.continued(load_model(RunDir(tmp_path / "cut").last).config.to_dict(), {}), resume=True)
    again = [event for event in trainer if isinstance(event, Drawn)]
    assert [event.done for event in again] == [FRESH * (k + 1) for k in range(stop)]
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_stop_while_pairs_are_drawn_again_is_heeded(tiny_run: Path, tmp_path: Path) -> None:
    config = student(tiny_run, tmp_path / "run")
    events = iter(Trainer(config))
    for event in events:
        if isinstance(event, Step) and event.step == 4:
            break
    events.close()
    trainer = Trainer(TrainConfig.continued(load_model(RunDir(tmp_path / "run").last).config.to_dict(), {}), resume=True)
    seen = []
    for event in trainer:
        seen.append(event)
        trainer.stop()
    assert len(seen) == 1 and isinstance(seen[0], Drawn)


def test_its_previews_are_in_its_own_two_evaluations(tiny_run: Path, tmp_path: Path) -> None:
    trainer = Trainer(student(tiny_run, tmp_path / "run"))
    preview = trainer.aside.drawn(trainer.model())
    assert isinstance(preview, Preview)
    model = trainer.model()
    *_, last = generate(model, SampleConfig(num_images=len(preview.images), sampler="euler", steps=2), trainer.compute)
    assert torch.equal(preview.images, last.frame.x)


def test_how_long_a_step_takes_is_measured_with_its_teacher(tiny_run: Path, tmp_path: Path) -> None:
    config, _ = distil.with_teacher(student(tiny_run, tmp_path / "run"))
    *_, told = measure(config, (28, 28, 1), 10)
    *_, alone = measure(dataclasses.replace(config, teacher=""), (28, 28, 1), 10)
    assert told is not None and alone is not None
    assert told.checkpoint_bytes > alone.checkpoint_bytes and told.step_seconds > alone.step_seconds


@pytest.mark.parametrize(
    "changes", [{"objective": "v"}, {"objective": "x0"}, {"conditional": True}, {"objective": "v", "schedule": "learned"}]
)
def test_other_models_are_distilled_too(tiny_config: Config, tmp_path: Path, changes: dict[str, Any]) -> None:
    list(Trainer(tiny_config(tmp_path / "teacher", sample_interval=0, epochs=1, **changes)))
    list(Trainer(student(tmp_path / "teacher", tmp_path / "student")))
    model = load_model(RunDir(tmp_path / "student").final)
    assert torch.isfinite(pictures(model, 2, 4)).all()
    assert torch.equal(model.diffusion.schedule.s, load_model(RunDir(tmp_path / "teacher").final).diffusion.schedule.s)


def test_what_cannot_be_a_teacher_is_one_sentence(tiny_run: Path, tiny_config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.pt"):
        Trainer(TrainConfig.of(teacher=str(tmp_path / "none.pt"), output_dir=str(tmp_path / "run")))
    list(Trainer(student(tiny_run, tmp_path / "student")))
    with pytest.raises(UserError, match="is distilled itself"):
        Trainer(student(tmp_path / "student", tmp_path / "run"))
    list(Trainer(tiny_config(tmp_path / "epsilon", objective="epsilon", sample_interval=0, epochs=1)))
    with pytest.raises(UserError, match="a model of epsilon cannot be distilled"):
        Trainer(student(tmp_path / "epsilon", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_by_several_processes_it_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    trainer = Trainer(student(tiny_run, tmp_path / "run"))
    with pytest.raises(UserError, match="by one process"):
        distil.stepper(trainer.config, trainer.data, trainer.state, CPU, ProcessGroup(size=2))


def test_what_is_the_teachers_cannot_be_asked_for_otherwise(tiny_run: Path, tmp_path: Path) -> None:
    given: dict[str, Any] = {"teacher": str(RunDir(tiny_run).final), "output_dir": str(tmp_path / "run")}
    for name, value in {"dataset": "mnist", "model": "reference", "learn_variance": True, "schedule": "learned"}.items():
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')} is the teacher's, "):
            as_taught(given | {name: value})
    own = load_model(RunDir(tiny_run).final).config
    config = as_taught(given | {"dataset": "glyphs", "objective": own.objective, "lr": 2e-3})
    assert (config.dataset, config.model, config.lr, config.batch_size) == ("glyphs", "tiny", 2e-3, 96)


def test_a_budget_is_given_unless_epochs_are_asked_for(tiny_run: Path) -> None:
    path = str(RunDir(tiny_run).final)
    assert TrainConfig.of(teacher=path).budget == "5m"
    assert TrainConfig.of(teacher=path, epochs=3).budget == ""
    assert TrainConfig.of(teacher=path, lr=2e-3).lr == 2e-3


@pytest.mark.parametrize("name", ["teacher", "critic"])
def test_a_damaged_teacher_or_critic_is_one_sentence(tiny_run: Path, tmp_path: Path, name: str) -> None:
    list(Trainer(student(tiny_run, tmp_path / "run")))
    last = RunDir(tmp_path / "run").last
    content = torch.load(last, weights_only=True)
    config = TrainConfig.continued(content["config"], {"epochs": 2})
    weights = content[name]
    first = next(iter(weights))
    for wrong in (5, {first: torch.tensor(float("nan"))}, {**weights, first: torch.zeros(1)}, {}, None):
        torch.save(content | {name: wrong}, last)
        with pytest.raises(UserError, match=r"is damaged|no whole resume point"):
            Trainer(config, resume=True)
    torch.save({key: value for key, value in content.items() if key != name}, last)
    with pytest.raises(UserError, match="no whole resume point"):
        Trainer(config, resume=True)


def test_the_critic_judges_each_picture_of_any_size() -> None:
    for size in ((1, 1), (1, 9), (2, 3), (4, 4), (8, 8), (28, 28), (32, 48), (64, 64)):
        critic = Critic(3, size, 10)
        x, labels = torch.randn(5, 3, *size), torch.arange(5)
        looks = critic(x, labels)
        assert looks.shape == (5,)
        assert torch.allclose(critic(x[2:3], labels[2:3]), looks[2:3], atol=1e-5), "each by itself"
        assert not torch.allclose(critic(x, labels + 1), looks), "told the class"


def test_steepness_is_the_squared_gradient_of_a_linear_critic() -> None:
    weights = torch.randn(12, generator=torch.Generator().manual_seed(0))

    class Linear(nn.Module):
        def forward(self, x: Tensor, labels: Tensor) -> Tensor:
            return x.flatten(1) @ weights

    x, labels = torch.zeros(4096, 3, 2, 2), torch.zeros(4096, dtype=torch.int64)
    shifts = 0.05 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    critic: Any = Linear()
    assert steepness(critic, x, labels, shifts, critic(x, labels)) == pytest.approx(float(weights.square().sum()), rel=0.1)


def test_a_run_that_diverges_goes_back_and_its_critic_with_it(tiny_run: Path, tmp_path: Path) -> None:
    """A step whose pictures are no numbers leaves nothing behind: the run ends as one that met none."""
    list(Trainer(student(tiny_run, tmp_path / "smooth", lr=5e-4)))
    trainer = Trainer(student(tiny_run, tmp_path / "run", on_nan="rollback"))
    network, factors = trainer.state.network, iter([float("nan")])
    network.register_forward_hook(lambda module, inputs, output: output * next(factors, 1.0))
    events = list(trainer)
    assert sum(isinstance(event, RolledBack) for event in events) == 1
    assert isinstance(events[-1], Finished)
    one, two = (load_checkpoint(RunDir(tmp_path / name).final) for name in ("smooth", "run"))
    for part in ("critic", "model"):
        assert all(torch.equal(value, two[part][name]) for name, value in one[part].items())


def test_a_teacher_in_the_students_own_folder_is_not_overwritten(tiny_run: Path, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    for path in (RunDir(tiny_run).final, tiny_run / "run.json"):
        (tmp_path / "outputs" / path.name).write_bytes(path.read_bytes())
    with pytest.raises(UserError, match="is the folder of the teacher's own run"):
        Trainer(student(tmp_path / "outputs", tmp_path / "outputs"), overwrite=True)
    assert RunDir(tmp_path / "outputs").final.exists()


def test_pairs_take_no_more_memory_than_there_is_for_them(tiny_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher = load_model(RunDir(tiny_run).final)
    for most, kept in ((28 * 28 * (3 * FRESH + 1), 3 * FRESH), (1, FRESH)):
        monkeypatch.setattr(distil, "MOST_BYTES", most)
        assert len(Pairs(teacher, 0, CPU).span(100)) == kept


class _Ticks:
    """A clock that goes when it is told to."""

    now = 0.0

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

    def __call__(self) -> float:
        return self.now


def test_pairs_that_are_drawn_again_cost_the_run_no_time(tiny_run: Path, tmp_path: Path) -> None:
    events = iter(Trainer(student(tiny_run, tmp_path / "run")))
    for event in events:
        if isinstance(event, Step) and event.step == 4:
            break
    events.close()
    trainer: Any = Trainer(TrainConfig.continued(read_run(tmp_path / "run").config.to_dict(), {}), resume=True)
    before, clock, draw = trainer.state.seconds, _Ticks(), trainer.stepper.pairs.draw
    trainer._clock = clock

    def slow(first: int) -> None:
        clock.now += 100
        draw(first)

    trainer.stepper.pairs.draw = slow
    for event in trainer:
        if isinstance(event, Step):
            trainer.stop()
    assert clock.now == 500
    assert trainer.state.seconds - before == 100, "that of the step, as it was before"
