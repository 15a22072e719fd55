"""What a training run is made of: one flat dataclass, from which the command line, the app's form and run.json are made.

Free of torch, so that every mistake in the flags is answered before torch is imported.
"""

import dataclasses
import math
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Self

from core.errors import UserError
from core.names import DATASETS, NETWORKS, OBJECTIVES, SAMPLERS, SCHEDULES, STARTS, lookup

WEIGHTINGS = ("simple", "min_snr")
T_SAMPLINGS = ("uniform", "logit_normal")
OPTIMIZERS = ("adamw", "muon")
LR_SCHEDULES = ("linear", "cosine", "constant")
EPOCHS, LEAST_STEPS = 20, 600
"""Passes over a data set, and steps however small it is, where nothing is asked for; by measurement, benchmarks/RESULTS.md."""
SAMPLED, SAVED = 1, 5
"""Epochs between two looks at samples, and two checkpoints that are kept; of a small set so many as make as many steps."""
GUIDANCE = 1.75
"""Scale of the guidance where none is asked for; by measurement, benchmarks/RESULTS.md."""
DISTILLING: dict[str, Any] = {
    "batch_size": 96, "optimizer": "muon", "lr": 1e-3, "lr_schedule": "linear", "warmup": 20, "weight_decay": 0.01,
    "grad_clip": 1.0, "ema_decay": 0.99,
}  # fmt: skip
DISTILLING_BUDGET = "5m"
"""What suits a training with a teacher; by measurement, benchmarks/RESULTS.md."""
INTERVALS = ("middle", "all")
SPACINGS = ("trailing", "leading", "linspace")
VARIANCES = ("small", "large", "learned")
LOGS = ("tensorboard",)
FLIPS = ("auto", "yes", "no")
ON_NAN = ("stop", "rollback")
REGIONS = ("centre", "left", "right", "top", "bottom")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
COMPUTE_FIELDS = ("device", "precision", "threads")
"""Where a config computes."""
SHAPE = ("base_channels", "channel_multipliers", "blocks", "attention", "dropout")
"""The fields that change a U-Net; empty or 0 they leave it as its model has it."""
OF_TEACHER = (
    "dataset", "data_dir", "image_size", "flip", "model", *SHAPE, "objective", "schedule", "timesteps", "zero_terminal_snr",
    "t_sampling", "weighting", "learn_variance", "conditional", "label_dropout",
)  # fmt: skip
"""The fields of a run with a teacher that are as the teacher has them; only where the data lie may be told."""
MOST_CHANNELS, MOST_MULTIPLIER, MOST_LEVELS, MOST_BLOCKS = 1024, 64, 8, 8
MOST_PARAMETERS = 1 << 26
"""Of a network; a checkpoint holds five numbers for each."""
REQUESTS = ("pause", "resume", "checkpoint", "sample", "stop")
"""What may be asked of a run through its folder."""
LARGEST = 2**53 - 1
"""Of all whole numbers: every reader of JSON gives these back as they were."""
FAR = 1_000_000_000
"""A bound from here on is there for the files; who meets the other one is not told of it."""
MOST_TEXT = 5000
"""Characters of a text; a path has at most 4096."""
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


GROUPS = (
    "Data",
    "Model",
    "Network",
    "Time",
    "Batch",
    "Noise",
    "Optimiser",
    "Saving",
    "Where it runs",
    "Pictures",
    "Sampler",
    "Guidance",
    "Start",
)
"""Under which headings the fields stand, in the help of the commands and in the app's forms."""


