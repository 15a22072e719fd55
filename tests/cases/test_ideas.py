"""Every fault of a person's own file is one sentence with its line and exit code 2, and costs nothing that was there."""

import re
from pathlib import Path

import pytest

from core.extend import files
from core.names import SCHEDULES
from tinydiff_tui import cli

NETWORK = """import torch
from core.extend import network
class N(torch.nn.Module):
    def __init__(self, size, channels, classes):
        super().__init__()
        self.a = torch.nn.Conv2d(channels, channels, 3, padding=1)
        {more}
    def forward(self, x, t, labels):
        return {output}
network("mine")(N)
"""
SCHEDULE = "from core.extend import schedule\n\n@schedule('{}')\ndef f(u):\n    return {}\n"
SAMPLER = "from core.extend import sampler\n@sampler('mine')\ndef f(denoise, x, schedule, timesteps, noise):\n    {}\n"
DATASET = "import numpy as np\nfrom core.extend import dataset\n@dataset('mine')\ndef f(split):\n    return {}\n"

FAULTS = {
    "raises": ("x = 1\nraise ValueError('oh\\x1b[2J')", r"line 2: ValueError: oh.\[2J; mend the file"),
    "is no Python": ("x = (", r"line 1: SyntaxError: '\(' was never closed"),
    "holds a NUL": ("x = 1\0", r"(SyntaxError|ValueError): source code (string )?cannot contain null bytes"),
    "leaves": ("import sys\nsys.exit(3)", r"line 2: SystemExit: 3"),
    "lacks a module": ("import no_such_thing", r"line 1: ModuleNotFoundError: No module named 'no_such_thing'"),
    "never ends to call": ("def f(): f()\nf()", r"line 1: RecursionError"),
    "hides a name": (SCHEDULE.format("linear", "1 - u"), r"line 3: schedule 'linear' would hide the one that the program has"),
    "twice": (SCHEDULE.format("a", "1 - u") * 2, r"line 8: schedule 'a' would hide the one that this file has"),
    "no name": (SCHEDULE.format("A b", "1 - u"), r"line 3: schedule 'A b' is no name"),
    "rises": (SCHEDULE.format("a", "1 - u if u < .5 else .5 + u / 9"), r"schedule 'a' rises from 0.501 at u = 0.499 to"),
    "below": (SCHEDULE.format("a", "1 - 2 * u"), r"schedule 'a' gives -0.002 at u = 0.501; alpha_bar lies between 0 and 1"),
    "too early": (SCHEDULE.format("a", "max(0, 1 - 2 * u)"), r"schedule 'a' is 0 at u = 0.5 already"),
    "starts late": (SCHEDULE.format("a", "(1 - u) / 2"), r"schedule 'a' starts at 0.5"),
    "ends early": (SCHEDULE.format("a", "1 - u / 2"), r"schedule 'a' ends at 0.5"),
    "no number": (SCHEDULE.format("a", "'x'"), r"schedule 'a' gives a str at u = 0"),
    "nan": (SCHEDULE.format("a", "float('nan')"), r"schedule 'a' gives nan at u = 0"),
    "divides": (SCHEDULE.format("a", "1 / (u - u)"), r"line 5: ZeroDivisionError: .*division by zero"),
    "another shape": (NETWORK.format(more="", output="x[:, :, 1:]"), r"line 3: network 'mine' makes a tensor \(2, 1, 27, 28\)"),
    "idle": (NETWORK.format(more="self.b = torch.nn.Linear(2, 2)", output="self.a(x)"), r"does not use its 'b.weight'"),
    "untrainable": ("import torch\nfrom core.extend import network\nnetwork('mine')(lambda *a: torch.nn.Flatten())", "to train"),
    "whole numbers": (
        NETWORK.format(more="self.b = torch.nn.BatchNorm2d(1)", output="self.b(self.a(x))"), r"'b.num_batches_tracked' in int64"
    ),
    "no module": ("from core.extend import network\nnetwork('mine')(lambda *a: 3)", r"is made as a int; its function returns"),
    "breaks": (NETWORK.format(more="", output="self.c(x)"), r"line 9: AttributeError: 'N' object has no attribute 'c'"),
    "no frame": (SAMPLER.format("yield x"), r"sampler 'mine' yields a Tensor; it yields core.diffusion.samplers.Frame"),
    "no generator": (SAMPLER.format("return x"), r"sampler 'mine' gives a Tensor; it is a generator"),
    "no end": (SAMPLER.format("yield from ()"), r"sampler 'mine' ends without its closing frame"),
    "no data": (DATASET.format("3"), r"data set 'mine' gives a int for 'train'; it returns images, labels"),
    "floats": (DATASET.format("np.zeros((2, 8, 8, 1)), [0, 0], ['a']"), r"gives images of type float64 and shape \(2, 8, 8, 1\)"),
    "label": (DATASET.format("np.zeros((2, 8, 8, 1), np.uint8), [0, 1], ['a']"), r"not one whole number from 0 to 0 an image"),
    "unnamed": (DATASET.format("np.zeros((2, 8, 8, 1), np.uint8), [0, 0], 'ab'"), r"gives no names of classes"),
    "a recipe": (
        "from core.extend import network\nnetwork('mine', recipe={'lrr': 1})(len)", r"has 'lrr' in its recipe, which is no field"
    ),
}  # fmt: skip

