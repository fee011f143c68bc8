"""The IDX format: a magic number, the dimensions, then the values.

Bytes 0-1 are zero, byte 2 is the type of the values (0x08: unsigned byte), byte 3 the number of
dimensions; each dimension follows as a big-endian 32-bit number, then the values, row by row.
"""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from flexpool.errors import DataError

__all__ = ["dimensions", "parse"]

_UNSIGNED_BYTE = 0x08
_MOST_DIMENSIONS = 4


def dimensions(content: bytes) -> tuple[int, ...] | None:
    """Read the dimensions that an IDX header announces.

    Args:
        content: the file, or as much of its beginning as there is.

    Returns:
        The dimensions, or None if this is no IDX file of unsigned bytes.

    Example:
        >>> dimensions(bytes([0, 0, 8, 2, 0, 0, 0, 5, 0, 0, 0, 7]))
        (5, 7)
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UNSIGNED_BYTE:
        return None
    count = content[3]
    if not 1 <= count <= _MOST_DIMENSIONS or len(content) < 4 + 4 * count:
        return None
    return struct.unpack_from(f">{count}I", content, 4)


def parse(content: bytes) -> npt.NDArray[np.uint8]:
    """Turn an IDX file of unsigned bytes into an array.

    Args:
        content: the whole file, decompressed.

    Returns:
        A read-only view of `content`; nothing is copied.

    Raises:
        DataError: if the magic number, the dimensions or the length is not that of such a file.

    Example:
        >>> parse(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30]))
        array([[10, 20, 30]], dtype=uint8)

    Reference:
        Y. LeCun, C. Cortes, C. Burges, "The MNIST database", http://yann.lecun.com/exdb/mnist/.
    """
    shape = dimensions(content)
    if shape is None:
        raise DataError(
            f"expected an IDX file of unsigned bytes, got one that begins with {content[:8]!r}"
        )
    start = 4 + 4 * len(shape)
    values = math.prod(shape)
    if len(content) - start != values:
        raise DataError(
            f"expected {values} values after an IDX header of {' x '.join(map(str, shape))}, "
            f"got {len(content) - start}"
        )
    return np.frombuffer(content, np.uint8, values, start).reshape(shape)
