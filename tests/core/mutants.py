"""Two hundred damaged and hostile checkpoint files, made from a good one. Run as a program, it tries all of them."""

import builtins
import collections
import io
import itertools
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

Mutant = tuple[str, bytes]
MIB = 1 << 20


class Call:
    """Pickled, it asks the reader to call a function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def saved(content: object, **options: Any) -> bytes:
    """What torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def rezipped(whole: bytes, changes: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """The archive with some members replaced or added, by the last part of their name."""
    source, buffer = zipfile.ZipFile(io.BytesIO(whole)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for entry in source.infolist():
            name = entry.filename.partition("/")[2]
            target.writestr(entry.filename, changes.get(name, source.read(entry)))
        for name in changes.keys() - {entry.filename.partition("/")[2] for entry in source.infolist()}:
            target.writestr(f"archive/{name}", changes[name])
    return buffer.getvalue()


def truncated(whole: bytes) -> Iterator[bytes]:
    yield from (whole[: len(whole) * k // 30] for k in range(30))
    yield from (whole[:-k] for k in (1, 2, 22, 23, 100))


def flipped(whole: bytes, rng: random.Random) -> Iterator[bytes]:
    """Bits changed inside members: what a checksum is for."""
    spans = []
    for entry in zipfile.ZipFile(io.BytesIO(whole)).infolist():
        name, extra = struct.unpack_from("<HH", whole, entry.header_offset + 26)
        spans.append((entry.header_offset + 30 + name + extra, entry.file_size))
    for k in range(40):
        damaged = bytearray(whole)
        start, size = spans[0] if k % 2 else rng.choice(spans)  # the first is the pickle
        for _ in range(rng.choice((1, 8))):
            damaged[start + rng.randrange(size)] ^= 1 << rng.randrange(8)
        yield bytes(damaged)


def pickles(good: dict[str, Any], canary: Path) -> Iterator[bytes]:
    """Pickles that try to run code, plainly and through what torch itself has to offer."""
    touch = f"touch {canary}"
    calls = [
        Call(os.system, touch),
        Call(os.popen, touch),
        Call(subprocess.getoutput, touch),
        Call(subprocess.Popen, ["touch", str(canary)]),
        Call(builtins.eval, f"open({str(canary)!r}, 'w')"),
        Call(builtins.exec, f"open({str(canary)!r}, 'w')"),
        Call(builtins.open, str(canary), "w"),
        Call(builtins.getattr, "text", "upper"),
        Call(builtins.__import__, "os"),
        Call(Path.touch, canary),
        Call(pickle.loads, pickle.dumps(Call(os.system, touch))),
        Call(torch.load, "elsewhere.pt"),
        Call(torch.hub.load, "a/b", "c"),
        Call(torch.jit.load, str(canary)),
        Call(torch.save, 1, str(canary)),
        Call(torch.storage._load_from_bytes, pickle.dumps(Call(os.system, touch))),
        Call(torch.storage.UntypedStorage.from_file, str(canary), True, 10),
        Call(torch.ones, 1 << 40),
        Call(collections.Counter, "aaa"),
        Call(bytearray, 1 << 32),
        Call(torch.nn.Module),
    ]
    for call in calls:
        yield saved(good | {"classes": call})
        yield pickle.dumps(good | {"classes": call})
    raw = [
        b"cos\nsystem\n(S'" + touch.encode() + b"'\ntR.",
        b"(S'" + touch.encode() + b"'\nios\nsystem\n.",
        b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94\x93\x8c" + bytes([len(touch)]) + touch.encode() + b"\x94\x85\x94R.",
        b"c__builtin__\neval\n(S'1'\ntR.",
        b"cbuiltins\nbreakpoint\n(tR.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(tR.",
        b"ccollections\nOrderedDict\n(J\xff\xff\xff\x7ftR.",
        b"cbuiltins\nbytearray\n(J\xff\xff\xff\x7ftR.",
        b"r\xff\xff\xff\x7f.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"(" * 100_000 + b".",
        b"]" + b"(" * 1000 + b"l" * 1000 + b".",
        b"\x82\x01.",
        b"P1\n.",
    ]
    for code in raw:
        yield code
        yield rezipped(saved(good), {"data.pkl": code})


def bombs(good: dict[str, Any]) -> Iterator[bytes]:
    """Archives that unpack to far more than they are long, or claim to."""
    whole = saved(good)
    zeros = bytes(64 * MIB)
    yield rezipped(whole, {"data/0": zeros}, zipfile.ZIP_DEFLATED)
    yield rezipped(whole, {"more": zeros}, zipfile.ZIP_BZIP2)
    yield rezipped(whole, {"data.pkl": b"]" + b"N" * (16 * MIB)}, zipfile.ZIP_DEFLATED)
    yield rezipped(whole, {"data.pkl": b"]" + b"N" * (16 * MIB)}, zipfile.ZIP_LZMA)
    yield rezipped(whole, {"constants.pkl": b"."})
    yield rezipped(whole, {"DATA.PKL": b"cos\nsystem\n."})
    yield rezipped(whole, {"code/a.py": b"raise SystemExit"}, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        biggest = max(archive.infolist(), key=lambda e: e.file_size)
    claimed, again = struct.pack("<I", biggest.file_size), rezipped(whole, {})
    assert claimed in again
    for size in (2**31 - 1, 2**32 - 2, 2**32 - 1, 0, biggest.file_size + 1):
        yield again.replace(claimed, struct.pack("<I", size))
    end = again.rindex(b"PK\x05\x06")
    for offset, value in ((8, 0xFFFF), (10, 0xFFFF), (12, 0xFFFFFFF0), (16, 0xFFFFFFF0), (16, 1)):
        width = "<H" if value == 0xFFFF else "<I"
        packed = struct.pack(width, value)
        yield again[: end + offset] + packed + again[end + offset + len(packed) :]
    yield whole + b"PK\x05\x06" + bytes(18)


def wrong(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Contents that are whole pickles of plain values, and make no sense."""
    change: dict[str, Any]
    for change in (
        {"base": 10**6}, {"base": 10**12}, {"base": 0}, {"base": -1}, {"multipliers": [1] * 100}, {"multipliers": [10**9]},
        {"blocks": 10**9}, {"time_dim": 10**9}, {"image_size": 10**9}, {"image_size": -1}, {"patch": 0}, {"classes": 10**9},
        {"channels": 10**9}, {"patch": 2**40}, {"learn_variance": True}, {"attention": []}, {"path": "../../etc/passwd"},
    ):  # fmt: skip
        yield good | {"network": good["network"] | change}
    nan = float("nan")
    for change in (
        {"lr": nan}, {"ema_decay": nan}, {"grad_clip": nan}, {"label_dropout": float("inf")}, {"timesteps": 10**9},
        {"seed": 10**5000}, {"timesteps": -1}, {"model": "../../etc/passwd"}, {"objective": "\x1b[2J"}, {"dataset": 7},
        {"epochs": 10**400}, {"unknown": 1}, {"schedule": "/dev/zero"}, {"checkpoint_seconds": nan}, {"learn_variance": True},
    ):  # fmt: skip
        yield good | {"config": good["config"] | change}
    for change in (
        {"step": -1}, {"step": 10**5000}, {"step": 1.5}, {"classes": [10**5000]}, {"classes": ["x", ["../.."]]}, {"version": 2},
        {"version": 10**5000}, {"version": None}, {"format": "../tinydiff-tui"}, {"model": None, "ema": None}, {"config": None},
    ):  # fmt: skip
        yield good | change
    weights = good["ema"]
    name = "stem.weight"
    for value in (
        weights[name].double(), weights[name].half(), weights[name].to(torch.int64), weights[name].to(torch.complex64),
        weights[name].flatten(), torch.zeros(1).expand(weights[name].shape), torch.full_like(weights[name], nan),
        weights[name] * float("inf"), weights[name].to("meta"), weights[name].to_sparse(), "text", None, {"a": 1},
        torch.zeros(1).expand(10**6, 10**6),
    ):  # fmt: skip
        yield good | {"ema": weights | {name: value}}
    yield good | {"ema": {k: v for k, v in weights.items() if k != name}}
    yield good | {"ema": weights | {"../../etc/passwd": weights[name]}}
    yield good | {"ema": {f"/{k}": v for k, v in weights.items()}}


def safe(good: dict[str, Any], rng: random.Random) -> Iterator[bytes]:
    """The same for safetensors files."""
    keys = ("format", "version", "config", "network", "classes", "step")

    def write(content: dict[str, Any]) -> bytes:
        described = json.dumps({key: content[key] for key in keys})
        return safetensors.torch.save({k: v.contiguous() for k, v in content["ema"].items()}, {"tinydiff-tui": described})

    whole = write(good)
    header = int.from_bytes(whole[:8], "little")
    yield from (whole[: len(whole) * k // 10] for k in range(10))
    for size in (0, 1, header - 1, header + 1, 2**31, 2**40, 2**63, 2**64 - 1):
        yield struct.pack("<Q", size) + whole[8:]
    for _ in range(6):
        damaged = bytearray(whole)
        damaged[8 + rng.randrange(header)] = rng.randrange(128, 256)  # no UTF-8 any more
        yield bytes(damaged)
    for described in ('"text"', "[]", "null", "[" * 50_000, "{}", '{"format": "tinydiff-tui", "version": 99}'):
        yield safetensors.torch.save({"a": torch.zeros(1)}, {"tinydiff-tui": described})
    yield safetensors.torch.save({"a": torch.zeros(1)})
    huge = json.dumps({"a": {"dtype": "F32", "shape": [2**20, 2**20], "data_offsets": [0, 2**42]}}).encode()
    yield struct.pack("<Q", len(huge)) + huge
    yield write(good | {"ema": good["ema"] | {"stem.weight": good["ema"]["stem.weight"].half()}})
    yield write(good | {"network": good["network"] | {"base": 10**6}})
    yield write(good | {"config": good["config"] | {"lr": float("nan")}})


def mutants(good: dict[str, Any], canary: Path) -> Iterator[Mutant]:
    """(suffix, bytes) of every damaged file."""
    rng = random.Random(0)
    whole = saved(good)
    damaged = truncated(whole), flipped(whole, rng), pickles(good, canary), bombs(good), map(saved, wrong(good))
    for content in itertools.chain(*damaged):
        yield ".pt", content
    yield ".pt", saved(good, _use_new_zipfile_serialization=False)
    for content in safe(good, rng):
        yield ".safetensors", content


def main(good: Path, folder: Path) -> None:
    """Try every mutant; print how many there were, and each that was not refused with one sentence."""
    import resource

    from core.errors import UserError
    from core.runs.checkpoint import load_model

    content = torch.load(good, weights_only=True)
    canary = folder / "canary"
    count, bad = 0, []
    for suffix, mutant in mutants(content, canary):
        path = folder / f"mutant{suffix}"
        path.write_bytes(mutant)
        try:
            load_model(path)
            bad.append(f"{count} was read")
        except UserError as error:
            if not str(error).startswith(str(path)) or not str(error).isprintable():
                bad.append(f"{count}: {error}")
        except BaseException as error:
            bad.append(f"{count}: {type(error).__name__}: {error}"[:300])
        count += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"count": count, "bad": bad, "peak": peak, "canary": canary.exists()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
