"""The model that comes with the program: small, read like any other, and its pictures are the digits that were asked for."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor

from core.compute.device import Compute
from core.config import SampleConfig
from core.data.glyphs import CLASSES, make_glyphs
from core.diffusion.generate import generate
from core.errors import UserError
from core.runs.checkpoint import export_safetensors, load_checkpoint, load_model
from core.runs.embedded import embedded_model

CPU = Compute(torch.device("cpu"), "fp32", 2, "as asked")


def drawn(count: int, seed: int = 0) -> Tensor:
    """Its pictures of all classes in turn, in [-1, 1]."""
    options = SampleConfig(num_images=count, seed=seed)
    *_, last = generate(load_model(embedded_model()), options, CPU)
    return last.frame.x


def read(pictures: Tensor) -> Tensor:
    """The digits in pictures, by the five glyphs that each resembles most."""
    known, labels = make_glyphs(4000, 2)
    return labels[(unit(pictures) @ unit(known).T).topk(5).indices].mode(dim=1).values


def unit(pictures: Tensor) -> Tensor:
    """Pictures as vectors of mean 0 and length 1: paper and ink do not matter."""
    flat = pictures.flatten(1).float()
    return torch.nn.functional.normalize(flat - flat.mean(dim=1, keepdim=True))


def test_it_is_small_and_knows_the_digits() -> None:
    model = load_model(embedded_model())
    assert embedded_model().stat().st_size <= 3_000_000
    assert (model.classes, model.shape, model.label_count, model.config.dataset) == (CLASSES, (1, 28, 28), 10, "glyphs")
    assert all(value.dtype == torch.float32 for value in model.network.state_dict().values())


def test_its_pictures_are_the_digits_asked_for_and_the_same_every_time() -> None:
    pictures = drawn(40)
    assert torch.equal(drawn(20), pictures[:20])
    assert read(pictures).eq(torch.arange(40) % 10).float().mean() >= 0.9
    real, labels = make_glyphs(500, 3)
    assert read(real).eq(labels).float().mean() >= 0.8  # so that reading is no easier on what the model draws than on its data
    assert len({picture.numpy().tobytes() for picture in pictures}) == 40


def test_weights_in_16_bits_are_widened_or_refused(tiny_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    export_safetensors(tiny_run / "model_final.pt", path, half=True)
    whole = load_checkpoint(tiny_run / "model_final.pt")["ema"]
    found = load_checkpoint(path)["ema"]
    assert all(torch.equal(found[name], value.half().float()) for name, value in whole.items())
    halves = safetensors.torch.load_file(path)
    described = {"tinydiff-tui": metadata(path)}
    for name, value in (
        ("infinite", halves["stem.weight"] * float("inf")),
        ("no number", halves["stem.weight"] * float("nan")),
        ("mixed", halves["stem.weight"].float()),
        ("bfloat16", halves["stem.weight"].bfloat16()),
        ("another shape", halves["stem.weight"].flatten()),
    ):
        damaged = tmp_path / f"{name}.safetensors"
        safetensors.torch.save_file(halves | {"stem.weight": value}, damaged, described)
        with pytest.raises(UserError):
            load_model(damaged)


def test_weights_too_large_for_16_bits_are_not_written(tiny_run: Path, tmp_path: Path) -> None:
    content = torch.load(tiny_run / "model_final.pt", weights_only=True)
    content["ema"]["stem.weight"] *= 1e6
    torch.save(content, tmp_path / "large.pt")
    with pytest.raises(UserError, match="16 bits"):
        export_safetensors(tmp_path / "large.pt", tmp_path / "a.safetensors", half=True)
    assert not (tmp_path / "a.safetensors").exists()


def metadata(path: Path) -> str:
    with safetensors.safe_open(path, "pt") as file:
        found: str = file.metadata()["tinydiff-tui"]
    return found
