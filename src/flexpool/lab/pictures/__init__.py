"""Pictures of one run: what its net saw, learned, makes of an image, and is wrong about."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flexpool.errors import ArgumentError, DataError, StorageError, called, expected
from flexpool.lab import checkpoints
from flexpool.lab import data as datasets
from flexpool.lab.data import Dataset
from flexpool.lab.data.waiting import waiting
from flexpool.lab.files import storing, write_atomically
from flexpool.lab.image_files import read_picture
from flexpool.lab.kept import Kept, load
from flexpool.lab.pictures.canvas import picture
from flexpool.lab.pictures.curves import curves
from flexpool.lab.pictures.filters import filters, first_filters
from flexpool.lab.pictures.maps import class_map_picture, class_maps, feature_maps, reductions
from flexpool.lab.pictures.predictions import confusion, count, mistakes
from flexpool.lab.store import Epoch, Store

__all__ = ["draw", "portrait"]

_PathLike = str | os.PathLike[str]

_CHUNK = 500


def draw(
    run: _PathLike,
    *,
    image: int | _PathLike = 0,
    to: _PathLike | None = None,
    out: _PathLike = "results",
    data_dir: _PathLike | None = None,
) -> list[Path]:
    """Draw the pictures of a trained net as PNG files.

    ``samples`` of the training images; ``curves``; ``filters`` of the first convolution;
    ``feature_maps`` before and after each downsampling, of one image; ``class_maps`` of the same
    image, if the net ends with the averages of a map for each class, as ``nin`` does; ``confusion``
    matrix and ``mistakes`` over all test images. What a run has not, is not drawn: a file of
    weights that is no checkpoint has no curves, a net without downsampling no feature maps.

    Args:
        run: what :func:`flexpool.lab.load` takes.
        image: the number of a test image, an int >= 0, or the path of an image file.
        to: the folder for the files, made if it is not there; None takes ``pictures`` in the folder
            of the run.
        out: folder of the results, where runs are looked for by name.
        data_dir: where to look for data files first.

    Returns:
        The files.

    Raises:
        ArgumentError: if no run is meant, or there is no such test image.
        DataError: if the data set is not there, was changed since, or the image cannot be read.
        StorageError: if a run is damaged, or a file cannot be written.

    Example:
        >>> import tempfile
        >>> from flexpool import lab
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = lab.train(epochs=1, out=folder, progress=False)
        ...     files = draw(record.config.id, out=folder)
        >>> [file.stem for file in files]
        ['samples', 'curves', 'filters', 'feature_maps', 'confusion', 'mistakes']
    """
    with called("pictures"):
        kept = load(run, out=out, data_dir=data_dir).of("torch")
        dataset = _data_of(kept, data_dir)
        curve = _curve_of(kept)
        drawn = _pictures(_Subject(kept, dataset, curve, *_image_of(kept, dataset, image)))
        folder = Path(to) if to is not None else _folder_of(kept) / "pictures"
        with storing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        files = []
        for name, make in drawn.items():
            content = make()
            if content is not None:
                files.append(folder / f"{name}.png")
                write_atomically(files[-1], content)
        return files


def portrait(kept: Kept, dataset: Dataset, most: int) -> bytes:
    """Draw filters, confusion matrix and mistakes of a net beside each other, for a report.

    Args:
        kept: the net.
        dataset: the data it was trained on.
        most: test images to try it on; the first ones are taken.

    Returns:
        A PNG file.
    """
    kept = kept.of("torch")
    images, labels = dataset.test_images[:most], dataset.test_labels[:most]
    probabilities = kept.predict(images)
    return picture(_side_by_side, kept, images, labels, probabilities, width=13.0, height=4.6)


def _side_by_side(
    figure: Any,
    kept: Kept,
    images: NDArray[Any],
    labels: NDArray[Any],
    probabilities: NDArray[Any],
) -> None:
    first, second, third = figure.subfigures(1, 3, width_ratios=[0.8, 1.1, 1.3])
    found = first_filters(kept.model)
    if found is not None:
        filters(first, *found, columns=math.ceil(math.sqrt(min(len(found[1]), 96))))
    confusion(second, count(labels, probabilities.argmax(1), len(kept.classes)), kept.classes)
    mistakes(third, images, labels, probabilities, kept.classes, most=15, columns=5)


@dataclass(frozen=True)
class _Subject:
    """All that is drawn: a net, its data and its curve; one image, and its class if it is known."""

    kept: Kept
    dataset: Dataset
    curve: tuple[Epoch, ...]
    image: NDArray[np.uint8]
    true: int | None


def _pictures(subject: _Subject) -> dict[str, Callable[[], bytes | None]]:
    """Map the names of the pictures to what draws them, or gives None where there is nothing."""
    return {
        "samples": lambda: datasets.draw(subject.dataset, 40, 0),
        "curves": lambda: _curves(subject),
        "filters": lambda: _filters(subject),
        "feature_maps": lambda: _feature_maps(subject),
        "class_maps": lambda: _class_maps(subject),
        **_over_the_test_images(subject),
    }


def _curves(subject: _Subject) -> bytes | None:
    if not subject.curve:
        return None
    config = subject.kept.config
    title = f"{config.label}, {datasets.short(config.data)}"
    return picture(curves, subject.curve, title, width=7.0, height=5.0)


def _filters(subject: _Subject) -> bytes | None:
    found = first_filters(subject.kept.model)
    if found is None:
        return None
    rows = -(-min(len(found[1]), 96) // 12)
    return picture(filters, *found, width=9.0, height=0.7 + 0.8 * rows)


def _feature_maps(subject: _Subject) -> bytes | None:
    found = reductions(subject.kept.model, subject.kept.prepare(subject.image[None]))
    if not found:
        return None
    return picture(feature_maps, subject.image, found, width=8.0, height=1.4 + 2.5 * len(found))


def _class_maps(subject: _Subject) -> bytes | None:
    kept = subject.kept
    maps = class_maps(kept.model, kept.prepare(subject.image[None]), len(kept.classes))
    if maps is None:
        return None
    rows = -(-(min(len(maps), 12) + 1) // 6)
    return picture(
        class_map_picture,
        subject.image,
        maps,
        kept.classes,
        subject.true,
        width=10.0,
        height=0.6 + 2.1 * rows,
    )


def _over_the_test_images(subject: _Subject) -> dict[str, Callable[[], bytes | None]]:
    """Two pictures of one evaluation, which the first of them makes."""
    dataset, classes = subject.dataset, subject.kept.classes
    images, labels = dataset.test_images, dataset.test_labels
    found: list[NDArray[np.float64]] = []

    def probabilities() -> NDArray[np.float64]:
        if not found:
            found.append(_evaluated(subject.kept, images))
        return found[0]

    def confused() -> bytes:
        counts = count(labels, probabilities().argmax(axis=1), len(classes))
        side = min(10.0, 3.5 + 0.3 * len(classes))
        return picture(confusion, counts, classes, width=side + 0.6, height=side)

    def mistaken() -> bytes:
        wrong = int((probabilities().argmax(axis=1) != labels).sum())
        rows = max(1, -(-min(wrong, 24) // 8))
        return picture(
            mistakes, images, labels, probabilities(), classes, width=11.0, height=0.6 + 1.75 * rows
        )

    return {"confusion": confused, "mistakes": mistaken}


def _evaluated(kept: Kept, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    parts = []
    with waiting("test images", len(images)) as step:
        for begin in range(0, len(images), _CHUNK):
            parts.append(kept.predict(images[begin : begin + _CHUNK]))
            step(begin + len(parts[-1]))
    return np.concatenate(parts)


def _data_of(kept: Kept, data_dir: _PathLike | None) -> Dataset:
    config = kept.config
    dataset = datasets.load(config.data, data_dir, config.resize)
    if dataset.fingerprint != config.data_fingerprint:
        raise DataError(
            f"expected the images of {config.data} that this run was trained on, got others: they "
            "were changed since. Bring them back, or train the net again."
        )
    return dataset


def _folder_of(kept: Kept) -> Path:
    """Find the folder of the run; that of the file if it is a file by itself."""
    own = kept.source.parent
    return own.parent if own.name == "checkpoints" else own


def _curve_of(kept: Kept) -> tuple[Epoch, ...]:
    """Give the epochs of a run, or those up to a checkpoint; none of other files of weights."""
    with suppress(StorageError):
        return checkpoints.read(kept.source).curve
    folder = _folder_of(kept).resolve()
    if folder.name != kept.config.folder or folder.parent.name != "runs":
        return ()
    record = Store(folder.parent.parent).find(kept.config)
    return record.curve if record else ()


def _image_of(
    kept: Kept, dataset: Dataset, image: int | _PathLike
) -> tuple[NDArray[np.uint8], int | None]:
    """Give the image to look at, (C, H, W), and its class if it is a test image."""
    if isinstance(image, str | os.PathLike):
        return read_picture(image, kept.inputs.image, invert=False)[0], None
    if isinstance(image, bool) or not isinstance(image, int):
        raise ArgumentError(expected("image", "to be an int or a path", image))
    if not 0 <= image < len(dataset.test_images):
        rule = f"to be the number of a test image, 0 to {len(dataset.test_images) - 1}"
        raise ArgumentError(expected("image", rule, image))
    return dataset.test_images[image], int(dataset.test_labels[image])
