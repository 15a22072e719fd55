"""Train: the form, the dashboard and its keys, on the real engine with the tiny network."""

import asyncio
import dataclasses
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Button, Input, Label, Select, Static

from core.config import TrainConfig
from core.diffusion.process import Diffusion
from core.errors import UserError
from core.names import DATASETS
from core.network.unet import parameter_count
from core.runs.folder import RunDir, read_run
from core.training.trainer import Trainer
from tests.tui.modes import ENDLESS, PATIENCE, at_mode, fill, left, start, train_screen, until
from tinydiff_tui.jobs.plan import Plan, Planner
from tinydiff_tui.jobs.series import MOST_ROWS, Points, Row, Series, kept, spread
from tinydiff_tui.jobs.starting import placed
from tinydiff_tui.jobs.training import Training, TrainView
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.train import TrainScreen
from tinydiff_tui.text import duration
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.dashboard import BOXES, Dashboard, Standing, smoothed
from tinydiff_tui.widgets.field_group import FieldGroup, GroupTitle
from tinydiff_tui.widgets.field_row import FieldRow
from tinydiff_tui.widgets.form import Form
from tinydiff_tui.widgets.key_bar import ModeBar
from tinydiff_tui.widgets.plan_box import PlanBox
from tinydiff_tui.widgets.sample_rows import RowGrid, Steps
from tinydiff_tui.widgets.stats import ProgressLine
from tinydiff_tui.widgets.train_form import FIELDS, OPEN, TrainForm, free_output_dir

SIZES = [(80, 24), (120, 40), (200, 60)]
pytestmark = pytest.mark.usefixtures("small_glyphs")
ALL_GLYPHS = DATASETS["glyphs"]


