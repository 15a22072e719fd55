"""How good generated images are, told by a judge: a small classifier trained on the data set's own training split.

The figures depend on the judge. They compare runs on one data set with each other and are no Inception FID (Heusel et al. 2017);
every report names the judge, its accuracy, the number of images, and the floor: what real images of the training split get.
"""

import json
import os
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from core.compute.seeds import generator_for
from core.data.datasets import ImageSet, default_data_dir, describe, open_dataset, require
from core.errors import UserError, printable
from core.files import atomic_write, require_space, user_folder
from core.images import Pixels, to_float, to_uint8
from core.judge.classifier import FEATURES, Classifier, Fitting, fit, new_classifier
from core.runs.checkpoint import is_whole, read_safetensors

VERSION = 1  # of network, training and cache: a change in any of them is another judge
SURE = 0.95
NEAREST, MOST_NEIGHBOURS = 3, 5000  # Kynkaanniemi et al. 2019 use k = 3
MOST_REFERENCES = 10_000
_KEY = "tinydiff-tui judge"
_BATCH = 500
_FILE_BYTES = 16 << 20


@dataclass(frozen=True)
class Scores:
    """What the judge says of `count` images.

    distance: Frechet distance to the features of the test split, which are scaled to a variance of 1 per dimension on average.
    precision: share of the images that lie among the test images; recall: share of the test images that lie among these.
    sure: share whose likeliest class has a probability above SURE. shares: of the classes, as the judge sees them.
    imbalance: total variation distance of `shares` to those of the test split, 0 to 1.
    """

    count: int
    distance: float
    precision: float
    recall: float
    sure: float
    shares: tuple[float, ...]
    imbalance: float


@dataclass(frozen=True)
class Report:
    """Scores of generated images, those of as many real training images (the floor), and who says so on what grounds.

    accuracy: the judge's, on the test split; references: test images compared with; neighbours: images of each side at most
    in precision and recall.
    """

    judge: str
    accuracy: float
    references: int
    neighbours: int
    classes: tuple[str, ...]
    samples: Scores
    floor: Scores


class Judge:
    """A trained classifier and its features of the data set, `test` and `train` (M, 128) in random order, on the CPU."""

    def __init__(self, dataset: str, classes: tuple[str, ...], accuracy: float, network: Classifier, test: Tensor, train: Tensor):
        self.dataset = dataset
        self.classes = classes
        self.accuracy = accuracy
        self.network = network
        self.test = test
        self.train = train

    @property
    def name(self) -> str:
        """Who judges: data set, kind and version."""
        return f"{self.dataset} judge CNN v{VERSION}"

    def features(self, images: Tensor | Pixels) -> Tensor:
        """Float (N, C, H, W) in [-1, 1] or uint8 (N, H, W, C) -> float32 (N, 128) on the CPU. Raises UserError."""
        return _features(self.network, self._bytes(images))

    def classify(self, images: Tensor | Pixels) -> Tensor:
        """The same images -> probabilities (N, classes), float32 on the CPU."""
        return self._probabilities(self.features(images))

    def report(self, images: Tensor | Pixels) -> Report:
        """Judge the same images, at least NEAREST + 1 of them, against the test split. Raises UserError."""
        if len(images) <= NEAREST:
            raise UserError(f"{len(images)} images are too few to judge; give at least {NEAREST + 1}")
        features = self.features(images)
        neighbours = min(MOST_NEIGHBOURS, len(self.test))
        scores = self._scores(features), self._scores(self.train[: len(features)])
        return Report(self.name, self.accuracy, len(self.test), neighbours, self.classes, *scores)

    def _scores(self, features: Tensor) -> Scores:
        nearby = min(len(features), MOST_NEIGHBOURS, len(self.test))
        precision, recall = precision_recall(self.test[:nearby], features[:nearby])
        probabilities = self._probabilities(features)
        shares, expected = _shares(probabilities), _shares(self._probabilities(self.test))
        return Scores(
            count=len(features),
            distance=frechet_distance(features, self.test),
            precision=precision,
            recall=recall,
            sure=float((probabilities.amax(1) > SURE).double().mean()),
            shares=tuple(shares.tolist()),
            imbalance=float((shares - expected).abs().sum() / 2),
        )

    @torch.inference_mode()
    def _probabilities(self, features: Tensor) -> Tensor:
        weight = self.network.head.weight
        return torch.as_tensor(self.network.head(features.to(weight.device)).softmax(1).cpu())

    def _bytes(self, images: Tensor | Pixels) -> Tensor:
        """uint8 (N, H, W, C): what a picture file would hold, also of an image that left [-1, 1]."""
        images = torch.as_tensor(images)
        if images.dtype != torch.uint8:
            images = torch.from_numpy(to_uint8(images))
        height, width, channels = shape = describe(self.dataset).shape
        if images.shape[1:] != shape:
            found = "x".join(map(str, images.shape[1:]))
            raise UserError(f"the {self.name} looks at images of {height}x{width}x{channels}, not {found}")
        return images


