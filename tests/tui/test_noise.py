"""The Noise mode: one slider, one draw of noise, the numbers of the schedule."""

import math
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rich.cells import cell_len
from textual.pilot import Pilot
from textual.widgets import Static

from core.names import SCHEDULES
from tests.tui.modes import ENDLESS, at_mode, start, three_pictures, until
from tinydiff_tui.screens.noise import NoiseScreen
from tinydiff_tui.terminal.tiling import places
from tinydiff_tui.widgets.box import Box
from tinydiff_tui.widgets.chart import Chart
from tinydiff_tui.widgets.equation import Film, Weight, fit_terms, large
from tinydiff_tui.widgets.pixel_grid import PixelGrid
from tinydiff_tui.widgets.scrubber import Scrubber

pytestmark = pytest.mark.usefixtures("small_glyphs")


async def ready(pilot: Pilot[None]) -> NoiseScreen:
    screen = pilot.app.screen
    assert isinstance(screen, NoiseScreen)
    await until(pilot, lambda: screen.noising is not None)
    return screen


def t_of(screen: NoiseScreen) -> int:
    return screen.query_one(Scrubber).value


def x_t(screen: NoiseScreen) -> np.ndarray:
    return screen.query_one("#x_t", PixelGrid).images


async def test_keys_move_t(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        for keys, t in (
            (["right"], 1),
            (["shift+right"], 11),
            (["left", "shift+left"], 0),
            (["left"], 0),
            (["right_square_bracket"] * 3, 200),
            (["left_square_bracket"], 100),
            (["end"], 999),
            (["right"], 999),
            (["left_square_bracket"], 800),
            (["right_square_bracket"] * 2, 999),
            (["home"], 0),
        ):
            await pilot.press(*keys)
            assert t_of(screen) == t


async def test_the_picture_follows_the_schedule_with_the_same_noise(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.noising is not None
        noise = screen.noising.noise.clone()
        await pilot.press(*["right_square_bracket"] * 4)
        seen = []
        for name in SCHEDULES:
            assert screen.schedule == name
            assert np.array_equal(x_t(screen), screen.noising.at(name, 400))
            seen.append(x_t(screen).tobytes())
            await pilot.press("s")
        assert len(set(seen)) == len(SCHEDULES) - 1, "the learned one starts as cosine"
        assert screen.schedule == next(iter(SCHEDULES))
        assert (screen.noising.noise == noise).all()


async def test_the_equation_is_what_the_engine_computes(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        await pilot.press("down", "s", *["right_square_bracket"] * 5)
        import torch

        from core import images
        from core.diffusion.process import Diffusion
        from core.diffusion.schedule import NoiseSchedule

        assert screen.noising is not None and screen.opened is not None
        schedule, noise = NoiseSchedule("cosine"), screen.noising.noise
        clean = images.to_float(torch.from_numpy(screen.opened.images[1:2].copy()))
        mixed = Diffusion(schedule, "x0").q_sample(clean, torch.tensor([600]), noise)
        assert np.array_equal(x_t(screen), images.to_uint8(mixed))
        assert np.array_equal(screen.query_one("#x0", PixelGrid).images[0], screen.opened.images[1])
        assert np.array_equal(screen.query_one("#epsilon", PixelGrid).images, images.to_uint8(noise / 2))
        a, s = schedule.point(600)
        assert (screen.query_one("#a", Weight).value, screen.query_one("#s", Weight).value) == (a, s)
        for name, number in (("#a", a), ("#s", s)):
            text = screen.query_one(name, Weight).render().plain
            assert f"{number:.5f}" in text
            assert all(digits in text for digits in large(f"{number:.2f}"))
        assert {screen.query_one(f"#{name}", PixelGrid).tiling.tile[1:] for name in ("x_t", "x0", "epsilon")} == {
            (28, 14, (28, 28))
        }
        values = screen.explain_values()
        assert values["t"] == "600"
        assert values["alpha_bar"] == f"{a * a:.5f}"
        assert float(values["snr_db"]) == pytest.approx(20 * math.log10(a / s), abs=0.06)
        said = screen.query_one("#slider-box", Box).figures
        assert f"{a * a:.5f}" in said and values["snr_db"] in said
        beyond = float((mixed.abs() > 1).float().mean())
        assert screen.query_one("#values-box", Box).figures == f"{beyond:.0%} beyond ±1"


async def test_the_film_strip_holds_the_marks_and_is_clicked(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        from tinydiff_tui.jobs.noising import MARKS

        film = screen.query_one(Film)
        assert screen.noising is not None
        assert film.shown == len(MARKS) == 8
        for frame, mark in zip(film.images, MARKS, strict=True):
            assert np.array_equal(frame, screen.noising.at("linear", mark)[0])
        for keys, at in ((["right_square_bracket"] * 3, 3), (["right"], 3), (["left"] * 2, 2), (["end"], 7), (["home"], 0)):
            await pilot.press(*keys)
            assert film.cursor == at
        before = film.images.copy()
        await pilot.press("s")
        assert not np.array_equal(film.images, before)
        x, y = places(film.tiling, 8)[5]
        await pilot.click("#film", offset=(x + 1, y + 1))
        assert t_of(screen) == MARKS[5] == 600
        assert film.cursor == 5


async def test_every_schedule_is_a_curve_and_the_present_one_bright(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path, (200, 60)) as pilot:
        screen = await ready(pilot)
        await pilot.press("right_square_bracket", "right_square_bracket")
        from core.diffusion.schedule import NoiseSchedule

        for _ in SCHEDULES:
            for chart, bright in (("#alpha_bar", "x0"), ("#snr", "x-t")):
                curves = {curve.name: curve for curve in screen.query_one(chart, Chart).curves}
                assert set(curves) == {*SCHEDULES} - {"learned"} | {screen.schedule}
                assert [name for name, curve in curves.items() if curve.style == bright] == [screen.schedule]
                assert screen.query_one(chart, Chart).frame.cursor == 100
                for name, curve in curves.items():
                    schedule = NoiseSchedule(name)
                    assert np.array_equal(curve.y, (schedule.alpha_bar if chart == "#alpha_bar" else schedule.snr).numpy())
            await pilot.press("s")
        noise, values = screen.query_one("#values", Chart).curves
        width = values.x[1] - values.x[0]
        assert values.y.sum() * width == pytest.approx(1)
        assert noise.y.sum() * width == pytest.approx(1, abs=0.01)
        await pilot.press("end")
        values = screen.query_one("#values", Chart).curves[1]
        assert np.abs(values.y - noise.y).max() < 0.15  # nothing but noise


@pytest.mark.parametrize(
    ("width", "height", "side", "term"),
    [
        (120, 19, (28, 28), (28, 14, 15)),
        (80, 11, (28, 28), (16, 8, 13)),
        (200, 33, (28, 28), (56, 28, 13)),
        (120, 19, (32, 32), (32, 16, 9)),
        (144, 30, (32, 16), (16, 16, 45)),
    ],
)
def test_the_terms_are_exact_where_they_have_room(
    width: int, height: int, side: tuple[int, int], term: tuple[int, int, int]
) -> None:
    assert fit_terms(width, height, side) == term


@given(st.integers(60, 220), st.integers(5, 60), st.integers(1, 64), st.integers(1, 64))
def test_the_terms_always_fit(width: int, height: int, rows: int, columns: int) -> None:
    across, down, number = fit_terms(width, height, (rows, columns))
    assert across >= 1 and 1 <= down <= max(height - 2, 1)
    assert 3 * (across + 2) + 2 * number <= width


async def test_only_the_rows_of_a_chart_that_change_are_painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        chart = screen.query_one("#alpha_bar", Chart)
        await pilot.press("right_square_bracket")
        painted: list[tuple[object, ...]] = []
        monkeypatch.setattr(chart, "refresh", lambda *regions, **_: painted.append(regions))
        await pilot.press("right")  # the cursor stays in its column
        assert not painted
        await pilot.press(*["right_square_bracket"] * 2)
        assert painted and all(regions for regions in painted)


async def test_pure_noise_of_the_flow_schedule_is_minus_infinity(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("s", "s", "s", "end")
        assert screen.schedule == "flow"
        assert screen.explain_values()["snr_db"] == "−∞"


async def test_other_images_and_other_noise(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        first = screen.noising
        await pilot.press("down")
        assert screen.index == 1
        await pilot.press("up")
        assert first is not None
        assert screen.noising is not None
        assert (screen.noising.noise == first.noise).all()
        await pilot.press("n")
        assert (screen.noising.noise != first.noise).any()
        assert screen.query_one("#epsilon-box", Box).title == "ε · noise 1"
        await pilot.press("up")
        assert screen.opened is not None
        assert screen.index == len(screen.opened) - 1
        assert str(screen.index) in screen.query_one("#x0-box", Box).title


async def test_a_set_that_another_mode_opens_is_shown_at_once(tmp_path: Path) -> None:
    mine = three_pictures(tmp_path / "mine")
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        for _ in range(2):  # also where the second is shown already
            pilot.app.choose_dataset("folder:nowhere")  # type: ignore[attr-defined]
            pilot.app.choose_dataset(mine)  # type: ignore[attr-defined]
            await until(pilot, lambda: screen.opened is not None and screen.opened.name == mine)
            await until(pilot, lambda: not pilot.app.jobs.running("noise"))  # type: ignore[attr-defined]
            assert screen.noising is not None and not screen.query_one("#status").display


async def test_x_t_alone_and_all_again(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        await pilot.press("z")
        await until(pilot, lambda: not screen.query_one("#x0").region)
        assert screen.query_one("#x_t", PixelGrid).tiling.tile[1:] == (56, 28, (56, 56))
        await pilot.press("end")
        assert screen.noising is not None
        assert np.array_equal(x_t(screen), screen.noising.at("linear", 999))
        await pilot.press("escape")
        await until(pilot, lambda: bool(screen.query_one("#x0").region))
        assert screen.query_one("#x_t", PixelGrid).tiling.tile[1:] == (28, 14, (28, 28))


async def test_a_low_screen_shows_the_charts_by_a_key(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.query_one(Film).region and not screen.query_one("#snr").region
        await pilot.press("b")
        await until(pilot, lambda: bool(screen.query_one("#snr").region))
        assert not screen.query_one(Film).region
        await pilot.press("b")
        await until(pilot, lambda: bool(screen.query_one(Film).region))


async def test_space_plays_to_the_end_and_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        with monkeypatch.context() as slowly:
            slowly.setattr("tinydiff_tui.screens.noise.FRAMES_A_SECOND", 0.001)
            await pilot.press("end", "left_square_bracket", "space")
            assert screen.player is not None
            await pilot.press("space")
            assert screen.player is None
        await pilot.press("end", *["shift+left"] * 2, "space")
        await until(pilot, lambda: screen.player is None)
        assert t_of(screen) == 999


async def test_the_strip_is_saved_under_a_new_name_each_time(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("w", "w")
        files = sorted(tmp_path.glob("noise_*.png"))
        assert [file.name for file in files] == ["noise_glyphs_linear.png", "noise_glyphs_linear_2.png"]
        assert Image.open(files[0]).width > Image.open(files[0]).height
        assert files[1].name in str(screen.query_one("#status", Static).visual)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (100, 30), (90, 50)])
async def test_nothing_is_cut_off(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_mode("noise", tmp_path, size=size) as pilot:
        screen = await ready(pilot)
        for key in ("", "b", "z", "z", "b"):
            await pilot.press(*([key] if key else []))
            await pilot.pause()
            boxes = [box for box in screen.query(Box) if box.region]
            inside = [widget for box in boxes for widget in box.children]
            for widget in [*boxes, *inside]:
                assert widget.region.height > 0 and widget.region.width > 0
                assert screen.region.contains_region(widget.region)
            for one, other in combinations(boxes, 2):
                assert not one.region.overlaps(other.region)
            assert max(box.region.bottom for box in boxes) == screen.query_one("#body").region.bottom
        for number in screen.query(Weight):
            assert max(map(cell_len, number.render().plain.splitlines())) <= number.size.width


@pytest.mark.parametrize("live", [True, False])
async def test_the_learned_schedule_is_that_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, live: bool) -> None:
    """While it trains here, and afterwards from its folder."""
    from core.diffusion import learned
    from core.diffusion.learned import EVEN, LearnedSchedule
    from core.runs.folder import read_run
    from tinydiff_tui.jobs import noising

    monkeypatch.setattr(learned, "EVERY", 4)
    monkeypatch.setattr(noising, "_learned", noising.Learned())
    noising.diffusion.cache_clear()
    noising.tables.cache_clear()
    spread = EVEN
    if not live:
        from core.config import TrainConfig
        from core.training.trainer import Trainer

        small = {"model": "tiny", "batch_size": 16, "epochs": 1, "device": "cpu", "precision": "fp32", "sample_interval": 0}
        options = {"objective": "v", "schedule": "learned", "t_sampling": "uniform"}
        list(Trainer(TrainConfig.of(**small, **options, output_dir=str(tmp_path / "bent"))))
        spread = read_run(tmp_path / "bent").spread
        assert spread not in ((), EVEN)
    async with at_mode("noise", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        while screen.schedule != "learned":
            await pilot.press("s")
        box = screen.query_one("#slider-box", Box)
        if live:
            assert "of no run yet" in str(box.border_title)
            await pilot.press("3")
            options = {"objective": "v", "schedule": "learned", "t_sampling": "uniform", "epochs": ENDLESS}
            train = await start(pilot, **options, output_dir="bent")
            await until(pilot, lambda: train.view is not None and train.view.spread not in ((), EVEN))
            await pilot.press("2")
        await until(pilot, lambda: "by bent, step" in str(box.border_title))
        await until(pilot, lambda: noising.learned().spread != EVEN)
        await pilot.pause()
        shown = noising.learned()
        table = LearnedSchedule(1000, spread=shown.spread)
        curve = screen.query_one("#alpha_bar", Chart).curves[-1]
        assert curve.name == "learned" and np.array_equal(curve.y, table.alpha_bar.numpy())
        assert not np.array_equal(curve.y, screen.query_one("#alpha_bar", Chart).curves[1].y)
        if live:
            await until(pilot, lambda: noising.learned().step > shown.step)
        else:
            assert shown.spread == spread
    noising.learn(noising.Learned())