def setting(
    default: Any,
    text: str,
    *,
    group: str,
    otherwise: str = "",
    choices: Collection[str] = (),
    low: float | None = None,
    high: float | None = None,
) -> Any:
    """A field: its explanation in a line, its group, the values it may take (low and high included; numbers at most LARGEST).

    `otherwise` says what a default comes to that the value alone does not say. `choices` are names, of a table of core.names or a
    few of their own; the default may also be empty, for what suits the rest.
    """
    metadata = {"help": text, "group": group, "otherwise": otherwise, "choices": choices, "low": low, "high": high}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """One training run. Make it with `TrainConfig.of(...)`, which fills in the recipe of the model and checks every field."""

    dataset: str = setting(
        "glyphs",
        "data set, or folder:PATH for your own images",
        group="Data",
        otherwise="mnist where it is on disk, else glyphs",
        choices=DATASETS,
    )
    data_dir: str = setting("", "folder of the data sets", group="Data", otherwise="TINYDIFF_DATA_DIR, or the user's data folder")
    image_size: int = setting(0, "side in pixels for folder:PATH; 0 keeps their own, at most 64", group="Data", low=0, high=512)
    flip: str = setting(
        "auto",
        "mirror every other image; auto does with clothes and colour photos",
        group="Data",
        choices=FLIPS,
    )
    model: str = setting("fast", "network, and the recipe that suits it", group="Model", choices=NETWORKS)
    teacher: str = setting(
        "",
        "checkpoint of a model to distil: pictures like its own in one or two evaluations",
        group="Model",
        otherwise="none",
    )
    base_channels: int = setting(
        0, "channels of the U-Net's first level; 0 as the model has", group="Network", low=0, high=MOST_CHANNELS
    )
    channel_multipliers: str = setting("", "how many times as many each level has, as in 1,2,2", group="Network")
    blocks: int = setting(0, "residual blocks of a level, each way; 0 as the model has", group="Network", low=0, high=MOST_BLOCKS)
    attention: str = setting("", "levels with self-attention, counted from 1, as in 2,3; or none", group="Network")
    dropout: float = setting(0.0, "share of values that each block drops in training", group="Network", low=0.0, high=0.9)
    epochs: int = setting(
        0,
        "passes over the data set; 0 as suits its size",
        group="Time",
        otherwise=f"{EPOCHS}, of a small set as many as make {LEAST_STEPS} steps",
        low=0,
        high=FAR,
    )
    budget: str = setting(
        "",
        "train this long instead: 90s, 5m or 1h30m",
        group="Time",
        otherwise=f"none, the epochs count; {DISTILLING_BUDGET} with a teacher",
    )
    batch_size: int = setting(96, "images in one training step", group="Batch", low=1)
    optimizer: str = setting("muon", "AdamW, or Muon for kernels and AdamW for the rest", group="Optimiser", choices=OPTIMIZERS)
    lr: float = setting(4e-3, "peak learning rate", group="Optimiser", low=1e-8, high=1.0)
    lr_schedule: str = setting("linear", "learning rate after the warm-up", group="Optimiser", choices=LR_SCHEDULES)
    warmup: int = setting(20, "steps in which the learning rate rises to its peak", group="Optimiser", low=0)
    weight_decay: float = setting(0.01, "decoupled weight decay", group="Optimiser", low=0.0, high=1.0)
    grad_clip: float = setting(1.0, "largest norm of the gradient; 0 does not clip", group="Optimiser", low=0.0)
    ema_decay: float = setting(
        0.999, "decay of the averaged weights that samples are drawn from", group="Optimiser", low=0.0, high=0.99999
    )
    objective: str = setting("flow", "what the network predicts", group="Model", choices=OBJECTIVES)
    schedule: str = setting("flow", "noise schedule", group="Noise", choices=SCHEDULES)
    timesteps: int = setting(1000, "T, the length of the schedule", group="Noise", low=2, high=100_000)
    t_sampling: str = setting("logit_normal", "how training draws t", group="Noise", choices=T_SAMPLINGS)
    weighting: str = setting("simple", "weight of the loss at each t", group="Noise", choices=WEIGHTINGS)
    zero_terminal_snr: bool = setting(False, "rescale the schedule to end in pure noise (with --objective v)", group="Noise")
    learn_variance: bool = setting(False, "learn the reverse variance too (L_hybrid)", group="Model")
    conditional: bool = setting(True, "tell the network the class, where the data set has classes", group="Model")
    label_dropout: float = setting(
        0.1, "share of labels hidden in training a conditional model", group="Model", low=0.0, high=1.0
    )
    sample_interval: int = setting(
        -1,
        "draw samples every N epochs and at the end; 0 never",
        group="Saving",
        otherwise=f"{SAMPLED}, of a small set every {LEAST_STEPS * SAMPLED // EPOCHS} steps",
        low=-1,
    )
    save_interval: int = setting(
        -1,
        "keep a checkpoint every N epochs and at the end; 0 never",
        group="Saving",
        otherwise=f"{SAVED}, of a small set every {LEAST_STEPS * SAVED // EPOCHS} steps",
        low=-1,
    )
    checkpoint_seconds: float = setting(60.0, "write the resume point every N seconds", group="Saving", low=1.0)
    keep_last: int = setting(0, "keep only the newest N epoch checkpoints; 0 keeps all", group="Saving", low=0)
    judge_seconds: float = setting(
        0.0, "every so many seconds have the data set's judge say how good samples are; 0 never", group="Saving", low=0.0
    )
    log: str = setting(
        "",
        "write the figures of metrics.jsonl for another program too",
        group="Saving",
        otherwise="none",
        choices=LOGS,
    )
    on_nan: str = setting(
        "stop",
        "when the loss diverges: stop, or go back to the last checkpoint with half the lr",
        group="Optimiser",
        choices=ON_NAN,
    )
    output_dir: str = setting("outputs", "folder of this run", group="Saving")
    seed: int = setting(0, "seed of everything random", group="Where it runs", low=0)
    device: str = setting(
        "auto",
        "where to compute",
        group="Where it runs",
        otherwise="auto, which is a CUDA GPU, else Apple's MPS, else the CPU",
        choices=DEVICES,
    )
    precision: str = setting(
        "auto",
        "precision of convolutions and matrix products; auto measures",
        group="Where it runs",
        choices=PRECISIONS,
    )
    threads: int = setting(
        0,
        "CPU threads; 0 takes as many as are measured to be fastest",
        group="Where it runs",
        low=0,
        high=1024,
    )

    @classmethod
    def of(cls, **given: Any) -> Self:
        """A checked config: what is given, else the model's recipe, else the default. Raises UserError."""
        chosen = dict(lookup(NETWORKS, given.get("model", "fast"), "model").recipe)
        if given.get("teacher"):
            chosen |= DISTILLING | ({} if given.get("epochs") else {"budget": DISTILLING_BUDGET})
        chosen |= given
        objective = lookup(OBJECTIVES, chosen.get("objective", "flow"), "objective")
        config = cls(**({"schedule": objective.schedule, "t_sampling": objective.t_sampling} | chosen))
        config._check()
        return config

    @classmethod
    def continued(cls, saved: dict[str, Any], given: dict[str, Any]) -> Self:
        """A run's own config with what is asked of its continuation; epochs asked for take the place of a budget."""
        by_epochs = {"budget": ""} if "epochs" in given else {}
        return cls.of(**(saved | by_epochs | given))

    @classmethod
    def from_dict(cls, values: object) -> Self:
        """The config of a file. Raises UserError when it is not one of ours."""
        known = {f.name for f in dataclasses.fields(cls)}
        if not isinstance(values, dict) or not set(values) <= known:
            raise UserError("the stored configuration is not one of this program's; the file is damaged or foreign")
        try:
            # Not `of`: today's recipe must not change what was trained with yesterday's, when nothing was mirrored.
            config = cls(**{"flip": "no", **values})
            config._check()
            return config
        except TypeError as error:
            raise UserError("the stored configuration has a value of the wrong kind; the file is damaged or foreign") from error

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return dataclasses.asdict(self)

    @property
    def kind(self) -> str:
        """Network and objective in a few words, and whether a teacher is distilled."""
        return f"{self.model} {self.objective}" + " distilled" * bool(self.teacher)

    def guides(self, classes: int, early: bool) -> bool:
        """Whether a model can be guided: away from itself, or from an `early` self where there is one, told no class. Not one
        that was always told the class, one that knows none and has no early self, or a distilled one."""
        return not self.teacher and (self.label_dropout > 0 if classes else early)

    @property
    def budget_seconds(self) -> int:
        """The budget in seconds of training; 0 when epochs count. Raises UserError when it is no time."""
        if not self.budget:
            return 0
        found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", self.budget, re.ASCII)
        hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
        if not hours + minutes + seconds:
            raise UserError(f"--budget takes a time such as 90s, 5m or 1h30m, got '{self.budget}'")
        return hours * 3600 + minutes * 60 + seconds

    @property
    def shape(self) -> dict[str, Any]:
        """What makes the U-Net, by the names of the fields: the model's own where nothing else is asked for; multipliers as
        numbers, attention as yes or no for each level; empty for a network of another kind. Raises UserError for no such shape.
        """
        own = NETWORKS[self.model].shape
        asked = {name: getattr(self, name) for name in SHAPE if getattr(self, name)}
        if not own and asked:
            flag = next(iter(asked)).replace("_", "-")
            raise UserError(f"{self.model} is no U-Net of the program; leave --{flag} out, or choose another --model")
        if not own:
            return {}
        shape = {**own, **asked}
        multipliers = _numbers(shape["channel_multipliers"], MOST_MULTIPLIER)
        if not multipliers or len(multipliers) > MOST_LEVELS:
            raise UserError(
                f"--channel-multipliers takes 1 to {MOST_LEVELS} numbers from 1 to {MOST_MULTIPLIER}, as in 1,2,2, "
                f"got {shown(shape['channel_multipliers'])}"
            )
        levels = _numbers(shape["attention"], len(multipliers)) if shape["attention"] != "none" else ()
        if levels is None and "attention" in asked:
            raise UserError(
                f"--attention takes numbers of levels from 1 to {len(multipliers)}, as in 2, or none, "
                f"got {shown(shape['attention'])}"
            )
        if levels is None:  # the model's own, of a network with fewer levels: the last one, as there
            levels = (len(multipliers),)
        chosen = tuple(level + 1 in levels for level in range(len(multipliers)))
        return shape | {"channel_multipliers": multipliers, "attention": chosen}

    def flips(self, mirrored: bool) -> bool:
        """Whether images are mirrored in training, of a set in which a mirrored image is one too, or not."""
        return self.flip == "yes" or (self.flip == "auto" and mirrored)

    def suited(self, per_epoch: int) -> Self:
        """With epochs and intervals that suit a set of so many steps an epoch, where none were asked for."""
        times = max(1, -(-LEAST_STEPS // (EPOCHS * max(per_epoch, 1))))  # as many passes for one of a larger set
        return dataclasses.replace(
            self,
            epochs=self.epochs or EPOCHS * times,
            sample_interval=SAMPLED * times if self.sample_interval < 0 else self.sample_interval,
            save_interval=SAVED * times if self.save_interval < 0 else self.save_interval,
        )

    def steps(self, per_epoch: int, done: int = 0, seconds: float = 0.0, reserve: float = 0.0) -> int:
        """Steps of the whole run; with a budget, as many as fit at the pace of those done in `seconds`, with `reserve` seconds
        of it kept for what comes after the last step."""
        if not self.budget or not done:
            return min(self.suited(per_epoch).epochs * per_epoch, LARGEST)
        budget = self.budget_seconds - reserve
        return done if seconds >= budget else min(math.ceil(done * budget / max(seconds, 1e-9)), LARGEST)

    def _check(self) -> None:
        for f in dataclasses.fields(self):
            check_value(f, getattr(self, f.name))
        _ = self.budget_seconds  # raises for what is no time
        _ = self.shape  # raises for what is none
        schedule = SCHEDULES[self.schedule]
        schedule.check_length(self.timesteps)
        if self.objective == "epsilon" and (self.zero_terminal_snr or not schedule.preserves_variance):
            raise UserError(
                "epsilon says nothing about the image where a schedule ends in pure noise (zero terminal SNR); "
                "use --objective v, or leave zero terminal SNR and the flow schedule out"
            )
        evenly = self.weighting == "simple" and self.t_sampling == "uniform" and not self.learn_variance
        if schedule.learned and not evenly:
            raise UserError(
                f"the {self.schedule} schedule chooses the noise levels by the plain loss, which it needs at every t alike; use "
                "--objective v, or --t-sampling uniform with --objective flow, and leave --weighting and --learn-variance out"
            )
        if self.learn_variance and not NETWORKS[self.model].learns_variance:
            raise UserError(f"{self.model} has no output for a variance; leave --learn-variance out or use --model reference")
        if self.teacher and self.objective == "epsilon":
            raise UserError(
                "a model of epsilon cannot be distilled: its first evaluation says nothing about the image; distil one of "
                "--objective flow, v or x0"
            )
        if self.objective == "flow" and self.learn_variance:
            raise UserError("a learned variance needs a DDPM objective; leave --learn-variance out or use --objective epsilon")


def without_teachers(given: dict[str, Any]) -> dict[str, Any]:
    """Fields without those that are their teacher's, but for where the data lie; of a run without a teacher all of them."""
    if not given.get("teacher"):
        return given
    kept = {"data_dir", "dataset"} if str(given.get("dataset", "")).startswith("folder:") else {"data_dir"}
    return {name: value for name, value in given.items() if name not in OF_TEACHER or name in kept}


def check_value(f: "dataclasses.Field[Any]", value: object) -> None:
    """Raise UserError when a value has the wrong type or is outside what its field allows.

    The one validator: of flags, of the app's form, and of what is written to a file and read from one.
    """
    flag = "--class" if f.name == "label" else "--" + f.name.replace("_", "-")
    kind = f.type if isinstance(f.type, type) else type(f.default)
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise UserError(f"{flag} takes {'a whole number' if kind is int else f'a {kind.__name__}'}, got {shown(value)}")
    if isinstance(value, str) and (len(value) > MOST_TEXT or _CONTROLS.search(value)):
        raise UserError(f"{flag} takes a line of text without control characters, got {shown(value)}; rename what it names")
    choices, low, high = f.metadata["choices"], f.metadata["low"], f.metadata["high"]
    if choices and value not in choices and (value or f.default) and not is_folder(f, value):
        also = " or folder:PATH" if f.name == "dataset" else ""
        raise UserError(f"unknown {flag[2:]} {shown(value)}; choose one of {', '.join(choices)}{also}")
    high = LARGEST if high is None else high
    if low is not None and isinstance(value, (int, float)) and not low <= value <= high:
        end = f"{high:g}" if isinstance(high, float) else str(high)
        span = f"between {low:g} and {end}" if value > high or high < FAR else f"at least {low:g}"
        raise UserError(f"{flag} must be {span}, got {shown(value)}")


def default_words(f: "dataclasses.Field[Any]") -> str:
    """What a field is where nothing else is said, in words; where the models or objectives have their own, that of each."""
    if f.metadata["otherwise"]:
        return str(f.metadata["otherwise"])
    if f.name in SHAPE:
        values = {name: network.shape.get(f.name, "its own") for name, network in NETWORKS.items()}
    elif f.name in ("schedule", "t_sampling"):
        values = {name: getattr(objective, f.name) for name, objective in OBJECTIVES.items()}
    else:
        values = {name: network.recipe.get(f.name, f.default) for name, network in NETWORKS.items()}
    users: dict[Any, list[str]] = {}
    for name, value in values.items():
        users.setdefault(value, []).append(name)
    if len(users) == 1:
        return _plain(next(iter(values.values())))
    return "; ".join(f"{_plain(value)} with {', '.join(names)}" for value, names in users.items())


def _numbers(text: str, most: int) -> tuple[int, ...] | None:
    """1,2,2 as numbers from 1 to `most`; None for anything else."""
    if not re.fullmatch(r"[0-9]{1,4}(,[0-9]{1,4})*", text):
        return None
    numbers = tuple(map(int, text.split(",")))
    return numbers if all(1 <= number <= most for number in numbers) else None


def _plain(value: object) -> str:
    return "yes" if value is True else "no" if value is False else f"{value:g}" if isinstance(value, float) else str(value)


def shown(value: object) -> str:
    """A wrong value as a message says it: short, however long or deep it is."""
    if isinstance(value, int) and abs(value) > 10**20:
        return "a larger number" if value > 0 else "a smaller number"
    if isinstance(value, (list, dict, tuple)):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def is_folder(f: "dataclasses.Field[Any]", value: object) -> bool:
    """Whether this is a data set named by its folder, beside those that have a name."""
    return f.name == "dataset" and isinstance(value, str) and value.startswith("folder:")


def check_batch(batch_size: int, name: str, count: int) -> None:
    """Raise UserError when a batch is larger than the data set."""
    if batch_size > count:
        raise UserError(f"a batch of {batch_size} is larger than {name}, which has {count} images; use a smaller --batch-size")


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """How to draw images from a trained model. An empty sampler and 0 steps are the default for the model's objective."""

    num_images: int = setting(64, "number of images", group="Pictures", low=1, high=1_000_000)
    sampler: str = setting(
        "",
        "sampler",
        group="Sampler",
        otherwise="unipc for a model of flow that can be guided, else ddpm; between two noises euler or dpmpp_2m; euler for a "
        "distilled one",
        choices=SAMPLERS,
    )
    steps: int = setting(
        0,
        "network evaluations to spend",
        group="Sampler",
        otherwise="6 where the model's own sampler is unipc, 2 where it was distilled, else 20; 1000 with --sampler ddpm",
        low=0,
    )
    spacing: str = setting("trailing", "how the steps are spread over the schedule", group="Sampler", choices=SPACINGS)
    eta: float = setting(0.0, "noise of ddim: 0 is deterministic, 1 is as noisy as ddpm", group="Sampler", low=0.0, high=1.0)
    variance: str = setting("small", "reverse variance of ddpm", group="Sampler", choices=VARIANCES)
    seed: int = setting(0, "seed; image k of a seed is the same in every batch", group="Pictures", low=0)
    label: int = setting(-1, "class to draw, of a conditional model; -1 takes all classes in turn", group="Pictures", low=-1)
    guidance_scale: float = setting(
        -1.0,
        "guidance, away from no class and an earlier self; 1 is none",
        group="Guidance",
        otherwise=f"{GUIDANCE} where the model knows classes, or is of flow and has an earlier self; else 1",
        low=-1.0,
        high=100.0,
    )
    guidance_interval: str = setting(
        "middle",
        "noise levels that guidance works at: sigma 1/4 to 10 (cheaper, more varied images), or all",
        group="Guidance",
        choices=INTERVALS,
    )
    start: str = setting(
        "noise",
        "start from noise, on the way between two noises, from test images, or inpaint test images",
        group="Start",
        choices=STARTS,
    )
    strength: float = setting(
        0.6, "share of the way to noise that --start image goes (SDEdit)", group="Start", low=0.01, high=1.0
    )
    region: str = setting("centre", "part that --start inpaint redraws", group="Start", choices=REGIONS)

    @classmethod
    def asked(cls, **fields: Any) -> Self:
        """What a person asked for; what was left out is automatic. Raises UserError for values that are wrong in themselves."""
        if fields.get("steps", 1) < 1:
            raise UserError(f"--steps must be at least 1, got {fields['steps']}; leave it out for what suits the sampler")
        options = cls(**fields)
        options.check_values()
        return options

    def check_values(self) -> None:
        """Raise UserError for values that are wrong in themselves."""
        for f in dataclasses.fields(self):
            check_value(f, getattr(self, f.name))

    def check(self, config: TrainConfig, classes: int, early: bool = False) -> None:
        """Raise UserError for values that are wrong in themselves or for a model with this many classes (0: unconditional), and
        with an early self or without."""
        self.check_values()
        if self.steps > config.timesteps:
            raise UserError(f"--steps must be at most the model's {config.timesteps} timesteps, got {self.steps}")
        if not classes and self.label >= 0:
            raise UserError("this model knows no classes, so --class does not apply; train one with --conditional")
        asked = self.guidance_scale >= 0 and self.guidance_scale != 1.0
        if config.teacher and asked:
            raise UserError("this model was distilled, its teacher's guidance with it; leave --guidance-scale out")
        if not config.guides(classes, early) and asked:
            why = "was always told the class in training" if classes else "knows no classes and comes without an early self"
            raise UserError(
                f"this model {why}, so there is nothing that guidance could lead away from; leave --guidance-scale out"
            )
        if self.label >= max(classes, 1):
            raise UserError(f"--class must be between 0 and {classes - 1} for this model, got {self.label}")
        if self.variance == "learned" and not config.learn_variance:
            raise UserError("this model did not learn its variance; use --variance small or large")
        if self.sampler and 0 < self.steps < SAMPLERS[self.sampler].least:
            raise UserError(f"{self.sampler} needs at least {SAMPLERS[self.sampler].least} steps; use --sampler ddim for fewer")

    def resolve(self, config: TrainConfig, classes: int, early: bool = False) -> Self:
        """Fill in the sampler and steps that suit the model's objective, and the guidance of one that can be guided."""
        suits = config.guides(classes, early) and (classes > 0 or config.objective == "flow")  # of the rest nothing was measured
        guidance = self.guidance_scale if self.guidance_scale >= 0 else GUIDANCE if suits else 1.0
        if self.sampler:
            best, spent = self.sampler, SAMPLERS[self.sampler].evaluations
        elif config.teacher:
            best, spent = "euler", 2
        elif config.objective == "flow" and guidance != 1:
            best, spent = "unipc", 6
        elif self.start == "interpolate" or self.steps == 1:
            best, spent = "euler" if config.objective == "flow" else "dpmpp_2m", 20
        else:  # fresh noise mends what a network got wrong; it would also tear apart what lies between two noises
            best, spent = "ddpm", 20
        steps = self.steps or min(config.timesteps, spent)
        return dataclasses.replace(self, sampler=best, steps=steps, guidance_scale=guidance)
