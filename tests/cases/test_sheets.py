"""Kind K, the size of sheets follows what is drawn; kind M: steps that land, guidance 0, classes of test images."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from core import images
from core.compute.device import choose_compute
from core.config import SampleConfig, TrainConfig
from core.data.datasets import open_dataset
from core.diffusion.generate import Source, classes_drawn, generate, source_pictures
from core.diffusion.model import Model, make_diffusion
from core.errors import UserError
from core.images import BACKGROUND, GAP, Pixels, class_grid, grid, save_gif, sheets
from core.network.own import AnyNetwork
from core.network.unet import tiny
from core.runs.checkpoint import load_model
from tests.conftest import few_glyphs
from tinydiff_tui import cli

# --- sheets


def pictures(count: int, side: int = 2) -> Pixels:
    """Images whose grey is their number."""
    return np.arange(count, dtype=np.uint8).repeat(side * side).reshape(count, side, side, 1) + BACKGROUND + 1


def read(sheet: Pixels, side: int = 2) -> list[list[int]]:
    """The numbers of the images, row by row; -1 where there is none."""
    cells = sheet[GAP :: side + GAP, GAP :: side + GAP, 0].astype(int)
    return [[value - BACKGROUND - 1 if value > BACKGROUND else -1 for value in row] for row in cells]


SHEETS = {
    "a row for each class": ([0, 1, 2, 0, 1, 2], [[0, 3], [1, 4], [2, 5]]),
    "the last row is shorter": ([0, 1, 0, 1, 0], [[0, 2, 4], [1, 3, -1]]),
    "only the classes that occur, in order": ([7, 3, 7, 3], [[1, 3], [0, 2]]),
    "no classes": ([], [[0, 1], [2, 3]]),
    "one class": ([5, 5, 5, 5], [[0, 1], [2, 3]]),
    "each class once": ([0, 1, 2, 3], [[0, 1], [2, 3]]),
    "hardly any but the first": ([0, 0, 0, 0, 0, 0, 1, 2, 3], [[0, 1, 2], [3, 4, 5], [6, 7, 8]]),
}


@pytest.mark.parametrize("labels, expected", SHEETS.values(), ids=SHEETS)
def test_where_each_image_stands(labels: list[int], expected: list[list[int]]) -> None:
    assert read(class_grid(pictures(len(labels) or 4), labels)) == expected


@pytest.mark.parametrize(
    "count, classes, rows", [(64, 10, 10), (64, 1000, 8), (1500, 1000, 39), (1000, 100, 100), (1010, 101, 32)]
)
def test_a_sheet_follows_what_is_drawn(count: int, classes: int, rows: int) -> None:
    """1,000 classes made a strip 68,000 pixels high of 64 images."""
    sheet = class_grid(np.zeros((count, 2, 2, 1), dtype=np.uint8), [k % classes for k in range(count)])
    assert sheet.shape[0] == rows * (2 + GAP) + GAP


@given(st.lists(st.integers(0, 300), min_size=1, max_size=400))
def test_no_sheet_is_mostly_empty_or_a_strip(labels: list[int]) -> None:
    sheet = class_grid(np.full((len(labels), 1, 1, 1), 255, dtype=np.uint8), labels)
    rows, columns = ((size - GAP) // (1 + GAP) for size in sheet.shape[:2])
    assert (
        (sheet == 255).sum()
        == len(labels)
        <= rows * columns
        <= max(2 * len(labels), len(labels) + 2 * math.isqrt(len(labels)) + 1)
    )
    assert rows <= images.MOST_ROWS


@pytest.mark.parametrize(
    "count, side, cuts", [(64, 28, 1), (64, 512, 1), (88_000, 28, 1), (1_000_000, 28, 12), (300, 512, 2), (2, 9000, 2)]
)
def test_a_million_images_are_cut_into_sheets_that_a_viewer_opens(count: int, side: int, cuts: int) -> None:
    cut = sheets(count, side)
    assert len(cut) == cuts and [k for part in (cut[0], cut[-1]) for k in (part.start, part.stop)][::3] == [0, count]
    assert all(a.stop == b.start for a, b in pairwise(cut))
    across = math.isqrt(len(cut[0]) - 1) + 1
    assert (across * (side + GAP) + GAP) ** 2 <= images.MOST_PIXELS or len(cut[0]) == 1


def test_a_gif_too_long_for_its_format(tmp_path: Path) -> None:
    """68,000 pixels were a traceback; what fits in its own size is not enlarged, what does not is one sentence."""
    save_gif(tmp_path / "a.gif", [np.zeros((40_000, 2, 1), dtype=np.uint8)] * 2)
    with Image.open(tmp_path / "a.gif") as picture:
        assert picture.size == (2, 40_000)
    with pytest.raises(UserError, match="at most 65,535 pixels a side, and this one would have 65,536; draw fewer"):
        save_gif(tmp_path / "b.gif", [np.zeros((65_536, 2, 1), dtype=np.uint8)])
    assert not (tmp_path / "b.gif").exists()


# --- drawing


@pytest.fixture(scope="module")
def model() -> Model:
    """Knows 10 classes, and draws each its own way."""
    config = TrainConfig.of(model="tiny", dataset="glyphs", timesteps=100, conditional=True)
    torch.manual_seed(0)
    network = tiny(28, 1, 10).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return Model(network, make_diffusion(config), config, tuple("0123456789"), 0)


def drawn(model: Model, source: Source | None = None, **options: Any) -> Tensor:
    frames = generate(model, SampleConfig(**options), choose_compute("cpu", "fp32", 1), source)
    return torch.cat([batch.frame.x for batch in frames if batch.frame.t < 0])


class Asked(nn.Module):
    """A network that remembers which classes it was asked for at which t."""

    def __init__(self, network: AnyNetwork) -> None:
        super().__init__()
        self.network, self.null_label = network, network.null_label
        self.asked: list[tuple[int, list[int]]] = []

    def forward(self, x: Tensor, t: Tensor, labels: Tensor) -> Tensor:
        self.asked.append((int(t[0]), labels.tolist()))
        return self.network(x, t, labels)  # type: ignore[no-any-return]


def asked(model: Model, source: Source | None = None, **options: Any) -> list[tuple[int, list[int]]]:
    network = Asked(model.network)
    object.__setattr__(listener := Model(model.network, model.diffusion, model.config, model.classes, 0), "network", network)
    object.__setattr__(network, "config", model.network.config)
    drawn(listener, source, **options)
    return network.asked


@pytest.mark.parametrize("interval", ["middle", "all"])
def test_guidance_0_is_unconditional_at_every_level(model: Model, interval: str) -> None:
    null = model.network.null_label
    calls = asked(model, num_images=3, guidance_scale=0.0, guidance_interval=interval, sampler="ddim", steps=10)
    assert [labels for _, labels in calls] == [[null] * 3] * 10
    same = drawn(model, num_images=3, guidance_scale=0.0, guidance_interval=interval, sampler="ddim", steps=10, label=7)
    assert torch.equal(same, drawn(model, num_images=3, guidance_scale=0.0, sampler="ddim", steps=10, label=2))


def test_guidance_asks_for_both_in_the_middle_and_for_the_class_elsewhere(model: Model) -> None:
    calls = asked(model, num_images=2, guidance_scale=2.0, sampler="ddim", steps=10)
    null, levels = model.network.null_label, model.diffusion.schedule.s / model.diffusion.schedule.a
    expected = []
    for t in dict.fromkeys(t for t, _ in calls):
        expected += [(t, [0, 1])] + [(t, [null, null])] * (0.25 <= levels[t] <= 10)
    assert calls == expected


def pictures_of(*labels: int) -> Source:
    generator = torch.Generator().manual_seed(3)
    return Source(torch.randint(0, 256, (len(labels), 28, 28, 1), dtype=torch.uint8, generator=generator), torch.tensor(labels))


CLASSES = {
    "in turn": ({}, None, [0, 1, 2]),
    "one asked for": ({"label": 4}, None, [4, 4, 4]),
    "SDEdit": ({"start": "image"}, pictures_of(7, 7, 2), [7, 7, 2]),
    "inpainting": ({"start": "inpaint"}, pictures_of(9, 0, 9), [9, 0, 9]),
    "SDEdit to another": ({"start": "image", "label": 4}, pictures_of(7, 7, 2), [4, 4, 4]),
    "between noises": ({"start": "interpolate"}, None, [0, 1, 2]),
}


@pytest.mark.parametrize("options, source, expected", CLASSES.values(), ids=CLASSES)
def test_which_class_each_image_is_drawn_as(
    model: Model, options: dict[str, Any], source: Source | None, expected: list[int]
) -> None:
    wanted: dict[str, Any] = {"num_images": 3, "guidance_scale": 1.0, "steps": 2, **options}
    assert classes_drawn(model, SampleConfig(**wanted), source) == expected
    assert [labels for _, labels in asked(model, source, **wanted)] == [expected] * 2


def test_images_of_later_batches_keep_their_classes_too(model: Model) -> None:
    labels = [(k * 7) % 10 for k in range(70)]
    calls = asked(model, pictures_of(*labels), num_images=70, guidance_scale=1.0, steps=1, start="image", sampler="ddim")
    assert [of for _, of in calls] == [labels[:64], labels[64:]]


def test_a_class_that_the_model_does_not_know_is_one_sentence(model: Model) -> None:
    with pytest.raises(UserError, match="has a class that the model, which knows 10, was not trained on"):
        drawn(model, pictures_of(1, 10), num_images=2, start="image", steps=2)


def test_the_test_images_come_with_their_classes(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    few_glyphs(monkeypatch, 20, 30)
    source, data = source_pictures(model, SampleConfig(num_images=12, start="image")), open_dataset("glyphs", "test")
    assert source is not None and torch.equal(source.images, data.images[:12]) and torch.equal(source.labels, data.labels[:12])


@pytest.mark.parametrize("seed, total", [(0, 16 * 2)])
def test_a_seed_draws_classes_in_turn_as_ever(model: Model, seed: int, total: int) -> None:
    one = drawn(model, num_images=total, seed=seed, steps=2, sampler="ddim", guidance_scale=1.0)
    for k in (0, 11, 31):
        alone = SampleConfig(num_images=total, seed=seed, steps=2, sampler="ddim", guidance_scale=1.0, label=k % 10)
        assert torch.allclose(drawn(model, **vars(alone))[k], one[k], atol=1e-5)


# --- the command


def sample(run: Path, folder: Path, *arguments: str) -> int:
    place = ["--checkpoint", str(run / "model_final.pt"), "--output", str(folder / "a.png"), "--threads", "1"]
    return cli.run(["sample", "--plain", "--precision", "fp32", *place, *arguments])


HEUN = {  # evaluations: (the values of t whose picture is there, once or twice)
    "1": ["0099"],
    "3": ["0099", "0049", "0049_2"],
    "4": ["0099", "0049", "0049_2"],
    "7": ["0099", "0074", "0074_2", "0049", "0049_2", "0024", "0024_2"],
}


@pytest.mark.parametrize("steps, names", HEUN.items())
def test_every_step_of_heun_lands(
    tiny_run: Path, tmp_path: Path, steps: str, names: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(tiny_run, tmp_path, "--num-images", "2", "--sampler", "heun", "--steps", steps, "--show-intermediate") == 0
    folder = tmp_path / "intermediate"
    assert {p.stem for p in folder.glob("step_*.png")} == {f"step_{name}" for name in names}
    assert f"{len(names)} intermediate steps and denoising.gif" in capsys.readouterr().out
    with Image.open(folder / "denoising.gif") as film:
        assert getattr(film, "n_frames", 1) <= len(names) + 1
    predicted, corrected = (folder / f"step_{name}.png" for name in ("0099", "0049" if len(names) > 1 else "0099"))
    assert len(names) == 1 or predicted.read_bytes() != corrected.read_bytes()
    # an earlier sampling leaves nothing behind
    assert sample(tiny_run, tmp_path, "--num-images", "2", "--sampler", "ddim", "--steps", "2", "--show-intermediate") == 0
    assert {p.stem for p in folder.glob("step_*.png")} == {"step_0099", "step_0049"}


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "euler", "heun", "dpmpp_2m", "unipc"])
@pytest.mark.parametrize("steps", ["7", "45", "100"])
def test_as_many_steps_are_there_as_are_said(
    tiny_run: Path, tmp_path: Path, sampler: str, steps: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample(tiny_run, tmp_path, "--num-images", "1", "--sampler", sampler, "--steps", steps, "--show-intermediate") == 0
    there = len(list((tmp_path / "intermediate").glob("step_*.png")))
    assert f"\n{there} intermediate steps" in capsys.readouterr().out and there >= 7


@pytest.mark.parametrize("count", [9, 10])
def test_more_images_than_a_sheet_takes_go_on_the_next(
    tiny_run: Path, tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", (3 * (28 + GAP) + GAP) ** 2)
    assert sample(tiny_run, tmp_path, "--num-images", str(count), "--sampler", "ddim", "--steps", "2") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a_2.png"][: 1 if count == 9 else 2]
    said = capsys.readouterr().out
    assert ("2 sheets, " in said) is (count == 10) and str(tmp_path / "a.png") in said
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == ((3 * 30 + 2) * 7,) * 2


@pytest.mark.slow
def test_a_thousand_classes(tmp_path: Path, small_folder: Callable[[int], Path]) -> None:
    """The sheets of the training and of the command, and the film."""
    folder = small_folder(1000)
    place = ["--output-dir", str(tmp_path / "run"), "--threads", "1", "--precision", "fp32", "--plain"]
    recipe = ["--model", "tiny", "--conditional", "--epochs", "1", "--batch-size", "128"]
    assert cli.run(["train", "--dataset", f"folder:{folder}", *recipe, *place]) == 0
    assert load_model(tmp_path / "run" / "model_final.pt").label_count == 1000
    assert sample(tmp_path / "run", tmp_path, "--steps", "3", "--show-intermediate") == 0
    for sheet in (
        tmp_path / "run" / "samples" / "epoch_001.png",
        tmp_path / "a.png",
        tmp_path / "intermediate" / "denoising.gif",
    ):
        with Image.open(sheet) as picture:
            assert picture.size == ((8 * 18 + 2) * 5,) * 2


@pytest.fixture
def small_folder(tmp_path: Path) -> Callable[[int], Path]:
    """small_folder(classes): one image of 16x16 a class."""

    def make(classes: int) -> Path:
        for k in range(classes):
            folder = tmp_path / "photos" / f"n{k:05}"
            folder.mkdir(parents=True)
            Image.fromarray(np.full((16, 16), k % 256, dtype=np.uint8)).save(folder / "0.png")
        return tmp_path / "photos"

    return make


def test_a_picture_of_too_many_images_is_refused_before_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(images, "MOST_PIXELS", 8 * 30 * 30 * 5)
    path = tmp_path / "v.png"
    assert cli.run(["visualize", "--dataset", "glyphs", "--num-images", "6", "--save-path", str(path)]) == 2
    assert "6 images of 28x28 are too large a picture; use --num-images 5 or fewer" in capsys.readouterr().err
    assert cli.run(["visualize", "--dataset", "glyphs", "--num-images", "5", "--save-path", str(path)]) == 0 and path.exists()


def test_grids_of_images_in_turn_are_those_of_before() -> None:
    """What read the old sheets reads the new."""
    shown = pictures(23)
    rows = [shown[label::10] for label in range(10)]
    padded = [np.concatenate([row, np.zeros((3 - len(row), 2, 2, 1), dtype=np.uint8)]) for row in rows]
    assert np.array_equal(class_grid(shown, [k % 10 for k in range(23)]), grid(np.concatenate(padded), 3))
