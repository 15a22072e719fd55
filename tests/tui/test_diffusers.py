"""A model that diffusers saved, in the modes that draw: listed, read, drawn from."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from textual.widgets import Select

from core.compute.device import choose_compute
from core.config import SampleConfig
from core.diffusion.generate import generate
from core.images import to_uint8
from core.runs.embedded import embedded_model
from tests.conftest import UNET
from tests.tui.modes import at_mode, until
from tinydiff_tui.jobs.sampling import checkpoints, model_of
from tinydiff_tui.screens.panels import Ask
from tinydiff_tui.screens.play import PlayScreen
from tinydiff_tui.screens.play_steer import Steer
from tinydiff_tui.screens.sample import SampleScreen


async def test_sample_lists_it_and_draws_from_it(elsewhere: Path) -> None:
    place = elsewhere.parent
    assert [name for name, _ in next(checkpoints(place))] == ["glyphs, embedded", "elsewhere · diffusers"]
    async with at_mode("sample", place) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        await until(pilot, lambda: screen.facts is not None)
        assert screen.facts is not None and screen.facts.path == embedded_model()
        screen.query_one("#checkpoint", Select).value = elsewhere
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == elsewhere)
        assert (screen.facts.about, screen.facts.labels) == ("UNet2DModel of diffusers", 0)
        await pilot.press("g")
        await until(pilot, lambda: screen.trajectory.box("pictures").state == "finished")
        assert screen.drawn is not None
        *_, last = generate(model_of(elsewhere), SampleConfig(num_images=screen.drawn.options.num_images), choose_compute())
        assert np.array_equal(screen.drawn.frames[-1].x, to_uint8(last.frame.x))
        await pilot.press("w")
        await until(pilot, (place / "sampled.png").exists)


async def test_play_opens_it(elsewhere: Path) -> None:
    async with at_mode("play", elsewhere.parent) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, PlayScreen)
        await until(pilot, lambda: screen.facts is not None)
        screen.action_model()
        await until(pilot, lambda: isinstance(pilot.app.screen, Ask))
        await pilot.press("down", "enter")
        steer = screen.query_one(Steer)
        await until(pilot, lambda: steer.drawn is not None and steer.drawn.asked.path == elsewhere)
        assert steer.drawn is not None and steer.drawn.pictures.shape[1:] == (8, 8, 1)


async def test_one_that_is_told_the_class_is_not_guided(elsewhere: Path) -> None:
    diffusers = pytest.importorskip("diffusers")
    shutil.rmtree(elsewhere)
    diffusers.DDPMPipeline(diffusers.UNet2DModel(**UNET, num_class_embeds=3), diffusers.DDPMScheduler()).save_pretrained(
        elsewhere
    )
    async with at_mode("sample", elsewhere.parent, (120, 40)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, SampleScreen)
        screen.choose_checkpoint(elsewhere)
        await until(pilot, lambda: screen.facts is not None and screen.facts.path == elsewhere)
        shown = {name for name in ("label", "guidance_scale") if all(up.display for up in screen.query_one(f"#{name}").ancestors)}
        assert shown == {"label"}
