"""Checkpoint files: written atomically, read without running any code from them, checked before anything is built."""

import dataclasses
import io
import json
import os
import pickletools
import struct
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import safetensors.torch
import torch

from core.compute.seeds import seeded
from core.config import LARGEST, MOST_BLOCKS, MOST_CHANNELS, MOST_LEVELS, MOST_MULTIPLIER, MOST_PARAMETERS, MOST_TEXT, TrainConfig
from core.diffusion.learned import EVEN, is_spread
from core.diffusion.model import Model, make_diffusion
from core.errors import Diverged, UserError, printable
from core.extend.needs import changed, is_told, require_files
from core.files import atomic_write, notices, open_plain, read_bytes, require_checkpoint, require_space
from core.names import DATASETS, NETWORKS, SCHEDULES
from core.network.norms import NORMS
from core.network.own import AnyNetwork, OwnNetwork, OwnShape
from core.network.unet import UNet, UNetConfig, parameter_count
from core.runs.folder import MOST_SECONDS
from core.runs.models import is_pipeline

FORMAT, VERSION = "tinydiff-tui", 1
MOST_FACTOR = 1e30
"""Of the learning rate, on top of its schedule."""
_REQUIRED = {"config": dict, "network": dict, "classes": list, "step": int, "model": dict, "ema": dict}
_COUNTERS: dict[str, tuple[type[int] | type[float], float]] = {
    "step": (int, LARGEST),
    "ema_updates": (int, LARGEST),
    "ended_epochs": (int, LARGEST),
    "seconds": (float, MOST_SECONDS),
    "lr_factor": (float, MOST_FACTOR),
    "started": (float, MOST_SECONDS),
}
"""Type and largest value; the least is 0."""
_SIZES = {
    "image_size": (1, 512), "channels": (1, 3), "base": (1, MOST_CHANNELS), "blocks": (1, MOST_BLOCKS), "time_dim": (2, 4096),
    "patch": (1, 16), "classes": (0, 1 << 20),
}  # fmt: skip
"""Least and largest of the whole numbers in the shape of a network; far above any of ours."""
_NAMED = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage"}
"""Everything that our checkpoints name in their pickle."""
_MOST_STRUCTURE = 8 << 20  # bytes that describe the tensors; ours take about 100,000
_MOST_BYTES = 28 * MOST_PARAMETERS  # of a file: weights, their average, early and now, two moments, a teacher, and a critic
_EARLY = "early."
"""Before the names of the early weights in an export; no parameter of ours begins so."""
_AROUND = 512  # bytes that torch.save takes for a tensor beside its numbers
_UTF8, _DESCRIBED = 0x800, 8  # flags of a zip entry: how its name is written, and that its size stands behind it too


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically. `content` holds the entries of _REQUIRED, and what a resume needs.

    What is written can be read again: it goes through the same check. Raises UserError, and Diverged for what is not finite;
    the file that was there stays.
    """
    require_space(path, sum(tensor.nbytes + _AROUND for tensor in _tensors(content)))
    if not all(bool(tensor.isfinite().all()) for tensor in _tensors(content)):
        raise Diverged(
            f"the weights or what trains them stopped being finite by step {content.get('step')}, so {path} was not written; "
            "continue from the last good checkpoint with --resume and a lower --lr, or --precision fp32"
        )
    content = {"format": FORMAT, "version": VERSION, **content}
    try:
        _check(content)
    except ValueError as error:
        raise UserError(f"{path} was not written, since it could not be read again: {error}") from error
    buffer = io.BytesIO()  # torch turns the OSError of a full disk into one of its own; ours must see it
    torch.save(content, buffer)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _tensors(content: object) -> Iterator[torch.Tensor]:
    """Every tensor in nested dicts and lists, once."""
    seen: set[int] = set()
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint on to the CPU, every entry checked but for what only a run's own optimizers can tell.

    Raises UserError when it is missing, torn, foreign, hostile or of a newer version.
    """
    if is_pipeline(path):
        raise UserError(f"{path} is a model of diffusers, which this program draws from, and does not train or write")
    require_checkpoint(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this program; give one that 'tinydiff-tui train' wrote")
    version = content.get("version")
    if type(version) is not int or version > VERSION:
        raise UserError(f"{path} has a newer format than this program's version {VERSION}; update tinydiff-tui")
    require_files(content.get("config"), content.get("extend"), path)
    try:
        _check(content)
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; use an older checkpoint") from error
    return content | {"classes": [printable(name) for name in content["classes"]]}


def _check(content: dict[str, Any]) -> None:
    """Raise ValueError, with what is wrong, unless these are the entries of a checkpoint: before it is written, after it is read.

    The shape of the network is known to make sense before anything of it is built, and to work before its weights are looked at.
    """
    for key, kind in _REQUIRED.items():
        if not isinstance(content.get(key), kind):
            raise ValueError(f"its entry '{key}' is missing or wrong")
    for key, (kind, most) in _COUNTERS.items():
        value: Any = content.get(key, kind(0))
        if type(value) is not kind or not 0 <= value <= most:
            raise ValueError(f"its {key.replace('_', ' ')} makes no sense")
    if not all(isinstance(name, str) and len(name) <= MOST_TEXT for name in content["classes"]):
        raise ValueError("its classes make no sense")
    if not is_told(content.get("extend", [])):
        raise ValueError("the files that it names make no sense")
    try:
        config = TrainConfig.from_dict(content["config"])
    except UserError as error:
        raise ValueError("its configuration makes no sense") from error
    if SCHEDULES[config.schedule].learned and not is_spread(content.get("spread")):
        raise ValueError("what its schedule has learned makes no sense")
    wanted = _shapes(content["network"], config, len(content["classes"]))
    for weights in (content["model"], *(content.get(name, content["ema"]) for name in ("ema", "early", "teacher"))):
        fits = isinstance(weights, dict) and all(map(is_whole, weights.values()))
        if not fits or {k: tuple(v.shape) for k, v in weights.items()} != wanted:
            raise ValueError("its weights do not fit its network, or are no numbers")
    _check_training(content)


def _check_training(content: dict[str, Any]) -> None:
    """The sums and moments that a resume takes up, where there are any. Raises ValueError."""
    if not all(is_whole(content[key]) for key in ("tally", "epoch_loss", "errors") if key in content):
        raise ValueError("its sums make no sense")
    critic = content.get("critic", {})
    if not isinstance(critic, dict) or not all(map(is_whole, critic.values())):
        raise ValueError("its critic makes no sense")
    optimizers = content.get("optimizers", [])
    if type(optimizers) is not list or not all(type(each) is dict and type(each.get("state")) is dict for each in optimizers):
        raise ValueError("its optimizers make no sense")
    for entries in (entries for each in optimizers for entries in each["state"].values()):
        if not isinstance(entries, dict) or not all(map(is_whole, entries.values())):
            raise ValueError("its optimizers make no sense")
        step = entries.get("step")
        if step is not None and not (step.shape == () and 1 <= step <= LARGEST):
            raise ValueError("its optimizers make no sense")


def _shapes(shape: dict[str, Any], config: TrainConfig, classes: int) -> dict[str, tuple[int, ...]]:
    """The weights of a checkpoint's network by their names, of one that works. Raises ValueError."""
    if NETWORKS[config.model].origin:
        return _shapes_of(_own_network(shape, config, classes))
    try:
        _check_shape(shape, config, classes)
        return _shapes_of_ours(_unet_config(shape))
    except (ValueError, RuntimeError, ArithmeticError, UserError) as error:
        raise ValueError("the shape of its network makes no sense") from error


@lru_cache(maxsize=16)
def _shapes_of_ours(config: UNetConfig) -> dict[str, tuple[int, ...]]:
    """The same; no memory is taken for the weights."""
    with torch.device("meta"):
        network, t = UNet(config), torch.zeros(1, dtype=torch.int64)
        if parameter_count(network) > MOST_PARAMETERS:
            raise ValueError("larger than any network of ours")
        network(torch.zeros(1, config.channels, *config.size), t, t if config.classes else None)
    return _shapes_of(network)


def _unet_config(shape: dict[str, Any]) -> UNetConfig:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in shape.items()}
    return UNetConfig(**fields)


