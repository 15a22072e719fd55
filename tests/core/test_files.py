"""Paths as a person types them, and names that are not taken."""

from pathlib import Path

import pytest

from core.files import unused, user_path


def test_typed_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert user_path("~/runs") == user_path("~/runs", Path("elsewhere")) == tmp_path / "runs"
    assert user_path("runs") == Path("runs")
    assert user_path("runs", tmp_path) == tmp_path / "runs"
    assert user_path("~no-such-user/runs") == Path("~no-such-user/runs")


def test_an_unused_name(tmp_path: Path) -> None:
    assert unused(tmp_path, "strip", ".png") == tmp_path / "strip.png"
    (tmp_path / "strip.png").touch()
    (tmp_path / "strip_2.png").touch()
    assert unused(tmp_path, "strip", ".png") == tmp_path / "strip_3.png"
    (tmp_path / "runs").mkdir()
    assert unused(tmp_path, "runs", mark="-") == tmp_path / "runs-2"
