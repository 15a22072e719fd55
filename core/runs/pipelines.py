"""Models that diffusers saved: a folder with its UNet2DModel and a DDPM or DDIM scheduler, read as a model of ours.

Nothing in the folder is run. Of its JSON only what these two classes take is read, each value checked; weights are safetensors.
The package is an extra, imported where it is used: it takes seconds.
"""

import inspect
import logging
import math
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from core.compute.seeds import seeded
from core.config import TrainConfig, shown
from core.data.datasets import UNNAMED
from core.diffusion.model import Model
from core.diffusion.process import Diffusion
from core.diffusion.schedule import NoiseSchedule
from core.errors import UserError, not_installed, printable
from core.files import read_bytes, read_json
from core.network.own import OwnNetwork
from core.network.unet import parameter_count
from core.runs.models import INDEX, NETWORK, SCHEDULER

MOST_PARAMETERS = 1 << 28
"""Of a network; more than the largest that was published for pixels."""
CLASS = "UNet2DModel"
SCHEDULERS = ("DDPMScheduler", "DDIMScheduler")
OBJECTIVES = {"epsilon": "epsilon", "sample": "x0", "v_prediction": "v"}
"""What diffusers calls a prediction, and what we do."""
_WEIGHTS = "diffusion_pytorch_model"
_MOST_HEADER, _MOST_SIDE, _MOST_NUMBER, _MOST_LAYERS, _MOST_PARTS = 8 << 20, 512, 1 << 20, 16, 8
_TABLE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
"""What a scheduler's alpha_bar depends on; the rest is how its own sampler goes, and ours go as they are asked to."""
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Parts of an attention as diffusers wrote them until 2023, and as it reads them now."""


def load_pipeline(folder: Path, *, device: torch.device | str = "cpu") -> Model:
    """The model of a folder, in evaluation mode, its network in float32. Its noise schedule is the scheduler's own table.

    Raises UserError for whatever is no UNet2DModel on pixels with a DDPM or DDIM scheduler, or cannot be read.
    """
    try:
        from diffusers.utils import logging as said
    except ImportError as error:
        raise UserError(not_installed(f"{folder} is a model of diffusers, which", "diffusers")) from error
    said.set_verbosity(logging.ERROR)  # its remarks on old files are for those who write them
    _check_parts(folder)
    diffusion = _process(folder)
    network = _network(folder)
    network = network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    height, width = network.config.size
    classes = tuple(f"class {k}" for k in range(network.config.classes))
    config = TrainConfig(
        dataset=UNNAMED, model=CLASS, image_size=height if height == width else 0, objective=diffusion.prediction,
        schedule=diffusion.schedule.name, timesteps=diffusion.schedule.timesteps, conditional=bool(classes), label_dropout=0.0,
    )  # fmt: skip
    return Model(network, diffusion, config, classes, 0)


def _said(folder: Path, part: str, name: str) -> dict[str, Any]:
    """What a part of a folder says of itself: in a folder of its own, or beside the others as it once was. Raises UserError."""
    place = folder / part if (folder / part).is_dir() else folder
    try:
        said = read_json(place / name)
    except (OSError, ValueError) as error:
        raise UserError(f"{place / name} cannot be read, so {folder} is no whole model of diffusers; save it again") from error
    if not isinstance(said, dict):
        raise UserError(f"{place / name} describes no part of a model; save it again")
    return said


def _check_parts(folder: Path) -> None:
    """Raise UserError for a pipeline of other parts than a network and a scheduler: a text or latents mean another process."""
    if not (folder / INDEX).is_file():
        return
    parts = {name: what for name, what in _said(folder, "", INDEX).items() if isinstance(what, list) and what[:1] != [None]}
    others = [name for name in parts if name not in (NETWORK, SCHEDULER)]
    if others:
        raise UserError(
            f"{folder} is a pipeline with more than a network and a scheduler ({printable(shown(others[0]))}); only models of "
            "pixels alone can be opened"
        )
    foreign = [name for name, what in parts.items() if what[:1] != ["diffusers"]]
    if foreign:
        raise UserError(f"the {foreign[0]} of {folder} is no class of diffusers but code of its own, which is not run")


def _process(folder: Path) -> Diffusion:
    """The scheduler's table of noise, what its network predicts and whether that is clamped. Raises UserError."""
    said = _said(folder, SCHEDULER, "scheduler_config.json")
    name = said.get("_class_name")
    if name not in SCHEDULERS:
        raise UserError(f"{folder} has the scheduler {shown(name)}; only {' and '.join(SCHEDULERS)} can be opened")
    import diffusers

    kind: Any = getattr(diffusers, str(name))
    told = {key: each.default for key, each in inspect.signature(kind.__init__).parameters.items() if key != "self"}
    told |= {key: value for key, value in said.items() if key in told}
    _check_scheduler(told, folder)
    if told["prediction_type"] not in OBJECTIVES:
        known = ", ".join(OBJECTIVES)
        raise UserError(f"{folder} predicts {shown(told['prediction_type'])}; only {known} can be opened")
    if told["thresholding"]:
        raise UserError(f"{folder} asks for dynamic thresholding of what is predicted, which no sampler here does")
    try:
        table = kind(**{key: told[key] for key in _TABLE}).alphas_cumprod.double()
    except (NotImplementedError, ValueError, RuntimeError) as error:
        raise UserError(f"{folder} has a noise schedule that diffusers does not make: {shown(told['beta_schedule'])}") from error
    if len(table) != told["num_train_timesteps"]:
        raise UserError(f"{folder} has {len(table):,} betas for {told['num_train_timesteps']:,} timesteps; save it again")
    schedule = NoiseSchedule.of_table("trained" if told["trained_betas"] is not None else told["beta_schedule"], table)
    objective = OBJECTIVES[told["prediction_type"]]
    if objective == "epsilon" and schedule.zero_terminal_snr:
        raise UserError(f"{folder} predicts epsilon where its schedule ends in pure noise, which says nothing of the picture")
    return Diffusion(schedule, objective, limit=told["clip_sample_range"] if told["clip_sample"] else math.inf)


