"""Hundreds of damaged and hostile checkpoint files, made from a good one. Run as a program, it tries all of them."""

import builtins
import collections
import io
import itertools
import json
import os
import pickle
import random
import resource
import struct
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from core.network.unet import UNet, UNetConfig

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


def two_faced(good: dict[str, Any]) -> Iterator[bytes]:
    """Archives in which one reader finds another content than the next."""
    whole, other = saved(good), saved(good | {"step": 13})
    yield pickle.dumps({"format": "tinydiff-tui"}) + whole
    yield saved({"format": "tinydiff-tui"}, _use_new_zipfile_serialization=False) + whole
    yield b"\0" + whole
    yield whole + other
    yield other + whole
    start = zipfile.ZipFile(io.BytesIO(whole)).start_dir
    end, wide, locator = (whole.rindex(mark) for mark in (b"PK\5\6", b"PK\6\6", b"PK\6\7"))
    directory = whole[start:wide]
    yield whole[:end] + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 8, 8, len(directory), end, 0)
    yield whole[:start] + directory + whole[start:]
    yield whole[:start] + bytes(8) + whole[start:]
    yield whole[:end] + whole[wide:]
    yield whole[: locator + 8] + struct.pack("<Q", start) + whole[locator + 16 :]
    yield whole[: wide + 48] + struct.pack("<Q", 0) + whole[wide + 56 :]
    yield whole[:-2] + b"\1\0x"
    again = rezipped(whole, {})
    name = b"archive/data.pkl"
    assert again.count(name) == whole.count(name) == 2
    for archive in (whole, again):
        first, last = archive.index(name), archive.rindex(name)
        yield archive[:first] + b"archive/dat_.pkl" + archive[first + 16 :]
        yield archive[:first] + b"Archive/data.pkl" + archive[first + 16 :]
        yield archive[:last] + b"archive/data\0pkl" + archive[last + 16 :]
        yield archive[:18] + struct.pack("<II", 10**6, 10**6) + archive[26:]  # sizes before the first name
        yield archive[:6] + b"\x01" + archive[7:]  # a flag there: encrypted
    buffer = io.BytesIO(again)
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "a") as archive_of_two:
        warnings.simplefilter("ignore")
        archive_of_two.writestr("archive/data.pkl", zipfile.ZipFile(io.BytesIO(other)).read("archive/data.pkl"))
    yield buffer.getvalue()
    data = zipfile.ZipFile(io.BytesIO(whole)).read("archive/data.pkl")
    count = b"M" + struct.pack("<H", good["model"]["stem.weight"].numel())
    assert count in data
    yield rezipped(whole, {"data.pkl": data.replace(count, b"J" + struct.pack("<i", 2**31 - 1))})  # numbers that are not there
    yield rezipped(whole, {"data/0": bytes(4)})


def of_shape(good: dict[str, Any], **change: Any) -> dict[str, Any]:
    """The checkpoint of another network, with weights that fit it."""
    shape = good["network"] | change
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in shape.items()}
    weights = UNet(UNetConfig(**fields)).state_dict()
    return good | {"network": shape, "model": weights, "ema": weights}


def lies(good: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Whole contents, every tensor in its place, one entry of which is of another type or outside of all sense."""
    nan = float("nan")
    change: dict[str, Any]
    for change in (
        {"image_size": 1024}, {"image_size": 4096}, {"image_size": 28.0}, {"image_size": "28"}, {"image_size": True},
        {"image_size": 512}, {"image_size": 27}, {"channels": True}, {"channels": 1.0}, {"base": 16.0}, {"blocks": True},
        {"blocks": 1.0}, {"time_dim": 32.0}, {"patch": 2.0}, {"classes": False}, {"classes": 0.0}, {"attention": [0, 0]},
        {"multipliers": [1.0, 2.0]}, {"multipliers": [True, 2]}, {"learn_variance": 0}, {"learn_variance": None},
        {"norm": ["layer"]}, {"norm": "batch"}, {"attention": "no"},
    ):  # fmt: skip
        yield good | {"network": good["network"] | change}
    yield good | {"network": {k: v for k, v in good["network"].items() if k != "patch"}}
    for change in (
        {"time_dim": 33}, {"channels": 3}, {"channels": 2}, {"classes": 10}, {"learn_variance": True},
        {"time_dim": 1},
    ):  # fmt: skip
        yield of_shape(good, **change)
    for change in (
        {"dataset": "folder:\x1b[2J"}, {"output_dir": "a\0b"}, {"data_dir": "\x9b31m"}, {"seed": 2**53}, {"epochs": 2**53},
        {"grad_clip": float("inf")}, {"seed": True}, {"warmup": 2**63}, {"dataset": "cifar10"}, {"data_dir": "a" * 10**6},
        {"lr": [[[[1.0]]]]}, {"checkpoint_seconds": 1e300}, {"image_size": 4096},
    ):  # fmt: skip
        yield good | {"config": good["config"] | change}
    for change in (
        {"lr_factor": 1e300}, {"lr_factor": -1.0}, {"lr_factor": nan}, {"lr_factor": "1"}, {"seconds": 1e300}, {"seconds": True},
        {"started": float("inf")}, {"started": -1.0}, {"step": 2**53}, {"step": True}, {"ema_updates": 1.5}, {"ema_updates": -1},
        {"ended_epochs": 2**63}, {"ended_epochs": "1"}, {"optimizers": "text"}, {"optimizers": [{"state": 1}]},
        {"tally": torch.full((10,), nan)}, {"epoch_loss": "0"}, {"classes": ["a" * 10**6]}, {"version": True},
    ):  # fmt: skip
        yield good | change
    muon, adamw = good["optimizers"]
    for step in ("text", nan, torch.tensor(nan), torch.tensor(-1.0), torch.tensor([1.0]), torch.tensor(1), 3, None):
        entries = adamw["state"][0] | {"step": step}
        yield good | {"optimizers": [muon, adamw | {"state": adamw["state"] | {0: entries}}]}
    deep: list[Any] = []
    for _ in range(60):
        deep = [deep, deep]  # a handful of bytes, and no end to look at it all
    for key in ("config", "network"):
        yield good | {key: good[key] | {"patch" if key == "network" else "lr": deep}}
    yield good | {"network": good["network"] | {"multipliers": deep}}
    yield good | {"optimizers": deep, "classes": deep}


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
        {"early": None}, {"early": {}}, {"early": {"stem.weight": torch.zeros(1)}},
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
    halves = {name: value.half() for name, value in good["ema"].items()}
    for value in (halves["stem.weight"] * float("inf"), halves["stem.weight"].flatten(), halves["stem.weight"].bfloat16()):
        yield write(good | {"ema": halves | {"stem.weight": value}})
    yield write(good | {"ema": {name: value.bfloat16() for name, value in halves.items()}})


def mutants(good: dict[str, Any], canary: Path) -> Iterator[Mutant]:
    """(suffix, bytes) of every damaged file."""
    rng = random.Random(0)
    whole = saved(good)
    contents = itertools.chain(wrong(good), lies(good))
    damaged = truncated(whole), flipped(whole, rng), pickles(good, canary), bombs(good), two_faced(good), map(saved, contents)
    for content in itertools.chain(*damaged):
        yield ".pt", content
    yield ".pt", saved(good, _use_new_zipfile_serialization=False)
    for content in safe(good, rng):
        yield ".safetensors", content


def peak() -> float:
    """MiB that this process has held at most. On Linux ru_maxrss would count the process that started this one."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB  # bytes on macOS


def main(good: Path, folder: Path) -> None:
    """Try every mutant; print how many there were, and each that was not refused with one sentence."""
    from core.errors import UserError
    from core.runs.checkpoint import load_model

    content = torch.load(good, weights_only=True)
    canary = folder / "canary"
    count, bad, slowest = 0, [], 0.0
    for suffix, mutant in mutants(content, canary):
        path = folder / f"mutant{suffix}"
        path.write_bytes(mutant)
        begun = time.process_time()
        try:
            load_model(path)
            bad.append(f"{count} was read")
        except UserError as error:
            if not str(error).startswith(str(path)) or not str(error).isprintable():
                bad.append(f"{count}: {error}")
        except BaseException as error:
            bad.append(f"{count}: {type(error).__name__}: {error}"[:300])
        count, slowest = count + 1, max(slowest, time.process_time() - begun)
    print(json.dumps({"count": count, "bad": bad, "peak": peak(), "slowest": slowest, "canary": canary.exists()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
