"""The one table of names: noise schedules, objectives, networks, samplers, starts and data sets.

Whoever offers, checks, explains or uses a name reads it here. To add one is to write its function and one entry; core.extend adds
those of a person's own file. Free of torch: an entry says where its code is, and `load` looks it up when it is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from core.errors import UserError


@dataclass(kw_only=True, eq=False, repr=False)
class Entry:
    """A name, what it is in one line, its formula and source as a person reads them, and its code as "module:function".

    Of a person's own file (`origin`, its path) the code is there already: `made` is what the engine calls, `text` is as it was
    written.
    """

    name: str
    help: str
    code: str
    formula: str = ""
    source: str = ""
    origin: str = ""
    made: Any = None
    text: str = ""

    def load(self) -> Any:
        """The function, or whatever else the code is."""
        if self.made is not None:
            return self.made
        module, _, attribute = self.code.partition(":")
        return getattr(import_module(module), attribute)

    @property
    def place(self) -> str:
        """Where the code stands, as in core/diffusion/samplers.py: ddim."""
        module, _, attribute = self.code.partition(":")
        return f"{module.replace('.', '/')}.py: {attribute}"


@dataclass(frozen=True)
class OwnFile:
    """A person's own file that was read: where it lies, a digest of its text, and what it registered, by kind."""

    path: Path
    digest: str
    entries: tuple[tuple[str, Entry], ...]


OWN_FILES: dict[Path, OwnFile] = {}
"""Those whose entries stand in the table, by their paths."""


@dataclass(kw_only=True, eq=False, repr=False)
class Schedule(Entry):
    """Code: f(timesteps) -> (a, s), float64 tensors (timesteps,). `preserves_variance`: a^2 + s^2 = 1, as DDPM needs it.
    `learned`: that is how it starts, and each training makes it its own."""

    preserves_variance: bool = True
    least_timesteps: int = 2
    learned: bool = False

    def check_length(self, timesteps: int) -> None:
        """Raise UserError when the schedule cannot be so short."""
        if timesteps < self.least_timesteps:
            raise UserError(
                f"a {self.name} schedule needs at least {self.least_timesteps} timesteps, got {timesteps}; "
                "use more of them, or --schedule cosine"
            )


@dataclass(kw_only=True, eq=False, repr=False)
class Objective(Entry):
    """Code: f(a, s) -> (c_x, c_e), the weights of x_0 and epsilon in what the network predicts; and what suits it."""

    schedule: str = "cosine"
    t_sampling: str = "uniform"


@dataclass(kw_only=True, eq=False, repr=False)
class Network(Entry):
    """Code: f(image_size, channels, classes, learn_variance) -> module. `recipe`: the fields of a training that suit it;
    `learns_variance`: whether it can have a second output for that; `shape`: of a U-Net, the fields of a training that change it,
    and what they are here."""

    learns_variance: bool = True
    shape: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(kw_only=True, eq=False, repr=False)
class Sampler(Entry):
    """Code: a generator of frames as in core.diffusion.samplers.

    `evaluations` are spent where none are asked for, at least `least`, so many at each point of the schedule; `options` are the
    fields of a SampleConfig that it takes by name.
    """

    evaluations: int = 20
    least: int = 1
    at_each_point: int = 1
    options: tuple[str, ...] = ()


@dataclass(kw_only=True, eq=False, repr=False)
class Start(Entry):
    """What sampling starts from; `options` are the fields of a SampleConfig that have a use there."""

    options: tuple[str, ...] = ()


@dataclass(kw_only=True, eq=False, repr=False)
class Dataset(Entry):
    """Code: f(entry, split, root) -> (images uint8 (N, H, W, C), labels int64 (N,), class names).

    `size` and `test_size` count the images of the splits; `files` are those below the data folder that it consists of, training
    before test (none: embedded); `download` the class of torchvision that knows its addresses;
    `archive` the one file that all of it may lie packed in; `mirrored`: a mirrored image is one too.
    """

    shape: tuple[int, int, int]
    size: int
    test_size: int = 10_000
    classes: int = 10
    files: tuple[str, ...] = ()
    download: str = ""
    archive: str = ""
    mirrored: bool = False

    @property
    def marker(self) -> str:
        """The file that shows the set is there, which a download writes last; empty where there are none."""
        return self.files[0] if self.files else ""


E = TypeVar("E", bound=Entry)


def _table(*entries: E) -> dict[str, E]:
    return {entry.name: entry for entry in entries}


def lookup(table: Mapping[str, E], name: str, what: str) -> E:
    """The entry of a name. Raises UserError, with the names that there are."""
    try:
        return table[name]
    except KeyError:
        raise UserError(f"unknown {what} '{name}'; choose one of {', '.join(table)}") from None


