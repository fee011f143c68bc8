"""Reading a published file: never more of it than it should hold, and nothing that is not it."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path

from flexpool.errors import DataError
from flexpool.lab.data import idx, published
from flexpool.lab.data.published import PublishedFile

__all__ = ["MismatchError", "read", "recognise"]

_GZIP = b"\x1f\x8b"
_STEP = 1 << 20


class MismatchError(DataError):
    """A file is not the published one; the message says in short what it is instead."""


def read(path: Path, file: PublishedFile) -> bytes:
    """Read a file, decompressed, if it is the published one.

    Whether it is compressed is seen from its first bytes, not from its name. At most `file.size` +
    1 bytes are decompressed, whatever the file claims to hold.

    Args:
        path: the file to read.
        file: which file it should be.

    Raises:
        MismatchError: if it cannot be read or is another file, with what was found.
    """
    content = _decompress(path, file.size + 1)
    sha256 = hashlib.sha256(content).hexdigest()
    if len(content) == file.size and sha256 == file.sha256:
        return content
    raise MismatchError(_found(content, sha256, file))


def recognise(path: Path, limit: int) -> PublishedFile | None:
    """Tell which published file of at most `limit` bytes this is; None if it is none of them."""
    try:
        content = _decompress(path, limit + 1)
    except MismatchError:
        return None
    return published.whose(hashlib.sha256(content).hexdigest())


def _decompress(path: Path, most: int) -> bytes:
    content = bytearray()
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            if not packed:
                return raw.read(most)
            with gzip.GzipFile(fileobj=raw) as stream:
                # Piece by piece, so that a message can say how far a damaged file could be read.
                while piece := stream.read(min(_STEP, most - len(content))):
                    content += piece
    except EOFError:
        raise MismatchError(
            f"a gzip file that ends early, after {len(content)} readable bytes"
        ) from None
    except (zlib.error, gzip.BadGzipFile):
        raise MismatchError(
            f"a damaged gzip file, readable for about {len(content)} bytes"
        ) from None
    except OSError as error:
        raise MismatchError(
            f"a file that cannot be read ({error.strerror or type(error).__name__})"
        ) from None
    return bytes(content)


def _found(content: bytes, sha256: str, file: PublishedFile) -> str:
    """Describe a file that is not the one that was wanted, as exactly as its bytes allow."""
    if not content:
        return "an empty file"
    if other := published.whose(sha256):
        return f"the file of {other}"
    shape = idx.dimensions(content)
    if shape is None:
        return f"neither gzip nor IDX: it begins with {content[:12]!r}"
    if len(content) == file.size:
        return f"other content of the same length (SHA-256 {sha256[:8]}...)"
    header = f"an IDX header of {' x '.join(map(str, shape))}"
    whole = 4 + 4 * len(shape) + math.prod(shape)
    if whole != file.size and (others := published.announced(whole)):
        return f"{header}, as in {' or '.join(map(str, others))}"
    if len(content) > file.size:
        return f"{header} and more than {file.size} bytes"
    return f"{header} and only {len(content)} bytes"
