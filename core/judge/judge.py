"""How good generated images are, told by a judge: a small classifier trained on the data set's own training split, of its classes
or, where it has fewer than two, of quarter turns.

The figures depend on the judge. They compare runs on one data set with each other and are no Inception FID (Heusel et al. 2017);
every report names the judge, its accuracy, the number of images, and the floor: what real images of the training split get.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from core.compute.seeds import generator_for
from core.data.datasets import ImageSet, folder_path
from core.errors import UserError, printable
from core.images import Pixels, to_float, to_uint8
from core.judge.classifier import TURNS, Classifier, turned_all_ways
from core.judge.copies import Copies

VERSION = 1  # of network, training and cache: a change in any of them is another judge
TURNS_VERSION = 1  # the same of a judge without classes
SURE = 0.95
NEAREST, MOST_NEIGHBOURS = 3, 5000  # Kynkaanniemi et al. 2019 use k = 3
MOST_REFERENCES = 10_000
FEW = 200  # references, fewer of which cannot show how the features of real images scatter
_BATCH = 500
_MOST_TITLE = 24  # characters of a folder's name in that of its judge


@dataclass(frozen=True)
class Subject:
    """What a judge is of: a data set by its name, the shape (H, W, C) and number of its training images, how many classes, 0
    where it learns without; and a digest of the images of both splits where the name does not say which they are."""

    dataset: str
    shape: tuple[int, int, int]
    count: int
    classes: int
    pictures: str = ""

    @property
    def kind(self) -> str:
        return "CNN" if self.classes else "RotNet"

    @property
    def version(self) -> int:
        return VERSION if self.classes else TURNS_VERSION

    @property
    def judge(self) -> str:
        """The judge's name: data set, kind and version, and which pictures."""
        own = self.dataset.startswith("folder:")
        title = (own and printable(folder_path(self.dataset).name)[:_MOST_TITLE]) or self.dataset[:_MOST_TITLE]
        return f"{title} judge {self.kind} v{self.version}" + (f" {self.pictures[:6]}" if self.pictures else "")


@dataclass(frozen=True)
class Scores:
    """What the judge says of `count` images; the last three are None of a judge without classes.

    distance: Frechet distance to the features of the test split, which are scaled to a variance of 1 per dimension on average.
    precision: share of the images that lie among the test images; recall: share of the test images that lie among these.
    sure: share whose likeliest class has a probability above SURE. shares: of the classes, as the judge sees them.
    imbalance: total variation distance of `shares` to those of the test split, 0 to 1.
    """

    count: int
    distance: float
    precision: float
    recall: float
    sure: float | None
    shares: tuple[float, ...] | None
    imbalance: float | None


@dataclass(frozen=True)
class Report:
    """Scores of generated images, those of as many real training images (the floor), and who says so on what grounds.

    learned: "classes" or "turns", which is what accuracy is of: the judge's, on the test split. references: test images compared
    with; neighbours: images of each side at most in precision and recall. copies: which samples are copies of training images;
    None where nobody looked, or could say.
    """

    judge: str
    version: int
    learned: str
    accuracy: float
    references: int
    neighbours: int
    classes: tuple[str, ...]
    samples: Scores
    floor: Scores
    copies: Copies | None = None


class Judge:
    """A trained classifier and its features of the data set, `test` and `train` (M, 128) in random order, on the CPU.

    `classes` by name, none where it learned without: it tells quarter turns then.
    """

    def __init__(
        self, subject: Subject, classes: tuple[str, ...], accuracy: float, network: Classifier, test: Tensor, train: Tensor
    ) -> None:
        self.subject = subject
        self.classes = classes
        self.accuracy = accuracy
        self.network = network
        self.test = test
        self.train = train

    @property
    def name(self) -> str:
        """Who judges: data set, kind and version."""
        return self.subject.judge

    def features(self, images: Tensor | Pixels) -> Tensor:
        """Float (N, C, H, W) in [-1, 1] or uint8 (N, H, W, C) -> float32 (N, 128) on the CPU. Raises UserError."""
        return _features(self.network, self._bytes(images))

    def classify(self, images: Tensor | Pixels) -> Tensor:
        """The same images -> probabilities (N, classes), or (N, 4) of the quarter turns; float32 on the CPU."""
        return self._probabilities(self.features(images))

    def report(self, images: Tensor | Pixels) -> Report:
        """Judge the same images, at least NEAREST + 1 of them, against the test split. Raises UserError."""
        if len(images) <= NEAREST:
            raise UserError(f"{len(images)} images are too few to judge; give at least {NEAREST + 1}")
        features = self.features(images)
        neighbours = min(MOST_NEIGHBOURS, len(self.test))
        scores = self._scores(features), self._scores(self.train[: len(features)])
        learned = "classes" if self.classes else "turns"
        version, references = self.subject.version, len(self.test)
        return Report(self.name, version, learned, self.accuracy, references, neighbours, self.classes, *scores)

    def distance(self, images: Tensor | Pixels) -> tuple[float, float]:
        """The Frechet distance of the same images alone, and of as many real ones. Raises UserError."""
        features = self.features(images)
        return frechet_distance(features, self.test), frechet_distance(self.train[: len(features)], self.test)

    def _scores(self, features: Tensor) -> Scores:
        nearby = min(len(features), MOST_NEIGHBOURS, len(self.test))
        precision, recall = precision_recall(self.test[:nearby], features[:nearby])
        distance = frechet_distance(features, self.test)
        if not self.classes:
            return Scores(len(features), distance, precision, recall, None, None, None)
        probabilities = self._probabilities(features)
        shares, expected = _shares(probabilities), _shares(self._probabilities(self.test))
        return Scores(
            count=len(features),
            distance=distance,
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
        height, width, channels = shape = self.subject.shape
        if images.shape[1:] != shape:
            found = "x".join(map(str, images.shape[1:]))
            raise UserError(f"the {self.name} looks at images of {height}x{width}x{channels}, not {found}")
        return images


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


@torch.inference_mode()
def _turns_told(network: Classifier, images: Tensor) -> float:
    """Share of the four quarter turns of images, uint8 (N, H, W, C), that the network tells."""
    device, told = network.head.weight.device, 0
    for block in torch.split(images, _BATCH):
        squares, quarters = turned_all_ways(to_float(block.to(device)))
        told += int((network(squares.contiguous(memory_format=torch.channels_last)).argmax(1) == quarters).sum())
    return told / (TURNS * len(images))


def introduce(network: Classifier, subject: Subject, train: ImageSet, test: ImageSet) -> Judge:
    """The judge around a trained network: scales its features, and shows it the data set."""
    (shown, labels), (seen, _) = _some_of(test), _some_of(train)
    scale = float(_features(network, shown).double().var(0).mean().rsqrt())
    network.scale_features(scale)
    classes = train.classes if subject.classes else ()
    judge = Judge(subject, classes, 0.0, network, _features(network, shown), _features(network, seen))
    if subject.classes:
        judge.accuracy = float((judge.classify(shown).argmax(1) == labels).double().mean())
    else:
        judge.accuracy = _turns_told(network, shown)
    return judge


def _some_of(data: ImageSet) -> tuple[Tensor, Tensor]:
    """(images, labels) in random order, MOST_REFERENCES at most: the first few of a set need not be like the rest."""
    chosen = chosen_of(len(data))
    return data.images[chosen], data.labels[chosen]


def chosen_of(count: int) -> Tensor:
    """Which of `count` images of a split a judge looks at, int64, in the order of its features."""
    return torch.randperm(count, generator=generator_for("cpu", "judge"))[:MOST_REFERENCES]
