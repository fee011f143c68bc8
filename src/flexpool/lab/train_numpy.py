"""Training one net of :mod:`flexpool.numpy`, by the procedure of PyTorch's runs.

The same seed gives the same initial weights, to the last bit, and the same images in the same
order; the weights that are kept have PyTorch's names. So a run of either checks the other.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from flexpool.lab import training
from flexpool.lab.checkpoints import Sums
from flexpool.lab.data import Dataset
from flexpool.lab.loop import EVALUATION_BATCH, Array, OnBatch, TrainingRun, rate
from flexpool.lab.recipe import RunConfig
from flexpool.lab.recording import Recording
from flexpool.lab.seeds import derive
from flexpool.lab.store import Record, Store
from flexpool.lab.training import OnProgress
from flexpool.numpy import SGD, Adam, CrossEntropyLoss, Sequential, TorchStream, nets

__all__ = ["Images", "run"]

_NO_CHECKPOINTS = Recording(keep=0)


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
    recording: Recording = _NO_CHECKPOINTS,
) -> Record:
    """Train one net to the end and keep the result; see :func:`flexpool.lab.training.run`."""
    return training.run(_Run, _threads, config, dataset, store, on_progress, recording)


class _Run(TrainingRun):
    def __init__(
        self, config: RunConfig, dataset: Dataset, held: tuple[Array, Array] | None
    ) -> None:
        super().__init__(config, dataset, held)
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
        self.train_images = self._images(dataset.train_images, dataset.train_labels)
        self.test_images = self._images(dataset.test_images, dataset.test_labels)
        self.held_images = None if held is None else self._images(*held)
        self._drawn: dict[str, Array] = {}  # states of generators, for the epoch that goes on

    def _images(self, images: Array, labels: Array) -> Images:
        return Images(images, labels, offset=self.inputs.offset, scale=self.inputs.scale)

    def train_epoch(self, epoch: int, begin: Sums, on_batch: OnBatch) -> tuple[float, int]:
        seed = derive(self.config.seed, "epoch", epoch)
        self.net.reseed(seed)  # for layers that draw numbers; an epoch can start anywhere
        if begin.images:
            self._go_on_drawing()
        self.optimiser.lr = rate(self.config, epoch)
        order = TorchStream(seed).permutation(len(self.train_images))
        loss_sum, correct = begin.loss, begin.correct
        self.net.train()
        for done in range(begin.images, len(order), self.config.batch_size):
            index = order[done : done + self.config.batch_size]
            x, y = self.train_images.batch(index)
            logits = self.net(x)
            loss = self.loss(logits, y)
            self.net.backward(self.loss.backward())
            self.optimiser.step()
            loss_sum += loss * len(index)
            correct += int((logits.argmax(axis=1) == y).sum())
            on_batch(done + len(index), loss_sum, correct)
        return loss_sum, correct

    def evaluate(self) -> tuple[float, float, float]:
        self.confusion = np.zeros_like(self.confusion)
        return self._evaluate(self.test_images, self.confusion)

    def validate(self) -> tuple[float, float]:
        assert self.held_images is not None  # asked for only where some are held out
        return self._evaluate(self.held_images, np.zeros_like(self.confusion))[:2]

    def _evaluate(self, images: Images, counts: Array) -> tuple[float, float, float]:
        self.net.eval()
        summed = CrossEntropyLoss(reduction="sum")
        loss, top1, top2 = 0.0, 0, 0
        n = len(images)
        for begin in range(0, n, EVALUATION_BATCH):
            x, y = images.batch(slice(begin, begin + EVALUATION_BATCH))
            logits = self.net(x)
            loss += summed(logits, y)
            taken = np.argsort(logits, axis=1)[:, :-3:-1]
            hits = taken == y[:, None]
            top1 += int(hits[:, 0].sum())
            top2 += int(hits.sum())
            np.add.at(counts, (y, taken[:, 0]), 1)
        return loss / n, top1 / n, top2 / n

    def weights(self) -> dict[str, Array]:
        return {name: array.copy() for name, array in self.net.state_dict().items()}

    def state(self) -> dict[str, Array]:
        found = {f"model.{name}": array for name, array in self.net.state_dict().items()}
        for moment, arrays in self._moments().items():
            found |= {f"optimiser.{moment}.{name}": array for name, array in arrays.items()}
        if isinstance(self.optimiser, Adam):
            found["optimiser.steps"] = np.array(self.optimiser.steps)
        for name, layer in self._drawing():
            state = json.dumps(layer.rng.bit_generator.state).encode()
            found[name] = np.frombuffer(state, np.uint8)
        return found

    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        found: dict[str, tuple[int, ...] | None] = {
            f"model.{name}": array.shape for name, array in self.net.state_dict().items()
        }
        for moment in self._moments():
            for name, array in self.net.parameters.items():
                found[f"optimiser.{moment}.{name}"] = array.shape
        if isinstance(self.optimiser, Adam):
            found["optimiser.steps"] = ()
        return found | {name: None for name, _ in self._drawing()}

    def restore(self, state: dict[str, Array]) -> None:
        model = {}
        moments = self._moments()
        for name, array in state.items():
            owner, _, rest = name.partition(".")
            if owner == "model":
                model[rest] = np.array(array)
            elif owner == "rng":
                self._drawn[name] = np.array(array)
            elif isinstance(self.optimiser, Adam) and rest == "steps":
                self.optimiser.steps = int(array)
            else:
                moment, _, parameter = rest.partition(".")
                moments[moment][parameter] = np.array(array)
        self.net.load_state_dict(model)
        self._go_on_drawing()  # what is no state of a generator is refused here

    def _go_on_drawing(self) -> None:
        for name, layer in self._drawing():
            layer.rng.bit_generator.state = json.loads(self._drawn[name].tobytes())

    def _moments(self) -> dict[str, dict[str, Array]]:
        """Give what the optimiser has of each parameter."""
        optimiser = self.optimiser
        if isinstance(optimiser, SGD):
            return {"velocity": optimiser.velocity}
        return {"first": optimiser.first, "second": optimiser.second}

    def _drawing(self) -> Iterator[tuple[str, Any]]:
        """Give the layers that draw random numbers."""
        for number, (_, layer) in enumerate(self.net.layers()):
            if hasattr(layer, "rng"):
                yield f"rng.{number}", layer


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
