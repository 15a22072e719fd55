"""Train: the form, the dashboard and its keys, on the real engine with the tiny network."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textual.widgets import Input, Select, Sparkline, Static

from core.diffusion.process import Diffusion
from core.runs.folder import RunDir, read_run
from tests.tui.modes import ENDLESS, PATIENCE, at_mode, fill, left, start, train_screen, until
from tinydiff_tui.jobs.series import Series
from tinydiff_tui.jobs.training import LossCurve
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.text import duration
from tinydiff_tui.widgets.dashboard import Dashboard
from tinydiff_tui.widgets.loss_chart import LossChart, draw
from tinydiff_tui.widgets.train_form import IMPORTANT, TrainForm, free_output_dir

pytestmark = pytest.mark.usefixtures("small_glyphs")


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


async def test_the_important_fields_fit_80x24_and_the_rest_unfolds(tmp_path: Path) -> None:
    async with at_mode("train", tmp_path) as pilot:
        form = train_screen(pilot).query_one(TrainForm)
        assert form.max_scroll_y == 0
        for name in IMPORTANT:
            text = form.row(name).query_one(".help", Static)
            assert form.region.contains_region(text.region)
            assert len(str(text.content)) <= text.content_size.width * text.content_size.height
        assert not form.row("weight_decay").region
        await pilot.press("a")
        await pilot.pause()
        assert form.row("weight_decay").region


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
        assert len(view.losses) == 12
        assert board.query_one("#spark", Sparkline).data
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
        assert str(screen.query_one("#headline", Static).content).startswith("paused")
        await pilot.press("plus", "plus", "minus", "l")
        await until(pilot, lambda: trainer.state.lr_factor == pytest.approx(1.25))
        await until(pilot, lambda: screen.query_one(LossChart).log_scale)
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
        await pilot.press("x")
        await until(pilot, lambda: screen.outcome == "stopped")
        run = read_run(tmp_path / "outputs")
        assert (run.status, run.step) == ("stopped", trainer.step)
        assert "--resume" in "".join(pilot.app.summary())  # type: ignore[attr-defined]


async def test_requests_in_the_run_folder_are_the_same_as_keys(tmp_path: Path) -> None:
    run = RunDir(tmp_path / "outputs")
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot, epochs=ENDLESS)
        await until(pilot, lambda: screen.view is not None and screen.view.step > 2)
        run.ask("pause")
        await until(pilot, lambda: read_run(run.path).status == "paused")
        await until(pilot, lambda: str(screen.query_one("#headline", Static).content).startswith("paused"))
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
        await pilot.press("x")
        await until(pilot, lambda: screen.outcome == "stopped")
        done = read_run(tmp_path / "outputs").step
        await pilot.press("n")
        await fill(pilot, output_dir="outputs", epochs="100001")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("enter")  # resume
        await until(pilot, lambda: screen.view is not None and screen.view.step > done)
        assert any("resumed at step" in line for line in screen.view.log)  # type: ignore[union-attr]
        await pilot.press("x")
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
        calls.append(1)
        return real(*arguments) * (float("nan") if len(calls) > 3 else 1.0)

    monkeypatch.setattr(Diffusion, "loss", diverge)
    async with at_mode("train", tmp_path) as pilot:
        screen = await start(pilot)
        await until(pilot, lambda: screen.outcome == "failed")
        board = screen.query_one(Dashboard)
        assert "last.pt" in str(board.query_one("#problem", Static).content)
        assert board.query_one("#problem").display
        assert RunDir(tmp_path / "outputs").last.exists()


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
async def test_a_run_can_be_left_to_a_process_of_its_own(tmp_path: Path) -> None:
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
        await pilot.press("x")
        await until(pilot, lambda: app.screen.rows[0].cells[0] == "stopped")
        await pilot.press("3")
        await until(pilot, lambda: app.current_mode == "train")
        await fill(pilot, output_dir="outputs", batch_size="32")
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("enter")  # resume
        await until(pilot, lambda: "did not start" in str(form.query_one("#problem", Static).content))


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


@pytest.mark.parametrize("log_scale", [False, True])
@pytest.mark.parametrize("size", [(80, 12), (20, 4), (9, 2), (0, 0), (200, 50)])
@pytest.mark.parametrize(
    "losses", [[], [0.5], [1.0, float("nan"), float("inf"), 0.2], [0.0, 0.0], [-1.0, 2.0], [1e-8, 1e8]], ids=str
)
def test_the_chart_draws_any_numbers_in_any_room(losses: list[float], size: tuple[int, int], log_scale: bool) -> None:
    curve = LossCurve("a [b]", np.arange(1.0, len(losses) + 1), np.array(losses))
    for curves in ([], [curve], [curve, curve]):
        lines = ["".join(text for text, _ in row) for row in draw(curves, *size, log_scale)]
        assert len(lines) <= max(size[1], 1)
        assert all(len(line) <= max(size[0], 0) for line in lines)


def test_durations() -> None:
    assert [duration(s) for s in (3, 245, 7384, float("nan"))] == ["3 s", "4:05", "2:03:04", "–"]


def test_a_free_output_dir_is_suggested(tmp_path: Path) -> None:
    assert free_output_dir(tmp_path) == "outputs"
    (tmp_path / "outputs").mkdir()
    assert free_output_dir(tmp_path) == "outputs-2"
