"""The judge of real MNIST, trained whole: apart from test_quality.py, whose judges learn from few images."""

import os
from pathlib import Path

import pytest

from core.data.datasets import describe, open_dataset
from core.judge.store import cache_files, load_judge


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.timeout(1800)
def test_the_judge_of_mnist_is_good_enough(tmp_path: Path) -> None:
    """99.4 % on the test split, and a floor far below what any model reaches."""
    root = Path(os.environ.get("TINYDIFF_DATA_DIR", "/nonexistent"))
    if describe("mnist", root).status != "on disk":
        pytest.skip("MNIST is not in TINYDIFF_DATA_DIR")
    data = tmp_path / "data"
    data.mkdir()
    (data / "MNIST").symlink_to((root / "MNIST").resolve())
    judge = load_judge("mnist", data)
    assert cache_files("mnist", data)[0].is_file()
    assert judge.accuracy >= 0.994
    report = judge.report(open_dataset("mnist", "train", data).images[:5000])
    assert report.samples.distance < 2 and report.samples.precision > 0.8 and report.samples.recall > 0.8
    assert report.samples.sure is not None and report.samples.imbalance is not None
    assert report.samples.sure > 0.97 and report.samples.imbalance < 0.03