SCHEDULES: dict[str, Schedule] = _table(
    Schedule(
        name="linear",
        help="beta rises in a straight line; half of the steps show little but noise",
        code="core.diffusion.schedule:linear",
        formula="β_t = 10⁻⁴ … 0.02",
        source="Ho et al. 2020",
        least_timesteps=21,  # beta, scaled by 1000 / T, must stay below 1
    ),
    Schedule(
        name="cosine",
        help="alpha-bar falls as a squared cosine: gently at both ends",
        code="core.diffusion.schedule:cosine",
        formula="ᾱ = cos²((u + 0.008) / 1.008 · π/2)",
        source="Nichol & Dhariwal 2021",
    ),
    Schedule(
        name="sigmoid",
        help="alpha-bar falls as a logistic curve",
        code="core.diffusion.schedule:sigmoid",
        formula="ᾱ = (σ(3) − σ(6u − 3)) / (σ(3) − σ(−3))",
        source="Jabri et al. 2022",
    ),
    Schedule(
        name="flow",
        help="the straight line from image to noise, of rectified flow",
        code="core.diffusion.schedule:flow",
        formula="a = 1 − s, s = (t + 1) / T",
        source="Liu et al. 2022",
        preserves_variance=False,
    ),
    Schedule(
        name="learned",
        help="starts as cosine; then, as the losses of a training tell, each step adds the same error of the predicted x0",
        code="core.diffusion.learned:begin",
        formula="E|x0 − x̂0|² rises evenly with t",
        source="Kingma et al. 2021; Dieleman et al. 2022",
        learned=True,
    ),
)

OBJECTIVES: dict[str, Objective] = _table(
    Objective(
        name="epsilon",
        help="the noise",
        code="core.diffusion.process:epsilon",
        formula="ε̂ = net(x_t, t),  x̂0 = (x_t − s_t ε̂) / a_t",
        source="Ho et al. 2020",
        schedule="linear",
    ),
    Objective(
        name="x0",
        help="the clean image",
        code="core.diffusion.process:x0",
        formula="x̂0 = net(x_t, t)",
        source="Salimans & Ho 2022",
    ),
    Objective(
        name="v",
        help="a ε − s x0, between the two",
        code="core.diffusion.process:v",
        formula="v̂ = net(x_t, t),  x̂0 = a_t x_t − s_t v̂",
        source="Salimans & Ho 2022",
    ),
    Objective(
        name="flow",
        help="the velocity ε − x0 of rectified flow",
        code="core.diffusion.process:flow",
        formula="û = net(x_t, t) ≈ ε − x0,  x̂0 = x_t − s_t û",
        source="Liu et al. 2022",
        schedule="flow",
        t_sampling="logit_normal",
    ),
)

_MUON = {"objective": "flow", "optimizer": "muon", "lr_schedule": "linear", "warmup": 20}
NETWORKS: dict[str, Network] = _table(
    Network(
        name="fast",
        help="a U-Net at half the side of the image: most quality per second on a small CPU",
        code="core.network.unet:fast",
        source="Ronneberger et al. 2015; Shi et al. 2016 (pixel unshuffle)",
        shape={"base_channels": 48, "channel_multipliers": "1,2", "blocks": 1, "attention": "2", "dropout": 0.0},
        recipe=_MUON | {"batch_size": 96, "lr": 4e-3, "conditional": True},
    ),
    Network(
        name="reference",
        help="the U-Net of DDPM: 2M parameters, base width 64, epsilon prediction on a linear schedule",
        code="core.network.unet:reference",
        source="Ho et al. 2020",
        shape={"base_channels": 64, "channel_multipliers": "1,1,2", "blocks": 1, "attention": "3", "dropout": 0.0},
        recipe={
            "objective": "epsilon",
            "batch_size": 128,
            "optimizer": "adamw",
            "lr": 2e-4,
            "lr_schedule": "constant",
            "warmup": 500,
            "conditional": False,
        },
    ),
    Network(
        name="tiny",
        help="a step in milliseconds, to try things out",
        code="core.network.unet:tiny",
        shape={"base_channels": 16, "channel_multipliers": "1,2", "blocks": 1, "attention": "none", "dropout": 0.0},
        recipe=_MUON | {"batch_size": 128, "lr": 2e-3, "conditional": False},
    ),
)

