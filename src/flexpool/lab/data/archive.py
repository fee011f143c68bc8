"""Reading a published tar.gz archive: the one it should be, and of it only the files asked for.

Nothing is written to disk: names inside an archive can point anywhere.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flexpool.errors import DataError
from flexpool.lab.data.verify import MismatchError

__all__ = ["Archive", "members"]

# A tar archive has a block of header before each file and fills its last block up.
_BLOCK = 512
_ROUNDING = 64 * _BLOCK


@dataclass(frozen=True)
class Archive:
    """A published archive, known by its SHA-256.

    Args:
        name: its file name.
        size: bytes, as it is downloaded.
        sha256: of the same, in hexadecimal.
        unpacked: more bytes than the files in it have together.
    """

    name: str
    size: int
    sha256: str
    unpacked: int

    def read(self, path: Path) -> bytes:
        """Read the archive, still packed, if the file is it.

        Raises:
            MismatchError: if it cannot be read or is another file, with what was found.
        """
        try:
            with path.open("rb") as file:
                content = file.read(self.size + 1)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise MismatchError(f"a file that cannot be read ({reason})") from None
        if not content:
            raise MismatchError("an empty file")
        if len(content) < self.size:
            raise MismatchError(f"only {len(content)} of {self.size} bytes")
        if len(content) > self.size:
            raise MismatchError(f"more than {self.size} bytes")
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != self.sha256:
            raise MismatchError(f"other content of the same length (SHA-256 {sha256[:8]}...)")
        return content


def members(content: bytes, sizes: Mapping[str, int], unpacked: int) -> dict[str, bytes]:
    """Take files out of a tar.gz archive in memory.

    Args:
        content: the archive.
        sizes: the files that are wanted, by their names in it, each with its bytes.
        unpacked: more bytes than all files of the archive have together; it is read no further.

    Returns:
        The content of each file that was asked for.

    Raises:
        DataError: if one is missing, is a link, or has another size, or if the archive is damaged
            or unpacks to more than it should.
    """
    found: dict[str, bytes] = {}
    limit = unpacked + _ROUNDING
    try:
        with (
            gzip.GzipFile(fileobj=io.BytesIO(content)) as stream,
            tarfile.open(fileobj=_Limited(stream, limit), mode="r|") as tar,
        ):
            for member in tar:
                if member.name not in sizes or member.name in found:
                    continue
                file = tar.extractfile(member) if member.isreg() else None
                if file is None or member.size != sizes[member.name]:
                    raise DataError(
                        f"expected {member.name} in the archive to be a file of "
                        f"{sizes[member.name]} bytes, got {_described(member)}"
                    )
                found[member.name] = file.read()
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"the archive is damaged: {error}") from None
    if missing := [name for name in sizes if name not in found]:
        raise DataError(f"expected {', '.join(missing)} in the archive, got none of that name")
    return found


def _described(member: tarfile.TarInfo) -> str:
    return f"one of {member.size} bytes" if member.isreg() else "a link or a folder"


class _Limited(io.RawIOBase):
    """Ends the reading of a stream that unpacks to more than it should."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream, self._left = stream, limit

    def read(self, size: int = -1) -> bytes:
        piece = self._stream.read(min(size, self._left + 1) if size >= 0 else self._left + 1)
        self._left -= len(piece)
        if self._left < 0:
            raise DataError("the archive unpacks to more than the published one")
        return piece
