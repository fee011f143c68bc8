"""Generated programs in the user's cache: a file holds its text to the end, or is not there."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import shutil
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["cache_folder", "keep", "temporary_folder", "write_atomically"]


def cache_folder() -> Path:
    """Name the folder for what is generated: FLEXPOOL_CACHE_DIR, else the user's cache."""
    if chosen := os.environ.get("FLEXPOOL_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("flexpool")


def keep(path: Path, text: str) -> None:
    """Make sure that a file holds a text; write it where it is missing or damaged.

    Raises:
        OSError: if it has to be written and cannot be.

    Example:
        >>> program = Path(temporary_folder(os.getpid()), "program.py")
        >>> keep(program, "x = 1")
        >>> program.read_text()
        'x = 1'
    """
    content = text.encode()
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that other processes see the old content or the new, never a part.

    Raises:
        OSError: if it cannot be written. An old file at that path is then untouched.
    """
    # In the same folder, since a rename is atomic only inside one file system.
    spare = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
    try:
        spare.write_bytes(content)
        spare.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            spare.unlink(missing_ok=True)
        raise


@functools.lru_cache(maxsize=1)
def temporary_folder(process: int) -> Path:
    """Make the folder that stands in for a cache that cannot be written; it goes at exit.

    Args:
        process: the number of this process; a fork must not remove the folder of its parent.
    """
    folder = Path(tempfile.mkdtemp(prefix="flexpool-"))

    def remove() -> None:
        if os.getpid() == process:
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder
