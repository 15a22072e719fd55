"""The Sample mode: from a checkpoint to pictures, their way, files."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import Input, Select, Static

from core.runs.embedded import embedded_model
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


async def generated(pilot: Pilot[None], evaluations: str = "") -> SampleScreen:
    screen = await ready(pilot)
    screen.query_one("#steps", Input).value = evaluations
    await pilot.press("g")
    await until(pilot, lambda: state(screen) == "finished")
    return screen


def state(screen: SampleScreen) -> str:
    """How the drawing stands, by the badge in the frame."""
    return screen.trajectory.box("pictures").state


def told(screen: SampleScreen, name: str) -> str:
    """What a field that is left as it is says that it will be."""
    field = screen.query_one(f"#{name}")
    said = field.prompt if isinstance(field, Select) else field.placeholder if isinstance(field, Input) else ""
    return str(said).removeprefix("default: ")


def status(screen: SampleScreen) -> str:
    return str(screen.query_one("#status", Static).visual)


async def test_letters_work_at_once_and_frames_are_those_of_the_engine(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        assert screen.drawn is not None
        assert screen.drawn.done == screen.drawn.evaluations == 6
        assert len(screen.drawn.frames) == 7
        assert len(screen.trajectory.grid.images) == 10
        from core.compute.device import choose_compute
        from core.config import SampleConfig
        from core.diffusion.generate import generate
        from core.images import to_uint8

        model = model_of(place / "outputs" / "model_final.pt")
        *_, last = generate(model, SampleConfig(num_images=10), choose_compute())
        assert np.array_equal(screen.drawn.frames[-1].x, to_uint8(last.frame.x))


async def test_the_trajectory_is_scrubbed_replayed_and_zoomed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot, "20")
        trajectory, scrubber = screen.trajectory, screen.query_one("#frames", Scrubber)
        assert screen.drawn is not None
        frames = screen.drawn.frames
        assert scrubber.value == 20
        await pilot.press("left", "left")
        assert np.array_equal(trajectory.grid.images, frames[18].x)
        await pilot.press("x")
        assert np.array_equal(trajectory.grid.images, frames[18].x0)
        await pilot.press("home")
        assert trajectory.view is frames[0]
        shown = trajectory.grid.shown
        await pilot.press("z", "down", "down", "up")
        assert (trajectory.grid.zoomed, trajectory.grid.shown, trajectory.cursor) == (1, 1, 1)
        await pilot.press("z", "end")
        assert trajectory.grid.shown == shown > 1
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
        await pilot.press("W")
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
        await pilot.press("X")
        await until(pilot, lambda: "stopped after" in status(screen))
        assert state(screen) == "stopped"
        assert screen.drawn is not None
        assert 0 <= screen.drawn.done < screen.drawn.evaluations
        await pilot.press("home", "z")
        assert screen.trajectory.grid.shown == 1


async def test_pictures_that_are_asked_for_while_others_are_being_stopped_come(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core.diffusion import generate

    held = threading.Event()

    def slowly(*given: Any) -> Iterator[Any]:
        for frame in generate.generate(*given):
            yield frame
            held.wait(60)

    monkeypatch.setattr("tinydiff_tui.jobs.sampling.generate", slowly)
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        await pilot.press("g")
        await until(pilot, lambda: screen.drawn is not None)
        await pilot.press("X", "n")  # it cannot stop yet
        assert screen.drawn is None and state(screen) == "running"
        held.set()
        await until(pilot, lambda: state(screen) == "finished")
        assert screen.drawn is not None and screen.drawn.options.seed == 1


async def test_mistakes_are_sentences(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await ready(pilot)
        screen.query_one("#steps", Input).value = "500"
        await pilot.press("g")
        await until(pilot, lambda: "at most the model's 100 timesteps" in status(screen))
        assert state(screen) == "failed"
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


async def test_an_empty_folder_is_two_keys_from_digits(tmp_path: Path) -> None:
    """The model that comes with the program is there when nothing else is; a key that comes before it is read is not lost."""
    async with at_mode("data", tmp_path, (120, 40)) as pilot:
        await pilot.press("4", "g")
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        await until(pilot, lambda: state(screen) == "finished")
        assert screen.drawn is not None and screen.drawn_from == embedded_model()
        assert screen.form.checkpoint_name == "glyphs, embedded"
        assert screen.drawn.labels == tuple(range(10))
        await pilot.press("w")
        await until(pilot, lambda: "saved" in status(screen))
        assert (tmp_path / "sampled.png").exists()  # not beside the program's own files
    assert not list(embedded_model().parent.glob("sampled*"))


async def test_trained_runs_stand_before_the_embedded_model(tmp_path: Path, tiny_run: Path) -> None:
    """It gives way to a run that is trained meanwhile, as long as nothing was drawn from it."""
    import shutil

    async with at_mode("sample", tmp_path) as pilot:
        screen = await ready(pilot)
        assert screen.facts is not None and screen.facts.path == embedded_model()
        shutil.copytree(tiny_run, tmp_path / "outputs")
        await pilot.press("5")
        await until(pilot, lambda: pilot.app.current_mode == "runs")
        await pilot.press("4")
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == tmp_path / "outputs" / "model_final.pt")


async def test_nothing_to_look_at_is_no_error(tmp_path: Path) -> None:
    async with at_mode("sample", tmp_path) as pilot:
        screen = await ready(pilot)
        await pilot.press("w", "W", "space", "left", "x", "z", "X", "up", "down", "shift+down", "home")
        assert screen.drawn is None and screen.trajectory.pictures is None
        assert not list(tmp_path.glob("sampled*"))


async def test_a_path_can_be_typed(tmp_path: Path, tiny_run: Path) -> None:
    async with at_mode("sample", tmp_path, (120, 40)) as pilot:
        screen = await ready(pilot)
        field = screen.query_one("#path", Input)
        field.focus()
        field.value = str(tiny_run / "model_final.pt")
        await pilot.press("enter")
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == tiny_run / "model_final.pt")
        assert screen.query_one(SampleForm).checkpoint == tiny_run / "model_final.pt"
        assert pilot.app.focused is None


async def test_a_class_is_for_conditional_models_and_guidance_for_all(place: Path, conditional: Path) -> None:
    async with at_mode("sample", place, (120, 40)) as pilot:
        screen = await ready(pilot)
        label = screen.query_one("#label", Select)
        assert not label.display or not label.region
        screen.choose_checkpoint(conditional)
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == conditional)
        await pilot.pause()
        assert label.region
        label.value = 3
        slider = screen.query_one("#guidance_scale", Slider)
        assert slider.number == 1.75 and "default" in str(slider.render())
        slider.focus()
        await pilot.press(*["right"] * 6, "left", "escape")
        assert "default" not in str(slider.render())
        await pilot.press("g")
        await until(pilot, lambda: state(screen) == "finished")
        assert screen.drawn is not None
        assert (screen.drawn.options.label, screen.drawn.options.guidance_scale) == (3, 2.0)
        assert screen.drawn.labels == (3,) * 10 and not screen.trajectory.headings


@pytest.mark.parametrize("changes", [{}, {"guidance_scale": 1.0}, {"sampler": "heun"}, {"start": "interpolate"}, {"steps": "1"}])
async def test_a_default_is_what_the_engine_then_takes(changes: dict[str, Any], place: Path, conditional: Path) -> None:
    async with at_mode("sample", place, (120, 40)) as pilot:
        screen = await ready(pilot)
        screen.choose_checkpoint(conditional)
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == conditional)
        await pilot.pause()
        for name, value in changes.items():
            field = screen.query_one(f"#{name}")
            assert isinstance(field, (Input, Select, Slider))
            setattr(field, "number" if isinstance(field, Slider) else "value", value)
        await pilot.pause()
        said = {name: told(screen, name) for name in ("sampler", "steps", "spacing", "num_images", "seed", "start")}
        await generated(pilot)
        assert screen.drawn is not None
        taken = {name: str(getattr(screen.drawn.options, name)) for name in said}
        assert said | {name: taken[name] for name in changes if name in said} == taken


@pytest.mark.parametrize(("size", "kitty"), [((120, 40), ""), ((120, 40), "1"), ((200, 60), "1")])
async def test_a_class_has_a_column(
    size: tuple[int, int], kitty: str, place: Path, conditional: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image k stands below the heading of its class, wherever that is."""
    monkeypatch.setenv("KITTY_WINDOW_ID", kitty)
    async with at_mode("sample", place, size) as pilot:
        screen = await ready(pilot)
        screen.choose_checkpoint(conditional)
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == conditional)
        screen.query_one("#num_images", Input).value = "20"
        await generated(pilot)
        trajectory = screen.trajectory
        assert trajectory.headings == list("0123456789") and screen.drawn is not None
        grid = trajectory.grid
        seen: dict[int, tuple[int, int]] = {}
        rows = ["".join(segment.text for segment in grid.render_line(y)) for y in range(grid.size.height)]
        for y in range(grid.size.height):
            for x in range(grid.size.width):
                index = grid.image_at(x, y)
                if index is not None:
                    seen.setdefault(index, (x, y))
        assert set(seen) == set(range(grid.first, grid.first + grid.shown))
        for index, (left, top) in seen.items():
            label = screen.drawn.labels[index]
            above = [row[left : left + grid.tiling.tile.columns].strip() for row in rows[:top]]
            assert next(text for text in reversed(above) if text.isdecimal()) == str(label)


async def test_options_are_shown_where_they_have_a_use(place: Path) -> None:
    """Each sampler's own, each start's own; what is hidden is not sent."""
    async with at_mode("sample", place, (120, 40)) as pilot:
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
        from core.compute.seeds import SampleNoise
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
        beside = screen.trajectory.box("from")
        assert {"image": "60% of the way", "inpaint": "outside of the left", "interpolate": "slerp"}[start] in beside.figures
        assert beside.region and screen.trajectory.box("pictures").region.x == beside.region.right
        ends = SampleNoise(0, 0, 2, model.shape, choose_compute().device)()
        assert np.array_equal(beside.grid.images, to_uint8(ends) if source is None else source.images.numpy())
        if start == "inpaint":
            assert source is not None and np.array_equal(pictures[:, :, 14:], source.images[:, :, 14:].numpy())


@pytest.mark.parametrize("options", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_nothing_is_cut_off(place: Path, size: tuple[int, int], options: bool) -> None:
    async with at_mode("sample", place, size=size) as pilot:
        screen = await generated(pilot)
        if screen.has_class("-folded") == options:
            await pilot.press("a")
            await until(pilot, lambda: bool(screen.form.region) == options)
        trajectory = screen.trajectory
        assert trajectory.grid.shown > 0 and trajectory.strip.shown > 0
        for widget in screen.query("Box, PixelGrid, Scrubber, #folded, #status, #generate, KeyBar").results():
            parent = widget.parent
            assert isinstance(parent, Widget)
            assert not widget.region or parent.region.contains_region(widget.region), widget
        assert bool(screen.query_one("#folded").region) != options
        assert bool(trajectory.box("x_t").region) == (size != (80, 24))
        assert "finished" in str(trajectory.box("pictures").border_title)
        await pilot.press("z")
        await until(pilot, lambda: not trajectory.strip.region)
        assert trajectory.query_one("#frames").region.height == 1
        assert screen.region.contains_region(trajectory.grid.region)


async def test_the_picture_under_the_cursor_is_exact_and_has_its_own_film(place: Path) -> None:
    async with at_mode("sample", place, (120, 40)) as pilot:
        screen = await generated(pilot, "20")
        trajectory = screen.trajectory
        assert screen.drawn is not None
        frames = screen.drawn.frames
        await pilot.press("down", "down", "down", "up", *["left"] * 5)
        assert (trajectory.cursor, trajectory.grid.cursor) == (2, 2)
        for name, pictures in (("x_t", frames[15].x), ("x0_hat", frames[15].x0)):
            grid = trajectory.box(name).grid
            assert np.array_equal(grid.images, pictures[2:3])
            assert grid.tiling.tile[:3] == ("half", 28, 14)
            assert f"t = {frames[15].t}" in trajectory.box(name).figures
        strip = trajectory.strip
        slots = [strip.frame_at(slot) for slot in range(len(strip.images))]
        assert slots == sorted(slots) and len(slots) > 5 and (slots[0], slots[-1]) == (0, 20) and 15 in slots
        assert strip.cursor == slots.index(15)
        for slot, frame in enumerate(slots):
            assert np.array_equal(strip.images[slot], frames[frame].x[2])
        await pilot.press("x")
        for slot, frame in enumerate(slots):
            assert np.array_equal(strip.images[slot], frames[frame].x0[2])


async def test_the_mouse_picks_pictures_and_moments(place: Path) -> None:
    async with at_mode("sample", place, (120, 40)) as pilot:
        screen = await generated(pilot, "20")
        trajectory = screen.trajectory
        grid, strip, scrubber = trajectory.grid, trajectory.strip, screen.query_one("#frames", Scrubber)
        column = next(x for x in range(grid.size.width) if grid.image_at(x, 2) == 1)
        await pilot.click(grid, offset=(column, 2))
        assert trajectory.cursor == 1
        column = next(x for x in range(strip.size.width) if strip.image_at(x, 1) == 2)
        wanted = strip.frame_at(2)
        await pilot.click(strip, offset=(column, 1))
        assert scrubber.value == wanted < 20
        await pilot.click(scrubber, offset=(scrubber.size.width - 4, 0))
        assert scrubber.value == 20


async def test_a_page_follows_the_cursor(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        trajectory = screen.trajectory
        grid, box = trajectory.grid, trajectory.box("pictures")
        page = grid.shown
        assert (grid.first, page < 10) == (0, True) and box.figures.startswith(f"1–{page} of 10")
        await pilot.press(*["down"] * page)
        assert grid.first == page and box.figures.startswith(f"{page + 1}–")
        await pilot.press("shift+up")
        assert grid.first == 0
        await pilot.press("shift+down", "shift+down")
        assert trajectory.cursor == grid.move(0, 0)


async def test_a_new_seed_draws_other_pictures(place: Path) -> None:
    async with at_mode("sample", place) as pilot:
        screen = await generated(pilot)
        assert screen.drawn is not None
        before = screen.drawn
        await pilot.press("n")
        await until(pilot, lambda: state(screen) == "finished" and screen.drawn is not None and screen.drawn.options.seed == 1)
        assert screen.drawn is not None and not np.array_equal(screen.drawn.frames[-1].x, before.frames[-1].x)


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
