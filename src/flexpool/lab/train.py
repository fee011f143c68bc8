"""Training one net: a lean loop over images that lie in memory on the device."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from flexpool.errors import ArgumentError, FlexpoolError
from flexpool.lab import nets
from flexpool.lab.data import Dataset
from flexpool.lab.environment import describe
from flexpool.lab.recipe import RunConfig
from flexpool.lab.seeds import derive
from flexpool.lab.store import Checkpoint, Epoch, Record, Store

__all__ = ["Images", "Progress", "resolve_device", "run", "train_epoch"]

_EVALUATION_BATCH = 250  # of 64 to 2500 the fastest for the LeNets on one thread, by a little
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


def resolve_device(name: str) -> str:
    """Turn ``auto``, ``cpu``, ``cuda`` or ``cuda:N`` into the device that is there.

    Raises:
        ArgumentError: if torch does not know the device or does not find it on this machine.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    if device.type not in ("cpu", "cuda"):
        raise ArgumentError(f"expected device to be auto, cpu, cuda or cuda:N, got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ArgumentError(
            f"expected device to be one that torch finds, got {name!r}, and torch finds "
            f"{torch.cuda.device_count()} CUDA devices here. Use device 'cpu'."
        )
    return str(device)


class Images:
    """Labelled images on the device, kept as bytes and scaled batch by batch.

    Args:
        images: uint8 array of shape (N, C, H, W).
        labels: int64 array of shape (N,).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
        device: torch's name of the device.
    """

    def __init__(
        self,
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.int64]],
        *,
        offset: float,
        scale: float,
        device: str,
    ) -> None:
        # Data sets are shared within the process and read-only: hence the copies.
        self._pixels = torch.from_numpy(images.copy()).to(device)
        self._labels = torch.from_numpy(labels.copy()).to(device)
        self._offset, self._scale = offset, scale
        self.device = device

    def __len__(self) -> int:
        return len(self._labels)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of the given numbers, scaled, as float32, with their labels."""
        x = self._pixels.index_select(0, index).float()
        if self._offset:
            x.sub_(self._offset)
        if self._scale != 1.0:
            x.mul_(self._scale)
        return x, self._labels.index_select(0, index)


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


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Images,
    order: Tensor,
    batch_size: int,
    on_batch: Callable[[int, Tensor, Tensor], None] = lambda done, loss, correct: None,
) -> tuple[Tensor, Tensor]:
    """Train on every image once.

    Args:
        model: the net, in training mode, on the device of the images.
        optimiser: over the model's parameters.
        images: what to train on.
        order: the numbers of all images, in the order to see them; on their device.
        batch_size: images per step; the last step takes what is left.
        on_batch: called after each step with the images done and the sums returned so far.

    Returns:
        The sum of the images' losses, and the number classified correctly while training; both
        stay on the device, so that a step never waits for them.
    """
    loss_sum = torch.zeros((), device=images.device)
    correct = torch.zeros((), dtype=torch.int64, device=images.device)
    done = 0
    for index in order.split(batch_size):
        x, y = images.batch(index)
        logits = model(x)
        loss = functional.cross_entropy(logits, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            loss_sum += loss * len(index)
            correct += (logits.argmax(1) == y).sum()
        done += len(index)
        on_batch(done, loss_sum, correct)
    return loss_sum, correct


@torch.no_grad()
def evaluate(model: nn.Module, images: Images) -> tuple[float, float, float]:
    """Return mean loss, accuracy and top-2 accuracy of a model over all images."""
    model.eval()
    loss, top1, top2 = 0.0, 0, 0
    for index in torch.arange(len(images), device=images.device).split(_EVALUATION_BATCH):
        x, y = images.batch(index)
        logits = model(x)
        loss += functional.cross_entropy(logits, y, reduction="sum").item()
        hits = logits.topk(min(2, logits.shape[1]), dim=1).indices == y[:, None]
        top1 += int(hits[:, 0].sum())
        top2 += int(hits.sum())
    model.train()
    n = len(images)
    return loss / n, top1 / n, top2 / n


def run(
    config: RunConfig,
    dataset: Dataset,
    store: Store,
    on_progress: OnProgress = lambda progress: None,
) -> Record:
    """Train one net to the end and keep the result, unless the store has it already.

    A run that was cut short goes on from its last checkpoint, to the same numbers as if it had
    never stopped. What a run breaks with is kept as its result; broken runs are tried again the
    next time.

    Args:
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
            with _threads(config.threads):
                return _Run(config, dataset, store, on_progress).finish()
        except FlexpoolError:
            raise  # the user's to mend: another run would meet the same
        except Exception as error:
            return failed(config, store, f"{type(error).__name__}: {error}")