@dataclass(frozen=True)
class Ready:
    """The judge is there; `path` is its file."""

    judge: Judge
    path: Path


def load_judge(
    dataset: str,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    progress: Callable[[Fitting], object] = lambda fitting: None,
) -> Judge:
    """The judge of a data set, trained now if there is none yet; `progress` is called after each step. Raises UserError."""
    for event in prepare_judge(dataset, root, device):
        if isinstance(event, Ready):
            return event.judge
        progress(event)
    raise AssertionError("prepare_judge ends in Ready")


def prepare_judge(
    dataset: str,
    root: Path | None = None,
    device: torch.device | str = "cpu",
    say: Callable[[str], object] = lambda line: None,
) -> Generator[Fitting | Ready, None, None]:
    """Read the judge of a data set from its cache, or train and cache it: Fitting after each step, Ready at the end.

    A cache that is torn, foreign, or of another version or data set is trained anew; `say` is told what is read for it. Closing
    the iterator leaves no file.
    Raises UserError for a data set that is not there or has no labels, and for a folder that cannot be written.
    """
    if dataset.startswith("folder:"):
        raise UserError(
            f"{dataset} has no judge: one is trained on the labels of a named data set; evaluate a model of one of those"
        )
    require(dataset, root)
    path, *elsewhere = cache_files(dataset, root)
    for file in (path, *elsewhere):
        if cached := _read(file, dataset, torch.device(device)):
            yield Ready(cached, file)
            return
    if path.is_fifo() or path.is_socket():  # to write there would be to wait
        path.unlink()
    require_space(path, _FILE_BYTES)
    train, test = open_dataset(dataset, "train", root), open_dataset(dataset, "test", root)
    say(train.describe())
    say(test.describe())
    for event in fit(train, torch.device(device)):
        if isinstance(event, Fitting):
            yield event
        else:
            judge = _introduce(event, train, test)
            _write(path, judge)
            yield Ready(judge, path)


def cache_files(dataset: str, root: Path | None = None) -> list[Path]:
    """Where the judge of a data set may lie, the place to write it first: beside the data if that folder may be written,
    else (and for the embedded set) in the user's cache folder."""
    name = f"{dataset}-v{VERSION}.safetensors"
    own = user_folder("cache") / "judges" / name
    if dataset == "glyphs":
        return [own]
    root = root or default_data_dir()
    # The mode too: a folder without its write bits is meant to stay as it is, also for a superuser.
    writable = os.access(root, os.W_OK) and root.stat().st_mode & stat.S_IWUSR
    return [root / "judges" / name, own] if writable else [own, root / "judges" / name]


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance between Gaussians fitted to features a (N, D) and b (M, D), in float64; N, M >= 2.

    |mu_a - mu_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) (Dowson & Landau 1982). The last trace is the sum of the singular values
    of S_a^(1/2) S_b^(1/2), which needs no root of an unsymmetric matrix.
    """
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    cross = torch.linalg.svdvals(_root(cov_a) @ _root(cov_b)).sum()
    distance = (a.mean(0) - b.mean(0)).square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    return max(0.0, float(distance))


def _root(matrix: Tensor) -> Tensor:
    """The square root of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(matrix)
    return torch.as_tensor((vectors * values.clamp(min=0).sqrt()) @ vectors.T)


def precision_recall(real: Tensor, generated: Tensor, nearest: int = NEAREST) -> tuple[float, float]:
    """Improved precision and recall of features (N, D) and (M, D) with N, M > nearest (Kynkaanniemi et al. 2019, equation 1).

    A feature lies among others when it is no farther from one of them than that one's `nearest`-th neighbour among its own.
    """
    real, generated = real.double(), generated.double()
    return _among(generated, real, nearest), _among(real, generated, nearest)


