"""Pictures in a zip archive, read where they lie: nothing is unpacked to a folder, so no name in it leads anywhere."""

import io
import stat
import zipfile
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import UserError

MOST_BYTES = 1 << 28
"""Of one packed picture, unpacked."""


class Archive:
    """The members of a zip archive by their path below the one folder that holds them all, if there is one. Raises UserError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(path)
            members = [info for info in self._zip.infolist() if not info.is_dir()]
        except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
            raise UserError(f"{path} cannot be read as a zip archive ({error}); give a whole one") from error
        tops = {PurePosixPath(info.filename).parts[:1] for info in members if not info.filename.startswith("__MACOSX/")}
        nested = len(tops) == 1 and all(len(PurePosixPath(info.filename).parts) > 1 for info in members)
        self.members = {Path(*PurePosixPath(info.filename).parts[nested:]): info for info in members}

    def fault(self, path: Path) -> str:
        """Why a member is no picture to read, before it is looked into; empty where nothing speaks against it."""
        info = self.members[path]
        if stat.S_ISLNK(info.external_attr >> 16):
            return "a link, which is not followed in an archive"
        if ".." in path.parts or path.is_absolute():
            return "its name leads out of the archive"
        if info.flag_bits & 1:
            return "encrypted"
        return f"{info.file_size:,} bytes, too large to be a picture" if info.file_size > MOST_BYTES else ""

    def open(self, path: Path) -> IO[bytes]:
        """A member, unpacked in memory: never more of it than it says it is. Raises one of several errors when it is torn."""
        return io.BytesIO(self._zip.read(self.members[path]))  # with its checksum
