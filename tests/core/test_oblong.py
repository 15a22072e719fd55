"""Pictures that are no squares: trained, resumed, sampled and judged as they are; runs of before go on with their squares."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from core import images
from core.compute.device import choose_compute
from core.config import SampleConfig
from core.data.datasets import open_dataset
from core.diffusion.generate import generate, source_pictures
from core.runs.checkpoint import load_checkpoint, load_model
from core.training.trainer import Trainer
from tests.core.compare import same_tensors


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures 18 wide and 12 high, in two classes."""
    folder = tmp_path_factory.mktemp("oblong")
    random = np.random.default_rng(0)
    for k in range(60):
        path = folder / ("ab"[k % 2]) / f"{k}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (12, 18, 3), dtype=np.uint8)).save(path)
    return folder


@pytest.mark.parametrize("model", ["tiny", "fast"])
def test_an_oblong_set_end_to_end(model: str, photos: Path, tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "run", model=model, dataset=f"folder:{photos}", epochs=1, conditional=True, sample_interval=1)
    for _ in Trainer(config):
        pass
    assert Image.open(tmp_path / "run" / "samples" / "epoch_001.png").width > 600
    content = load_checkpoint(tmp_path / "run" / "model_final.pt")
    assert (content["network"]["image_size"], content["network"]["width"]) == (12, 18)
    drawn = load_model(tmp_path / "run" / "model_final.pt")
    assert drawn.shape == (3, 12, 18)
    for start in ("noise", "interpolate", "image", "inpaint"):
        options = SampleConfig(num_images=2, steps=3, start=start)
        source = source_pictures(drawn, options)
        *_, last = generate(drawn, options, choose_compute("cpu", "fp32", 2), source)
        assert images.to_uint8(last.frame.x).shape == (2, 12, 18, 3)


def test_an_oblong_run_resumes_exactly(photos: Path, tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config(tmp_path / "whole", dataset=f"folder:{photos}", sample_interval=0)
    for _ in Trainer(config):
        pass
    parted = replace(config, output_dir=str(tmp_path / "parted"))
    trainer = Trainer(parted)
    for _ in trainer:
        if trainer.step == 2:
            trainer.stop()
    for _ in Trainer(parted, resume=True):
        pass
    whole, again = (load_checkpoint(tmp_path / name / "model_final.pt") for name in ("whole", "parted"))
    same_tensors(whole["model"], again["model"])


def test_a_run_that_was_cut_to_squares_goes_on_with_squares(
    photos: Path, tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    squares = tiny_config(tmp_path / "run", dataset=f"folder:{photos}", image_size=12, sample_interval=0)
    for _ in Trainer(squares):
        pass
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    saved = torch.load(last, weights_only=True)
    saved["config"]["image_size"] = 0  # as it was asked for when every set was cut
    torch.save(saved, last)
    as_before = replace(squares, image_size=0, epochs=3)
    trainer = Trainer(as_before, resume=True)
    assert (trainer.config.image_size, trainer.data.size) == (12, (12, 12))
    for _ in trainer:
        pass
    assert load_model(trainer.run.final).shape == (3, 12, 12)
    assert open_dataset(f"folder:{photos}").size == (12, 18)
