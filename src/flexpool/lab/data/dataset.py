"""What a data set is once it is loaded, and what every kind of data set must be able to do."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from flexpool.errors import DataError

__all__ = ["About", "Dataset", "Kind", "assemble"]


@dataclass(frozen=True)
class About:
    """What is known about a data set before it is loaded."""

    name: str
    train: int
    test: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    licence: str
    citation: str


# Comparing by == would compare arrays; two data sets are the same if their fingerprints are.
@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set in memory: images as stored (uint8, 0..255) and their classes.

    The arrays are read-only, since all callers share them. `torch.tensor(images)` copies them;
    `torch.from_numpy` would share the memory and warns.

    Args:
        name: the name it is loaded by.
        train_images: uint8, (N, C, H, W).
        train_labels: int64, (N,), each the position of a name in `classes`.
        test_images: as `train_images`.
        test_labels: as `train_labels`.
        classes: names of the classes.
        fingerprint: SHA-256 of the four arrays, in hexadecimal.
        source: where the data were found, for display.
        licence: under which the data are published.
        citation: what to cite.
    """

    name: str
    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    fingerprint: str
    source: str
    licence: str
    citation: str


class Kind(Protocol):
    """A data set that can be loaded by name; one instance per name stands in the registry."""

    @property
    def about(self) -> About:
        """What is known without loading."""

    def where(self, data_dir: Path | None) -> str:
        """Say for display where the data are, without loading or downloading them."""

    def load(self, data_dir: Path | None) -> Dataset:
        """Load the data, verified."""


def assemble(
    about: About,
    source: str,
    train: tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]],
    test: tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer]],
) -> Dataset:
    """Check images and labels against what is known of the data set, and put them together.

    Args:
        about: what the data set should be.
        source: where it was found, for display.
        train: images of shape (N, H, W) or (N, C, H, W), and N labels.
        test: the same for the test set.

    Raises:
        DataError: if a number of images, a shape or a label is not as announced.
    """
    train_images, train_labels = _part(about, "training", about.train, *train)
    test_images, test_labels = _part(about, "test", about.test, *test)
    return Dataset(
        name=about.name,
        train_images=train_images,
        train_labels=train_labels,
        test_images=test_images,
        test_labels=test_labels,
        classes=about.classes,
        fingerprint=_fingerprint(train_images, train_labels, test_images, test_labels),
        source=source,
        licence=about.licence,
        citation=about.citation,
    )


def _part(
    about: About,
    part: str,
    count: int,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    if images.ndim == 3:
        images = images[:, None]
    if images.shape != (count, *about.shape) or images.dtype != np.uint8:
        raise DataError(
            f"expected the {part} images of {about.name} to be uint8 of shape "
            f"{(count, *about.shape)}, got {images.dtype} of shape {images.shape}"
        )
    if labels.shape != (count,):
        raise DataError(f"expected {count} {part} labels of {about.name}, got shape {labels.shape}")
    whole = labels.astype(np.int64)
    wrong = whole[(whole < 0) | (whole >= len(about.classes))]
    if wrong.size:
        raise DataError(
            f"expected the {part} labels of {about.name} to lie in 0..{len(about.classes) - 1}, "
            f"got {wrong[0]}"
        )
    for array in (images, whole):
        array.setflags(write=False)
    return images, whole


def _fingerprint(*arrays: npt.NDArray[np.uint8] | npt.NDArray[np.int64]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        # Little-endian by name, so that every machine arrives at the same number.
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        digest.update(f"{little.dtype.str} {little.shape};".encode())
        digest.update(little.data)
    return digest.hexdigest()
