"""Files that are complete or not there: writing that survives a crash and says why it failed."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flexpool.errors import StorageError

__all__ = ["storing", "write_atomically"]

_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn every OSError raised inside the block into a StorageError about one path.

    Args:
        path: the file or folder being written; the message names it.

    Raises:
        StorageError: names the path and the reason; a full disk gets its own advice.

    Example:
        >>> with storing(Path("there")):
        ...     raise PermissionError(13, "Permission denied")
        Traceback (most recent call last):
        ...
        flexpool.errors.StorageError: cannot write there: Permission denied. Choose a folder ...
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        cure = "Choose a folder that exists and that you may write to."
        if error.errno in _FULL:
            cure = "The disk is full: free some space and run again; finished files are kept."
        raise StorageError(f"cannot write {path}: {reason}. {cure}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    Args:
        path: the file to write or replace; its folder must exist.
        content: what the file is to hold.

    Raises:
        StorageError: if it cannot be written. An old file at that path is then untouched.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "note.txt"), b"done")
        ...     Path(folder, "note.txt").read_bytes()
        b'done'
    """
    # In the same folder, since a rename is atomic only inside one file system. Opened by hand and
    # not by tempfile, whose files only their owner may read: a shared results folder must stay so.
    spare = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    with storing(path):
        try:
            with spare.open("xb") as stream:
                stream.write(content)
                stream.flush()
                # Without it a power cut could leave the new name on an empty file.
                os.fsync(stream.fileno())
            spare.replace(path)
        except BaseException:
            spare.unlink(missing_ok=True)
            raise
