"""Training one net of PyTorch: a lean loop over images that lie in memory on the device."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from flexpool.lab import nets, training
from flexpool.lab.batches import Images, evaluation_batch, net_input
from flexpool.lab.checkpoints import Sums
from flexpool.lab.data import Dataset
from flexpool.lab.devices import resolve_device
from flexpool.lab.loop import Array, OnBatch, TrainingRun, rate, scaling
from flexpool.lab.recipe import RunConfig
from flexpool.lab.recording import Recording
from flexpool.lab.seeds import derive
from flexpool.lab.store import Record, Store
from flexpool.lab.training import OnProgress

__all__ = [
    "Images",
    "evaluate",
    "evaluation_batch",
    "net_input",
    "resolve_device",
    "run",
    "scaling",
    "train_epoch",
]

_MOMENTS = ("exp_avg", "exp_avg_sq", "momentum_buffer")  # what an optimiser has of each parameter
_BEGINNING = Sums()
_NO_CHECKPOINTS = Recording(keep=0)
_SCALER = ("scale", "_growth_tracker")


def _forward(model: nn.Module, precision: str, device: str) -> Callable[[Tensor], Tensor]:
    """Give what computes a model's outputs in a precision; as float32, whatever that is."""
    if precision == "float32":
        return model
    kind, dtype = torch.device(device).type, getattr(torch, precision)

    def forward(x: Tensor) -> Tensor:
        with torch.autocast(kind, dtype):
            outputs: Tensor = model(x)
        return outputs.float()

    return forward


def train_epoch(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    images: Images,
    order: Tensor,
    batch_size: int,
    on_batch: Callable[[int, Tensor, Tensor], None] = lambda done, loss, correct: None,
    *,
    begin: Sums = _BEGINNING,
    precision: str = "float32",
    scaler: torch.amp.GradScaler | None = None,
) -> tuple[Tensor, Tensor]:
    """Train on every image once.

    Args:
        model: the net, in training mode, on the device of the images.
        optimiser: over the model's parameters.
        images: what to train on.
        order: the numbers of all images, in the order to see them; on their device.
        batch_size: images per step; the last step takes what is left.
        on_batch: called after each step with the images done and the sums returned so far.
        begin: what of the epoch is done already, so that these images are left out.
        precision: one of ``PRECISIONS``.
        scaler: of the loss, for gradients that would vanish in float16; None: none.

    Returns:
        The sum of the images' losses, and the number classified correctly while training; both
        stay on the device, so that a step never waits for them.
    """
    forward = _forward(model, precision, images.device)
    loss_sum = torch.tensor(begin.loss, dtype=torch.float32, device=images.device)
    correct = torch.tensor(begin.correct, device=images.device)
    done = begin.images
    for index in order[done:].split(batch_size) if done < len(order) else ():
        x, y = images.batch(index)
        logits = forward(x)
        loss = functional.cross_entropy(logits, y)
        optimiser.zero_grad()
        if scaler is None:
            loss.backward()
            optimiser.step()
        else:
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
        with torch.no_grad():
            loss_sum += loss * len(index)
            correct += (logits.argmax(1) == y).sum()
        done += len(index)
        on_batch(done, loss_sum, correct)
    return loss_sum, correct


