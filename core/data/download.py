"""Downloading the public data sets, as an iterator of progress that can be closed at any moment.

Addresses and checksums are torchvision's own; files land under a temporary name and count only when their checksum is right.
"""

import hashlib
import http.client
import urllib.request
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from core.data.datasets import default_data_dir, describe
from core.errors import UserError
from core.files import atomic_write, require_folder, write_failure
from core.names import DATASETS, Dataset

_BLOCK = 1 << 16
_TIMEOUT = 20


@dataclass(frozen=True)
class Progress:
    """Bytes of the current file; total 0 when the server does not say."""

    file: str
    done: int
    total: int


def download(name: str, root: Path | None = None) -> Generator[Progress, None, None]:
    """Fetch and unpack a named data set into `root`. Closing the iterator leaves no half file.

    Raises UserError when the set has no download, or no address answers, naming the folder for the files.
    """
    root = root or default_data_dir()
    info = describe(name, root)
    if info.status != "can be downloaded":
        return
    from torchvision.datasets.utils import extract_archive

    entry = DATASETS[name]
    folder, files = _offered(entry, root)
    require_folder(folder)
    for file, md5, addresses in files:
        if _checksum(folder / file) != md5:
            yield from _fetch(addresses, folder / file, md5, name, info.where)
    for file, _, _ in reversed(files):  # the marker of the set is in the first file: it is there when all others are
        if not file.endswith(".gz"):
            continue  # read as it is
        try:
            extract_archive(str(folder / file), str(folder))
        except BaseException as error:
            (root / entry.marker).unlink(missing_ok=True)  # half of it must not pass for the set
            if isinstance(error, OSError):
                raise UserError(write_failure(folder, error)) from error
            raise


def _offered(entry: Dataset, root: Path) -> tuple[Path, list[tuple[str, str, list[str]]]]:
    """The folder for what is downloaded, and the files: name, MD5, addresses; each class of torchvision has them its own way."""
    from torchvision import datasets

    source: Any = getattr(datasets, entry.download)
    folder = (root / entry.marker).parent
    match entry.download:
        case "CIFAR10":
            return root, [(source.filename, source.tgz_md5, [source.url])]
        case "EMNIST":
            return folder, [(entry.archive, source.md5, [source.url])]
        case "QMNIST":
            offered = [*source.resources["train"], *source.resources["test"]]
            return folder, [(url.rsplit("/", 1)[-1], md5, [url]) for url, md5 in offered]
        case "SVHN":  # training last, which is the marker
            return folder, [(file, md5, [url]) for url, file, md5 in (source.split_list[split] for split in ("test", "train"))]
    return folder, [(file, md5, [mirror + file for mirror in source.mirrors]) for file, md5 in source.resources]


def _fetch(addresses: list[str], target: Path, md5: str, name: str, where: str) -> Iterator[Progress]:
    reasons = []
    for address in addresses:
        try:
            with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer, atomic_write(target) as file:
                total, done = int(answer.headers.get("Content-Length") or 0), 0
                digest = hashlib.md5(usedforsecurity=False)
                while block := _read(answer):
                    file.write(block)
                    digest.update(block)
                    done += len(block)
                    yield Progress(target.name, done, total)
                if digest.hexdigest() != md5:
                    raise ValueError("checksum does not match")
            return
        except (OSError, ValueError, http.client.HTTPException) as error:
            said = " ".join(str(getattr(error, "reason", error)).split())  # some of it is the server's
            reasons.append(said[:100] or type(error).__name__)
    raise UserError(
        f"{name} could not be downloaded ({reasons[-1]}); check the network, put {target.name} into {where} by hand, "
        "or use --dataset glyphs, which needs no file"
    )


def _read(answer: IO[bytes]) -> bytes:
    try:
        return answer.read(_BLOCK)
    except OSError as error:  # atomic_write would take it for a failure of the disk
        raise http.client.HTTPException(str(error)) from error


def _checksum(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else ""
