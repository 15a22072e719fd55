"""Race: the command, and that every lane draws what it draws alone."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import images
from core.compute.device import choose_compute
from core.config import SampleConfig
from core.runs.embedded import embedded_model
from tinydiff_tui import cli

ALONE = ["--threads", "2", "--precision", "fp32", "--device", "cpu"]


def saved(path: Path) -> np.ndarray:
    with Image.open(path) as file:
        found = images.saved_picture(file)
    assert found is not None
    return found.picture


def race(folder: Path, *arguments: str) -> int:
    place = ["--checkpoint", str(embedded_model()), "--output", str(folder / "race.png"), "--plain", *ALONE]
    return cli.run(["race", *place, *arguments])


def test_lanes_are_bit_for_bit_what_sample_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tinydiff_tui.jobs.racing import Lane, Racing

    asked = {"ddim": 3, "unipc": 4, "heun": 3, "ddpm": 2}
    lanes = [
        Lane(embedded_model(), name, SampleConfig(num_images=3, sampler=name, steps=steps, seed=5, label=3))
        for name, steps in asked.items()
    ]
    *_, last = Racing(lanes, choose_compute(device="cpu", precision="fp32", threads=2))
    capsys.readouterr()
    for racer in last.racers:
        sampler, folder = racer.options.sampler, tmp_path / racer.options.sampler
        folder.mkdir()
        drawn = ["--num-images", "3", "--seed", "5", "--class", "3", "--sampler", sampler, "--steps", str(asked[sampler])]
        place = ["--checkpoint", str(embedded_model()), "--output", str(folder / "a.png"), "--show-intermediate", "--plain"]
        assert cli.run(["sample", *place, *drawn, *ALONE]) == 0
        assert np.array_equal(saved(folder / "a.png"), images.grid(racer.frames[-1][1].x))
        steps = sorted((folder / "intermediate").glob("step_*.png"), reverse=True)
        ts = [path.stem for path in steps]
        assert len(steps) == racer.evaluations == len(racer.frames) - 1
        for spent, view in racer.frames[:-1]:
            twice = sum(before.t == view.t for _, before in racer.frames[:spent])
            name = f"step_{view.t:04}" + (f"_{twice + 1}" if twice else "")
            assert name in ts
            assert np.array_equal(saved(folder / "intermediate" / f"{name}.png"), images.grid(view.x))


def test_after_so_many_evaluations_a_lane_shows_what_it_had_then() -> None:
    from tinydiff_tui.jobs.racing import Lane, Racing

    lanes = [Lane(embedded_model(), "a", SampleConfig(num_images=2, sampler="ddim", steps=steps)) for steps in (2, 5)]
    standings = list(Racing(lanes, choose_compute(device="cpu", precision="fp32", threads=2)))
    assert [[racer.done for racer in standing.racers] for standing in standings[:6]] == [
        [0, 0], [1, 1], [2, 2], [2, 3], [2, 4], [2, 5]
    ]  # fmt: skip
    short, long = standings[-1].racers
    assert short.at(4) is short.at(2) is short.frames[-1][1]
    assert long.at(4) is long.frames[4][1] and long.at(9) is long.frames[5][1]


def test_the_command_writes_a_sheet_and_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert race(tmp_path, "--samplers", "ddim,unipc", "--steps", "2,3", "--num-images", "4", "--json") == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [(lane["sampler"], lane["evaluations"]) for lane in said["lanes"]] == [
        ("ddim", 2), ("ddim", 3), ("unipc", 2), ("unipc", 3)
    ]  # fmt: skip
    assert all(lane["seconds"] > 0 and lane["distance"] is None for lane in said["lanes"])
    assert said["num_images"] == 4 and said["judge"] is None
    assert saved(tmp_path / "race.png").shape[:2] == (4 * 30 + 2, 4 * 30 + 2)
    assert race(tmp_path, "--steps", "2,3", "--num-images", "2") == 0
    table = capsys.readouterr().out
    assert "unipc" in table and "no distances" in table and str(tmp_path / "race.png") in table


def test_where_nothing_was_trained_the_model_of_the_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.run(["race", "--steps", "1,2", "--num-images", "2", "--plain", *ALONE]) == 0
    assert "comes with the program" in capsys.readouterr().out
    assert saved(tmp_path / "race.png").size


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--samplers", "ddim"], "a race has 2 to 12 lanes, not 1"),
        (["--samplers", "ddim,foo"], "foo"),
        (["--samplers", "ddim,ddim"], "not 1"),
        (["--steps", "2,x"], "invalid list of whole numbers"),
        (["--steps", "2,0"], "at least 1"),
        (["--steps", "2,5000"], "at most"),
        (["--guidance-scales", "1,"], "invalid list of numbers"),
        (["--samplers", "ddim,euler", "--class", "10"], "--class must be between 0 and 9"),
        (["--steps", "2,3", "--num-images", "65"], "at most 64 images"),
        (["--steps", "2,3", "--num-images", "0"], "num"),
        (["--samplers", "ddpm,ddim", "--steps", "1"], "needs at least 2"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert race(tmp_path, *arguments) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("tinydiff-tui: ") and sentence in said
    assert not (tmp_path / "race.png").exists()


@pytest.mark.usefixtures("hasty_judge")
def test_the_judge_says_a_distance_where_there_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from core.judge.store import load_judge

    load_judge("glyphs")
    assert race(tmp_path, "--steps", "1,2", "--num-images", "2", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["judge"] == "glyphs judge CNN v1" and said["judged"] == 256
    assert all(lane["judge"] == said["judge"] and lane["distance"] > lane["floor"] > 0 for lane in said["lanes"])
    first, second = (lane["distance"] for lane in said["lanes"])
    assert first > 0 and second > 0 and first != second
    assert race(tmp_path, "--steps", "1,2", "--num-images", "2") == 0
    table = capsys.readouterr().out
    assert "glyphs judge CNN v1" in table and "real images" in table
