"""A data set of four IDX files: in the user's folder, in the cache, or on the web."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

from flexpool.errors import DataError
from flexpool.lab.data import idx, published, verify
from flexpool.lab.data.dataset import About, Dataset, assemble
from flexpool.lab.data.fetch import Wanted, fetch
from flexpool.lab.data.locate import cache_folder, first_file
from flexpool.lab.data.published import PublishedFile

__all__ = ["IdxSet"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class IdxSet:
    """A published data set of four IDX files.

    Args:
        about: what is known of it.
        mirrors: addresses, ending in a slash, under which the ``.gz`` files lie.
        folders: where the files may lie under a data folder, with or without ``.gz``.
    """

    about: About
    mirrors: tuple[str, ...]
    folders: tuple[str, ...]

    def where(self, data_dir: Path | None) -> str:
        """Say where the files lie, and what has to be downloaded; looks only whether they exist."""
        folders, missing = [], 0
        for file in published.files_of(self.about.name):
            path = self._own(file, data_dir) or first_file([self._cached(file)])
            if path:
                folders.append(str(path.parent))
            else:
                missing += file.download
        if missing:
            folders.append(f"to be downloaded ({math.ceil(missing / 1e6)} MB)")
        return " and ".join(dict.fromkeys(folders))

    def load(self, data_dir: Path | None) -> Dataset:
        """Load the four files, each from the first place that has it, and verify them."""
        arrays, folders = [], []
        for file in published.files_of(self.about.name):
            content, folder = self._content(file, data_dir)
            arrays.append(idx.parse(content))
            folders.append(str(folder))
        train_images, train_labels, test_images, test_labels = arrays
        source = " and ".join(dict.fromkeys(folders))
        return assemble(
            self.about, source, (train_images, train_labels), (test_images, test_labels)
        )

    def _content(self, file: PublishedFile, data_dir: Path | None) -> tuple[bytes, Path]:
        if path := self._own(file, data_dir):
            return _read_own(path, file), path.parent
        cached = self._cached(file)
        if first_file([cached]):
            try:
                return verify.read(cached, file), cached.parent
            except verify.MismatchError as error:
                _log.warning("%s is %s; downloading it again", cached, error)
        wanted = Wanted(
            title=str(file),
            name=cached.name,
            mirrors=self.mirrors,
            target=cached,
            # Even stored uncompressed, a gzip file is hardly longer than its content.
            limit=file.size + file.size // 100 + 1024,
            check=lambda path: verify.read(path, file),
            by_hand=self._by_hand(file, data_dir),
        )
        return fetch(wanted), cached.parent

    def _by_hand(self, wanted: PublishedFile, data_dir: Path | None) -> str:
        missing = [
            f"{file.name}.gz"
            for file in published.files_of(self.about.name)
            if file == wanted or not (self._own(file, data_dir) or first_file([self._cached(file)]))
        ]
        return (
            f"To supply what is missing by hand, put {', '.join(missing)} into a folder "
            f"D/{self.folders[0]} and give D with --data-dir or in FLEXPOOL_DATA_DIR."
        )

    def _cached(self, file: PublishedFile) -> Path:
        return cache_folder() / self.about.name / f"{file.name}.gz"

    def _own(self, file: PublishedFile, data_dir: Path | None) -> Path | None:
        """Find a file under the user's data folder."""
        if data_dir is None:
            return None
        places = [data_dir / folder for folder in self.folders]
        if not self._is_anothers(data_dir):
            places.append(data_dir)
        return first_file(path for place in places for path in _names(place, file))

    def _is_anothers(self, folder: Path) -> bool:
        """Tell whether the files directly in a folder are those of another data set.

        All such sets use the same file names. The shortest file decides: it is read at once, and
        every set has its own.
        """
        files = published.files_of(self.about.name)
        shortest = min(files, key=lambda file: file.size)
        path = first_file(_names(folder, shortest))
        other = verify.recognise(path, shortest.size) if path else None
        return other is not None and other.dataset != self.about.name


def _names(folder: Path, file: PublishedFile) -> tuple[Path, Path]:
    return folder / f"{file.name}.gz", folder / file.name


def _read_own(path: Path, file: PublishedFile) -> bytes:
    try:
        return verify.read(path, file)
    except verify.MismatchError as error:
        raise DataError(
            f"expected {path} to hold the {file.holds} of {file.dataset} ({file.size} bytes "
            f"decompressed, SHA-256 {file.sha256[:8]}...), got {error}. "
            "Put an intact copy in its place, or remove it: it is then downloaded."
        ) from None
