"""The judge: its arithmetic against closed forms and brute force, its training and its cache."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from core.compute.seeds import seeded
from core.data.datasets import ImageSet, open_dataset
from core.errors import UserError
from core.files import take_notices
from core.images import to_float
from core.judge import classifier as quality_network
from core.judge import judge as quality
from core.judge import store
from core.judge.classifier import Classifier, Fitting, Learner, bent, fit, new_classifier
from core.judge.judge import Judge, frechet_distance, precision_recall
from core.judge.store import LEAST_STEPS, Ready, cache_files, half_of, load_judge, prepare_judge
from tests.conftest import few_glyphs


def normal(count: int, dimensions: int, seed: int) -> Tensor:
    """Features whose mean is exactly 0 and whose covariance is exactly 1."""
    x = torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = x - x.mean(0)
    white: Tensor = torch.linalg.solve_triangular(torch.linalg.cholesky(x.T @ x / (count - 1)), x.T, upper=False).T
    return white


def test_frechet_distance_of_gaussians_is_the_closed_form() -> None:
    generator = torch.Generator().manual_seed(2)
    mix_a, mix_b = torch.randn(2, 6, 6, generator=generator, dtype=torch.float64)
    shift = torch.arange(6, dtype=torch.float64)
    a, b = normal(400, 6, 0) @ mix_a.T, normal(300, 6, 1) @ mix_b.T + shift
    cov_a, cov_b = mix_a @ mix_a.T, mix_b @ mix_b.T
    cross = torch.linalg.eigvals(cov_a @ cov_b).sqrt().real.sum()
    expected = shift.square().sum() + cov_a.trace() + cov_b.trace() - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(float(expected), rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(frechet_distance(a, b), rel=1e-12)


def test_frechet_distance_of_one_dimension() -> None:
    a, b = normal(50, 1, 0) * 3, normal(80, 1, 1) * 5 + 2
    assert frechet_distance(a, b) == pytest.approx(2**2 + (3 - 5) ** 2)


@pytest.mark.parametrize("count", [200, 5])
def test_frechet_distance_to_itself_is_zero_also_with_fewer_images_than_dimensions(count: int) -> None:
    a = torch.randn(count, 32, generator=torch.Generator().manual_seed(0)) * 10
    assert 0 <= frechet_distance(a, a) < 1e-9
    assert frechet_distance(a, a.flip(0)) < 1e-9


def brute_force(points: Tensor, others: Tensor, nearest: int) -> float:
    """Share of points within the radius of one of the others, one pair at a time."""
    inside = 0
    for p in points.tolist():
        for i, centre in enumerate(others.tolist()):
            own = sorted(np.linalg.norm(np.subtract(centre, o)) for j, o in enumerate(others.tolist()) if j != i)
            if np.linalg.norm(np.subtract(centre, p)) <= own[nearest - 1]:
                inside += 1
                break
    return inside / len(points)


@pytest.mark.parametrize("nearest", [1, 3])
def test_precision_and_recall_are_those_of_brute_force(monkeypatch: pytest.MonkeyPatch, nearest: int) -> None:
    monkeypatch.setattr(quality, "_BATCH", 7)
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(40, 3, generator=generator)
    generated = torch.randn(30, 3, generator=generator) * 0.7 + 0.5
    precision, recall = precision_recall(real, generated, nearest)
    assert precision == pytest.approx(brute_force(generated, real, nearest))
    assert recall == pytest.approx(brute_force(real, generated, nearest))
    assert 0 < recall < precision < 1


def test_precision_and_recall_tell_what_is_wrong() -> None:
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(100, 2, generator=generator) + centre for centre in (-50, 50))
    both = torch.cat([left, right])
    assert precision_recall(both, both) == (1, 1)
    precision, recall = precision_recall(both, left[:80])  # one mode is missing
    assert precision == 1 and 0.4 < recall < 0.6
    precision, recall = precision_recall(left, both)  # one mode too many
    assert 0.4 < precision < 0.6 and recall == 1
    assert precision_recall(left, right) == (0, 0)


def test_scaling_the_features_leaves_the_logits() -> None:
    network = Classifier(1, 10).eval()
    x = torch.randn(4, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, logits = network.features(x), network(x)
        network.scale_features(3.5)
        assert torch.allclose(network.features(x), features * 3.5, rtol=1e-4)
        assert torch.allclose(network(x), logits, atol=1e-5)


def test_bent_images_stay_images_and_mirror_only_on_request() -> None:
    x = to_float(open_dataset("glyphs", "test").images[:64])
    moved = bent(x, torch.Generator().manual_seed(0))
    assert moved.shape == x.shape and moved.min() >= -1 and moved.max() <= 1
    assert 0.01 < (moved - x).square().mean() < (x.flip(3) - x).square().mean()
    mirrored = bent(x, torch.Generator().manual_seed(0), mirror=True)
    change = (mirrored - x).square().mean((1, 2, 3)) > (mirrored - x.flip(3)).square().mean((1, 2, 3))
    assert 10 < change.sum() < 54


@pytest.fixture(scope="module")
def fewer_glyphs() -> Iterator[None]:
    """1,500 glyphs to learn from and 300 to test with; a training that takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        few_glyphs(patch, 1500, 300)
        patch.setattr(quality_network, "IMAGES_SEEN", 10_000)
        yield