def _among(points: Tensor, others: Tensor, nearest: int) -> float:
    """Share of `points` inside a ball around one of `others`, in blocks so that memory stays small."""
    # The nearest point of all is the point itself.
    radii = torch.cat([torch.cdist(block, others).kthvalue(nearest + 1, dim=1).values for block in torch.split(others, _BATCH)])
    inside = [(torch.cdist(block, others) <= radii).any(1) for block in torch.split(points, _BATCH)]
    return float(torch.cat(inside).double().mean())


def _shares(probabilities: Tensor) -> Tensor:
    """Share of each class among the likeliest, float64 (classes,)."""
    return probabilities.argmax(1).bincount(minlength=probabilities.shape[1]).double() / len(probabilities)


@torch.inference_mode()
def _features(network: Classifier, images: Tensor) -> Tensor:
    device = network.head.weight.device
    blocks = (to_float(block.to(device)) for block in torch.split(images, _BATCH))
    return torch.cat([network.features(block.contiguous(memory_format=torch.channels_last)).cpu() for block in blocks])


def _introduce(network: Classifier, train: ImageSet, test: ImageSet) -> Judge:
    """The judge around a trained network: scales its features, and shows it the data set."""
    (shown, labels), (seen, _) = _some_of(test), _some_of(train)
    scale = float(_features(network, shown).double().var(0).mean().rsqrt())
    network.scale_features(scale)
    judge = Judge(train.name, train.classes, 0.0, network, _features(network, shown), _features(network, seen))
    judge.accuracy = float((judge.classify(shown).argmax(1) == labels).double().mean())
    return judge


def _some_of(data: ImageSet) -> tuple[Tensor, Tensor]:
    """(images, labels) in random order, MOST_REFERENCES at most: the first few of a set need not be like the rest."""
    chosen = torch.randperm(len(data), generator=generator_for("cpu", "judge"))[:MOST_REFERENCES]
    return data.images[chosen], data.labels[chosen]


def _identity(dataset: str) -> dict[str, object]:
    """What a cached judge must be of."""
    info = describe(dataset)
    return {"version": VERSION, "dataset": dataset, "shape": list(info.shape), "count": info.size}


def _write(path: Path, judge: Judge) -> None:
    described = {"identity": _identity(judge.dataset), "classes": judge.classes, "accuracy": judge.accuracy}
    weights = {f"network.{name}": value.cpu().contiguous() for name, value in judge.network.state_dict().items()}
    content = safetensors.torch.save(weights | {"test": judge.test, "train": judge.train}, {_KEY: json.dumps(described)})
    with atomic_write(path) as file:
        file.write(content)


def _read(path: Path, dataset: str, device: torch.device) -> Judge | None:
    """The judge in a file; None when it is missing, torn, foreign, or of another version or data set."""
    try:
        described, tensors = read_safetensors(path, _KEY, _FILE_BYTES)
        classes, accuracy, identity = (described[key] for key in ("classes", "accuracy", "identity"))
        test, train = tensors.pop("test"), tensors.pop("train")
    except (OSError, ValueError, KeyError, TypeError):
        return None
    info = describe(dataset)
    named = isinstance(classes, list) and len(classes) == info.classes and all(isinstance(name, str) for name in classes)
    if identity != _identity(dataset) or not named or type(accuracy) is not float or not 0 <= accuracy <= 1:
        return None
    network = new_classifier(info.shape[2], info.classes)
    own = {f"network.{name}": value for name, value in network.state_dict().items()}
    if {k: (v.shape, v.dtype) for k, v in tensors.items()} != {k: (v.shape, v.dtype) for k, v in own.items()}:
        return None
    numbers = [test, train, *(value for value in tensors.values() if value.is_floating_point())]  # the rest are counts
    if not all(map(is_whole, numbers)) or any(shown.dim() != 2 or shown.shape[1] != FEATURES for shown in (test, train)):
        return None
    if not all(NEAREST < len(shown) <= MOST_REFERENCES for shown in (test, train)):
        return None
    network.load_state_dict({name.removeprefix("network."): value for name, value in tensors.items()})
    network = network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    judge = network.eval().requires_grad_(False)
    return Judge(dataset, tuple(map(printable, classes)), accuracy, judge, test, train)