@torch.no_grad()
def evaluate(
    model: nn.Module, images: Images, counts: Tensor | None = None, precision: str = "float32"
) -> tuple[float, float, float]:
    """Return mean loss, accuracy and top-2 accuracy of a model over all images.

    Args:
        model: the net, on the device of the images.
        images: what to evaluate it on.
        counts: int64 tensor of shape (classes, classes) on the device, or None: to it is added how
            many images of each class (a row) were taken for each class (a column).
        precision: one of ``PRECISIONS``.
    """
    model.eval()
    forward = _forward(model, precision, images.device)
    loss, top1, top2 = 0.0, 0, 0
    for index in torch.arange(len(images), device=images.device).split(images.evaluation_batch):
        x, y = images.batch(index)
        logits = forward(x)
        loss += functional.cross_entropy(logits, y, reduction="sum").item()
        taken = logits.topk(min(2, logits.shape[1]), dim=1).indices
        hits = taken == y[:, None]
        top1 += int(hits[:, 0].sum())
        top2 += int(hits.sum())
        if counts is not None:
            pairs = torch.bincount(y * len(counts) + taken[:, 0], minlength=counts.numel())
            counts += pairs.view_as(counts)
    model.train()
    n = len(images)
    return loss / n, top1 / n, top2 / n


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
        layout = nets.find(config.net).memory_format
        self.model.to(device=config.device, memory_format=layout)  # type: ignore[call-overload]
        self.optimiser = _optimiser(config, self.model)
        self.scaler = torch.amp.GradScaler("cuda") if config.precision == "float16" else None
        self.train_images = self._images(dataset.train_images, dataset.train_labels)
        self.test_images = self._images(dataset.test_images, dataset.test_labels)
        self.held_images = None if held is None else self._images(*held)
        self._drawn: dict[str, Array] = {}  # states of generators, for the epoch that goes on

    def _images(self, images: Array, labels: Array) -> Images:
        return Images(
            images,
            labels,
            offset=self.inputs.offset,
            scale=self.inputs.scale,
            device=self.config.device,
            resize=self.config.resize,
        )

    def train_epoch(self, epoch: int, begin: Sums, on_batch: OnBatch) -> tuple[float, int]:
        seed = derive(self.config.seed, "epoch", epoch)
        torch.manual_seed(seed)  # for layers that draw numbers; an epoch can start anywhere
        for group in self.optimiser.param_groups:
            group["lr"] = rate(self.config, epoch)
        n = len(self.train_images)
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
        if begin.images:
            self._go_on_drawing()
        loss, correct = train_epoch(
            self.model,
            self.optimiser,
            self.train_images,
            order.to(self.config.device),
            self.config.batch_size,
            on_batch,
            begin=begin,
            precision=self.config.precision,
            scaler=self.scaler,
        )
        return float(loss), int(correct)

    def _go_on_drawing(self) -> None:
        torch.set_rng_state(torch.from_numpy(self._drawn["rng.cpu"]))
        if "rng.cuda" in self._drawn:
            state = torch.from_numpy(self._drawn["rng.cuda"])
            torch.cuda.set_rng_state(state, self.config.device)

    def evaluate(self) -> tuple[float, float, float]:
        counts = torch.zeros(self.confusion.shape, dtype=torch.int64, device=self.config.device)
        found = evaluate(self.model, self.test_images, counts, self.config.precision)
        self.confusion = counts.cpu().numpy()
        return found

    def validate(self) -> tuple[float, float]:
        assert self.held_images is not None  # asked for only where some are held out
        return evaluate(self.model, self.held_images, None, self.config.precision)[:2]

    def weights(self) -> dict[str, Array]:
        return {name: t.numpy(force=True).copy() for name, t in self.model.state_dict().items()}

    def state(self) -> dict[str, Array]:
        tensors = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        for number, state in self.optimiser.state_dict()["state"].items():
            tensors |= {
                f"optimiser.{number}.{name}": t
                for name, t in state.items()
                if t is not None  # SGD without momentum has none
            }
        if self.scaler is not None:
            state = self.scaler.state_dict()
            tensors |= {f"scaler.{name}": torch.tensor(state[name]) for name in _SCALER}
        tensors["rng.cpu"] = torch.get_rng_state()
        if self.config.device != "cpu":
            tensors["rng.cuda"] = torch.cuda.get_rng_state(self.config.device)
        return {name: tensor.numpy(force=True) for name, tensor in tensors.items()}

    def shapes(self) -> dict[str, tuple[int, ...] | None]:
        found: dict[str, tuple[int, ...] | None] = {
            f"model.{name}": tuple(t.shape) for name, t in self.model.state_dict().items()
        }
        for number, parameter in enumerate(self.model.parameters()):
            found |= {f"optimiser.{number}.{name}": tuple(parameter.shape) for name in _MOMENTS}
            found[f"optimiser.{number}.step"] = ()
        found |= {f"scaler.{name}": () for name in _SCALER if self.scaler is not None}
        found["rng.cpu"] = tuple(torch.get_rng_state().shape)
        return found if self.config.device == "cpu" else found | {"rng.cuda": None}

    def restore(self, state: dict[str, Array]) -> None:
        parameters = list(self.model.parameters())
        model_state: dict[str, Tensor] = {}
        optimiser_state: dict[int, dict[str, Tensor]] = defaultdict(dict)
        scaler_state: dict[str, float] = {}
        for name, array in state.items():
            owner, _, rest = name.partition(".")
            tensor = torch.from_numpy(np.array(array))
            if owner == "model":
                model_state[rest] = tensor
            elif owner == "rng":
                self._drawn[name] = np.array(array)
            elif owner == "scaler":
                scaler_state[rest] = tensor.item()
            else:
                number, _, key = rest.partition(".")
                like = parameters[int(number)]
                if key != "step":
                    # The fused step walks memory: moments must lie in memory as the weights do.
                    tensor = torch.empty_like(like).copy_(tensor)
                optimiser_state[int(number)][key] = tensor
        self.model.load_state_dict(model_state)
        self.optimiser.load_state_dict(
            {**self.optimiser.state_dict(), "state": dict(optimiser_state)}
        )
        if self.scaler is not None:
            self.scaler.load_state_dict({**self.scaler.state_dict(), **scaler_state})
        self._go_on_drawing()  # what is no state of a generator is refused here


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