async def test_the_form_passes_on_only_what_was_changed(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        form = train_screen(pilot).query_one(TrainForm)
        form.row("model").write("reference")
        await pilot.pause()
        config = form.read()
        assert (config.objective, config.lr, config.schedule) == ("epsilon", 2e-4, "linear")
        assert form.row("lr").query_one(Input).placeholder == "0.0002"
        assert form.row("objective").query_one(Select).prompt == "epsilon"
        form.row("objective").write("v")
        await pilot.pause()
        assert form.row("schedule").query_one(Select).prompt == "cosine"
        assert form.read().schedule == "cosine"


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [("lr", "7", "between"), ("epochs", "many", "whole number"), ("batch_size", "0", "at least 1"), ("seed", "1.5", "whole")],
)
async def test_a_wrong_value_is_answered_in_place(name: str, value: str, complaint: str, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        form = await fill(pilot, **{name: value})
        assert form.row(name).has_class("-bad")
        assert complaint in str(form.query_one("#problem", Static).content)
        await pilot.press("ctrl+s")
        assert not pilot.app.jobs.running("train")  # type: ignore[attr-defined]
        form.row(name).write(None)
        await pilot.pause()
        assert not form.row(name).has_class("-bad")
        assert not str(form.query_one("#problem", Static).content)


async def test_fields_that_do_not_fit_together_are_answered_under_the_form(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        form = await fill(pilot, objective="epsilon", schedule="flow")
        assert "epsilon" in str(form.query_one("#problem", Static).content)
        await fill(pilot, objective="flow", schedule="flow", dataset="mnist")
        await pilot.press("ctrl+s")
        assert "press D on mnist in Data (1)" in str(form.query_one("#problem", Static).content)


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_of_the_form_is_cut_off(size: tuple[int, int], tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, size) as pilot:
        screen = train_screen(pilot)
        form, plan = screen.query_one(TrainForm), screen.query_one(PlanBox)
        for box in (form, plan.query_one("#plan")):
            assert screen.query_one("#body").region.contains_region(box.region) and box.region.height >= 5
        for button in form.query(Button):
            assert form.region.contains_region(button.region) and button.region.width >= len(str(button.label)), button.label
        form.show_all(True)
        await pilot.pause()
        fields = form.query_one(Form)
        for row in form.rows():
            text = row.query_one(".help", Static)
            assert fields.virtual_region.width >= text.virtual_region.right
            assert len(str(text.content)) <= text.content_size.width * text.content_size.height, row.field.name
            assert len(row.field.name) < row.query_one(Label).content_size.width


async def test_groups_fold_and_say_what_is_in_them(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        form = train_screen(pilot).query_one(TrainForm)
        groups = {group.title: group for group in form.query(FieldGroup)}
        assert {title for title, group in groups.items() if not group.folded} == set(OPEN)
        assert sum(len(group.query(FieldRow)) for group in groups.values()) == len(FIELDS)
        assert not form.row("weight_decay").region and form.row("epochs").region
        await until(pilot, lambda: "lr 0.004" in groups["Optimiser"].summary)
        form.row("model").write("reference")
        await until(pilot, lambda: "lr 0.0002" in groups["Optimiser"].summary)
        await pilot.click(groups["Optimiser"].query_one(GroupTitle))
        await pilot.pause()
        assert form.row("weight_decay").region
        groups["Optimiser"].query_one(GroupTitle).focus()
        await pilot.press("enter")
        await until(pilot, lambda: not form.row("weight_decay").region)
        await pilot.press("escape", "a")
        await until(pilot, lambda: not any(group.folded for group in groups.values()))
        await pilot.press("a")
        await until(pilot, lambda: {title for title, group in groups.items() if not group.folded} == set(OPEN))


@pytest.mark.parametrize("by", ["key", "button"])
async def test_presets_are_lengths(by: str, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        form = await fill(pilot, epochs="3", batch_size="32")
        for number, (budget, epochs) in enumerate((("1m", 0), ("10m", 0), ("", 20))):
            await (pilot.press(f"f{number + 1}") if by == "key" else pilot.click(f"#preset-{number}"))
            await pilot.pause()
            config = form.read()
            assert (config.budget, config.epochs, config.batch_size) == (budget, epochs, 32)


async def test_the_plan_is_that_of_the_run(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = train_screen(pilot)
        form = await fill(pilot, epochs="7", save_interval="2")
        shown = screen.query_one("#lines", Static)
        await until(pilot, lambda: "images/s" in str(shown.content) and "42 = 7 epochs of 6" in str(shown.content))
        config = placed(form.read(), tmp_path, None)
        *_, plan = screen.query_one(PlanBox).planner.plan(config, busy=True)  # it is measured already
        trainer = Trainer(config)
        assert (plan.steps, plan.steps_per_epoch) == (trainer.total_steps, trainer.steps_per_epoch)
        assert plan.parameters == parameter_count(trainer.state.network)
        assert plan.seconds == pytest.approx(42 * 16 / plan.images_per_second)
        assert plan.checkpoints == 2 + 4, "after epochs 2, 4, 6 and 7"
        assert (plan.folder, plan.shape, plan.images) == ("new", (28, 28, 1), 96)
        assert form.row("threads").default_text == f"auto, {trainer.compute.threads}"
        list(trainer)
        whole = sum(path.stat().st_size for path in (tmp_path / "outputs").rglob("*.pt"))
        assert plan.disk_bytes == pytest.approx(whole, rel=0.2)
        screen.query_one(PlanBox).rest()
        screen.plan_soon()
        await until(pilot, lambda: "holds a run: finished, step 42 of 42" in str(shown.content))
        await fill(pilot, batch_size="97")
        await until(pilot, lambda: "larger than glyphs" in str(shown.content))


@pytest.mark.parametrize(
    "steps, images, mirrored, said",
    [
        (149, 60_000, False, "blurs: digits need 150 steps"),
        (150, 60_000, False, ""),
        (188, 180, False, "overfits from 100 times on, less with dropout 0.2"),
        (186, 180, False, ""),
        (374, 180, True, ""),
        (376, 180, True, "overfits from 200 times on, less with dropout 0.2"),
        (0, 180, False, ""),
    ],
)
def test_a_plan_says_what_to_expect_of_too_short_and_too_long(steps: int, images: int, mirrored: bool, said: str) -> None:
    per_epoch = images // 96
    plan = Plan(
        (28, 28, 1), images, 0, 96, per_epoch, "new", 0, TrainConfig.of(), mirrored, steps=steps, epochs=steps / per_epoch
    )
    assert plan.expect == said
    assert "dropout" not in dataclasses.replace(plan, recipe=TrainConfig.of(dropout=0.1)).expect
    assert plan.seen == pytest.approx(steps * 96 / images)


async def test_of_a_small_folder_the_plan_says_what_to_expect(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), dtype=np.uint8))
    async with at_mode("train", tmp_path, (80, 24)) as pilot:
        shown = train_screen(pilot).query_one("#lines", Static)
        await fill(pilot, dataset=f"folder:{tmp_path / 'few.npy'}", epochs="200")
        await until(pilot, lambda: "times · overfits from 100 times on" in str(shown.content))


async def test_a_teacher_that_is_typed_brings_its_own_data_set(tiny_run: Path, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        form = train_screen(pilot).query_one(TrainForm)
        assert form.row("dataset").read() is not None, "that of the other modes"
        form.row("teacher").write(str(tiny_run / "model_final.pt"))
        await until(pilot, lambda: form.row("dataset").read() is None)
        assert form.read().budget == "5m"


async def test_the_explanation_has_the_numbers_of_the_form_until_a_run_has_its_own(tiny_run: Path, tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = train_screen(pilot)
        await fill(pilot, batch_size="16", lr="0.0123", objective="v", epochs="1")
        values = screen.explain_values
        await until(pilot, lambda: (values()["batch"], values()["lr"], values()["objective"]) == ("16", "0.0123", "v"))
        screen.query_one(TrainForm).fill({"teacher": str(tiny_run / "model_final.pt"), "output_dir": "student"})
        await until(pilot, lambda: (values()["lr"], values()["objective"]) == ("0.001", read_run(tiny_run).config.objective))
        await fill(pilot, teacher="", output_dir="outputs", batch_size="16", epochs="1")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.outcome != "")
        assert values()["step"] == f"{train_screen(pilot).view.step:,}" != "0"  # type: ignore[union-attr]
        await pilot.press("n")
        assert values()["step"] == "0"


async def test_a_plan_of_a_budget_and_one_that_nothing_was_measured_for(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = train_screen(pilot)
        await fill(pilot, budget="1m")
        shown = screen.query_one("#lines", Static)
        await until(pilot, lambda: "1:00 here" in str(shown.content) and "≈" in str(shown.content))
        config = placed(screen.query_one(TrainForm).read(), tmp_path, None)
        (plan,) = Planner().plan(config, busy=True)
        assert (plan.steps, plan.parameters) == (0, 0)


async def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, sample_interval="1")
        board = screen.query_one(Dashboard)
        assert board.display
        await until(pilot, lambda: screen.outcome != "")
        view = screen.view
        assert view is not None
        assert (screen.outcome, view.step, view.phase) == ("finished", 12, "finished")
        assert view.pictures is not None
        assert view.pictures.shape == (64, 28, 28, 1)
        assert np.isfinite(view.quartiles).all()
        assert view.losses.x.tolist() == list(range(1, 13))
        assert view.clock.x[-1] == 12 and view.clock.y[-1] == view.seconds
        assert board.query_one("#run", Box).state == "finished"
        assert board.query_one("#loss Chart", Chart).curves[0].x[-1] == 12
        assert any("finished" in line for line in view.log)
        assert (tmp_path / "outputs" / "model_final.pt").exists()
        assert board.max_scroll_y == 0
        assert "finished at step 12" in pilot.app.summary()[0]  # type: ignore[attr-defined]
        await pilot.press("n")
        assert screen.query_one(TrainForm).read().output_dir == "outputs-2"
        await pilot.press("escape", "b")
        assert board.display
        await pilot.press("o")
        await until(pilot, lambda: pilot.app.current_mode == "sample")


async def test_a_run_that_went_on_after_its_end_and_was_stopped_is_drawn_from_where_it_stopped(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot)
        await until(pilot, lambda: screen.outcome == "finished")
        run = RunDir(tmp_path / "outputs")
        assert screen._checkpoint() == run.final
        run.run_json.write_text(run.run_json.read_text().replace('"finished"', '"stopped"'))
        assert screen._checkpoint() == run.last == read_run(run.path).checkpoint


async def test_keys_of_the_dashboard(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 3)
        assert screen.training is not None and screen.training.trainer is not None
        trainer = screen.training.trainer
        await pilot.press("space")
        await until(pilot, lambda: trainer.paused)
        await until(pilot, lambda: read_run(tmp_path / "outputs").status == "paused")
        held = trainer.step
        assert screen.query_one("#run", Box).state == "paused"
        assert pilot.app.training[0] == "paused"  # type: ignore[attr-defined]
        board = screen.query_one(Dashboard)
        assert board.log_scale
        await pilot.press("plus", "plus", "minus", "l")
        await until(pilot, lambda: trainer.state.lr_factor == pytest.approx(1.25))
        await until(pilot, lambda: not board.query_one("#loss Chart", Chart).frame.log)
        for unit in ("images", "time", "step"):
            await pilot.press("u")
            await until(pilot, lambda unit=unit: board.query_one("#noise Chart", Chart).frame.unit == unit)  # type: ignore[misc]
        assert trainer.step == held
        await pilot.press("space", "c", "s")
        await until(pilot, lambda: read_run(tmp_path / "outputs").status == "running")
        await until(pilot, lambda: any("checkpoints/last.pt" in line for line in screen.view.log))  # type: ignore[union-attr]
        await until(pilot, lambda: screen.view.pictures is not None)  # type: ignore[union-attr]
        await pilot.press("1")  # it goes on while another mode is shown
        step = trainer.step
        await until(pilot, lambda: trainer.step > step)
        await pilot.press("3")
        await until(pilot, lambda: pilot.app.current_mode == "train")
        await pilot.press("X")
        await until(pilot, lambda: screen.outcome == "stopped")
        run = read_run(tmp_path / "outputs")
        assert (run.status, run.step) == ("stopped", trainer.step)
        assert "--resume" in "".join(pilot.app.summary())  # type: ignore[attr-defined]


async def test_a_mode_that_is_first_opened_while_a_training_rests_shows_it(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 3)
        await pilot.press("space")
        await until(pilot, lambda: screen.paused and screen.query_one("#run", Box).state == "paused")
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        bar = pilot.app.screen.query_one(ModeBar)
        assert bar.training == pilot.app.training and bar.training[0] == "paused"  # type: ignore[attr-defined]


async def test_requests_in_the_run_folder_are_the_same_as_keys(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "outputs")
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        run.ask("pause")
        await until(pilot, lambda: read_run(run.path).status == "paused")
        await until(pilot, lambda: screen.query_one("#run", Box).state == "paused")
        held = screen.training.trainer.step  # type: ignore[union-attr]
        run.ask("checkpoint")
        run.ask("sample")
        run.ask("resume")
        await until(pilot, lambda: any("checkpoints/last.pt" in line for line in screen.view.log))  # type: ignore[union-attr]
        await until(pilot, lambda: any(run.path.glob("samples/*.png")))
        assert any("asked to sample" in line for line in screen.view.log)  # type: ignore[union-attr]
        assert read_run(run.path).status == "running"
        run.ask("stop")
        await until(pilot, lambda: screen.outcome == "stopped")
        assert read_run(run.path).step > held


async def test_a_folder_that_holds_a_run_is_asked_about(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        await pilot.press("X")
        await until(pilot, lambda: screen.outcome == "stopped")
        done = read_run(tmp_path / "outputs").step
        await pilot.press("n")
        await fill(pilot, output_dir="outputs", epochs="100001")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")  # resume
        await until(pilot, lambda: screen.view is not None and screen.view.step > done)
        assert any("resumed at step" in line for line in screen.view.log)  # type: ignore[union-attr]
        await pilot.press("X")
        await until(pilot, lambda: screen.outcome == "stopped")
        assert read_run(tmp_path / "outputs").config.epochs == 100_001
        await pilot.press("n")
        await fill(pilot, output_dir="outputs")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")  # overwrite
        await until(pilot, lambda: screen.outcome == "finished")
        assert read_run(tmp_path / "outputs").config.epochs == 2


async def test_a_diverged_loss_ends_the_run_and_never_the_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Diffusion.loss, []

    def diverge(*arguments: Any) -> torch.Tensor:
        calls.append(threading.current_thread().name)
        return real(*arguments) * (float("nan") if calls.count("job train") > 3 else 1.0)  # the plan's do not count

    monkeypatch.setattr(Diffusion, "loss", diverge)
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot)
        await until(pilot, lambda: screen.outcome == "failed")
        board = screen.query_one(Dashboard)
        assert "last.pt" in str(board.query_one("#problem", Static).content)
        assert board.query_one("#problem").region
        assert board.query_one("#run", Box).state == "failed"
        assert RunDir(tmp_path / "outputs").last.exists()


def test_a_run_whose_state_cannot_be_written_says_where_it_failed(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    training = Training(tiny_config(tmp_path / "run"))
    items = iter(training)
    next(items)
    assert training.trainer is not None
    (tmp_path / "run").rename(tmp_path / "elsewhere")
    (tmp_path / "run").write_text("in the way")
    training.trainer.pause()
    with pytest.raises(UserError):
        training.rests()
    with pytest.raises(UserError):  # nor can its last words
        items.close()
    assert "failed at step 1: " in training.snapshot(None).log[-1]


async def test_quitting_while_it_trains_asks_and_saves(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        for answer in (["escape"], ["up", "enter"]):  # the last answer is to cancel, too
            await pilot.press("q")
            await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
            await pilot.press(*answer)
            await until(pilot, lambda: pilot.app.screen is screen)
        assert pilot.app.jobs.running("train")  # type: ignore[attr-defined]
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        await left(pilot.app)
    assert read_run(tmp_path / "outputs").status == "stopped"


@pytest.mark.slow
async def test_a_run_can_be_left_to_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "glyphs", ALL_GLYPHS)  # the other process opens no fewer
    folder = tmp_path / "outputs"
    async with at_mode("train", tmp_path) as pilot:
        app: Any = pilot.app
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("enter")
        await left(app)
    step = read_run(folder).step
    assert step > 2
    summary = "\n".join(app.summary())
    assert f"goes on in process {app.trained[folder]}" in summary
    assert f"tinydiff-tui attach {folder}" in summary
    await stopped(folder)
    assert read_run(folder).step > step
    assert not any("goes on" in line for line in app.summary())


@pytest.mark.slow
async def test_a_run_can_be_started_detached(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    async with at_mode("train", tmp_path) as pilot:
        app: Any = pilot.app
        form = await fill(pilot, epochs=ENDLESS, on_nan="rollback", lr="0.003")
        await pilot.press("B")
        await until(pilot, lambda: app.current_mode == "runs")
        await until(pilot, lambda: bool(app.screen.rows) and app.screen.rows[0].live)
        assert (app.screen.chosen.key, app.jobs.running("train")) == (str(folder), False)
        config = read_run(folder).config
        assert (config.on_nan, config.lr, config.model, config.epochs) == ("rollback", 0.003, "tiny", int(ENDLESS))
        assert form.read().output_dir == "outputs-2"
        await pilot.press("X")
        await until(pilot, lambda: app.screen.rows[0].cells[0] == "stopped")
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "train")
        await fill(pilot, output_dir="outputs", batch_size="32")
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("enter")  # resume
        await until(pilot, lambda: "did not start" in str(form.query_one("#problem", Static).content))


async def test_what_is_measured_leaves_what_is_said_under_the_form(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, dataset="mnist")
        form = screen.query_one(TrainForm)
        problem = form.query_one("#problem", Static)
        assert "mnist is not in" in str(problem.content)
        form.resolve({"precision": "auto, of late"})
        assert "auto, of late" in form.row("precision").query_one(Select).prompt
        assert "mnist is not in" in str(problem.content)


async def test_why_a_run_did_not_begin_stands_there_until_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs" / "checkpoints").write_text("a file where the folder has to be")
    async with at_mode("train", tmp_path) as pilot:
        app: Any = pilot.app
        screen = await start(pilot, output_dir="outputs", epochs="1")
        form = screen.query_one(TrainForm)
        await until(pilot, lambda: not app.jobs.running("train") and not screen.has_class("-running"))
        await until(pilot, lambda: form.read().output_dir == "outputs-2")
        await fill(pilot, batch_size="8")
        problem = form.query_one("#problem", Static)
        assert "checkpoints" in str(problem.content) and problem.region
        await pilot.press("ctrl+s")
        await until(pilot, lambda: screen.has_class("-running"))
        assert not str(problem.content)


async def stopped(folder: Path) -> None:
    """Have a run of another process stop, and wait until it is gone."""
    run = RunDir(folder)
    end = time.monotonic() + PATIENCE
    while run.is_live() or read_run(folder).status != "stopped":
        assert time.monotonic() < end
        run.ask("stop")  # again: one that was asked before the run took its lock does not count
        await asyncio.sleep(0.1)


def test_a_long_series_is_thinned_and_keeps_its_mean() -> None:
    series = Series()
    losses = np.linspace(2, 1, 10_000)
    for step, loss in enumerate(losses.tolist(), start=1):
        series.add(step, [loss])
    assert len(series.losses) <= 2000
    assert np.mean(series.losses) == pytest.approx(losses.mean(), rel=0.01)
    assert series.steps == sorted(series.steps)
    series.cut(5000)
    assert max(series.steps) <= 5000


def test_rows_are_thinned_on_a_logarithmic_clock() -> None:
    picture = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    rows: tuple[Row, ...] = ()
    for number in range(1, 400):
        rows = kept(rows, Row(number, 2.0 * number, picture))
    assert len(rows) == MOST_ROWS and (rows[0].step, rows[-1].step) == (1, 399)
    for most in (0, 1, 2, 5):
        chosen = spread(rows, most)
        assert len(chosen) == most and (not chosen or chosen[-1].step == 399)
    assert [row.step for row in spread(rows, 2)] == [1, 399]
    gaps = np.diff(np.log([row.seconds for row in spread(rows, 6)]))
    assert gaps.max() < 2.5 * gaps.min()
    assert [row.step for row in kept(rows, Row(20, 40.0, picture))][-2:] == [19, 20], "a run that went back forgets the rest"


def test_a_smoothed_line_does_not_lag() -> None:
    falling = np.geomspace(2, 0.2, 240)
    inner = slice(24, -24)
    assert smoothed(falling)[inner] == pytest.approx(falling[inner], rel=0.08)
    assert smoothed(np.array([1.5]))[0] == 1.5 and len(smoothed(np.zeros(0))) == 0


def view_of(rows: int, classes: int, side: int = 28) -> TrainView:
    """A run that went on for a while, of pictures with a mark in each."""
    steps = np.arange(1.0, 301)
    losses = Points(steps, 2 / steps**0.5)
    some = Points(steps[9::50], losses.y[9::50] * 1.1)
    pictures = np.full((10, side, side, 1), 200, dtype=np.uint8)
    names = tuple("abcdefghij"[:classes])
    return TrainView(
        folder=Path("outputs"), dataset="mnist", recipe="fast flow", phase="training", step=300, total_steps=1000, epoch=3,
        epochs=20, steps_per_epoch=50, batch_size=96, loss=0.1, lr=1e-3, grad_norm=0.2, images_per_second=500.0,
        eta_seconds=60.0, seconds=30.0, quartiles=(0.1, 0.2, 0.3, 0.4), memory=1e9, losses=losses, held_out=some,
        quarters=(losses, losses, losses, losses), distances=some, floor=0.01, judge="mnist judge CNN v1",
        clock=Points(steps, steps / 10), log=("12:00:00 started in outputs",) * 30,
        rows=tuple(Row(10 * n, float(n), pictures) for n in range(1, rows + 1)), classes=names,
        pictures=np.full((64, side, side, 1), 90, dtype=np.uint8), pictures_title="samples, epoch 3 (EMA)", question="",
        spread=(),
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
async def test_nothing_of_the_dashboard_is_cut_off(size: tuple[int, int], tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, size) as pilot:
        screen = train_screen(pilot)
        board = screen.query_one(Dashboard)
        screen.add_class("-running")
        await pilot.pause()
        board.show(view_of(30, 10), Standing("running"), whole=True)
        seen: set[str] = set()
        for _ in range(4 if board.paged else 1):
            await pilot.pause()
            for box in board.query(Box):
                if not box.region:
                    continue
                seen.add(str(box.id))
                assert board.region.contains_region(box.region) and box.content_size.height >= 1, box.id
                assert cell_len(str(box.border_title)) + 4 <= box.region.width, box.border_title
                assert cell_len(str(box.border_subtitle)) + 4 <= box.region.width, box.border_subtitle
            if board.query_one("#samples").region:
                grid = board.query_one(RowGrid)
                assert grid.tiling.down >= 2 and grid.tiling.across >= 3 and grid.shown == grid.tiling.room
            board.turn(1)
        assert seen == {"run", *BOXES}
        line = board.query_one(ProgressLine).render().plain
        assert "30%" in line and "60 s left" in line.replace("1:00 left", "60 s left") and cell_len(line) <= size[0]


async def test_rows_show_the_first_classes_under_their_names_and_the_newest_step_below(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = train_screen(pilot)
        board = screen.query_one(Dashboard)
        screen.add_class("-running")
        await pilot.pause()
        grid, steps = board.query_one(RowGrid), board.query_one(Steps)
        for rows, classes in ((1, 10), (30, 10), (30, 3), (30, 0)):
            board.show(view_of(rows, classes), Standing("running"), whole=True)
            await pilot.pause()
            texts = [text for _, text in sorted(steps._texts.items())]
            assert texts[-1] == str(10 * rows) and texts == sorted(texts, key=int)
            assert len(texts) == min(rows, grid.tiling.down)
            heading = "".join(segment.text for segment in grid.render_line(0)).split()
            assert heading == [("abcdefghij"[:classes] * 10)[k] for k in range(grid.tiling.across)] if classes else not heading
        before = grid.tiling.across
        await pilot.press("v", "v", "v")
        await pilot.pause()
        assert grid.tiling.across > before
        await pilot.press("V", "V", "V", "x")
        await until(pilot, lambda: bool(board.query_one("#grid").region) and not grid.region)
        await pilot.press("x")
        await until(pilot, lambda: bool(grid.region))


async def test_the_dashboard_sees_the_same_noises_and_the_loss_held_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.training.aside.Allowance.due", lambda *_: True)  # the clock is tested where it is
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = await start(pilot, epochs="4", conditional=True)  # type: ignore[arg-type]
        await until(pilot, lambda: screen.outcome == "finished")
        view = screen.view
        assert view is not None
        assert [row.step for row in view.rows] == list(range(25)) and view.rows[0].pictures.shape == (10, 28, 28, 1)
        assert view.classes == tuple("0123456789")
        assert view.held_out.x.tolist() == [10, 20, 24] and np.isfinite(view.held_out.y).all()
        names = [curve.name for curve in screen.query_one("#loss Chart", Chart).curves]
        assert names == ["", "loss", "held out"]
        assert not screen.query_one("#samples Empty").region and screen.query_one("#quality Empty").region
        lines = RunDir(tmp_path / "outputs").read_metrics()
        assert [line["held_out"] for line in lines] == pytest.approx(view.held_out.y.tolist(), abs=1e-6)


async def test_the_judge_says_how_far_it_is_while_it_trains(tmp_path: Path, hasty_judge: None) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        await pilot.press("j")
        await until(pilot, lambda: len(screen.view.distances.x) == 1)  # type: ignore[union-attr]
        view = screen.view
        assert view is not None and view.distances.y[0] > view.floor > 0
        assert view.judge == "glyphs judge CNN v1"
        assert any("distance" in line and f"real images {view.floor:.2f} ({view.judge})" in line for line in view.log)
        await until(pilot, lambda: not screen.query_one("#quality Empty").region)
        await until(pilot, lambda: any("distance" in line for line in RunDir(tmp_path / "outputs").read_metrics()))
        await pilot.press("X")
        await until(pilot, lambda: screen.outcome == "stopped")


@pytest.fixture
def slow_judge(hasty_judge: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes so long to train that it is asked for first."""
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 64 * 128)
    monkeypatch.setattr("tinydiff_tui.jobs.judging.MEASURED", 1)


async def asking(pilot: Pilot[None]) -> TrainScreen:
    """A run that asks for its judge."""
    screen = await start(pilot, epochs=ENDLESS, judge_seconds="0.1")
    await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
    return screen


async def test_a_judge_that_is_not_there_is_asked_for_and_a_no_goes_on_training(tmp_path: Path, slow_judge: None) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = await asking(pilot)
        assert "takes about" in pilot.app.screen.question  # type: ignore[attr-defined]
        trainer = screen.training.trainer  # type: ignore[union-attr]
        assert trainer is not None
        held = trainer.step
        await pilot.press("escape")
        await until(pilot, lambda: trainer.step > held + 5)
        assert not isinstance(pilot.app.screen, Ask) and screen.training.quality.every == 0  # type: ignore[union-attr]
        await pilot.press("j")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")
        await until(pilot, lambda: len(screen.view.distances.x) > 0)  # type: ignore[union-attr]
        await pilot.press("X")
        await until(pilot, lambda: screen.outcome == "stopped")


async def test_a_run_that_asks_for_its_judge_heeds_a_stop(tmp_path: Path, slow_judge: None) -> None:
    async with at_mode("train", tmp_path, (120, 40)) as pilot:
        screen = await asking(pilot)
        RunDir(tmp_path / "outputs").ask("stop")
        await until(pilot, lambda: screen.outcome == "stopped")


async def test_a_mode_that_is_not_composed_yet_is_asked_nothing(tmp_path: Path) -> None:
    async with at_mode("data", tmp_path) as pilot:
        app: Any = pilot.app
        await until(pilot, lambda: app.screen.opened is not None and not app.jobs.running("data"))
        coming = app.switch_mode("train")
        app.choose_dataset("fashion_mnist")
        await coming
        assert train_screen(pilot).query_one(TrainForm).given()[0]["dataset"] == "fashion_mnist"


def test_durations() -> None:
    assert [duration(s) for s in (3, 245, 7384, float("nan"))] == ["3 s", "4:05", "2:03:04", "–"]


def test_a_free_output_dir_is_suggested(tmp_path: Path) -> None:
    assert free_output_dir(tmp_path) == "outputs"
    (tmp_path / "outputs").mkdir()
    assert free_output_dir(tmp_path) == "outputs-2"
