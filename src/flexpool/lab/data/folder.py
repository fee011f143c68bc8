"""A folder of images as a data set: a folder for each class, ``folder:PATH`` by name."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from flexpool.errors import ArgumentError, DataError, expected
from flexpool.lab.data import decoded, memory
from flexpool.lab.data.dataset import About, Dataset, assemble
from flexpool.lab.data.folder_files import Labelled, Listing, listing
from flexpool.lab.data.images import Header, header, pixels
from flexpool.lab.data.waiting import waiting

__all__ = ["PREFIX", "FolderSet", "short"]

PREFIX = "folder:"

_MOST_THREADS = 8
_LONGEST_NAME = 40

R = TypeVar("R")


def short(name: str) -> str:
    """Give a data set's name as a part of a file's name.

    Example:
        >>> short("mnist"), short("folder:/home/me/my pets")
        ('mnist', 'my_pets')
    """
    if not name.startswith(PREFIX):
        return name
    last = Path(name[len(PREFIX) :]).name
    return re.sub(r"[^\w.]+", "_", last).strip("._")[:_LONGEST_NAME] or "folder"


@dataclass(frozen=True)
class FolderSet:
    """The images in a folder, a folder for each class.

    Args:
        path: the folder.
        resize: height and width that the images will have in use, or None. Images of several
            sizes are brought there on reading, and so are those that hold more pixels than that;
            smaller ones of one size stay as they are.

    Raises:
        ArgumentError: if the path is empty.
    """

    path: Path
    resize: int | None = None

    @classmethod
    def named(cls, name: str, resize: int | None = None) -> FolderSet:
        """Read ``folder:PATH``; a relative path counts from where the program was started."""
        text = name[len(PREFIX) :]
        if not text:
            raise ArgumentError(
                expected("data", "to name a folder after 'folder:'", name, "Write folder:PATH.")
            )
        return cls(Path(text).expanduser().resolve(), resize)

    @property
    def name(self) -> str:
        """The name by which other processes find it, wherever they were started."""
        return f"{PREFIX}{self.path}"

    @cached_property
    def _files(self) -> Listing:
        return listing(self.path)

    @property
    def signature(self) -> str:
        """What changes when the folder's files do."""
        return self._files.signature

    @property
    def about(self) -> About:
        """What is known without reading more than one image's header."""
        files = self._files
        first = header(files.train[0][0])
        side = self.resize
        height, width = (first.height, first.width) if side is None else (side, side)
        return self._about(1 if first.grey else 3, height, width)

    def where(self, data_dir: Path | None) -> str:
        """Say where the data are."""
        return str(self.path)

    def load(self, data_dir: Path | None) -> Dataset:
        """Read the images, or take them from the cache if no file has changed since."""
        kept = decoded.find(self.path, self.resize, self.signature)
        if kept is not None:
            train, test = kept
        else:
            train, test = self._read()
            decoded.keep(self.path, self.resize, self.signature, train, test)
        about = self._about(*train.shape[1:])
        labels = [np.array([label for _, label in part]) for part in self._parts]
        return assemble(about, str(self.path), (train, labels[0]), (test, labels[1]))

    @property
    def _parts(self) -> tuple[Labelled, Labelled]:
        return self._files.train, self._files.test

    def _about(self, channels: int, height: int, width: int) -> About:
        files = self._files
        return About(
            name=self.name,
            train=len(files.train),
            test=len(files.test),
            shape=(channels, height, width),
            classes=files.classes,
            licence="your own",
            citation="none",
        )

    def _read(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        paths = [path for part in self._parts for path, _ in part]
        what = short(self.name)
        headers = _each(f"{what}: looking", header, paths)
        # Colour where at least half have it: grey can be shown in colours, not the other way.
        grey = sum(found.grey for found in headers) > len(headers) / 2
        height, width, changed = self._size(paths, headers)
        shape = (len(paths), 1 if grey else 3, height, width)
        memory.check(
            f"the {len(paths):,} images of {self.path}, each of "
            f"{' x '.join(map(str, shape[1:]))} bytes,",
            int(np.prod(shape, dtype=np.int64)),
            "Use fewer images, or bring them to fewer pixels with --resize.",
        )
        images = np.empty(shape, np.uint8)

        def fill(place: int) -> None:
            found = pixels(paths[place], grey, (height, width) if changed else None)
            if found.shape != shape[1:]:
                raise DataError(f"{paths[place]} was changed while it was read. Start again.")
            images[place] = found

        _each(f"{what}: reading", fill, range(len(paths)))
        count = len(self._files.train)
        return images[:count], images[count:]

    def _size(self, paths: Sequence[Path], headers: Sequence[Header]) -> tuple[int, int, bool]:
        """Decide on height and width, and whether images have to be brought there."""
        sizes = Counter((found.height, found.width) for found in headers)
        (usual, _), *others = sizes.most_common()
        side = self.resize
        if side is None and others:
            odd = next(n for n, f in enumerate(headers) if (f.height, f.width) != usual)
            raise DataError(
                f"expected the images of {self.path} to be of one size, got {len(sizes)} sizes: "
                f"{sizes[usual]} of {usual[0]} x {usual[1]} pixels, but {paths[odd]} of "
                f"{headers[odd].height} x {headers[odd].width}. Say with --resize to how many "
                "pixels in height and width to bring them all."
            )
        if side is not None and (others or usual[0] * usual[1] > side * side):
            return side, side, True
        return *usual, False


def _each(what: str, work: Callable[..., R], items: Sequence[object]) -> list[R]:
    """Do a work for each item in some threads, with a bar if it lasts; the first error ends it."""
    done = []
    with (
        ThreadPoolExecutor(min(_MOST_THREADS, os.cpu_count() or 1)) as pool,
        waiting(what, len(items)) as step,
    ):
        try:
            for result in pool.map(work, items):
                done.append(result)
                step(len(done))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return done
