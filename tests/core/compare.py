"""Comparing two runs bit for bit."""

from pathlib import Path
from typing import Any

import torch

from core.runs.folder import RunDir

CLOCKED = ("seconds", "held_out", "held_out_quartiles", "distance", "floor", "judge")


def metrics(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock says, or decides whether to say."""
    return [{k: v for k, v in e.items() if k not in CLOCKED} for e in RunDir(folder).read_metrics()]


def same_tensors(a: Any, b: Any) -> bool:
    """Whether two nested states are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_tensors(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same_tensors, a, b))
    return bool(a == b)


def assert_same_run(a: Path, b: Path) -> None:
    """The final weights, averages, optimizer states, metrics and pictures of two runs are equal."""
    first, second = (torch.load(RunDir(f).final, weights_only=True) for f in (a, b))
    for key in ("step", "model", "ema", "ema_updates", "optimizers", "tally", "epoch_loss", "lr_factor", "network", "classes"):
        assert same_tensors(first[key], second[key]), key
    assert same_tensors(first.get("early"), second.get("early"))
    assert metrics(a) == metrics(b)
    pictures = {p.relative_to(a): p.read_bytes() for p in a.rglob("samples/*.png")}
    assert pictures == {p.relative_to(b): p.read_bytes() for p in b.rglob("samples/*.png")}
    checkpoints = {p.name for p in a.glob("checkpoints/*")}
    assert checkpoints == {p.name for p in b.glob("checkpoints/*")}
