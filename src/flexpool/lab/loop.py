"""What nets of every framework share while they are trained: the contract, scaling, the rate."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flexpool.errors import ArgumentError, StorageError, expected
from flexpool.lab.checkpoints import Sums
from flexpool.lab.data import Dataset
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import Recipe, RunConfig
from flexpool.lab.seeds import derive
from flexpool.numpy import TorchStream

__all__ = [
    "EVALUATION_BATCH",
    "Array",
    "OnBatch",
    "TrainingRun",
    "hold_out",
    "image_shape",
    "inputs_of",
    "rate",
    "scaling",
]

Array = np.ndarray[Any, Any]

# After each step: images of the epoch done, the sum of their losses, how many were right.
OnBatch = Callable[[int, Any, Any], None]

EVALUATION_BATCH = 250  # of 64 to 2500 the fastest for the LeNets on one thread, by a little


def scaling(name: str, images: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[float, float]:
    """Return (offset, scale) of one of ``SCALINGS``, from the training images.

    Example:
        >>> scaling("standard", np.array([0, 0, 4, 4], np.uint8))   # mean 2, deviation 2
        (2.0, 0.5)
    """
    if name == "raw":
        return 0.0, 1.0
    if name == "unit":
        return 0.0, 1 / 255
    counts = np.bincount(images.ravel(), minlength=256)
    values = np.arange(256)
    mean = float((counts * values).sum() / images.size)
    variance = float((counts * (values - mean) ** 2).sum() / images.size)
    return mean, 1 / math.sqrt(variance) if variance else 1.0


def rate(config: RunConfig | Recipe, epoch: int) -> float:
    """Give the learning rate of an epoch, the first of which is 1.

    Example:
        >>> from flexpool.lab.recipe import Recipe
        >>> steps = Recipe(lr=0.1, schedule="steps", milestones=(2, 3), epochs=4)
        >>> [round(rate(steps, epoch), 6) for epoch in (1, 2, 3, 4)]
        [0.1, 0.1, 0.01, 0.001]
        >>> cosine = Recipe(lr=0.1, schedule="cosine", epochs=4)
        >>> [round(rate(cosine, epoch), 6) for epoch in (1, 3)]    # the fifth would have 0
        [0.1, 0.05]
    """
    if config.schedule == "steps":
        return float(config.lr * config.drop ** sum(epoch > m for m in config.milestones))
    if config.schedule == "cosine":
        return config.lr * (1 + math.cos(math.pi * (epoch - 1) / config.epochs)) / 2
    return config.lr


def image_shape(resize: int | None, dataset: Dataset) -> tuple[int, int, int]:
    """Give channels, height and width of the images as the net gets them."""
    channels, height, width = dataset.train_images.shape[1:]
    return (channels, height, width) if resize is None else (channels, resize, resize)


def inputs_of(config: RunConfig | Recipe, dataset: Dataset) -> Inputs:
    """Give what a net takes and gives that is trained with these settings on this data."""
    image = image_shape(config.resize, dataset)
    return Inputs(image, dataset.classes, *scaling(config.scaling, dataset.train_images))


def hold_out(config: RunConfig, dataset: Dataset) -> tuple[Dataset, tuple[Array, Array] | None]:
    """Set some training images aside, the same for every run with the same seed.

    Returns:
        The data without them, and their images and labels; None if the run holds none out.

    Raises:
        ArgumentError: if of so few images that share is none, or all.
    """
    if not config.validation:
        return dataset, None
    n = len(dataset.train_images)
    count = round(config.validation * n)
    if not 0 < count < n:
        rule = f"to be a share of {n:,} images that leaves some on either side"
        raise ArgumentError(expected("validation", rule, config.validation))
    order = TorchStream(derive(config.seed, "validation")).permutation(n)
    held, left = np.sort(order[:count]), np.sort(order[count:])
    images, labels = dataset.train_images, dataset.train_labels
    rest = dataclasses.replace(dataset, train_images=images[left], train_labels=labels[left])
    return rest, (images[held], labels[held])


class TrainingRun:
    """A net, its optimiser and its data; each framework has its own kind.

    Args:
        config: what to train.
        dataset: the data of ``config.data``, without what is held out.
        held: images and labels that are held out, or None.

    Attributes:
        params: trainable numbers of the net.
        macs: multiply-adds of one image's forward pass.
        inputs: what the net takes and gives.
        confusion: of the last evaluation on the test images: how many of each class (a row) were
            taken for each class (a column).
    """

    params: int
    macs: int

    def __init__(
        self, config: RunConfig, dataset: Dataset, held: tuple[Array, Array] | None
    ) -> None:
        self.config, self.held = config, held
        self.inputs = inputs_of(config, dataset)
        classes = len(self.inputs.classes)
        self.confusion: Array = np.zeros((classes, classes), np.int64)

    def train_epoch(self, epoch: int, begin: Sums, on_batch: OnBatch) -> tuple[float, int]:
        """Train on every image once, or on those that are left.

        Args:
            epoch: the first is 1.
            begin: what is done of it: where it is restored amid an epoch, what ``on_batch`` said.
            on_batch: called after each step.

        Returns:
            The sum of the losses and the number of hits, of the whole epoch.
        """
        raise NotImplementedError

    def evaluate(self) -> tuple[float, float, float]:
        """Return mean loss, accuracy and top-2 accuracy over the test images."""
        raise NotImplementedError

    def validate(self) -> tuple[float, float]:
        """Return mean loss and accuracy over the images held out."""
        raise NotImplementedError

    def weights(self) -> dict[str, Array]:
        """Give a copy of what is kept of the net in the end."""
        raise NotImplementedError

    def state(self) -> dict[str, Array]:
        """Give all that the next batch depends on: ``model.*``, ``optimiser.*``, ``rng.*``."""
        raise NotImplementedError

    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        """Give the name of everything that ``state`` may give, with its shape; None: any."""
        raise NotImplementedError

    def restore(self, state: dict[str, Array]) -> None:
        """Take over what ``state`` gave, in another process perhaps.

        Raises:
            ValueError: if what concerns random numbers is no state of a generator.
        """
        raise NotImplementedError

    def check(self, tensors: dict[str, Array]) -> None:
        """Refuse what ``state`` cannot have given.

        Raises:
            StorageError: names the first tensor that is too many, missing or of another shape.
        """
        shapes = self.shapes()
        best = {f"best.{n[6:]}": s for n, s in shapes.items() if n.startswith("model.")}
        for name, array in tensors.items():
            if name not in shapes | best:
                raise StorageError(f"it has a tensor {name!r}, which {self.config.label} has not.")
            shape = (shapes | best)[name]
            if shape is not None and shape != array.shape:
                raise StorageError(f"its {name} has the shape {array.shape} instead of {shape}.")
        for name in shapes:
            if name.startswith(("model.", "rng.")) and name not in tensors:
                raise StorageError(f"it has no {name}.")
