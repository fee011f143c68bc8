"""What training runs of every framework share: epochs, progress, checkpoints, the record."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from flexpool.errors import FlexpoolError
from flexpool.lab.data import Dataset
from flexpool.lab.environment import describe
from flexpool.lab.inputs import Inputs
from flexpool.lab.recipe import Recipe, RunConfig
from flexpool.lab.store import Checkpoint, Epoch, Record, Store

__all__ = [
    "EVALUATION_BATCH",
    "OnProgress",
    "Progress",
    "TrainingRun",
    "failed",
    "image_shape",
    "inputs_of",
    "rate",
    "run",
    "scaling",
]

EVALUATION_BATCH = 250  # of 64 to 2500 the fastest for the LeNets on one thread, by a little
_SECONDS_BETWEEN_REPORTS = 0.2
_SECONDS_BETWEEN_CHECKPOINTS = 5.0


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        config: the run.
        epochs: epochs done, a fraction of the present one included.
        loss: mean training loss of the present epoch so far.
        accuracy: test accuracy after the last full epoch; before that, of training so far.
    """

    config: RunConfig
    epochs: float
    loss: float
    accuracy: float


OnProgress = Callable[[Progress], None]


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


class TrainingRun:
    """The state of one training run between its epochs; each framework has its own kind.

    Args:
        config: what to train.
        dataset: the data of ``config.data``.
        store: where the result goes.
        on_progress: called a few times a second.

    Attributes:
        params: trainable numbers of the net.
        macs: multiply-adds of one image's forward pass.
        inputs: what the net takes and gives.
        curve: one row per epoch done.
    """

    params: int
    macs: int

    def __init__(
        self, config: RunConfig, dataset: Dataset, store: Store, on_progress: OnProgress
    ) -> None:
        self.config, self.store, self.on_progress = config, store, on_progress
        self.inputs = inputs_of(config, dataset)
        self.images_per_epoch = len(dataset.train_images)
        self.curve: tuple[Epoch, ...] = ()
        self._reported = self._kept = time.monotonic()

    def train_epoch(
        self, epoch: int, on_batch: Callable[[int, Any, Any], None]
    ) -> tuple[float, int]:
        """Train on every image once; return the sum of the losses and the number of hits."""
        raise NotImplementedError

    def evaluate(self) -> tuple[float, float, float]:
        """Return mean loss, accuracy and top-2 accuracy over the test images."""
        raise NotImplementedError

    def weights(self) -> dict[str, Any]:
        """Give what is kept of the net in the end."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Give all arrays that the next epoch depends on."""
        raise NotImplementedError

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state`` gave, in another process perhaps."""
        raise NotImplementedError

    def finish(self) -> Record:
        """Train the epochs that are left, and keep the result."""
        checkpoint = self.store.load_checkpoint(self.config)
        if checkpoint is not None:
            self.restore(checkpoint.tensors)
            self.curve = checkpoint.curve
        status, message = self._train_remaining_epochs()
        record = Record(
            self.config,
            status,
            message,
            self.params,
            self.macs,
            self.curve,
            describe(self.config.device),
            self.inputs,
        )
        self.store.publish(record, self.weights())
        return record

    def _train_remaining_epochs(self) -> tuple[Any, str]:
        while len(self.curve) < self.config.epochs:
            row = self._train_one_epoch(len(self.curve) + 1)
            self.curve += (row,)
            self._report(row.epoch, row.train_loss, row.test_accuracy)
            if not math.isfinite(row.train_loss):
                return "diverged", f"the training loss became {row.train_loss} in epoch {row.epoch}"
            self._keep()
        return "done", ""

    def _train_one_epoch(self, epoch: int) -> Epoch:
        n = self.images_per_epoch

        def on_batch(done: int, loss: Any, correct: Any) -> None:
            if time.monotonic() - self._reported > _SECONDS_BETWEEN_REPORTS:
                accuracy = self.curve[-1].test_accuracy if self.curve else float(correct) / done
                self._report(epoch - 1 + done / n, float(loss) / done, accuracy)

        started = time.perf_counter()
        loss, correct = self.train_epoch(epoch, on_batch)
        seconds = time.perf_counter() - started
        return Epoch(epoch, loss / n, correct / n, *self.evaluate(), seconds)

    def _report(self, epochs: float, loss: float, accuracy: float) -> None:
        self._reported = time.monotonic()
        self.on_progress(Progress(self.config, epochs, loss, accuracy))

    def _keep(self) -> None:
        if time.monotonic() - self._kept < _SECONDS_BETWEEN_CHECKPOINTS:
            return
        self.store.save_checkpoint(self.config, Checkpoint(self.curve, self.state(), self.inputs))
        self._kept = time.monotonic()


def run(
    kind: type[TrainingRun],
    threads: Callable[[int], AbstractContextManager[None]],
    config: RunConfig,
    dataset: Dataset,
    store: Store,
    on_progress: OnProgress,
) -> Record:
    """Train one net to the end and keep the result, unless the store has it already.

    A run that was cut short goes on from its last checkpoint, to the same numbers as if it had
    never stopped. What a run breaks with is kept as its result; broken runs are tried again the
    next time.

    Args:
        kind: the framework's kind of run.
        threads: lets the framework use a number of threads inside a block.
        config: what to train.
        dataset: the data of ``config.data``.
        store: where the result goes.
        on_progress: called a few times a second.

    Raises:
        StorageError: if the result cannot be written.
    """
    with store.claim(config):
        found = store.find(config)
        if found and found.status != "error":
            return found
        try:
            with threads(config.threads):
                return kind(config, dataset, store, on_progress).finish()
        except FlexpoolError:
            raise  # the user's to mend: another run would meet the same
        except Exception as error:
            return failed(config, store, f"{type(error).__name__}: {error}")


def failed(config: RunConfig, store: Store, message: str) -> Record:
    """Keep the record of a run that broke."""
    record = Record(config, "error", message, environment=describe(config.device))
    store.publish(record, {})
    return record
