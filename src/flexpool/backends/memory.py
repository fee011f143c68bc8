"""Memory for large results, kept when a result is dropped and given to the next of its size.

The system clears each page of new memory when it is first touched, and takes all of it back when
the array is dropped. For a result of 100 MB that costs several times what the pooling itself does.
So a few blocks are kept, at most ``FLEXPOOL_KEEP_MEMORY`` MiB in all (256 unless that environment
variable says otherwise, 0 for none); whoever gets one overwrites it.
"""

from __future__ import annotations

import contextlib
import functools
import math
import mmap
import os
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["array", "idle_bytes", "maker", "release"]

# The C library keeps smaller ones itself.
LEAST_BYTES = 1 << 20

# Oldest first. A dropped array gives its block back from whatever thread drops it, even in the
# middle of the functions below; so all they use are operations of a deque that cannot be split.
_idle: deque[mmap.mmap] = deque()


def array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Make an array, C-contiguous, of whatever values; as ``np.empty``.

    The block it lies in is used again only when the array, and every view of it that NumPy, PyTorch
    or another library made, is gone.

    Example:
        >>> array((2, 3), "float32").shape
        (2, 3)
    """
    made = np.dtype(dtype)
    size = math.prod(shape) * made.itemsize
    if size < LEAST_BYTES or not _most_idle():
        return np.empty(shape, made)
    block = _taken(size) or _new(size)
    # The array lies in a buffer that is no array, so its views keep the array itself alive.
    result: np.ndarray = np.ndarray(shape, made, block)
    weakref.finalize(result, _give_back, block).atexit = False
    return result


def maker(shape: tuple[int, ...], dtype: Any) -> Callable[[], np.ndarray]:
    """Make a function that makes such arrays, without looking again at what is always the same.

    Example:
        >>> maker((2, 3), "float32")().shape
        (2, 3)
    """
    made = np.dtype(dtype)
    small = math.prod(shape) * made.itemsize < LEAST_BYTES
    return functools.partial(np.empty if small else array, shape, made)


def idle_bytes() -> int:
    """Count the bytes that are kept for results to come."""
    return sum(len(block) for block in tuple(_idle))


def release() -> None:
    """Return what is kept to the system."""
    _idle.clear()


def _most_idle() -> int:
    text = os.environ.get("FLEXPOOL_KEEP_MEMORY", "")
    return (int(text) if text.isdecimal() else 256) << 20


def _new(size: int) -> mmap.mmap:
    if not hasattr(mmap, "MAP_PRIVATE"):  # Windows
        return mmap.mmap(-1, size)
    # Private: a forked process must not write into its parent's results.
    block = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux: fewer and larger pages, where it has them
        with contextlib.suppress(OSError):
            block.madvise(mmap.MADV_HUGEPAGE)
    return block


def _taken(size: int) -> mmap.mmap | None:
    """Take out an idle block of just this size."""
    for _ in range(len(_idle)):
        try:
            block = _idle.popleft()
        except IndexError:
            break
        if len(block) == size:
            return block
        _idle.append(block)
    return None


def _give_back(block: mmap.mmap) -> None:
    _idle.append(block)
    while idle_bytes() > _most_idle():
        try:
            _idle.popleft()
        except IndexError:
            break