def _check_scheduler(told: dict[str, Any], folder: Path) -> None:
    """Raise UserError for a value of a scheduler that has another type, or is outside of all reason."""
    betas = told["trained_betas"]
    sound = {
        "num_train_timesteps": type(told["num_train_timesteps"]) is int and 2 <= told["num_train_timesteps"] <= 100_000,
        "beta_start": _is_number(told["beta_start"], 1),
        "beta_end": _is_number(told["beta_end"], 1),
        "beta_schedule": isinstance(told["beta_schedule"], str),
        "trained_betas": betas is None or (isinstance(betas, list) and all(_is_number(beta, 1) for beta in betas)),
        "rescale_betas_zero_snr": type(told["rescale_betas_zero_snr"]) is bool,
        "prediction_type": isinstance(told["prediction_type"], str),
        "thresholding": type(told["thresholding"]) is bool,
        "clip_sample": type(told["clip_sample"]) is bool,
        "clip_sample_range": _is_number(told["clip_sample_range"], 1000) and told["clip_sample_range"] > 0,
    }
    for name, good in sound.items():
        if not good:
            raise UserError(f"{folder} has a scheduler whose {name} makes no sense: {shown(told[name])}")


def _is_number(value: object, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most  # type: ignore[operator]


class _Sample(nn.Module):
    """The network of diffusers, called as ours are: (x_t, t, labels) -> like x_t."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return self.unet(x, t, labels, return_dict=False)[0]  # type: ignore[no-any-return]


def _network(folder: Path) -> OwnNetwork:
    """The network with its weights. Raises UserError.

    What is described is known to work, and to be what the weights are for, before memory is taken.
    """
    from diffusers import UNet2DModel

    shape = _shape(folder, list(inspect.signature(UNet2DModel.__init__).parameters)[1:])
    sides = shape["sample_size"]
    size = (sides, sides) if isinstance(sides, int) else tuple(sides)
    channels, classes = shape["in_channels"], shape.get("num_class_embeds") or 0

    def wrapped(*_: object) -> nn.Module:
        return _Sample(UNet2DModel(**shape))

    try:
        with torch.device("meta"):
            bare = OwnNetwork(CLASS, wrapped, size, channels, classes)
            t = torch.zeros(1, dtype=torch.int64)
            bare(torch.zeros(1, channels, *size), t, t if classes else None)
    except Exception as error:  # whatever diffusers and torch stumble over
        why = printable(" ".join(str(error).split()))[:200]
        raise UserError(f"the network that {folder} describes does not work: {why or type(error).__name__}") from error
    if parameter_count(bare) > MOST_PARAMETERS:
        raise UserError(f"the network of {folder} has {parameter_count(bare):,} parameters; {MOST_PARAMETERS:,} are the most")
    inner: Any = bare.own
    weights = _weights(folder, {name: value.shape for name, value in inner.unet.state_dict().items()})
    with seeded(0):
        network = OwnNetwork(CLASS, wrapped, size, channels, classes)
    inner = network.own
    inner.unet.load_state_dict(weights, assign=True)
    return network


def _shape(folder: Path, known: list[str]) -> dict[str, Any]:
    """What makes the network: the fields that diffusers knows, of pictures that we can draw. Raises UserError."""
    said = _said(folder, NETWORK, "config.json")
    if said.get("_class_name") != CLASS:
        raise UserError(f"{folder} has the network {shown(said.get('_class_name'))}; only {CLASS} can be opened")
    shape = {name: value for name, value in said.items() if not name.startswith("_")}
    for name, value in shape.items():
        if name not in known:
            raise UserError(f"{folder} has a network with {shown(name)}, which the diffusers that is installed does not know")
        if not _is_field(value) or (name == "layers_per_block" and not (type(value) is int and 1 <= value <= _MOST_LAYERS)):
            raise UserError(f"{folder} has a network whose {name} makes no sense: {shown(value)}")
    shape = {"in_channels": 3, "out_channels": 3, "sample_size": None} | shape
    sides = shape["sample_size"] if isinstance(shape["sample_size"], list) else [shape["sample_size"]] * 2
    if len(sides) != 2 or not all(type(side) is int and 1 <= side <= _MOST_SIDE for side in sides):
        raise UserError(
            f"{folder} does not say that its pictures have sides of 1 to {_MOST_SIDE} pixels: its sample_size is "
            f"{shown(shape['sample_size'])}"
        )
    if (
        type(shape["in_channels"]) is not int
        or shape["in_channels"] not in (1, 3)
        or shape["out_channels"] != shape["in_channels"]
    ):
        raise UserError(
            f"{folder} makes {shown(shape['out_channels'])} channels of {shown(shape['in_channels'])}; only grey and colour "
            "pictures can be drawn, without a learned variance"
        )
    for name, usual in (("class_embed_type", None), ("time_embedding_type", "positional")):
        if shape.get(name, usual) != usual:
            raise UserError(f"{folder} has a network with {name} {shown(shape[name])}, which cannot be opened")
    return shape


def _is_field(value: object) -> bool:
    """Whether this can be a field of a network: a switch, a word, a number that is no lie, or a few of these."""
    if isinstance(value, list):
        return len(value) <= _MOST_PARTS and all(_is_field(each) and not isinstance(each, list) for each in value)
    if isinstance(value, str):
        return len(value) <= 100
    return (
        value is None or isinstance(value, bool) or (isinstance(value, (int, float)) and -_MOST_NUMBER <= value <= _MOST_NUMBER)
    )


def _weights(folder: Path, wanted: dict[str, torch.Size]) -> dict[str, Tensor]:
    """The weights in float32, as the network wants them. Raises UserError."""
    place = folder / NETWORK if (folder / NETWORK).is_dir() else folder
    files = [file for file in (place / f"{_WEIGHTS}.safetensors", place / f"{_WEIGHTS}.fp16.safetensors") if file.is_file()]
    if not files and any(place.glob("*.bin")):
        raise UserError(
            f"{place} has its weights as a pickle alone, which could run code when it is opened; save it again with "
            "save_pretrained(FOLDER, safe_serialization=True)"
        )
    if not files:
        raise UserError(f"{place} has no {_WEIGHTS}.safetensors; save the model again, in one file")
    most = 4 * sum(size.numel() for size in wanted.values()) + _MOST_HEADER
    try:
        weights = safetensors.torch.load(read_bytes(files[0], most))
    except (OSError, ValueError, KeyError, RecursionError, safetensors.SafetensorError) as error:
        raise UserError(f"{files[0]} cannot be read: it is torn, or larger than its network") from error
    if not all(name in wanted for name in weights):
        weights = {".".join(_RENAMED.get(part, part) for part in name.split(".")): value for name, value in weights.items()}
    if {name: value.shape for name, value in weights.items()} != wanted:
        raise UserError(f"the weights in {files[0]} are not those of the network beside them; save the model again")
    if not all(value.is_floating_point() and bool(value.isfinite().all()) for value in weights.values()):
        raise UserError(f"the weights in {files[0]} are no finite numbers; save the model again")
    return {name: value.float() for name, value in weights.items()}