def _network(shape: dict[str, Any], config: TrainConfig, classes: int) -> AnyNetwork:
    """The network of a checkpoint that was checked, without its weights: only a person's own takes memory for them."""
    if NETWORKS[config.model].origin:
        return _own_network(shape, config, classes)
    with torch.device("meta"):
        return UNet(_unet_config(shape))


def _shapes_of(network: AnyNetwork) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def _own_network(shape: dict[str, Any], config: TrainConfig, classes: int) -> OwnNetwork:
    """A network of a file that was read; what the checkpoint says of it is as far as we know it. Raises ValueError."""
    if (shape | {"width": 0}).keys() != {field.name for field in dataclasses.fields(OwnShape)} or shape["own"] != config.model:
        raise ValueError("its network is another one")
    for name in ("image_size", "channels", "classes"):
        if type(shape[name]) is not int or not _SIZES[name][0] <= shape[name] <= _SIZES[name][1]:
            raise ValueError(f"{name} is outside its range")
    _check_pictures(shape, config, classes)
    with seeded(0):
        network: OwnNetwork = NETWORKS[config.model].load()(_size(shape), shape["channels"], shape["classes"])
    return network


def _size(shape: dict[str, Any]) -> tuple[int, int]:
    """Height and width of the pictures of a network."""
    return shape["image_size"], shape.get("width", 0) or shape["image_size"]


