"""The files of a folder of images by class, and which of them are for testing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from flexpool.errors import DataError, expected

__all__ = ["SUFFIXES", "TEST_SHARE", "Listing", "listing"]

SUFFIXES = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)

# Of each class, where a folder has no test images of its own.
TEST_SHARE = 0.2

_TRAIN, _TESTS = "train", ("test", "val", "valid", "validation")
_LAYOUT = (
    "Put the images into {folder}/train/CLASS and {folder}/test/CLASS, or into {folder}/CLASS "
    "alone."
)

Labelled = tuple[tuple[Path, int], ...]


@dataclass(frozen=True)
class Listing:
    """What lies in a folder of images by class; nothing was opened.

    Args:
        classes: names of the classes, sorted.
        train: files of training images, each with the number of its class.
        test: the same for testing.
        signature: changes when a file is added, removed, renamed or written.
    """

    classes: tuple[str, ...]
    train: Labelled
    test: Labelled
    signature: str


def listing(folder: Path) -> Listing:
    """List the images in a folder by class.

    ``train/CLASS/...`` and ``test/CLASS/...`` are taken as they are; ``test`` may also be called
    ``val``, ``valid`` or ``validation``, and the first of these counts. From ``CLASS/...`` alone a
    fifth of each class is set aside for testing. Which, a hash of each file's name decides: the
    same files wherever the folder lies, and images that are added later move few others.

    Raises:
        DataError: if there are no classes or only one, a class has too few images, or training and
            test images are not of the same classes.
    """
    if not folder.is_dir():
        instead = "Name a folder with a folder of images for each class."
        raise DataError(expected("folder:PATH", "to be an existing folder", str(folder), instead))
    test_folder = next((folder / name for name in _TESTS if (folder / name).is_dir()), None)
    if (folder / _TRAIN).is_dir():
        if test_folder is None:
            raise DataError(
                f"expected {folder / _TESTS[0]} beside {folder / _TRAIN}, got no such folder. To "
                f"have a share of the training images set aside, give folder:{folder / _TRAIN}"
            )
        train, test = _by_class(folder / _TRAIN), _by_class(test_folder)
        _same_classes(folder / _TRAIN, [*train], test_folder, [*test])
    else:
        train, test = {}, {}
        for name, paths in _by_class(folder).items():
            train[name], test[name] = _split(folder / name, name, paths)
    if len(train) < 2:
        found = f"only {next(iter(train))!r}" if train else "none"
        raise DataError(
            f"expected {folder} to hold a folder of images for each of two classes or more, got "
            f"{found}. {_LAYOUT.format(folder=folder)}"
        )
    return Listing(
        tuple(train),
        _labelled(train),
        _labelled(test),
        _signature(folder, [path for part in (train, test) for p in part.values() for path in p]),
    )


def _by_class(folder: Path) -> dict[str, list[Path]]:
    """Map the names of the folders in a folder to the images in each, however deep; sorted."""
    with _reading(folder):
        names = sorted(
            entry.name
            for entry in folder.iterdir()
            if entry.is_dir() and not entry.name.startswith(".")
        )
    found = {name: _images(folder / name) for name in names}
    if empty := [name for name, paths in found.items() if not paths]:
        raise DataError(
            f"expected each folder in {folder} to hold images ({', '.join(sorted(SUFFIXES))}), "
            f"got none in {', '.join(map(repr, empty))}. Remove it, or put images into it."
        )
    return found


def _images(folder: Path) -> list[Path]:
    found = []
    for place, folders, files in os.walk(folder, onerror=_refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            Path(place, name)
            for name in files
            if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
        ]
    return sorted(found, key=lambda path: path.relative_to(folder).as_posix())


def _split(folder: Path, name: str, paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Set a share of a class aside for testing: at least one image, and never all."""
    if len(paths) < 2:
        raise DataError(
            f"expected two images or more of each class, one of them to test with, got one in "
            f"{folder}: {paths[0].name}. Add images, or remove the folder."
        )
    aside = min(max(1, round(TEST_SHARE * len(paths))), len(paths) - 1)

    def draw(path: Path) -> str:
        place = f"{name}/{path.relative_to(folder).as_posix()}"
        return hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()

    test = set(sorted(paths, key=draw)[:aside])
    return [p for p in paths if p not in test], [p for p in paths if p in test]


def _same_classes(train: Path, first: list[str], test: Path, second: list[str]) -> None:
    for names, there, others, here in ((second, test, first, train), (first, train, second, test)):
        if more := [name for name in names if name not in others]:
            raise DataError(
                f"expected the same classes in {train} and {test}, got "
                f"{', '.join(map(repr, more))} in {there} and not in {here}"
            )


def _labelled(by_class: dict[str, list[Path]]) -> Labelled:
    return tuple((path, label) for label, p in enumerate(by_class.values()) for path in p)


def _signature(folder: Path, paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        with _reading(path):
            facts = path.stat()
        line = f"{path.relative_to(folder).as_posix()}\0{facts.st_size}\0{facts.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


class _reading:  # noqa: N801 - reads as a statement
    """Turn an OSError inside the block into a DataError about one path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            _refuse(error, self._path)


def _refuse(error: OSError, path: Path | None = None) -> None:
    raise DataError(f"cannot read {path or error.filename}: {error.strerror}") from None
