"""The Noise mode: one slider, one draw of noise, the numbers of the schedule."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Static

from core.names import SCHEDULES
from tests.tui.modes import at_mode, until
from tinydiff_tui.screens.noise import NoiseScreen
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
        assert len(set(seen)) == len(SCHEDULES)
        assert screen.schedule == next(iter(SCHEDULES))
        assert (screen.noising.noise == noise).all()


async def test_the_formula_holds_the_numbers_of_the_schedule(tmp_path: Path) -> None:
    async with at_mode("noise", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("end", "left_square_bracket", "left_square_bracket")
        from core.diffusion.schedule import NoiseSchedule

        a, s = NoiseSchedule("linear").point(600)
        formula = str(screen.query_one("#formula", Static).visual)
        assert f"x_t = {a:.3f} x0 + {s:.3f} ε" in formula
        values = screen.explain_values()
        assert values["t"] == "600"
        assert values["alpha_bar"] == f"{a * a:.5f}"
        assert float(values["snr_db"]) == pytest.approx(20 * math.log10(a / s), abs=0.06)


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
        await pilot.press("n")
        assert screen.index == 1
        await pilot.press("p")
        assert first is not None
        assert screen.noising is not None
        assert (screen.noising.noise == first.noise).all()
        await pilot.press("r")
        assert (screen.noising.noise != first.noise).any()
        await pilot.press("p")
        assert screen.opened is not None
        assert screen.index == len(screen.opened) - 1


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


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_nothing_is_cut_off(tmp_path: Path, size: tuple[int, int]) -> None:
    async with at_mode("noise", tmp_path, size=size) as pilot:
        screen = await ready(pilot)
        await pilot.pause()
        for widget in screen.query("PixelGrid, Curve, Scrubber, #numbers, #formula").results():
            assert widget.region.height > 0
            assert screen.region.contains_region(widget.region)
        assert screen.query_one("#x_t", PixelGrid).tiling.tile.look == "half"
