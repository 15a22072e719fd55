"""The Sample mode: from a checkpoint to pictures, their way, files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widgets import Input, Select, Static

from tests.conftest import few_glyphs
from tests.tui.modes import at_mode, until
from tinydiff_tui.jobs.sampling import Drawing, model_of
from tinydiff_tui.screens.sample import SampleScreen
from tinydiff_tui.widgets.sample_form import SampleForm
from tinydiff_tui.widgets.scrubber import Scrubber
from tinydiff_tui.widgets.slider import Slider


@pytest.fixture
def place(tmp_path: Path, tiny_run: Path) -> Path:
    """A working directory with a copy of a finished run in it."""
    import shutil

    shutil.copytree(tiny_run, tmp_path / "outputs")
    return tmp_path


@pytest.fixture(scope="session")
def conditional(tmp_path_factory: pytest.TempPathFactory, tiny_config: Callable[..., Any]) -> Path:
    from core.training.trainer import Trainer

    folder = tmp_path_factory.mktemp("conditional") / "run"
    with pytest.MonkeyPatch.context() as patch:
        few_glyphs(patch, 32)
        for _ in Trainer(tiny_config(folder, conditional=True, epochs=1, sample_interval=0)):
            pass
    return folder / "model_final.pt"


async def ready(pilot: Pilot[None]) -> SampleScreen:
    screen = pilot.app.screen
    assert isinstance(screen, SampleScreen)
    await until(pilot, lambda: screen.facts is not None)
    return screen


async def generated(pilot: Pilot[None]) -> SampleScreen:
    screen = await ready(pilot)
    await pilot.press("g")
    await until(pilot, lambda: "images in" in status(screen))
    return screen


def status(screen: SampleScreen) -> str:
    return str(screen.query_one("#status", Static).visual)


async def test_letters_work_at_once_and_frames_are_those_of_the_engine(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        assert screen.drawn is not None
        assert screen.drawn.done == screen.drawn.evaluations == 20
        assert len(screen.drawn.frames) == 21
        assert screen.trajectory.grid.shown == 16
        from core.compute.device import choose_compute
        from core.config import SampleConfig
        from core.diffusion.generate import generate
        from core.images import to_uint8

        model = model_of(place / "outputs" / "model_final.pt")
        *_, last = generate(model, SampleConfig(num_images=16), choose_compute())
        assert np.array_equal(screen.drawn.frames[-1].x, to_uint8(last.frame.x))


async def test_the_trajectory_is_scrubbed_replayed_and_zoomed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        trajectory, scrubber = screen.trajectory, screen.query_one("#frames", Scrubber)
        assert screen.drawn is not None
        frames = screen.drawn.frames
        assert scrubber.value == 20
        await pilot.press("left", "left")
        assert np.array_equal(trajectory.grid.images, frames[18].x)
        await pilot.press("v")
        assert np.array_equal(trajectory.grid.images, frames[18].x0)
        await pilot.press("home")
        assert trajectory.view is frames[0]
        await pilot.press("z", "down", "down", "up")
        assert (trajectory.grid.zoomed, trajectory.grid.shown) == (1, 1)
        await pilot.press("z", "end")
        assert trajectory.grid.shown == 16
        with monkeypatch.context() as slowly:
            slowly.setattr("tinydiff_tui.widgets.trajectory.FRAMES_A_SECOND", 0.001)
            await pilot.press("space")
            assert trajectory.player is not None
            await pilot.press("space")
            assert trajectory.player is None
        await pilot.press("end", "left", "left", "space")
        await until(pilot, lambda: trajectory.player is None)
        assert scrubber.value == 20


async def test_pictures_are_saved_beside_the_run(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        await pilot.press("w")
        await until(pilot, lambda: "sampled.png" in status(screen))
        await pilot.press("w")
        await until(pilot, lambda: "sampled_2.png" in status(screen))
        await pilot.press("G")
        await until(pilot, lambda: status(screen).startswith("saved") and ".gif" in status(screen))
        assert Image.open(place / "outputs" / "sampled.png").size[0] > 100
        assert Image.open(place / "outputs" / "sampled.gif").n_frames > 5  # type: ignore[attr-defined]


async def test_cancel_stops_and_keeps_what_is_there(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        screen.query_one("#steps", Input).value = "100"
        screen.query_one("#num_images", Input).value = "2000"
        await pilot.press("g")
        await until(pilot, lambda: screen.drawn is not None)
        await pilot.press("x")
        await until(pilot, lambda: "cancelled after" in status(screen))
        assert screen.drawn is not None
        assert 0 <= screen.drawn.done < screen.drawn.evaluations
        await pilot.press("home", "z")
        assert screen.trajectory.grid.shown == 1


async def test_mistakes_are_sentences(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        screen.query_one("#steps", Input).value = "500"
        await pilot.press("g")
        await until(pilot, lambda: "at most the model's 100 timesteps" in status(screen))
        screen.query_one("#steps", Input).value = "-1"
        await pilot.press("g")
        await until(pilot, lambda: "steps must be at least 1" in status(screen))
        screen.query_one("#steps", Input).value = ""
        (place / "torn.pt").write_bytes(b"torn")
        screen.choose_checkpoint(place / "torn.pt")
        await until(pilot, lambda: "cannot be read as a checkpoint" in status(screen))
        screen.query_one("#status", Static).update("")
        await pilot.press("g")
        await until(pilot, lambda: "cannot be read as a checkpoint" in status(screen))
        assert screen.drawn is None


async def test_no_checkpoint_says_where_to_get_one(tmp_path: Path) -> None:
    async with at_mode("sample", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        await until(pilot, lambda: "no checkpoint below" in status(screen))
        await pilot.press("g")
        assert "choose a checkpoint first" in status(screen)
        await pilot.press("w", "G", "space", "left", "v", "z", "x")


async def test_a_path_can_be_typed(tmp_path: Path, tiny_run: Path) -> None:
    async with at_mode("sample", tmp_path) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        await until(pilot, lambda: "no checkpoint below" in status(screen))
        field = screen.query_one("#path", Input)
        field.focus()
        field.value = str(tiny_run / "model_final.pt")
        await pilot.press("enter")
        await until(pilot, lambda: screen.facts is not None)
        assert screen.query_one(SampleForm).checkpoint == tiny_run / "model_final.pt"
        assert pilot.app.focused is None


async def test_class_and_guidance_are_for_conditional_models(place: Path, conditional: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        label = screen.query_one("#label", Select)
        assert not label.display or not label.region
        screen.choose_checkpoint(conditional)
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == conditional)
        await pilot.pause()
        assert label.region
        label.value = 3
        slider = screen.query_one("#guidance_scale", Slider)
        assert slider.number == 1.75
        slider.focus()
        await pilot.press(*["right"] * 6, "left", "escape")
        await pilot.press("g")
        await until(pilot, lambda: "images in" in status(screen))
        assert screen.drawn is not None
        assert (screen.drawn.options.label, screen.drawn.options.guidance_scale) == (3, 2.0)


async def test_options_are_shown_where_they_have_a_use(place: Path) -> None:
    """Each sampler's own, each start's own; what is hidden is not sent."""
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        form, sampler, start = (
            screen.query_one(SampleForm),
            screen.query_one("#sampler", Select),
            screen.query_one("#start", Select),
        )
        screen.query_one("#eta", Slider).number = 0.5
        assert form.read().eta == 0
        for choice, name, option in ((sampler, "ddim", "#eta"), (sampler, "ddpm", "#variance"), (start, "image", "#strength")):
            assert not screen.query_one(option).region
            choice.value = name
            await pilot.pause()
            assert screen.query_one(option).region.width > 5
            assert form.read().eta == (0.5 if name == "ddim" else 0)
        screen.query_one("#variance", Select).value = "large"
        screen.query_one("#spacing", Select).value = "leading"
        screen.query_one("#strength", Slider).number = 0.3
        options = form.read()
        assert (options.sampler, options.variance, options.spacing) == ("ddpm", "large", "leading")
        assert (options.start, options.strength, options.region) == ("image", 0.3, "centre")


@pytest.mark.parametrize("start", ["image", "inpaint", "interpolate"])
async def test_other_starts_are_those_of_the_engine(place: Path, start: str) -> None:
    async with at_mode("sample", place, size=(120, 40)) as pilot:
        screen = await ready(pilot)
        screen.query_one("#start", Select).value = start
        screen.query_one("#num_images", Input).value = "4"
        await pilot.pause()
        if start == "inpaint":
            screen.query_one("#region", Select).value = "left"
        await generated(pilot)
        from core.compute.device import choose_compute
        from core.config import SampleConfig
        from core.diffusion.generate import generate, source_pictures
        from core.images import to_uint8

        model = model_of(place / "outputs" / "model_final.pt")
        options = SampleConfig(num_images=4, start=start, region="left")
        source = source_pictures(model, options)
        *_, last = generate(model, options, choose_compute(), source)
        assert screen.drawn is not None
        pictures = screen.drawn.frames[-1].x
        assert np.array_equal(pictures, to_uint8(last.frame.x))
        formula = str(screen.query_one("#formula", Static).visual)
        assert {"image": "60% of the way", "inpaint": "outside of the left", "interpolate": "slerp"}[start] in formula
        if start == "inpaint":
            assert source is not None and np.array_equal(pictures[:, :, 14:], source.images[:, :, 14:].numpy())


@pytest.mark.parametrize(("size", "count"), [((80, 24), 16), ((120, 40), 36), ((200, 60), 64)])
async def test_all_images_are_on_the_screen(place: Path, size: tuple[int, int], count: int) -> None:
    async with at_mode("sample", place, size=size) as pilot:
        screen = await generated(pilot)
        assert screen.drawn is not None
        assert screen.trajectory.grid.shown == screen.drawn.options.num_images == count
        for widget in screen.query("Trajectory, PixelGrid, Scrubber, #formula, #status").results():
            assert screen.region.contains_region(widget.region)
        await pilot.press("o")


def test_long_ways_are_thinned_and_batches_joined(tiny_run: Path) -> None:
    from core.config import SampleConfig

    drawing = Drawing(tiny_run / "model_final.pt", SampleConfig(num_images=70, steps=100, sampler="ddim"))
    drawing_limit, items = 11, []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinydiff_tui.jobs.sampling.MOST_FRAMES", drawing_limit)
        for item in drawing:
            items.append(drawing.snapshot(item))
    frames = items[-1].frames
    assert len(frames) <= drawing_limit + 1
    assert [view.t for view in frames] == sorted((view.t for view in frames), reverse=True)
    assert frames[-1].t == -1
    assert frames[-1].x.shape == (70, 28, 28, 1)
    assert not (frames[-1].x[64:] == 128).all()
    half = items[50]
    assert (half.newest.x[64:] == 128).all()