def config_of(content: dict[str, Any]) -> TrainConfig:
    """The config of a checkpoint. One of square pictures of a folder asks for squares: once all were cut to them unasked."""
    config = TrainConfig.from_dict(content["config"])
    square = "width" not in content["network"] and config.dataset.startswith("folder:") and not config.image_size
    return dataclasses.replace(config, image_size=content["network"]["image_size"]) if square else config


def _check_shape(shape: dict[str, Any], config: TrainConfig, classes: int) -> None:
    """Raise ValueError unless every field of a network's shape has its type and range, and fits the run that it is of."""
    if (shape | {"dropout": 0.0, "width": 0}).keys() != {field.name for field in dataclasses.fields(UNetConfig)}:
        raise ValueError("other fields")
    if type(shape.get("dropout", 0.0)) is not float or not 0 <= shape.get("dropout", 0.0) <= 0.9:
        raise ValueError("dropout is outside its range")
    for name, (low, high) in _SIZES.items():
        if type(shape[name]) is not int or not low <= shape[name] <= high:
            raise ValueError(f"{name} is outside its range")
    multipliers, attention = shape["multipliers"], shape["attention"]
    if type(multipliers) is not list or type(attention) is not list or not 1 <= len(multipliers) <= MOST_LEVELS:
        raise ValueError("no levels")
    if len(attention) != len(multipliers) or not all(type(value) is bool for value in attention):
        raise ValueError("attention is not told for each level")
    if not all(type(value) is int and 1 <= value <= MOST_MULTIPLIER for value in multipliers):
        raise ValueError("a multiplier is outside its range")
    if type(shape["norm"]) is not str or shape["norm"] not in NORMS or shape["time_dim"] % 2:
        raise ValueError("an unknown norm, or half an embedding")
    if shape["learn_variance"] is not config.learn_variance:
        raise ValueError("another variance than the run's")
    _check_pictures(shape, config, classes)


def _check_pictures(shape: dict[str, Any], config: TrainConfig, classes: int) -> None:
    """Raise ValueError unless a network is for the pictures and classes of the run that it is of."""
    if shape["classes"] not in ((0, classes) if config.conditional else (0,)):
        raise ValueError("other classes than the run's")
    if type(shape.get("width", 0)) is not int or not 0 <= shape.get("width", 0) <= _SIZES["image_size"][1]:
        raise ValueError("width is outside its range")
    named = DATASETS.get(config.dataset)
    asked = (config.image_size, config.image_size) if config.image_size else _size(shape)
    size, channels = (named.shape[:2], (named.shape[2],)) if named else (asked, (1, 3))
    if _size(shape) != size or shape["channels"] not in channels:
        raise ValueError("images of another shape than the run's")


