"""Which folders to look in: the user's data folder and the cache."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from flexpool.errors import ArgumentError, DataError, expected

__all__ = ["cache_folder", "data_folder", "first_file"]

_FOLDER = "FLEXPOOL_DATA_DIR"
_CACHE = "FLEXPOOL_CACHE_DIR"


def data_folder(data_dir: str | os.PathLike[str] | None) -> Path | None:
    """Resolve the folder in which the user keeps data.

    Args:
        data_dir: the folder; default: the environment variable FLEXPOOL_DATA_DIR.

    Returns:
        An absolute path, or None if neither names a folder.

    Raises:
        ArgumentError: if `data_dir` is not a path.
        DataError: if the folder does not exist.
    """
    what = "data_dir"
    if data_dir is None:
        what, data_dir = _FOLDER, os.environ.get(_FOLDER) or None
        if data_dir is None:
            return None
    if not isinstance(data_dir, (str, os.PathLike)) or not os.fspath(data_dir):
        raise ArgumentError(
            expected("data_dir", "to be the path of a folder", data_dir, "Leave it out for none.")
        )
    folder = Path(data_dir).expanduser().resolve()
    if not folder.is_dir():
        raise DataError(
            expected(
                what,
                "to be an existing folder",
                str(data_dir),
                "Create it, or leave it out: the data are then downloaded.",
            )
        )
    return folder


def cache_folder() -> Path:
    """Name the folder for downloads: FLEXPOOL_CACHE_DIR, else the user's cache. Creates nothing."""
    if chosen := os.environ.get(_CACHE):
        return Path(chosen).expanduser().resolve()
    import pooch

    return Path(pooch.os_cache("flexpool"))


def first_file(paths: Iterable[Path]) -> Path | None:
    """Return the first of the paths that is a file, or None.

    Raises:
        DataError: if a folder may not be read.
    """
    for path in paths:
        try:
            if path.is_file():
                return path
        except OSError as error:
            raise DataError(
                f"expected {path.parent} to be readable, got: {error.strerror}. "
                "Allow reading it, or leave it out: the data are then downloaded."
            ) from None
    return None
