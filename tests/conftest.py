"""What every test shares: quiet threads, folders of its own, and one tiny trained run."""

import os
import shutil
import signal

from tinydiff_tui.__main__ import FOR_TORCH

os.environ.setdefault("GOMP_SPINCOUNT", FOR_TORCH["GOMP_SPINCOUNT"])  # both are read when torch is imported, which is later
os.environ.setdefault("OMP_NUM_THREADS", "2")

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.names import DATASETS, OWN_FILES

for heeded in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # what ignores them has its children do so
    if signal.getsignal(heeded) is signal.SIG_IGN:
        signal.signal(heeded, signal.default_int_handler if heeded == signal.SIGINT else signal.SIG_DFL)

TINY: dict[str, Any] = {
    "dataset": "glyphs",
    "model": "tiny",
    "epochs": 2,
    "batch_size": 16,
    "precision": "fp32",
    "device": "cpu",
    "timesteps": 100,
    "sample_interval": 1,
    "save_interval": 1,
    "checkpoint_seconds": 1000.0,
}
"""A run of 2 epochs of 6 steps on 96 glyphs."""
TINY_IMAGES = 96


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Caches, data and settings of platformdirs land in a temporary folder, in this process and in those it starts."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
            patch.setenv(f"XDG_{kind}_HOME", str(home / kind.lower()))
        yield


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., Any]:
    """tiny_config(output_dir, **changes) -> TrainConfig."""
    from core.config import TrainConfig

    def make(output_dir: Path, **changes: Any) -> Any:
        return TrainConfig.of(**(TINY | {"output_dir": str(output_dir)} | changes))

    return make


def few_glyphs(patch: pytest.MonkeyPatch, train: int, test: int = 2000) -> None:
    """glyphs with so many images."""
    patch.setitem(DATASETS, "glyphs", replace(DATASETS["glyphs"], size=train, test_size=test))


@pytest.fixture
def own_names() -> Iterator[None]:
    """What a test reads of a person's own files leaves the table again."""
    from core.extend import entries

    yield
    OWN_FILES.clear()
    for table in entries.TABLES.values():
        for name in [name for name, entry in table.items() if entry.origin]:
            del table[name]


@pytest.fixture
def small_glyphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """glyphs with TINY_IMAGES images."""
    few_glyphs(monkeypatch, TINY_IMAGES)


@pytest.fixture
def few_pictures(tmp_path: Path) -> None:
    """tmp_path/few.npy: 64 grey pictures, for commands whose data are of no matter."""
    import numpy as np

    np.save(tmp_path / "few.npy", np.random.default_rng(0).integers(0, 256, (64, 28, 28), np.uint8))


@pytest.fixture
def hasty_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few glyphs, two steps of training, a cache and a console of its own."""
    few_glyphs(monkeypatch, 300, 200)
    monkeypatch.setattr("core.judge.classifier.IMAGES_SEEN", 256)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")


UNET: dict[str, Any] = {
    "sample_size": 8, "in_channels": 1, "out_channels": 1, "block_out_channels": (16, 32), "layers_per_block": 1,
    "norm_num_groups": 8, "attention_head_dim": 8, "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip
"""A UNet2DModel of diffusers for grey pictures of side 8."""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder with a model that diffusers saved, untrained."""
    diffusers = pytest.importorskip("diffusers")
    import torch

    torch.manual_seed(0)
    pipeline = diffusers.DDPMPipeline(diffusers.UNet2DModel(**UNET), diffusers.DDPMScheduler(prediction_type="v_prediction"))
    pipeline.save_pretrained(tmp_path / "elsewhere")
    return tmp_path / "elsewhere"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_config: Callable[..., Any]) -> Path:
    """The folder of a finished run that tiny_run copies; whatever judges one of its checkpoints would write to it."""
    from core.training.trainer import Trainer

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    with pytest.MonkeyPatch.context() as patch:
        few_glyphs(patch, TINY_IMAGES)
        for _ in Trainer(tiny_config(folder)):
            pass
    return folder


@pytest.fixture
def tiny_run(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, the test's own."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("runs") / "tiny")