def export_safetensors(checkpoint: Path, output: Path, *, half: bool = False) -> None:
    """Write the averaged weights of a checkpoint as safetensors, config as metadata; `half`: as small as may be, in 16 bits and
    without the early ones that guidance leads away from. Raises UserError."""
    content = load_checkpoint(checkpoint)
    described = {key: content[key] for key in ("format", "version", "config", "network", "classes", "step")}
    described["extend"] = content.get("extend", [])
    if "spread" in content:
        described["spread"] = content["spread"]
    kind = torch.float16 if half else torch.float32
    guides = not half and config_of(content).guides(content["network"]["classes"], "early" in content)
    early = content.get("early", {}) if guides else {}
    averages = content["ema"] | {_EARLY + name: value for name, value in early.items()}
    weights = {name: value.to(kind).contiguous() for name, value in averages.items()}
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        raise UserError(f"{output} was not written: weights of {checkpoint} are too large for 16 bits")
    with atomic_write(output) as file:
        file.write(safetensors.torch.save(weights, {FORMAT: json.dumps(described)}))


def read_safetensors(path: Path, key: str, most: int) -> tuple[Any, dict[str, torch.Tensor]]:
    """What a safetensors file of at most `most` bytes says in JSON under a key of its metadata, and its tensors.

    Raises OSError, ValueError or KeyError for any other file.
    """
    content = read_bytes(path, most)
    header = int.from_bytes(content[:8], "little")
    if header > _MOST_STRUCTURE:
        raise ValueError("larger than any header of ours")
    try:
        tensors = safetensors.torch.load(content)
        return json.loads(json.loads(content[8 : 8 + header])["__metadata__"][key]), tensors
    except (RecursionError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError("no file of ours") from error


def _read_safetensors(path: Path) -> object:
    try:
        described, weights = read_safetensors(path, FORMAT, 8 * MOST_PARAMETERS)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path} cannot be read as a checkpoint: it is torn, or not one of this program's") from error
    if all(value.dtype == torch.float16 for value in weights.values()):  # all or none, as we write them; finite or not is kept
        weights = {name: value.float() for name, value in weights.items()}
    if not isinstance(described, dict):
        return None
    early = {name.removeprefix(_EARLY): weights.pop(name) for name in list(weights) if name.startswith(_EARLY)}
    return described | {"model": weights, "ema": weights} | ({"early": early} if early else {})


def _read_torch(path: Path) -> object:
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > _MOST_BYTES:
                raise ValueError("larger than any file of ours")
            _check_archive(file, size)
            file.seek(0)
            content = torch.load(file, map_location="cpu", weights_only=True)  # the file that was checked, whatever is there now
        if sum(tensor.nbytes for tensor in _tensors(content)) > size:
            raise ValueError("tensors that are larger than what is stored of them")
        return content
    except Exception as error:  # on flipped bytes zip and pickle stumble in any of a dozen ways
        raise UserError(f"{path} cannot be read as a checkpoint: it is torn, or not one of this program's") from error


def _check_archive(file: IO[bytes], size: int) -> None:
    """Raise ValueError unless this is a whole zip archive as torch.save writes ours: one entry after the other from the first
    byte on, then the one directory, to the last byte, so that every reader finds the same; nothing packed, every checksum right,
    one pickle, and nothing named in it but what tensors are made of. So no more memory is taken than the file is long, and
    whatever torch itself would let a pickle call is not called.
    """
    count, start = _directory(file, size)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
        end = 0
        for entry in entries:
            end = _end_of_entry(file, entry, end)
        if len({entry.filename.lower() for entry in entries}) != count or end != start:
            raise ValueError("not the entries of this directory")
        if archive.testzip() is not None:  # reads them all
            raise ValueError("a checksum is wrong")
        (pickle,) = (entry for entry in entries if entry.filename.lower().endswith(".pkl"))
        if pickle.file_size > _MOST_STRUCTURE:
            raise ValueError("larger than any structure of ours")
        for opcode, argument, _ in pickletools.genops(archive.read(pickle)):
            if opcode.name in ("INST", "STACK_GLOBAL") or (opcode.name == "GLOBAL" and argument not in _NAMED):
                raise ValueError(f"names {argument}")