SAMPLERS: dict[str, Sampler] = _table(
    Sampler(
        name="ddpm",
        help="ancestral sampling: a part of the noise is drawn anew at every step",
        code="core.diffusion.samplers:ddpm",
        formula="x′ ~ N(c0 x̂0 + c_t x_t, σ²)",
        source="Ho et al. 2020",
        evaluations=1000,
        least=2,
        options=("variance",),
    ),
    Sampler(
        name="ddim",
        help="the same steps with no new noise, or with eta of it",
        code="core.diffusion.samplers:ddim",
        formula="x′ = a′ x̂0 + √(s′² − σ²) ε̂ + σ z",
        source="Song et al. 2021",
        options=("eta",),
    ),
    Sampler(
        name="euler",
        help="Euler's method on the straightened probability-flow ODE",
        code="core.diffusion.samplers:euler",
        formula="x′ = x_t + (s′ − s_t) û",
        source="Liu et al. 2022",
    ),
    Sampler(
        name="heun",
        help="Heun's method: two evaluations a step, second order",
        code="core.diffusion.samplers:heun",
        formula="x′ = x_t + Δs (û + û′) / 2",
        source="Karras et al. 2022",
        at_each_point=2,
    ),
    Sampler(
        name="dpmpp_2m",
        help="DPM-Solver++ (2M): remembers the prediction before",
        code="core.diffusion.samplers:dpmpp_2m",
        formula="x′ = (s′/s) x_t − a′ (e⁻ʰ − 1) D",
        source="Lu et al. 2022",
    ),
    Sampler(
        name="unipc",
        help="UniPC: predictor and corrector from one evaluation a step",
        code="core.diffusion.samplers:unipc",
        formula="x′ = (s′/s) x_t − a′ (e⁻ʰ − 1) x̂0 + ρ D",
        source="Zhao et al. 2023",
    ),
)

STARTS: dict[str, Start] = _table(
    Start(name="noise", help="noise", code="core.compute.seeds:SampleNoise"),
    Start(
        name="interpolate",
        help="between two noises",
        code="core.diffusion.starts:slerp",
        formula="x_T = slerp(ε₁, ε₂)",
        source="Shoemake 1985",
    ),
    Start(
        name="image",
        help="test images",
        code="core.diffusion.starts:noised",
        formula="x_t = a_t x + s_t ε of test images at {strength:.0%} of the way (SDEdit)",
        source="Meng et al. 2021",
        options=("strength",),
    ),
    Start(
        name="inpaint",
        help="test images, a part",
        code="core.diffusion.starts:keep_outside",
        formula="x̂0 = the test image outside of the {region}",
        source="Wang et al. 2022",
        options=("region",),
    ),
)


def _idx(folder: str, train: str = "train", test: str = "t10k", labels: str = "labels-idx1-ubyte") -> tuple[str, ...]:
    """The four files of a set in LeCun's format."""
    return tuple(f"{folder}/{part}-{kind}" for part in (train, test) for kind in ("images-idx3-ubyte", labels))


DATASETS: dict[str, Dataset] = _table(
    Dataset(
        name="glyphs",
        help="Glyphs, digits drawn and bent by the program",
        code="core.data.glyphs:open_glyphs",
        shape=(28, 28, 1),
        size=20_000,
        test_size=2_000,
    ),
    Dataset(
        name="mnist",
        help="MNIST, handwritten digits",
        code="core.data.public:open_idx",
        source="LeCun et al. 1998",
        shape=(28, 28, 1),
        size=60_000,
        files=_idx("MNIST/raw"),
        download="MNIST",
    ),
    Dataset(
        name="fashion_mnist",
        help="Fashion-MNIST, clothes",
        code="core.data.public:open_idx",
        source="Xiao et al. 2017",
        shape=(28, 28, 1),
        size=60_000,
        files=_idx("FashionMNIST/raw"),
        download="FashionMNIST",
        mirrored=True,
    ),
    Dataset(
        name="kmnist",
        help="Kuzushiji-MNIST, cursive Japanese letters",
        code="core.data.public:open_idx",
        source="Clanuwat et al. 2018",
        shape=(28, 28, 1),
        size=60_000,
        files=_idx("KMNIST/raw"),
        download="KMNIST",
    ),
    Dataset(
        name="qmnist",
        help="QMNIST, the digits of MNIST with all 60,000 test images",
        code="core.data.public:open_idx",
        source="Yadav & Bottou 2019",
        shape=(28, 28, 1),
        size=60_000,
        test_size=60_000,
        files=_idx("QMNIST/raw", "qmnist-train", "qmnist-test", "labels-idx2-int"),
        download="QMNIST",
    ),
    Dataset(
        name="emnist_letters",
        help="EMNIST, handwritten letters, large and small ones as one class",
        code="core.data.public:open_letters",
        source="Cohen et al. 2017",
        shape=(28, 28, 1),
        size=124_800,
        test_size=20_800,
        classes=26,
        files=_idx("EMNIST/raw", "emnist-letters-train", "emnist-letters-test"),
        download="EMNIST",
        archive="gzip.zip",
    ),
    Dataset(
        name="cifar10",
        help="CIFAR-10, small photographs",
        code="core.data.public:open_cifar",
        source="Krizhevsky 2009",
        shape=(32, 32, 3),
        size=50_000,
        files=tuple(
            f"cifar-10-batches-py/{name}" for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch", "batches.meta")
        ),
        download="CIFAR10",
        archive="cifar-10-python.tar.gz",
        mirrored=True,
    ),
    Dataset(
        name="svhn",
        help="Street View House Numbers, digits photographed",
        code="core.data.svhn:open_svhn",
        source="Netzer et al. 2011",
        shape=(32, 32, 3),
        size=73_257,
        test_size=26_032,
        files=("train_32x32.mat", "test_32x32.mat"),
        download="SVHN",
    ),
)
