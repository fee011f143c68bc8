"""Training one net of :mod:`flexpool.numpy`, by the procedure of PyTorch's runs.

The same seed gives the same initial weights, to the last bit, and the same images in the same
order; the weights that are kept have PyTorch's names. So a run of either checks the other.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from flexpool.lab import loop
from flexpool.lab.data import Dataset
from flexpool.lab.loop import EVALUATION_BATCH, OnProgress, TrainingRun, rate
from flexpool.lab.recipe import RunConfig
from flexpool.lab.seeds import derive
from flexpool.lab.store import Record, Store
from flexpool.numpy import SGD, Adam, CrossEntropyLoss, Sequential, TorchStream, nets

__all__ = ["Images", "run"]

Array = np.ndarray[Any, Any]


class Images:
    """Labelled images, kept as bytes and scaled batch by batch.

    Args:
        images: uint8 array of shape (N, C, H, W).
        labels: int64 array of shape (N,).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
    """

    def __init__(self, images: Array, labels: Array, *, offset: float, scale: float) -> None:
        self._pixels, self._labels = images, labels
        self._offset, self._scale = np.float32(offset), np.float32(scale)

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, index: Any) -> tuple[Array, Array]:
        """Return the images of the given numbers, scaled, as float32, with their labels."""
        x = self._pixels[index].astype(np.float32)
        x -= self._offset
        x *= self._scale
        return x, self._labels[index]


def run(
    config: RunConfig,
    dataset: Dataset,
    store: Store,
    on_progress: OnProgress = lambda progress: None,
) -> Record:
    """Train one net to the end and keep the result; see :func:`flexpool.lab.loop.run`."""
    return loop.run(_Run, _threads, config, dataset, store, on_progress)


class _Run(TrainingRun):
    def __init__(
        self, config: RunConfig, dataset: Dataset, store: Store, on_progress: OnProgress
    ) -> None:
        super().__init__(config, dataset, store, on_progress)
        image = self.inputs.image
        self.net = nets.build(
            config.net,
            config.downsampling,
            image=image,
            classes=len(self.inputs.classes),
            rng=lambda name: TorchStream(derive(config.seed, "weights", name)),
            initialisation=config.initialisation,
        )
        self.params, self.macs = nets.parameters(self.net), nets.multiply_adds(self.net, image)
        self.loss, self.optimiser = CrossEntropyLoss(), _optimiser(config, self.net)
        self.train_images, self.test_images = (
            Images(images, labels, offset=self.inputs.offset, scale=self.inputs.scale)
            for images, labels in (
                (dataset.train_images, dataset.train_labels),
                (dataset.test_images, dataset.test_labels),
            )
        )

    def train_epoch(
        self, epoch: int, on_batch: Callable[[int, Any, Any], None]
    ) -> tuple[float, int]:
        seed = derive(self.config.seed, "epoch", epoch)
        self.net.reseed(seed)  # for layers that draw numbers; an epoch can start anywhere
        self.optimiser.lr = rate(self.config, epoch)
        order = TorchStream(seed).permutation(len(self.train_images))
        loss_sum, correct = 0.0, 0
        self.net.train()
        for begin in range(0, len(order), self.config.batch_size):
            index = order[begin : begin + self.config.batch_size]
            x, y = self.train_images.batch(index)
            logits = self.net(x)
            loss = self.loss(logits, y)
            self.net.backward(self.loss.backward())
            self.optimiser.step()
            loss_sum += loss * len(index)
            correct += int((logits.argmax(axis=1) == y).sum())
            on_batch(begin + len(index), loss_sum, correct)
        return loss_sum, correct

    def evaluate(self) -> tuple[float, float, float]:
        self.net.eval()
        summed = CrossEntropyLoss(reduction="sum")
        loss, top1, top2 = 0.0, 0, 0
        n = len(self.test_images)
        for begin in range(0, n, EVALUATION_BATCH):
            x, y = self.test_images.batch(slice(begin, begin + EVALUATION_BATCH))
            logits = self.net(x)
            loss += summed(logits, y)
            hits = np.argsort(logits, axis=1)[:, :-3:-1] == y[:, None]
            top1 += int(hits[:, 0].sum())
            top2 += int(hits.sum())
        return loss / n, top1 / n, top2 / n

    def weights(self) -> dict[str, Any]:
        return dict(self.net.state_dict())

    def state(self) -> dict[str, Any]:
        found = {f"net.{name}": array for name, array in self.net.state_dict().items()}
        optimiser = self.optimiser
        if isinstance(optimiser, SGD):
            return found | {f"velocity.{name}": array for name, array in optimiser.velocity.items()}
        found |= {f"first.{name}": array for name, array in optimiser.first.items()}
        found |= {f"second.{name}": array for name, array in optimiser.second.items()}
        return found | {"steps": np.array(optimiser.steps)}

    def restore(self, state: dict[str, Any]) -> None:
        parts: dict[str, dict[str, Array]] = defaultdict(dict)
        for name, array in state.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = np.array(array)
        self.net.load_state_dict(parts["net"])
        optimiser = self.optimiser
        if isinstance(optimiser, SGD):
            optimiser.velocity = parts["velocity"]
            return
        optimiser.first, optimiser.second = parts["first"], parts["second"]
        optimiser.steps = int(parts["steps"][""])


def _optimiser(config: RunConfig, net: Sequential) -> SGD | Adam:
    if config.optimiser == "sgd":
        return SGD(net, config.lr, config.momentum, config.weight_decay)
    return Adam(net, config.lr, weight_decay=config.weight_decay)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let NumPy's products and flexpool's kernels use this many threads inside the block."""
    torch: Any = sys.modules.get("torch")  # whose number kernels take where it is loaded
    before = os.environ.get("NUMBA_NUM_THREADS"), torch and torch.get_num_threads()
    os.environ["NUMBA_NUM_THREADS"] = str(count)
    if torch:
        torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        if before[0] is None:
            del os.environ["NUMBA_NUM_THREADS"]
        else:
            os.environ["NUMBA_NUM_THREADS"] = before[0]
        if torch:
            torch.set_num_threads(before[1])
