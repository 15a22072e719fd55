"""Checkpoint files that are missing, torn, foreign, hostile or newer: one sentence each, and no code of theirs is run."""

import json
import pickle
import random
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.errors import UserError
from core.runs.checkpoint import load_checkpoint, load_model, save_checkpoint
from core.runs.folder import RunDir
from core.training.trainer import Trainer

from .compare import same_tensors


@pytest.fixture
def good(tiny_run: Path) -> dict[str, Any]:
    """The content of a good checkpoint, to be damaged."""
    content: dict[str, Any] = torch.load(tiny_run / "model_final.pt", weights_only=True)
    return content


def refused(path: Path) -> str:
    """The one sentence with which a file is refused."""
    with pytest.raises(UserError) as error:
        load_model(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.isprintable()
    return message


def test_the_weights_are_the_averaged_ones(tiny_run: Path, good: dict[str, Any]) -> None:
    averaged = load_model(tiny_run / "model_final.pt")
    name = "stem.weight"
    assert torch.equal(averaged.network.state_dict()[name], good["ema"][name])
    assert not torch.equal(good["ema"][name], good["model"][name])
    assert averaged.classes == tuple("0123456789")
    assert averaged.shape == (1, 28, 28)
    assert averaged.step == 12
    assert averaged.label_count == 0
    assert not averaged.network.training


def test_a_missing_file(tmp_path: Path) -> None:
    assert "no checkpoint" in refused(tmp_path / "none.pt")
    refused(tmp_path)


def test_torn_files(tiny_run: Path, tmp_path: Path) -> None:
    whole = (tiny_run / "model_final.pt").read_bytes()
    path = tmp_path / "torn.pt"
    for share in (0, 0.0001, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.999, 0.9999):
        path.write_bytes(whole[: int(len(whole) * share)])
        refused(path)
    path.write_bytes(whole[:-1])
    refused(path)


def test_flipped_bytes_never_give_a_traceback(tiny_run: Path, tmp_path: Path) -> None:
    whole = (tiny_run / "checkpoints" / "model_epoch_001.pt").read_bytes()
    rng = random.Random(0)
    path = tmp_path / "flipped.pt"
    for _ in range(60):
        damaged = bytearray(whole)
        span = rng.choice([2000, len(damaged)])  # half of them in the pickle at the front, where the structure is
        for _ in range(rng.choice([1, 8, 64])):
            damaged[rng.randrange(span)] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            found = load_checkpoint(path)
        except UserError as error:
            assert "\n" not in str(error)
        else:  # the flips fell between the members of the archive, where nothing is
            assert same_tensors(found, load_checkpoint(tiny_run / "checkpoints" / "model_epoch_001.pt"))


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\x80\x04.", b"PK\x03\x04" + b"\0" * 100, b"hello\n" * 100])
def test_foreign_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(content)
    refused(tmp_path / "a.pt")


class Hostile:
    """Pickled, it touches a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))], ids=["torch", "pickle"]
)
def test_code_in_a_file_is_not_run(tmp_path: Path, good: dict[str, Any], write: Callable[[Any, Path], object]) -> None:
    path, proof = tmp_path / "hostile.pt", tmp_path / "proof"
    write(good | {"classes": Hostile(proof)}, path)
    refused(path)
    assert not proof.exists()


def test_a_newer_version_says_to_update(tmp_path: Path, good: dict[str, Any]) -> None:
    torch.save(good | {"version": 99}, tmp_path / "a.pt")
    assert "update" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize("value", [[1, 2], torch.zeros(3), {"format": "other"}, {}, None], ids=str)
def test_files_of_other_programs(tmp_path: Path, value: object) -> None:
    torch.save(value, tmp_path / "a.pt")
    assert "not" in refused(tmp_path / "a.pt")


@pytest.mark.parametrize("key", ["config", "network", "classes", "step", "model", "ema", "version"])
@pytest.mark.parametrize("value", [None, "text", ["x"], {"a": 1}, -1.5], ids=str)
def test_wrong_entries(tmp_path: Path, good: dict[str, Any], key: str, value: object) -> None:
    if (key == "classes" and isinstance(value, list)) or key == "model":
        return  # good, or not read: the averaged weights are
    torch.save(good | {key: value}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt")


@pytest.mark.parametrize("field", ["model", "timesteps", "objective", "dataset", "lr", "seed"])
@pytest.mark.parametrize("value", [["x"], {}, -1, "\x1b[2J", float("nan"), 10**400], ids=repr)
def test_wrong_configurations(tmp_path: Path, good: dict[str, Any], field: str, value: object) -> None:
    if (field, value) == ("dataset", "\x1b[2J") or (field, value) == ("seed", 10**400):
        return
    torch.save(good | {"config": good["config"] | {field: value}}, tmp_path / "a.pt")
    refused(tmp_path / "a.pt")


@pytest.mark.parametrize(
    "change",
    [
        {"base": 32},
        {"base": 0},
        {"base": 10**6},
        {"base": 10**12},
        {"channels": 3},
        {"multipliers": [1]},
        {"multipliers": []},
        {"multipliers": [1] * 100},
        {"attention": [False]},
        {"blocks": 2},
        {"blocks": 10**9},
        {"blocks": "x"},
        {"patch": 0},
        {"patch": -2},
        {"time_dim": 10**9},
        {"image_size": 10**9},
        {"image_size": 1},
        {"classes": 10},
        {"depth": 3},
    ],
    ids=str,
)
def test_networks_of_another_or_a_huge_shape_take_no_memory(tmp_path: Path, good: dict[str, Any], change: dict[str, Any]) -> None:
    torch.save(good | {"network": good["network"] | change}, tmp_path / "a.pt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(tmp_path / "a.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_stretched_weights_take_no_memory(tmp_path: Path, good: dict[str, Any]) -> None:
    from core.network.unet import UNet, UNetConfig

    shape = good["network"] | {"base": 4096}
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in shape.items()}
    with torch.device("meta"):
        network = UNet(UNetConfig(**fields))
    weights = {k: torch.zeros(1).expand(v.shape) for k, v in network.state_dict().items()}  # gigabytes, by one number each
    torch.save(good | {"network": shape, "ema": weights, "model": weights}, tmp_path / "a.pt")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(tmp_path / "a.pt")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_weights_of_another_kind(tmp_path: Path, good: dict[str, Any]) -> None:
    for kind in (torch.int64, torch.complex64, torch.float64):
        torch.save(good | {"ema": {k: v.to(kind) for k, v in good["ema"].items()}}, tmp_path / "a.pt")
        refused(tmp_path / "a.pt")


def plant(path: Path, content: dict[str, Any]) -> None:
    """Write what save_checkpoint would refuse to."""
    path.parent.mkdir(exist_ok=True)
    torch.save(content, path)


@pytest.mark.parametrize("key", ["optimizers", "tally", "ema_updates", "epoch_loss", "lr_factor", "started", "seconds"])
@pytest.mark.parametrize("value", [None, "text", {"a": 1}, torch.zeros(2, 2)], ids=["none", "text", "dict", "tensor"])
@pytest.mark.usefixtures("small_glyphs")
def test_a_resume_point_with_a_wrong_entry(
    tmp_path: Path, good: dict[str, Any], tiny_config: Callable[..., Any], key: str, value: object
) -> None:
    plant(RunDir(tmp_path).last, good | {key: value})
    with pytest.raises(UserError) as error:
        Trainer(tiny_config(tmp_path), resume=True)
    assert "\n" not in str(error.value)


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "a moment is missing": lambda entries: entries.popitem(),
    "a moment of another shape": lambda entries: entries.update({k: torch.zeros(3) for k in entries if k != "step"}),
    "a stretched moment": lambda e: e.update({k: torch.zeros(1).expand(v.shape) for k, v in e.items() if k != "step"}),
    "a moment of another type": lambda e: e.update({k: v.double() for k, v in e.items() if k != "step"}),
    "no number": lambda e: e.update({k: v * float("nan") for k, v in e.items() if k != "step"}),
    "a name too many": lambda entries: entries.update(more=1),
}


@pytest.mark.parametrize("which", [0, 1], ids=["muon", "adamw"])
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.usefixtures("small_glyphs")
def test_an_optimizer_that_does_not_fit_its_network(
    tmp_path: Path, good: dict[str, Any], tiny_config: Callable[..., Any], damage: Callable[[dict[str, Any]], object], which: int
) -> None:
    damage(good["optimizers"][which]["state"][0])
    plant(RunDir(tmp_path).last, good)
    with pytest.raises(UserError, match=r"no whole resume point|cannot be read as a checkpoint|is damaged: its optimizers"):
        Trainer(tiny_config(tmp_path), resume=True)


@pytest.mark.usefixtures("small_glyphs")
def test_the_optimizers_of_another_recipe(tmp_path: Path, good: dict[str, Any], tiny_config: Callable[..., Any]) -> None:
    muon, adamw = good["optimizers"]
    for others in ([], [muon], [adamw, muon], [muon, adamw, adamw]):
        plant(RunDir(tmp_path).last, good | {"optimizers": others})
        with pytest.raises(UserError, match="no whole resume point"):
            Trainer(tiny_config(tmp_path), resume=True)


@pytest.mark.parametrize("key", ["seconds", "lr_factor", "started"])
@pytest.mark.usefixtures("small_glyphs")
def test_a_resume_point_that_is_no_number(
    tmp_path: Path, good: dict[str, Any], tiny_config: Callable[..., Any], key: str
) -> None:
    plant(RunDir(tmp_path).last, good | {key: float("nan")})
    with pytest.raises(UserError, match="is damaged: its "):
        Trainer(tiny_config(tmp_path), resume=True)


def test_class_names_carry_no_control_characters(tmp_path: Path, good: dict[str, Any]) -> None:
    torch.save(good | {"classes": ["\x1b]0;title\x07", "../../a\nb"]}, tmp_path / "a.pt")
    classes = load_model(tmp_path / "a.pt").classes
    assert len(classes) == 2 and all(name.isprintable() for name in classes)


@pytest.mark.slow
def test_hundreds_of_mutants_are_refused_with_one_sentence_each(tiny_run: Path, tmp_path: Path) -> None:
    """Torn, flipped, hostile, packed, huge and senseless files: no code of theirs runs, and memory stays below 1 GiB."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.core.mutants", str(tiny_run / "model_final.pt"), str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(result.stdout)
    assert said["bad"] == []
    assert said["count"] == 367
    assert not said["canary"] and [p.name for p in tmp_path.iterdir() if not p.name.startswith("mutant")] == []
    assert said["peak"] < 1024  # MiB, with torch itself
    assert said["slowest"] < 5  # seconds of CPU: no file makes it work for long
    assert result.stderr == ""


def test_the_space_asked_for_covers_every_tensor(tmp_path: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr("core.runs.checkpoint.require_space", lambda path, size: asked.append(size))
    save_checkpoint(tmp_path / "a.pt", good)
    assert asked == [pytest.approx((tmp_path / "a.pt").stat().st_size, rel=0.2)]


def test_saving_twice_keeps_one_whole_file(tmp_path: Path, good: dict[str, Any]) -> None:
    save_checkpoint(tmp_path / "a.pt", good)
    save_checkpoint(tmp_path / "a.pt", good | {"step": 13})
    assert load_checkpoint(tmp_path / "a.pt")["step"] == 13
    assert [p.name for p in tmp_path.iterdir()] == ["a.pt"]
