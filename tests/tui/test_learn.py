"""Learn: every key at 80x24, the order of predicting and running, what is remembered, and formulas in their colours."""

import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from textual.content import Content
from textual.pilot import Pilot

from tests.tui.modes import at_mode, until
from tinydiff_tui.app.settings import load_settings
from tinydiff_tui.cli import run
from tinydiff_tui.jobs.lessons import LESSONS, Lesson, Outcome, Scene
from tinydiff_tui.screens.learn import LearnScreen
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.question import Contents, Question
from tinydiff_tui.widgets.sheet import SpreadGrid


async def ready(pilot: Pilot[None]) -> LearnScreen:
    """Learn, with what stands before a prediction shown."""
    screen = pilot.app.screen
    assert isinstance(screen, LearnScreen)
    await until(pilot, lambda: screen.wanted is None and not screen.has_class("-empty"))
    return screen


def said(screen: LearnScreen) -> str:
    return str(screen.query_one(Question).content)


def grid(screen: LearnScreen) -> SpreadGrid:
    return screen.query_one(SpreadGrid)


async def test_a_lesson_is_predicted_run_and_compared(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.lesson.name == "noise" and grid(screen).rows.shape[0] == 1  # nothing of the answer is there
        assert not screen.query_one(Chart).curves and "enter predicts" in screen.query_one("#asked", Box).figures
        await pilot.press("right", "right", "right", "left")
        assert screen.chosen == 2 and "● an eighth: 1/8" in said(screen)
        await pilot.press("enter")
        await until(pilot, lambda: screen.outcome is not None)
        assert screen.outcome is not None and screen.outcome.right == 2
        assert "✓ an eighth: 1/8" in said(screen) and "As you said:" in said(screen) and "0.125" in said(screen)
        assert grid(screen).rows.shape[0] == 2 and screen.query_one(Chart).curves
        await pilot.press("right")
        assert screen.chosen == 2  # what was said stays
        assert load_settings().learned == "noise" and "✓ 1 What noise is" in str(screen.query_one(Contents).content)
        await pilot.press("enter")
        screen = await ready(pilot)
        assert screen.lesson.name == "forward" and screen.outcome is None and screen.chosen == 0
    async with at_mode("learn", tmp_path) as pilot:  # and it is remembered
        assert (await ready(pilot)).lesson.name == "forward"


async def test_a_wrong_prediction_is_said_and_other_noises_ask_again(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: screen.outcome is not None)
        assert "✗ as strong: 1" in said(screen) and "✓ an eighth" in said(screen) and "Not as you said:" in said(screen)
        before, first = grid(screen).rows, screen.outcome
        await pilot.press("space")  # the same once more
        await until(pilot, lambda: screen.outcome is not first and screen.wanted is None)
        assert np.array_equal(grid(screen).rows, before)
        await pilot.press("n")
        screen = await ready(pilot)
        assert screen.outcome is None and screen.seed == 1
        assert not np.array_equal(grid(screen).rows[0], before[0])


async def test_lessons_are_turned_and_go_round(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        for lesson in (*LESSONS[1:], LESSONS[0]):
            await pilot.press("right_square_bracket")
            assert screen.lesson is lesson and lesson.title in str(screen.query_one("#text", Box).title)
        await pilot.press("left_square_bracket", "left_square_bracket")
        assert screen.lesson is LESSONS[-2]
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket", "left_square_bracket")
        await ready(pilot)
        assert screen.lesson.name == "schedules" and len(grid(screen).rows) == 4


async def test_keys_of_a_small_screen(tmp_path: Path) -> None:
    """The text scrolls, curves and pictures take turns, and a presentation has nothing else."""
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("right_square_bracket")
        await ready(pilot)
        text = screen.query_one("#text VerticalScroll")
        await until(pilot, lambda: text.max_scroll_y > 0)
        await pilot.press("down")
        await until(pilot, lambda: text.scroll_y == 1)
        await pilot.press("up")
        await until(pilot, lambda: text.scroll_y == 0)
        curves, pictures = screen.query_one("#curves"), screen.query_one("#pictures")
        assert (curves.display, pictures.display) == (False, True)
        await pilot.press("b")
        assert (curves.display, pictures.display) == (True, False)
        await pilot.press("b", "p")
        await pilot.pause()
        assert pictures.size.width > 70 and not screen.query_one("#left").display and screen.query_one("#asked").display
        assert not screen.query_one("ModeBar").display and not screen.query_one("KeyBar").display
        await pilot.press("right", "enter")  # a class predicts, too
        await until(pilot, lambda: screen.outcome is not None)
        await pilot.press("escape")
        assert screen.query_one("#left").display and screen.query_one("ModeBar").display


async def test_what_runs_can_be_stopped_and_runs_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinydiff_tui.jobs import experiments

    real, pressed = experiments.sampling, threading.Event()

    def sampling(seed: int) -> Iterator[Scene | Outcome]:
        for item in real(seed):
            yield item
            if isinstance(item, Scene) and len(item.rows) == 2:  # under way, and on no machine over before the key
                pressed.wait(60)

    monkeypatch.setattr(experiments, "sampling", sampling)
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        screen.action_open_lesson(5)
        await ready(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(grid(screen).rows) == 2)  # under way
        await pilot.press("X")
        await until(pilot, lambda: not pilot.app.jobs.busy("learn"))  # type: ignore[attr-defined]
        pressed.set()
        await until(pilot, lambda: screen.wanted is None)
        box = screen.query_one("#pictures", Box)
        assert screen.outcome is None and box.state == "stopped" and "sampling" not in pilot.app.learned  # type: ignore[attr-defined]
        assert "enter predicts" in screen.query_one("#asked", Box).figures


async def test_the_mouse_chooses_predicts_and_opens(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        line = next(y for y, text in enumerate(said(screen).splitlines()) if "half" in text)
        x = said(screen).splitlines()[line].index("half")
        await pilot.click(Question, (x, line))
        assert screen.chosen == 1 and screen.outcome is None
        await pilot.click(Question, (x, line))
        await until(pilot, lambda: screen.outcome is not None)
        await pilot.click(Contents, (4, 2))
        assert screen.lesson is LESSONS[2]
        await ready(pilot)


async def test_a_lesson_left_on_its_way_never_shows_in_another(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        screen.action_open_lesson(5)
        await pilot.press("enter", "right_square_bracket", "right_square_bracket", "right_square_bracket")
        await ready(pilot)
        assert screen.lesson.name == "noise" and screen.outcome is None
        assert grid(screen).rows.shape[:2] == (1, 4)


async def test_a_lesson_that_is_left_and_begun_again_before_it_has_stopped_runs(tmp_path: Path) -> None:
    async with at_mode("learn", tmp_path) as pilot:
        screen = await ready(pilot)
        screen.action_answer()
        screen.action_turn(1)
        screen.action_turn(-1)
        screen.action_answer()
        await until(pilot, lambda: screen.outcome is not None)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_every_lesson_has_a_text_of_a_few_sentences(lesson: Lesson) -> None:
    text = files("tinydiff_tui").joinpath("learn", f"{lesson.name}.md").read_text("utf-8")
    assert 30 < len(text.split()) < 110


def test_terms_of_formulas_have_their_colours() -> None:
    from tinydiff_tui.widgets.prose import coloured

    text = coloured(Content("x_t = a x₀ + s ε, predicted x_0 and x̂₀, but x_test and max_0"))
    spans = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert spans == {"x_t": "$x-t", "x₀": "$x0", "ε": "$epsilon", "predicted x_0": "$x0-hat", "x̂₀": "$x0-hat"}


def test_the_command_opens_the_lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    def run_app(**how: str) -> int:
        opened.append(how)
        return 0

    monkeypatch.setattr("tinydiff_tui.app.launch.run_app", run_app)
    assert run(["learn"]) == 0
    assert opened == [{"start": "learn"}]
