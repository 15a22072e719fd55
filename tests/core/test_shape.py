"""The U-Net's shape from the fields of a training: the model's own where nothing is asked for, checked before it is built."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import SHAPE, TrainConfig, default_words
from core.errors import UserError
from core.names import NETWORKS
from core.network.build import build
from core.network.unet import UNet, parameter_count
from core.runs.checkpoint import load_checkpoint, load_model
from core.training.trainer import Trainer
from tests.core.compare import same_tensors


def made(**fields: Any) -> UNet:
    network = build(TrainConfig.of(**fields), (28, 28), 1, 10)
    assert isinstance(network, UNet)
    return network


def test_without_a_word_a_network_is_the_models_own() -> None:
    for name, entry in NETWORKS.items():
        assert made(model=name).config == entry.load()(28, 1, 10).config
    assert [parameter_count(NETWORKS[name].load()(28, 1)) for name in ("fast", "reference", "tiny")] == [
        1_180_388,
        2_234_433,
        98_404,
    ]
    assert default_words(next(f for f in TrainConfig.__dataclass_fields__.values() if f.name == "base_channels")) == (
        "48 with fast; 64 with reference; 16 with tiny"
    )


def test_every_field_changes_what_it_says() -> None:
    config = made(model="tiny", base_channels=40, channel_multipliers="1,2,3", blocks=2, attention="1,3", dropout=0.2).config
    assert (config.base, config.multipliers, config.blocks) == (40, (1, 2, 3), 2)
    assert (config.attention, config.dropout, config.patch) == ((True, False, True), 0.2, 2)
    assert made(model="reference", attention="none").config.attention == (False, False, False)
    assert made(model="reference", channel_multipliers="1,2").config.attention == (False, True), "its last level, as it has it"
    x, t = torch.zeros(2, 1, 28, 28), torch.tensor([0, 9])
    for base in (8, 33, 100):  # whose channels no 32 divides
        assert made(model="fast", base_channels=base)(x, t).shape == x.shape


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"channel_multipliers": "1,x"}, "--channel-multipliers takes 1 to 8 numbers from 1 to 64, as in 1,2,2, got '1,x'"),
        ({"channel_multipliers": "0"}, "--channel-multipliers takes"),
        ({"channel_multipliers": ",".join("1" * 9)}, "--channel-multipliers takes 1 to 8 numbers"),
        ({"attention": "3"}, "--attention takes numbers of levels from 1 to 2, as in 2, or none, got '3'"),
        ({"attention": "yes"}, "--attention takes"),
        ({"base_channels": 2000}, "--base-channels must be between 0 and 1024"),
        ({"blocks": -1}, "--blocks must be between 0 and 8"),
        ({"dropout": 1.0}, "--dropout must be between 0 and 0.9"),
    ],
)
def test_what_is_no_shape_is_said(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        TrainConfig.of(model="fast", **fields)


def test_what_is_too_large_or_too_deep_is_said_before_it_takes_memory() -> None:
    with pytest.raises(UserError, match=r"this network has \d[\d,]+ parameters, more than the 67,108,864"):
        made(base_channels=1024, channel_multipliers="64,64")
    with pytest.raises(UserError, match="too small for this network"):
        made(channel_multipliers="1,1,1,1,1,1")


def test_a_shape_with_dropout_goes_on_bit_for_bit_and_samples(
    tiny_config: Callable[..., Any], small_glyphs: None, tmp_path: Path
) -> None:
    config = tiny_config(tmp_path / "whole", base_channels=8, blocks=2, dropout=0.3, attention="2", sample_interval=0)
    for _ in Trainer(config):
        pass
    parted = replace(config, output_dir=str(tmp_path / "parted"))
    trainer = Trainer(parted)
    for _ in trainer:
        if trainer.step == 5:
            trainer.stop()
    torch.rand(3)
    for _ in Trainer(parted, resume=True):
        pass
    whole, again = (load_checkpoint(tmp_path / name / "model_final.pt") for name in ("whole", "parted"))
    same_tensors(whole["model"], again["model"])
    assert whole["network"]["dropout"] == 0.3
    model = load_model(tmp_path / "whole" / "model_final.pt")
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(*(model.network(x, torch.tensor([3, 3])) for _ in range(2))), "nothing is dropped when it draws"


def test_an_older_run_has_none_of_the_fields(tiny_run: Path) -> None:
    content = load_checkpoint(tiny_run / "model_final.pt")
    assert "dropout" not in content["network"]
    old = {name: value for name, value in content["config"].items() if name not in SHAPE}
    assert TrainConfig.from_dict(old) == TrainConfig.from_dict(content["config"])