pytestmark = pytest.mark.usefixtures("own_names")


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_sentence_with_its_line(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, sentence = FAULTS[name]
    mine = tmp_path / "mine.py"
    mine.write_text(text)
    before = list(SCHEDULES)
    assert cli.run(["runs", str(tmp_path), "--extend", str(mine)]) == 2
    error = said(capsys)
    assert error.count("\n") == 1 and "\x1b" not in error
    assert re.search(sentence, error), error
    assert "mine.py" in error
    assert list(SCHEDULES) == before and files.files() == ()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--extend"], "takes a Python file of yours"),
        (["--extend", "--json"], "takes a Python file of yours"),
        (["--extend", "gone.py"], "no such file or directory"),
        (["--extend", "."], "is a directory"),
        (["--extend=/dev/zero"], "no plain file"),
    ],
)
def test_a_file_that_cannot_be_one(
    arguments: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["runs", *arguments]) == 2
    error = said(capsys)
    assert error.count("\n") == 1 and sentence in error


def test_a_file_that_prints_dawdles_or_does_nothing_is_told_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("import sys, time\nprint('hello')\nprint('more', file=sys.stderr)\ntime.sleep(1.05)\n")
    assert cli.run(["runs", str(tmp_path), "--json", "--extend", str(mine)]) == 0
    captured = capsys.readouterr()
    assert "hello" not in captured.out
    printed, slow, nothing = captured.err.splitlines()
    assert "mine.py printed 'hello' while it was read" in printed
    assert re.search(r"mine.py took \d\.\d s to read, at every start", slow)
    assert "mine.py registers nothing" in nothing


def test_the_files_of_the_environment_and_of_the_flag_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(SCHEDULE.format(name, "1 - u"))
    monkeypatch.setenv("TINYDIFF_EXTEND", f"{tmp_path / 'one.py'}:{tmp_path / 'two.py'}")
    assert cli.run(["--extend", str(tmp_path / "one.py"), "runs", str(tmp_path)]) == 0
    assert [file.path.name for file in files.files()] == ["one.py", "two.py"]
    assert files.flags() == [f"--extend={tmp_path / 'one.py'}", f"--extend={tmp_path / 'two.py'}"]


def test_an_error_of_an_own_function_at_work_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        NETWORK.format(more="self.size = size", output="self.a(x) if len(x) < 3 else x.no_such_thing")
    )  # what is tried out at first has two images
    arguments = ["train", "--extend", str(mine), "--model", "mine", "--output-dir", str(tmp_path / "run"), "--plain"]
    assert cli.run([*arguments, "--device", "cpu", "--precision", "fp32", "--threads", "1", "--dataset", "glyphs"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "mine.py, line 9: AttributeError: 'Tensor' object has no attribute 'no_such_thing'; mend the file" in error