@pytest.fixture(scope="module")
def judge(fewer_glyphs: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Judge]:
    """A judge of few glyphs, in a cache of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("judges")))
        yield load_judge("glyphs")


def test_a_judge_knows_glyphs_that_it_has_not_seen(judge: Judge) -> None:
    test = open_dataset("glyphs", "test")
    probabilities = judge.classify(test.images)
    assert probabilities.shape == (300, 10)
    assert torch.allclose(probabilities.sum(1), torch.ones(300))
    accuracy = float((probabilities.argmax(1) == test.labels).double().mean())
    assert accuracy == pytest.approx(judge.accuracy) and accuracy > 0.8
    assert judge.name == "glyphs judge CNN v1"


def test_features_are_the_same_for_bytes_floats_and_arrays(judge: Judge) -> None:
    images = open_dataset("glyphs", "test").images[:20]
    features = judge.features(images)
    assert features.shape == (20, 128) and features.min() >= 0
    assert torch.equal(features, judge.features(to_float(images)))
    assert torch.equal(features, judge.features(images.numpy()))
    assert torch.equal(judge.features(to_float(images) * 7), judge.features((to_float(images) * 7).clamp(-1, 1)))


def test_the_report_puts_real_images_near_the_floor_and_noise_far_away(judge: Judge) -> None:
    real = judge.report(open_dataset("glyphs", "train").images[:250])
    assert real.judge == judge.name and real.accuracy == judge.accuracy and real.references == real.neighbours == 300
    assert real.samples.count == real.floor.count == 250
    assert real.samples.distance == pytest.approx(real.floor.distance, rel=0.6)
    assert real.samples.precision > 0.7 and real.samples.recall > 0.7
    assert real.samples.shares is not None and real.samples.imbalance is not None
    assert sum(real.samples.shares) == pytest.approx(1) and real.samples.imbalance < 0.15
    noise = judge.report(torch.randn(250, 1, 28, 28, generator=torch.Generator().manual_seed(0)))
    assert noise.floor == real.floor
    assert noise.samples.distance > 20 * noise.floor.distance
    assert noise.samples.precision < 0.1 and noise.samples.recall < 0.1


def test_one_class_only_shows_in_recall_and_balance(judge: Judge) -> None:
    train = open_dataset("glyphs", "train")
    ones = judge.report(train.images[train.labels == 1])
    assert ones.samples.shares is not None and ones.samples.imbalance is not None
    assert ones.samples.shares[1] > 0.8 and ones.samples.imbalance > 0.7
    assert ones.samples.recall < 0.4 and ones.samples.distance > 3 * ones.floor.distance


def test_images_that_do_not_fit_are_one_sentence(judge: Judge) -> None:
    with pytest.raises(UserError, match="looks at images of 28x28x1, not 32x32x3"):
        judge.features(torch.zeros(5, 3, 32, 32))
    with pytest.raises(UserError, match="3 images are too few to judge"):
        judge.report(torch.zeros(3, 1, 28, 28))


def test_a_cached_judge_is_the_same_judge(judge: Judge) -> None:
    (event,) = prepare_judge("glyphs")
    assert isinstance(event, Ready) and event.path == cache_files("glyphs")[0]
    images = open_dataset("glyphs", "test").images[:50]
    assert torch.equal(event.judge.features(images), judge.features(images))
    assert torch.equal(event.judge.test, judge.test) and torch.equal(event.judge.train, judge.train)
    assert event.judge.report(images) == judge.report(images)


def spoil(path: Path, how: str) -> None:
    """Make another file of a good cache."""
    content = path.read_bytes()
    if how == "torn":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "foreign":
        safetensors.torch.save_file({"weight": torch.zeros(3)}, path)
    elif how == "another version":
        path.write_bytes(content.replace(b'version\\": 1', b'version\\": 0'))
    elif how == "another network":
        path.write_bytes(content.replace(b"network.head.bias", b"network.head.bigs"))
    elif how == "a pickle":
        torch.save({"test": torch.zeros(3)}, path)
    assert path.read_bytes() != content


@pytest.mark.parametrize("how", ["torn", "empty", "foreign", "another version", "another network", "a pickle"])
def test_a_cache_that_is_not_whole_is_made_anew(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    good = cache_files("glyphs")[0].read_bytes()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(quality_network, "IMAGES_SEEN", 256)
    path = cache_files("glyphs")[0]
    path.parent.mkdir(parents=True)
    path.write_bytes(good)
    assert [type(event) for event in prepare_judge("glyphs")] == [Ready]
    spoil(path, how)
    assert [type(event) for event in prepare_judge("glyphs")] == [Fitting, Fitting, Ready]
    assert [type(event) for event in prepare_judge("glyphs")] == [Ready]
    assert list(path.parent.iterdir()) == [path]


def test_closing_a_training_that_has_hardly_begun_leaves_no_file(
    fewer_glyphs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    events = prepare_judge("glyphs")
    first = next(events)
    assert isinstance(first, Fitting) and first.step == 1 and first.total == 78 and first.eta_seconds > 0
    events.close()
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.fixture
def long_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """500 glyphs of which a judge learns for 12 steps more than are worth keeping; the number of steps."""
    few_glyphs(monkeypatch, 500, 300)
    monkeypatch.setattr(quality_network, "BATCH", 16)
    monkeypatch.setattr(quality_network, "IMAGES_SEEN", (LEAST_STEPS + 12) * 16)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return LEAST_STEPS + 12


def taken(count: int) -> list[int]:
    """The steps of a judge's training that is closed after so many events."""
    events = prepare_judge("glyphs")
    steps = [event.step for event in islice(events, count) if isinstance(event, Fitting)]
    events.close()
    return steps


