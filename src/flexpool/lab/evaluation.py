"""How good a trained net is on a data set, its own or another."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import log_softmax
from sklearn.metrics import confusion_matrix

from flexpool.errors import DataError, called
from flexpool.lab import data as datasets
from flexpool.lab.confusion import Confusion
from flexpool.lab.data import Dataset
from flexpool.lab.kept import Kept, load
from flexpool.lab.statistics import Interval, wilson

__all__ = ["ClassResult", "Evaluation", "check_fits", "evaluate"]


@dataclass(frozen=True)
class ClassResult:
    """What came of the images of one class.

    Attributes:
        name: the class.
        n: how many images are of it.
        accuracy: the part of them that was classified so; None if there is none.
        ci95: Wilson's 95 % interval of that; None if there is none.
    """

    name: str
    n: int
    accuracy: float | None
    ci95: Interval | None


@dataclass(frozen=True)
class Evaluation:
    """What a net comes to on a data set's test images.

    Attributes:
        net: the run, in words.
        source: the file its weights come from.
        data: name of the data set.
        n: number of images.
        accuracy: part of them classified correctly.
        ci95: Wilson's 95 % interval of the accuracy, for other images of the same kind.
        top2: part of them whose class is among the two most probable.
        loss: mean cross entropy.
        classes: the accuracy of each.
        confusion: how many images of each class (rows) were classified as each (columns).
    """

    net: str
    source: str
    data: str
    n: int
    accuracy: float
    ci95: Interval | None
    top2: float
    loss: float
    classes: tuple[ClassResult, ...]
    confusion: Confusion

    def to_dict(self) -> dict[str, Any]:
        """Give all of it as plain values, for JSON."""
        return asdict(self) | {"confusion": [list(row) for row in self.confusion.counts]}


def evaluate(
    run: str | os.PathLike[str] | Kept,
    data: str | Dataset | None = None,
    *,
    out: str | os.PathLike[str] = "results",
    data_dir: str | os.PathLike[str] | None = None,
) -> Evaluation:
    """Evaluate a trained net on the test images of a data set.

    Args:
        run: what :func:`flexpool.lab.load` takes, or gives.
        data: name of the data set, or one that is loaded; None takes that of the run. It must have
            the net's classes, and images that the net takes.
        out: folder of the results.
        data_dir: where to look for data files first.

    Raises:
        ArgumentError: if no run is meant, or there is no data set of that name.
        DataError: if the data set has other classes or images, is damaged or cannot be had.
        StorageError: if the run's files cannot be read.

    Example:
        >>> import tempfile
        >>> from flexpool import lab
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     record = lab.train(epochs=2, out=folder, progress=False)
        ...     found = evaluate(record.config.id, out=folder)
        >>> found.n, found.accuracy == record.curve[-1].test_accuracy
        (540, True)
    """
    with called("evaluate"):
        net = run if isinstance(run, Kept) else load(run, out=out, data_dir=data_dir)
        name = net.config.data if data is None else data
        dataset = (
            name if isinstance(name, Dataset) else datasets.load(name, data_dir, net.config.resize)
        )
        check_fits(net, dataset)
        return _evaluated(net, dataset)


def check_fits(net: Kept, dataset: Dataset) -> None:
    """Refuse a data set whose images a net cannot take, or whose classes it does not know.

    Raises:
        DataError: if it is that.
    """
    inputs = net.inputs
    shape = dataset.test_images.shape[1:]
    free = net.config.resize is not None
    if shape[0] != inputs.image[0] or not (free or shape == inputs.image):
        raise DataError(
            f"expected images of {_size(inputs.image)} for {net.config.label}, and those of "
            f"{dataset.name} are of {_size(shape)}. Evaluate it on a data set like "
            f"{net.config.data}, or train a net on {dataset.name}."
        )
    if dataset.classes != inputs.classes:
        raise DataError(
            f"expected the classes {_listed(inputs.classes)} for {net.config.label}, and those of "
            f"{dataset.name} are {_listed(dataset.classes)}. Evaluate it on a data set like "
            f"{net.config.data}, or train a net on {dataset.name}."
        )


def _evaluated(net: Kept, dataset: Dataset) -> Evaluation:
    logits, labels = net.logits(dataset.test_images), dataset.test_labels
    n = len(labels)
    if n == 0:
        raise DataError(f"{dataset.name} has no test images.")
    order = np.argsort(-logits, axis=1, kind="stable")
    hits = order[:, :2] == labels[:, None]
    counts = confusion_matrix(labels, order[:, 0], labels=np.arange(len(net.classes)))
    confusion = Confusion.of(net.classes, counts)
    per_class = []
    for number, accuracy in enumerate(confusion.accuracies()):
        row = confusion.counts[number]
        interval = wilson(row[number], sum(row))
        per_class.append(ClassResult(net.classes[number], sum(row), accuracy, interval))
    right = int(hits[:, 0].sum())
    loss = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(n), labels].mean()
    return Evaluation(
        net=net.config.label,
        source=str(net.source),
        data=dataset.name,
        n=n,
        accuracy=right / n,
        ci95=wilson(right, n),
        top2=int(hits.sum()) / n,
        loss=float(loss),
        classes=tuple(per_class),
        confusion=confusion,
    )


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _listed(classes: tuple[str, ...]) -> str:
    more = f", ... ({len(classes)} in all)" if len(classes) > 10 else ""
    return ", ".join(classes[:10]) + more
