"""Checkpoint files: written atomically, read without running any code from them, checked before anything is built."""

import dataclasses
import io
import json
import pickletools
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from core.config import TrainConfig
from core.diffusion.model import Model, make_diffusion
from core.errors import UserError, printable
from core.files import atomic_write, require_checkpoint, require_space
from core.network.unet import UNet, UNetConfig

FORMAT, VERSION = "tinydiff-tui", 1
_REQUIRED = {"config": dict, "network": dict, "classes": list, "step": int, "model": dict, "ema": dict}
_NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage"}
"""Everything that our checkpoints name in their pickle."""
_MOST_STRUCTURE = 8 << 20  # bytes that describe the tensors; ours take about 100,000
_MOST_STEPS = 2**53


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically. `content` holds the entries of _REQUIRED, and what a resume needs."""
    require_space(path, _size(content))
    buffer = io.BytesIO()  # torch turns the OSError of a full disk into one of its own; ours must see it
    torch.save({"format": FORMAT, "version": VERSION, **content}, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _size(content: object) -> int:
    """Bytes of all tensors in nested dicts and lists, with a little for the rest."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    if isinstance(content, list):
        return sum(map(_size, content))
    return sum(map(_size, content.values())) + 4096 if isinstance(content, dict) else 0


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on to the CPU. Raises UserError when it is missing, torn, foreign, hostile or of a newer version."""
    require_checkpoint(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this program; give one that 'tinydiff-tui train' wrote")
    version = content.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise UserError(f"{path} has a newer format than this program's version {VERSION}; update tinydiff-tui")
    for key, kind in _REQUIRED.items():
        if not isinstance(content.get(key), kind):
            raise UserError(f"{path} is damaged: its entry '{key}' is missing or wrong; use an older checkpoint")
    if not 0 <= content["step"] <= _MOST_STEPS or not all(isinstance(name, str) for name in content["classes"]):
        raise UserError(f"{path} is damaged: its step or its classes make no sense; use an older checkpoint")
    try:
        config = TrainConfig.from_dict(content["config"])
        sane = all(abs(value) <= _MOST_STEPS for value in config.to_dict().values() if isinstance(value, int))
    except (UserError, ValueError) as error:
        raise UserError(f"{path} is damaged: its configuration makes no sense; use an older checkpoint") from error
    if not sane or config.learn_variance is not content["network"].get("learn_variance"):
        raise UserError(f"{path} is damaged: its configuration makes no sense; use an older checkpoint")
    return content


def export_safetensors(checkpoint: Path, output: Path) -> None:
    """Write the averaged weights of a checkpoint as safetensors, its config in the metadata. Raises UserError."""
    content = load_checkpoint(checkpoint)
    build_network(content["network"], content["ema"], checkpoint)
    described = {key: content[key] for key in ("format", "version", "config", "network", "classes", "step")}
    weights = {name: value.contiguous() for name, value in content["ema"].items()}
    with atomic_write(output) as file:
        file.write(safetensors.torch.save(weights, {FORMAT: json.dumps(described)}))


def _read_safetensors(path: Path) -> object:
    try:
        with path.open("rb") as start:
            if int.from_bytes(start.read(8), "little") > _MOST_STRUCTURE:
                raise ValueError("larger than any header of ours")
        with safetensors.safe_open(path, "pt") as file:
            described = json.loads((file.metadata() or {}).get(FORMAT, "null"))
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, ValueError, RecursionError, safetensors.SafetensorError) as error:
        raise UserError(f"{path} cannot be read as a checkpoint: it is torn, or not one of this program's") from error
    return described | {"model": weights, "ema": weights} if isinstance(described, dict) else None


def _read_torch(path: Path) -> object:
    try:
        _check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # on flipped bytes zip and pickle stumble in any of a dozen ways
        raise UserError(f"{path} cannot be read as a checkpoint: it is torn, or not one of this program's") from error


def _check_archive(path: Path) -> None:
    """Raise ValueError unless this is a whole zip archive as torch.save writes ours: nothing packed, every checksum right, one
    pickle, and nothing named in it but what tensors are made of. So no more memory is taken than the file is long, and whatever
    torch itself would let a pickle call is not called.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.lower() for entry in entries}
        stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
        size = sum(entry.file_size for entry in entries)
        if archive.comment or not stored or size > path.stat().st_size or len(names) < len(entries):
            raise ValueError("not written by torch.save")
        if archive.testzip() is not None:
            raise ValueError("a checksum is wrong")
        (pickle,) = (entry for entry in entries if entry.filename.lower().endswith(".pkl"))
        if pickle.file_size > _MOST_STRUCTURE:
            raise ValueError("larger than any structure of ours")
        for opcode, argument, _ in pickletools.genops(archive.read(pickle)):
            if opcode.name in ("INST", "STACK_GLOBAL") or (opcode.name == "GLOBAL" and argument not in _NAMED):
                raise ValueError(f"names {argument}")


def load_model(path: Path, *, device: torch.device | str = "cpu") -> Model:
    """The model of a checkpoint with its averaged weights, in evaluation mode. Raises UserError."""
    path = Path(path)
    content = load_checkpoint(path)
    config = TrainConfig.from_dict(content["config"])
    network = build_network(content["network"], content["ema"], path)
    classes = tuple(map(printable, content["classes"]))
    if network.config.classes not in (0, len(classes)):
        raise UserError(f"{path} is damaged: its network knows other classes than the file; use an older checkpoint")
    network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return Model(network, make_diffusion(config), config, classes, content["step"])


def build_network(shape: dict[str, Any], weights: dict[str, Any], path: Path) -> UNet:
    """A U-Net of the stored shape around the stored weights. Shapes are compared before any memory is taken for them."""
    try:
        shape = {k: tuple(v) if isinstance(v, list) else v for k, v in shape.items()}
        if shape["blocks"] > 64 or len(shape["multipliers"]) > 8 or shape["image_size"] > 4096 or shape["patch"] < 1:
            raise ValueError("larger than any network of ours")
        with torch.device("meta"):
            network = UNet(UNetConfig(**shape))
        wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in weights.items()}
        whole = all(map(is_whole, weights.values()))
    except (TypeError, ValueError, ArithmeticError, AttributeError, RuntimeError, LookupError, UserError) as error:
        raise UserError(f"{path} is damaged: the shape of its network makes no sense; use an older checkpoint") from error
    if wanted != found or not whole:
        raise UserError(f"{path} is damaged: its weights do not fit its network, or are no numbers; use an older checkpoint")
    # dict(): torch notes assign=True in the metadata of the dict it is given, and every later load of it would assign too.
    network.load_state_dict(dict(weights), assign=True)
    return network


def is_whole(value: object) -> bool:
    """Whether this is a float32 tensor of finite numbers. A stretched one (stride 0) is not: it would grow when it is copied."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or value.layout != torch.strided:
        return False
    # The size comes before the look at every number.
    return value.untyped_storage().nbytes() >= value.nbytes and value.device.type != "meta" and bool(value.isfinite().all())


def describe_network(network: UNet) -> dict[str, Any]:
    """The shape of a U-Net as plain values, for the checkpoint."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(network.config).items()}