@pytest.mark.parametrize("stop", [0, 5, 12])
def test_a_judge_that_was_stopped_goes_on_as_if_it_had_not_been(
    long_lesson: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    straight = load_judge("glyphs")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    path, half = cache_files("glyphs")[0], half_of(cache_files("glyphs")[0])
    assert taken(LEAST_STEPS + stop) == list(range(1, LEAST_STEPS + stop + 1))
    assert half.is_file() and not path.exists()
    *rest, last = prepare_judge("glyphs")
    assert [event.step for event in rest if isinstance(event, Fitting)] == list(range(LEAST_STEPS + stop + 1, long_lesson + 1))
    assert isinstance(last, Ready) and list(path.parent.iterdir()) == [path]
    for name, value in straight.network.state_dict().items():
        assert torch.equal(value, last.judge.network.state_dict()[name]), name
    assert torch.equal(straight.test, last.judge.test) and straight.accuracy == last.judge.accuracy


@pytest.mark.usefixtures("long_lesson")
@pytest.mark.parametrize("how", ["torn", "empty", "foreign", "a pickle", "another step", "other images", "no numbers", "longer"])
def test_a_half_trained_judge_that_is_not_whole_begins_anew(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    taken(LEAST_STEPS)
    half = half_of(cache_files("glyphs")[0])
    content = half.read_bytes()
    state = safetensors.torch.load(content)
    said = {store._HALF_KEY: safetensors_said(content)}
    if how == "another step":
        half.write_bytes(safetensors.torch.save(state | {"step": torch.tensor(10**9)}, said))
    elif how == "other images":
        half.write_bytes(safetensors.torch.save(state | {"order": torch.tensor([0, 500])}, said))
    elif how == "no numbers":
        spoilt = state["network.head.bias"] * float("nan")
        half.write_bytes(safetensors.torch.save(state | {"network.head.bias": spoilt}, said))
    elif how == "longer":
        monkeypatch.setattr(quality_network, "IMAGES_SEEN", quality_network.IMAGES_SEEN * 2)
    else:
        spoil(half, how)
    assert taken(1) == [1]


def safetensors_said(content: bytes) -> str:
    """What the metadata of a half-trained judge says."""
    header = int.from_bytes(content[:8], "little")
    return str(json.loads(content[8 : 8 + header])["__metadata__"][store._HALF_KEY])


@pytest.mark.usefixtures("long_lesson")
def test_a_judge_is_put_down_now_and_then_while_it_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEEP_SECONDS", 0.0)
    events = prepare_judge("glyphs")
    for event in events:
        if isinstance(event, Fitting) and event.step > LEAST_STEPS:
            break
    assert half_of(cache_files("glyphs")[0]).is_file()  # as a machine that stops now would leave it
    events.close()


def test_a_judge_that_no_file_takes_is_used_and_said(monkeypatch: pytest.MonkeyPatch, hasty_judge: None) -> None:
    def full(path: Path, judge: Judge) -> None:
        raise UserError(f"cannot write {path}: the disk is full")

    monkeypatch.setattr(store, "_write", full)
    take_notices()
    assert isinstance(list(prepare_judge("glyphs"))[-1], Ready)
    (notice,) = take_notices()
    assert "glyphs judge CNN v1 could not be kept" in notice and "the disk is full" in notice


def test_training_leaves_the_random_numbers_of_others_alone(fewer_glyphs: None) -> None:
    before = torch.get_rng_state()
    next(prepare_judge("glyphs"))
    next(iter(fit(Learner(open_dataset("glyphs", "test"), torch.device("cpu")))))
    assert torch.equal(torch.get_rng_state(), before)


def test_no_other_network_is_made_while_one_draws_its_weights() -> None:
    before = new_classifier(1, 10).head.weight
    with ThreadPoolExecutor(1) as pool:
        with seeded(7):
            judge = pool.submit(new_classifier, 1, 10)
            with pytest.raises(TimeoutError):
                judge.result(0.2)
            drawn = torch.rand(9)
        assert torch.equal(judge.result().head.weight, before)
    assert torch.equal(drawn, torch.rand(9, generator=torch.Generator().manual_seed(7)))


def test_any_labelled_shape_can_be_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_network, "IMAGES_SEEN", 30 * 40)
    labels = torch.arange(40) % 2
    images = torch.zeros(40, 33, 33, 3, dtype=torch.uint8)
    images[labels == 1, 8:24, 8:24, 0] = 200
    learner = Learner(ImageSet("squares", images, labels, ("none", "red")), torch.device("cpu"))
    steps, network = list(fit(learner)), learner.averaged
    assert len(steps) == 30 and isinstance(network, Classifier) and not network.training
    assert torch.equal(network(to_float(images)).argmax(1), labels)


def test_the_cache_lies_beside_the_data_where_it_may(tmp_path: Path) -> None:
    beside, own = cache_files("mnist", tmp_path)
    assert beside == tmp_path / "judges" / "mnist-v1.safetensors" and tmp_path not in own.parents
    tmp_path.chmod(0o555)
    assert cache_files("mnist", tmp_path) == [own, beside]
    assert cache_files("mnist", tmp_path / "nowhere")[0] == own
    assert len(cache_files("glyphs", tmp_path)) == 1


def test_sets_without_files_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no images"):
        load_judge(f"folder:{tmp_path}")
    with pytest.raises(UserError, match="mnist is not in"):
        load_judge("mnist", tmp_path)
    with pytest.raises(UserError, match="unknown data set"):
        load_judge("nope")