def _end_of_entry(file: IO[bytes], entry: zipfile.ZipInfo, start: int) -> int:
    """Where an entry ends that begins at `start` and says the same there as in the directory. Raises ValueError for any other."""
    file.seek(start)
    head = struct.unpack("<4s5H3I2H", file.read(30))
    signature, _, flags, method, _, _, *sums, name, extra = head
    told = [entry.CRC, entry.file_size, entry.file_size]
    plain = method == entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
    same = entry.header_offset == start and flags == entry.flag_bits and not flags & ~(_UTF8 | _DESCRIBED)
    if signature != b"PK\3\4" or not plain or not same or file.read(name) != entry.orig_filename.encode():
        raise ValueError("not written by torch.save")
    if entry.filename != entry.orig_filename or entry.extra or entry.comment:
        raise ValueError("an entry with two names, or more than a name")
    file.seek(extra + entry.file_size, os.SEEK_CUR)
    described = flags & _DESCRIBED  # the numbers stand behind the entry, and in front of it too or not
    if sums != told and not (described and sums == [0, 0, 0]):
        raise ValueError("an entry of two sizes")
    if described and struct.unpack("<4s3I", file.read(16)) != (b"PK\7\x08", *told):
        raise ValueError("an entry of two sizes")
    return file.tell()


def _directory(file: IO[bytes], size: int) -> tuple[int, int]:
    """How many entries the one directory at the end of an archive has, and where it begins. Raises ValueError for any other."""
    file.seek(size - 22)
    *marks, count, length, start, comment = struct.unpack("<4s4H2IH", file.read(22))
    if marks != [b"PK\5\6", 0, 0, count] or comment or length > _MOST_STRUCTURE:
        raise ValueError("no directory of ours")
    if start + length + 22 != size:  # torch adds the wide form, with the same numbers
        file.seek(start + length)
        wide, locator = struct.unpack("<4sQ2H2I4Q", file.read(56)), struct.unpack("<4sIQI", file.read(20))
        again = (b"PK\6\6", 44, *wide[2:4], 0, 0, count, count, length, start)
        if wide != again or locator != (b"PK\6\7", 0, start + length, 1) or file.tell() + 22 != size:
            raise ValueError("more than one directory")
    return count, start


def load_model(path: Path, *, device: torch.device | str = "cpu") -> Model:
    """The model of a checkpoint with its averaged weights, or of a folder of diffusers, in evaluation mode. Raises UserError."""
    path = Path(path)
    if is_pipeline(path):
        from core.runs.pipelines import load_pipeline  # an extra is behind it

        return load_pipeline(path, device=device)
    content = load_checkpoint(path)
    config = config_of(content)
    if (note := changed(config, content.get("extend"))) and note not in notices:
        notices.append(note)

    def network(weights: dict[str, torch.Tensor]) -> AnyNetwork:
        made = _network(content["network"], config, len(content["classes"]))
        # dict(): torch notes assign=True in the metadata of the dict it is given, and every later load of it would assign too.
        made.load_state_dict(dict(weights), assign=True)
        return made.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload, no-any-return]

    early = network(content["early"]) if "early" in content and not config.teacher else None
    diffusion = make_diffusion(config, tuple(content["spread"]) if SCHEDULES[config.schedule].learned else EVEN)
    return Model(network(content["ema"]), diffusion, config, tuple(content["classes"]), content["step"], early)


def is_whole(value: object) -> bool:
    """Whether this is a float32 tensor of finite numbers. A stretched one (stride 0) is not: it would grow when it is copied."""
    if not isinstance(value, torch.Tensor) or value.dtype != torch.float32 or value.layout != torch.strided:
        return False
    # The size comes before the look at every number.
    return value.untyped_storage().nbytes() >= value.nbytes and value.device.type != "meta" and bool(value.isfinite().all())


def describe_network(network: AnyNetwork) -> dict[str, Any]:
    """The shape of a network as plain values, for the checkpoint."""
    shape = {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(network.config).items()}
    for name in ("dropout", "width"):  # as checkpoints told it before there was any
        if not shape.get(name, True):
            del shape[name]
    return shape