def failed(config: RunConfig, store: Store, message: str) -> Record:
    """Keep the record of a run that broke."""
    record = Record(config, "error", message, environment=describe(config.device))
    store.publish(record, {})
    return record


class _Run:
    """The state of one training run between its epochs."""

    def __init__(
        self, config: RunConfig, dataset: Dataset, store: Store, on_progress: OnProgress
    ) -> None:
        image = dataset.train_images.shape[1:]
        self.config, self.store, self.on_progress = config, store, on_progress
        self.model = nets.build(
            config.net,
            config.downsampling,
            image=image,
            classes=len(dataset.classes),
            seed=config.seed,
        )
        self.params = nets.parameters(self.model)
        self.macs = nets.multiply_adds(self.model, image)
        # torch's CPU pooling and small convolutions are faster with channels last.
        self.model.to(device=config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=config.lr, fused=True)
        offset, scale = scaling(config.scaling, dataset.train_images)
        self.train_images, self.test_images = (
            Images(images, labels, offset=offset, scale=scale, device=config.device)
            for images, labels in (
                (dataset.train_images, dataset.train_labels),
                (dataset.test_images, dataset.test_labels),
            )
        )
        self.curve: tuple[Epoch, ...] = ()
        self._reported = self._kept = time.monotonic()

    def finish(self) -> Record:
        self._resume()
        status, message = self._train_remaining_epochs()
        record = Record(
            self.config,
            status,
            message,
            self.params,
            self.macs,
            self.curve,
            describe(self.config.device),
        )
        self.store.publish(record, self.model.state_dict())
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
        seed = derive(self.config.seed, "epoch", epoch)
        torch.manual_seed(seed)  # for layers that draw numbers; an epoch can start anywhere
        n = len(self.train_images)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))

        def on_batch(done: int, loss: Tensor, correct: Tensor) -> None:
            if time.monotonic() - self._reported > _SECONDS_BETWEEN_REPORTS:
                accuracy = self.curve[-1].test_accuracy if self.curve else float(correct) / done
                self._report(epoch - 1 + done / n, float(loss) / done, accuracy)

        started = time.perf_counter()
        loss, correct = train_epoch(
            self.model,
            self.optimiser,
            self.train_images,
            order.to(self.config.device),
            self.config.batch_size,
            on_batch,
        )
        train_loss, train_accuracy = float(loss) / n, int(correct) / n
        seconds = time.perf_counter() - started
        return Epoch(
            epoch, train_loss, train_accuracy, *evaluate(self.model, self.test_images), seconds
        )

    def _report(self, epochs: float, loss: float, accuracy: float) -> None:
        self._reported = time.monotonic()
        self.on_progress(Progress(self.config, epochs, loss, accuracy))

    def _keep(self) -> None:
        if time.monotonic() - self._kept < _SECONDS_BETWEEN_CHECKPOINTS:
            return
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{number}.{name}": t for name, t in state.items()}
        self.store.save_checkpoint(self.config, Checkpoint(self.curve, tensors))
        self._kept = time.monotonic()

    def _resume(self) -> None:
        checkpoint = self.store.load_checkpoint(self.config)
        if checkpoint is None:
            return
        parameters = list(self.model.parameters())
        model_state: dict[str, Tensor] = {}
        optimiser_state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in checkpoint.tensors.items():
            owner, _, rest = name.partition(".")
            if owner == "model":
                model_state[rest] = tensor
                continue
            number, _, key = rest.partition(".")
            like = parameters[int(number)]
            if tensor.shape == like.shape:
                # The fused step walks memory: its moments must lie in memory as the weights do.
                tensor = torch.empty_like(like).copy_(tensor)
            optimiser_state[int(number)][key] = tensor
        self.model.load_state_dict(model_state)
        self.optimiser.load_state_dict(
            {**self.optimiser.state_dict(), "state": dict(optimiser_state)}
        )
        self.curve = checkpoint.curve


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use this many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
