"""Data sets for the laboratory, by name: found on disk or downloaded, verified, in NumPy arrays.

``folder:PATH`` names a folder of the user's own images by class. The published ones are looked for
in `data_dir` (or the folder in FLEXPOOL_DATA_DIR), then in the cache
(FLEXPOOL_CACHE_DIR, or the user's cache folder), then on the web.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from flexpool.errors import ArgumentError, called, expected
from flexpool.lab.data import registry
from flexpool.lab.data.dataset import Dataset
from flexpool.lab.data.folder import FolderSet, short
from flexpool.lab.data.locate import cache_folder, data_folder
from flexpool.lab.data.picture import draw
from flexpool.lab.options import check_int

__all__ = ["Dataset", "Row", "available", "draw", "load", "short", "show"]

_PathLike = str | os.PathLike[str]

# More would make an image taller than a screen shows and a browser likes.
_MOST = 400

_loaded: dict[tuple[object, ...], Dataset] = {}
_lock = threading.RLock()


@dataclass(frozen=True)
class Row:
    """A line of the list of data sets.

    Args:
        name: the name it is loaded by.
        train: number of training images.
        test: number of test images.
        shape: channels, height and width of an image.
        classes: names of the classes.
        where: "embedded", a folder, or "to be downloaded (12 MB)".
        licence: under which the data are published.
    """

    name: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    where: str
    licence: str


def load(name: str, data_dir: _PathLike | None = None, resize: int | None = None) -> Dataset:
    """Load a data set; the second time in a process costs nothing, and reads no file.

    Args:
        name: one of the names that `available` lists, or ``folder:PATH`` for the images in
            ``PATH/train/CLASS`` and ``PATH/test/CLASS``, or in ``PATH/CLASS`` alone, a fifth of
            which is then set aside for testing.
        data_dir: folder with the files; default: the one in FLEXPOOL_DATA_DIR, if any.
        resize: height and width that the images will have in use, an int > 0. Those of a folder
            are brought there on reading if they are of several sizes, or larger; all others are
            given as they are.

    Returns:
        The data set; its arrays are read-only and shared by all callers.

    Raises:
        ArgumentError: if there is no data set of that name, `data_dir` is not a path, or `resize`
            lies outside its domain.
        DataError: if `data_dir` does not exist, a file in it is not the published one, or a missing
            file cannot be downloaded; if a folder has fewer than two classes, or images that are
            damaged, of several sizes without `resize`, or too many for the memory.
        StorageError: if a download cannot be stored.

    Example:
        >>> data = load("digits")
        >>> data.train_images.shape, data.train_images.dtype, data.test_images.shape
        ((1257, 1, 28, 28), dtype('uint8'), (540, 1, 28, 28))
    """
    with called("data.load"):
        return _load(name, data_dir, resize)


def available(data_dir: _PathLike | None = None, names: Sequence[str] = ()) -> list[Row]:
    """List the data sets and where they are, without downloading or loading them.

    Args:
        data_dir: as for `load`.
        names: those to list, ``folder:PATH`` among them if wanted; none: all that have names.

    Raises:
        ArgumentError: if `data_dir` is not a path, or a name is unknown.
        DataError: if `data_dir` does not exist, or a folder that is named holds no classes.

    Example:
        >>> [row.where for row in available() if row.name == "digits"]
        ['embedded']
    """
    with called("data.available"):
        folder = data_folder(data_dir)
        return [
            Row(
                name=about.name,
                train=about.train,
                test=about.test,
                shape=about.shape,
                classes=about.classes,
                where=kind.where(folder),
                licence=about.licence,
            )
            for kind in map(registry.find, names or registry.KINDS)
            for about in [kind.about]
        ]


def show(
    name: str,
    data_dir: _PathLike | None = None,
    count: int = 40,
    seed: int = 0,
    resize: int | None = None,
) -> bytes:
    """Draw training images with their classes.

    Args:
        name: as for `load`.
        data_dir: as for `load`.
        count: number of images, 1..400; from the number of classes on, each class is present.
        seed: which images are drawn, an int >= 0.
        resize: as for `load`.

    Returns:
        A PNG file; the same bytes for the same arguments.

    Raises:
        ArgumentError: if `count` or `seed` lies outside its domain, or for the reasons of `load`.
        DataError: for the reasons of `load`.

    Example:
        >>> show("digits", count=10)[:4]
        b'\\x89PNG'
    """
    with called("data.show"):
        _check(count, seed)
        return draw(_load(name, data_dir, resize), count, seed)


def _load(name: str, data_dir: _PathLike | None, resize: int | None) -> Dataset:
    if not isinstance(name, str):
        raise ArgumentError(expected("name", "to be a str", name, "See data.available()."))
    if resize is not None:
        check_int("resize", resize)
    kind = registry.find(name, resize)
    folder = data_folder(data_dir)
    # The cache folder counts too, since it can be changed while the process runs.
    key: tuple[object, ...] = (name, folder, cache_folder())
    if isinstance(kind, FolderSet):  # whose files can be changed as well
        key = (kind, kind.signature)
    with _lock:
        if key not in _loaded:
            _loaded[key] = kind.load(folder)
        return _loaded[key]


def _check(count: int, seed: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= _MOST:
        raise ArgumentError(expected("count", f"to be an int in 1..{_MOST}", count))
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ArgumentError(expected("seed", "to be an int >= 0", seed))
