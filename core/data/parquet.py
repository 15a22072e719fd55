"""Pictures in a parquet file, a row each, as Hugging Face's data sets are kept: bytes of a PNG or JPEG, and a label.

The package that reads it is an extra, imported where it is used.
"""

import io
import json
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from core.data.packed import MOST_BYTES
from core.errors import UserError, not_installed, printable
from core.files import open_plain

_MOST = 1 << 31  # bytes of all pictures of a file
_IMAGES, _LABELS = ("image", "img", "images"), ("label", "labels", "fine_label", "class")


class Rows:
    """The rows of a file as members of an archive: their bytes by class and number. Raises UserError."""

    def __init__(self, path: Path) -> None:
        self._pictures: dict[Path, bytes | None] = {}
        try:
            import pyarrow.parquet
        except ImportError as error:
            raise UserError(not_installed("pyarrow, which reads parquet,", "parquet")) from error
        try:
            with open_plain(path) as file:
                table = pyarrow.parquet.ParquetFile(file)
                columns = table.schema_arrow.names
                image = next((name for name in _IMAGES if name in columns), None)
                label = next((name for name in _LABELS if name in columns), None)
                if image is None:
                    raise ValueError(f"it has no column {' or '.join(_IMAGES)}, only {', '.join(columns[:5])}")
                if sum(table.metadata.row_group(k).total_byte_size for k in range(table.num_row_groups)) > _MOST:
                    raise ValueError("it is too large to be read at once; use a folder of pictures")
                names = _names(table.schema_arrow.metadata, label)
                for batch in table.iter_batches(64, columns=[image, *([label] if label else [])]):
                    self._take(batch.column(0).to_pylist(), batch.column(1).to_pylist() if label else [], names)
        except (
            OSError,
            ValueError,
            TypeError,
            KeyError,
            MemoryError,
            NotImplementedError,
        ) as error:  # pyarrow's own are among them
            said = printable(" ".join(str(error).split()))[:200] or type(error).__name__
            raise UserError(f"{path} cannot be read as parquet: {said}") from error

    def _take(self, images: list[Any], labels: list[Any], names: list[str]) -> None:
        for place, given in enumerate(images):
            content = given.get("bytes") if isinstance(given, dict) else given
            label = labels[place] if labels else None
            told = names[label] if type(label) is int and 0 <= label < len(names) else str(label)
            folder = Path(printable(told).replace("/", "_").lstrip(".") or "_") if labels else Path()
            fits = isinstance(content, bytes) and len(content) <= MOST_BYTES
            self._pictures[folder / f"row {len(self._pictures):07}"] = content if fits else None

    def sizes(self) -> dict[Path, int]:
        """The members, with the bytes of each; 0 for a row that holds no picture."""
        return {path: len(content or b"") for path, content in self._pictures.items()}

    def open(self, path: Path) -> IO[bytes]:
        """The bytes of a row."""
        return io.BytesIO(self._pictures[path] or b"")


@lru_cache(maxsize=1)
def rows_of(path: Path, _: int) -> Rows:
    """The rows of a file; the last one is kept until it changes."""
    return Rows(path)


def _names(metadata: dict[bytes, bytes] | None, label: str | None) -> list[str]:
    """The names of the classes, where Hugging Face's description of the file has them."""
    try:
        names = json.loads((metadata or {})[b"huggingface"])["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
    return names if isinstance(names, list) and all(isinstance(name, str) for name in names) else []
