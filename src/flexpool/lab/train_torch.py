"""Training one net of PyTorch: a lean loop over images that lie in memory on the device."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from flexpool.errors import ArgumentError
from flexpool.lab import loop, nets
from flexpool.lab.data import Dataset
from flexpool.lab.loop import (
    EVALUATION_BATCH,
    OnProgress,
    Progress,
    TrainingRun,
    rate,
    scaling,
)
from flexpool.lab.recipe import RunConfig
from flexpool.lab.seeds import derive
from flexpool.lab.store import Record, Store

__all__ = [
    "Images",
    "Progress",
    "evaluate",
    "evaluation_batch",
    "net_input",
    "resolve_device",
    "run",
    "scaling",
    "train_epoch",
]

_EVALUATION_PIXELS = 250 * 80 * 80


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


def net_input(pixels: Tensor, offset: float, scale: float, resize: int | None) -> Tensor:
    """Make what a net takes from bytes: scaled, of float32, of another size if asked for.

    Args:
        pixels: uint8 of shape (N, C, H, W).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
        resize: height and width to bring images to, by linear interpolation; None leaves them.

    Example:
        >>> net_input(torch.tensor([[[[0, 4]]]], dtype=torch.uint8), 2.0, 0.5, None)
        tensor([[[[-1.,  1.]]]])
    """
    x = pixels.float()
    if offset:
        x.sub_(offset)
    if scale != 1.0:
        x.mul_(scale)
    if resize is not None:
        # Linear, with the sources of each pixel weighted down where images become smaller.
        x = functional.interpolate(x, (resize, resize), mode="bilinear", antialias=True)
    return x


def evaluation_batch(height: int, width: int) -> int:
    """Give how many images to evaluate at once: fewer of large ones, which fill the memory."""
    return max(1, min(EVALUATION_BATCH, _EVALUATION_PIXELS // (height * width)))


class Images:
    """Labelled images on the device, kept as bytes and scaled batch by batch.

    Args:
        images: uint8 array of shape (N, C, H, W).
        labels: int64 array of shape (N,).
        offset: subtracted from each pixel.
        scale: then multiplied with it.
        device: torch's name of the device.
        resize: height and width to which each batch is brought, by linear interpolation, on the
            device and not before; None leaves images as they are.
    """

    def __init__(
        self,
        images: np.ndarray[Any, np.dtype[np.uint8]],
        labels: np.ndarray[Any, np.dtype[np.int64]],
        *,
        offset: float,
        scale: float,
        device: str,
        resize: int | None = None,
    ) -> None:
        # Data sets are shared within the process and read-only: hence the copies.
        self._pixels = torch.from_numpy(images.copy()).to(device)
        self._labels = torch.from_numpy(labels.copy()).to(device)
        self._offset, self._scale = offset, scale
        self.device, self._resize = device, resize

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def evaluation_batch(self) -> int:
        """How many of them to evaluate at once."""
        side = self._resize
        height, width = self._pixels.shape[2:] if side is None else (side, side)
        return evaluation_batch(height, width)

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images of the given numbers, scaled, as float32, with their labels."""
        pixels = self._pixels.index_select(0, index)
        x = net_input(pixels, self._offset, self._scale, self._resize)
        return x, self._labels.index_select(0, index)


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
    for index in torch.arange(len(images), device=images.device).split(images.evaluation_batch):
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
    """Train one net to the end and keep the result; see :func:`flexpool.lab.loop.run`."""
    return loop.run(_Run, _threads, config, dataset, store, on_progress)


class _Run(TrainingRun):
    def __init__(
        self, config: RunConfig, dataset: Dataset, store: Store, on_progress: OnProgress
    ) -> None:
        super().__init__(config, dataset, store, on_progress)
        self.model = nets.build(
            config.net,
            config.downsampling,
            image=self.inputs.image,
            classes=len(self.inputs.classes),
            seed=config.seed,
            initialisation=config.initialisation,
        )
        self.params = nets.parameters(self.model)
        self.macs = nets.multiply_adds(self.model, self.inputs.image)
        # torch's CPU pooling and small convolutions are faster with channels last.
        self.model.to(device=config.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimiser = _optimiser(config, self.model)
        self.train_images, self.test_images = (
            Images(
                images,
                labels,
                offset=self.inputs.offset,
                scale=self.inputs.scale,
                device=config.device,
                resize=config.resize,
            )
            for images, labels in (
                (dataset.train_images, dataset.train_labels),
                (dataset.test_images, dataset.test_labels),
            )
        )

    def train_epoch(
        self, epoch: int, on_batch: Callable[[int, Any, Any], None]
    ) -> tuple[float, int]:
        seed = derive(self.config.seed, "epoch", epoch)
        torch.manual_seed(seed)  # for layers that draw numbers; an epoch can start anywhere
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.config, epoch)
        n = len(self.train_images)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        loss, correct = train_epoch(
            self.model,
            self.optimiser,
            self.train_images,
            order.to(self.config.device),
            self.config.batch_size,
            on_batch,
        )
        return float(loss), int(correct)

    def evaluate(self) -> tuple[float, float, float]:
        return evaluate(self.model, self.test_images)

    def weights(self) -> dict[str, Any]:
        return self.model.state_dict()

    def state(self) -> dict[str, Any]:
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser.{number}.{name}": t
                for name, t in state.items()
                if t is not None  # SGD without momentum has none
            }
        return tensors

    def restore(self, state: dict[str, Any]) -> None:
        parameters = list(self.model.parameters())
        model_state: dict[str, Tensor] = {}
        optimiser_state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        for name, tensor in state.items():
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


def _optimiser(config: RunConfig, model: nn.Module) -> torch.optim.Optimizer:
    weights, decay = model.parameters(), config.weight_decay
    if config.optimiser == "sgd":
        return torch.optim.SGD(weights, config.lr, config.momentum, weight_decay=decay, fused=True)
    return torch.optim.Adam(weights, config.lr, weight_decay=decay, fused=True)


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """Let torch use this many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
