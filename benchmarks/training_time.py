"""Training time of an epoch: the laboratory beside the same recipe written in the ordinary ways.

One epoch of LeNet-5 on MNIST, batch 64, Adam with rate 0.001, pixels minus their mean over their
standard deviation. The ordinary way in PyTorch is a `Dataset` that transforms each image when it is
asked for, a `DataLoader` and a loop that adds up loss and accuracy; the same recipe as
`paddle.Model.fit` and as Keras 3's `fit` is measured where these are installed, with images
transformed beforehand, as their tutorials have it.

Every way starts from the same weights, and those of PyTorch take the same batches: the mean
training losses, which are printed too, then show that the same was done. The ways take turns, and a
figure is the ratio of times of one round.

    python benchmarks/training_time.py [--images 60000] [--rounds 3] [--threads 1]

The figures go to benchmarks/results/training_time.json and .md. With FLEXPOOL_DATA_DIR the images
are MNIST's; without it they are random: the time is the same.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from flexpool.lab import data, nets
from flexpool.lab.environment import describe
from flexpool.lab.files import write_atomically
from flexpool.lab.train_torch import Images, scaling, train_epoch

BATCH, RATE = 64, 0.001
RESULTS = Path(__file__).parent / "results"
OURS = "the laboratory"

Weights = dict[str, torch.Tensor]
Epoch = Callable[[torch.Tensor], tuple[float, float]]


@dataclass(frozen=True)
class Recipe:
    """What every way trains: images as bytes, their classes, their scaling, first weights."""

    pixels: np.ndarray
    labels: np.ndarray
    offset: float
    scale: float
    weights: Weights

    def scaled(self, order: torch.Tensor) -> np.ndarray:
        return (self.pixels[order.numpy()].astype(np.float32) - self.offset) * self.scale


def recipe(count: int) -> tuple[Recipe, str]:
    if os.environ.get("FLEXPOOL_DATA_DIR"):
        mnist = data.load("mnist")
        pixels, labels, source = mnist.train_images, mnist.train_labels, "mnist"
    else:
        rng = np.random.default_rng(0)
        pixels = rng.integers(0, 256, size=(60_000, 1, 28, 28), dtype=np.uint8)
        labels, source = rng.integers(0, 10, size=60_000), "random pixels"
    pixels, labels = pixels[:count].copy(), labels[:count].copy()
    weights = nets.build("lenet5").state_dict()
    return Recipe(pixels, labels, *scaling("standard", pixels), weights), source


def in_laboratory(given: Recipe) -> Epoch:
    """Train as `flexpool train` does."""
    images = Images(
        given.pixels, given.labels, offset=given.offset, scale=given.scale, device="cpu"
    )

    def epoch(order: torch.Tensor) -> tuple[float, float]:
        model = nets.build("lenet5")
        model.to(memory_format=nets.find("lenet5").memory_format)
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
        began = time.perf_counter()
        loss, _ = train_epoch(model, optimiser, images, order, BATCH)
        return time.perf_counter() - began, float(loss) / len(order)

    return epoch


class Transformed(Dataset):
    """Images that are scaled one by one, when they are asked for."""

    def __init__(self, given: Recipe) -> None:
        self.given = given

    def __len__(self) -> int:
        return len(self.given.pixels)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        image = torch.from_numpy(self.given.pixels[number]).float()
        x = (image - self.given.offset) * self.given.scale
        return x, int(self.given.labels[number])


def lenet5(weights: Weights) -> nn.Module:
    """Build LeNet-5 of PyTorch's own layers."""
    layers = {
        "conv1": nn.Conv2d(1, 6, 5, padding=2),
        "relu1": nn.ReLU(),
        "down1": nn.MaxPool2d(2),
        "relu2": nn.ReLU(),
        "conv2": nn.Conv2d(6, 16, 5),
        "down2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(400, 120),
        "relu_fc1": nn.ReLU(),
        "fc2": nn.Linear(120, 84),
        "relu_fc2": nn.ReLU(),
        "fc3": nn.Linear(84, 10),
    }
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    model.load_state_dict(weights)
    return model


def with_a_loader(given: Recipe, workers: int) -> Epoch:
    """Train by a loop over a DataLoader, as PyTorch's tutorials do."""
    dataset = Transformed(given)

    def epoch(order: torch.Tensor) -> tuple[float, float]:
        model = lenet5(given.weights)
        optimiser = torch.optim.Adam(model.parameters(), lr=RATE)
        # The order stands for shuffle=True, so that all take the same batches.
        loader = DataLoader(dataset, BATCH, sampler=order.tolist(), num_workers=workers)
        began = time.perf_counter()
        total, correct = 0.0, 0
        for x, y in loader:
            optimiser.zero_grad()
            logits = model(x)
            loss = functional.cross_entropy(logits, y)
            loss.backward()
            optimiser.step()
            total += loss.item() * len(y)
            correct += (logits.argmax(1) == y).sum().item()
        return time.perf_counter() - began, total / len(order)

    return epoch


def with_keras(given: Recipe) -> Epoch:
    """Train by Keras 3's fit, on PyTorch unless KERAS_BACKEND says otherwise."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras
    from keras import layers

    def epoch(order: torch.Tensor) -> tuple[float, float]:
        model = keras.Sequential(
            [
                layers.Input((28, 28, 1)),
                layers.Conv2D(6, 5, padding="same", activation="relu", name="conv1"),
                layers.MaxPooling2D(2),
                layers.ReLU(),
                layers.Conv2D(16, 5, name="conv2"),
                layers.MaxPooling2D(2),
                layers.Permute((3, 1, 2)),
                layers.Flatten(),
                layers.Dense(120, activation="relu", name="fc1"),
                layers.Dense(84, activation="relu", name="fc2"),
                layers.Dense(10, name="fc3"),
            ]
        )
        for name in ("conv1", "conv2", "fc1", "fc2", "fc3"):
            weight = given.weights[f"{name}.weight"].numpy()
            turned = weight.transpose(2, 3, 1, 0) if weight.ndim == 4 else weight.T
            model.get_layer(name).set_weights([turned, given.weights[f"{name}.bias"].numpy()])
        model.compile(
            optimizer=keras.optimizers.Adam(RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        x, y = given.scaled(order).transpose(0, 2, 3, 1), given.labels[order.numpy()]
        began = time.perf_counter()
        history = model.fit(x, y, batch_size=BATCH, epochs=1, shuffle=True, verbose=0)
        return time.perf_counter() - began, history.history["loss"][0]

    return epoch


def with_paddle(given: Recipe) -> Epoch:
    """Train by paddle.Model.fit."""
    import paddle

    paddle.set_device("cpu")

    class Losses(paddle.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.total, self.images = 0.0, 0

        def on_train_batch_end(self, step: int, logs: dict | None = None) -> None:
            count = logs["batch_size"]
            self.total += float(np.ravel(logs["loss"])[0]) * count
            self.images += count

    def epoch(order: torch.Tensor) -> tuple[float, float]:
        net = paddle.nn.Sequential(
            ("conv1", paddle.nn.Conv2D(1, 6, 5, padding=2)),
            ("relu1", paddle.nn.ReLU()),
            ("down1", paddle.nn.MaxPool2D(2)),
            ("relu2", paddle.nn.ReLU()),
            ("conv2", paddle.nn.Conv2D(6, 16, 5)),
            ("down2", paddle.nn.MaxPool2D(2)),
            ("flatten", paddle.nn.Flatten()),
            ("fc1", paddle.nn.Linear(400, 120)),
            ("relu_fc1", paddle.nn.ReLU()),
            ("fc2", paddle.nn.Linear(120, 84)),
            ("relu_fc2", paddle.nn.ReLU()),
            ("fc3", paddle.nn.Linear(84, 10)),
        )
        turned = {
            name: weight.numpy().T if weight.ndim == 2 else weight.numpy()
            for name, weight in given.weights.items()
        }
        net.set_state_dict(turned)
        model = paddle.Model(net)
        model.prepare(
            paddle.optimizer.Adam(RATE, parameters=model.parameters()),
            paddle.nn.CrossEntropyLoss(),
            paddle.metric.Accuracy(),
        )
        x, y = given.scaled(order), given.labels[order.numpy()][:, None]
        images = paddle.io.TensorDataset([paddle.to_tensor(x), paddle.to_tensor(y)])
        losses = Losses()
        began = time.perf_counter()
        model.fit(images, batch_size=BATCH, epochs=1, shuffle=True, verbose=0, callbacks=[losses])
        return time.perf_counter() - began, losses.total / losses.images

    return epoch


def ways(given: Recipe) -> tuple[dict[str, Epoch], dict[str, str]]:
    """Make all that can train here; of the others, say why they cannot."""
    found: dict[str, Epoch] = {
        OURS: in_laboratory(given),
        "DataLoader, 0 workers": with_a_loader(given, 0),
        "DataLoader, 2 workers": with_a_loader(given, 2),
    }
    missing = {}
    for name, module, make in (
        ("Keras 3, fit", "keras", with_keras),
        ("paddle.Model.fit", "paddle", with_paddle),
    ):
        if importlib.util.find_spec(module) is None:
            missing[name] = "not installed"
        else:
            found[name] = make(given)
    return found, missing


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measured(found: dict[str, Epoch], count: int, rounds: int) -> dict[str, list[tuple]]:
    """Let each way train an epoch in each round, another first each time."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    seen: dict[str, list[tuple]] = {name: [] for name in found}
    with Progress(transient=True) as bar:
        task = bar.add_task("epochs", total=(rounds + 1) * len(found))
        for epoch in found.values():  # the first steps load and compile a good deal: not counted
            epoch(order[: 10 * BATCH])
            bar.advance(task)
        names = list(found)
        for number in range(rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                seen[name].append(found[name](order))
                bar.advance(task)
    return seen


def table(figures: dict) -> str:
    lines = [
        f"# {figures['what']}",
        "",
        "| way | s / epoch | of the laboratory's time | mean training loss |",
        "|---|---:|---:|---:|",
    ]
    for name, seconds in figures["seconds"].items():
        ratio = figures["ratio_to_laboratory"][name]
        lines.append(
            f"| {name} | {seconds['median']:.2f} | {ratio['median']:.2f} "
            f"[{ratio['min']:.2f}, {ratio['max']:.2f}] | {figures['loss'][name]:.4f} |"
        )
    lines += [f"| {name} | {reason} | | |" for name, reason in figures["missing"].items()]
    machine = figures["environment"]
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    lines += [
        "",
        f"Medians over {figures['rounds']} round(s), in which the ways took turns; [ ]: smallest "
        f"and largest ratio of a round. {machine['processor']}, {figures['threads']} thread(s) of "
        f"{machine['cores']} cores; {versions}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1, help="default: the laboratory's, 1")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the figures")
    options = parser.parse_args()
    if not BATCH <= options.images <= 60_000 or options.rounds < 1 or options.threads < 1:
        parser.error(f"--images lies in {BATCH}..60000; --rounds and --threads are > 0")

    torch.set_num_threads(options.threads)
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # for frameworks that are loaded later
    given, source = recipe(options.images)
    found, missing = ways(given)
    seen = measured(found, options.images, options.rounds)
    seconds = {name: [second for second, _ in each] for name, each in seen.items()}
    losses = {name: each[-1][1] for name, each in seen.items()}
    for name in found:
        if not abs(losses[name] / losses[OURS] - 1) < 0.1:
            text = f"{losses[name]:.4f}, {OURS} to one of {losses[OURS]:.4f}"
            sys.exit(f"{name} trained to a loss of {text}: not the same recipe")
    figures = {
        "what": f"One epoch of lenet5 on {options.images:,} images ({source}), batch {BATCH}, Adam",
        "rounds": options.rounds,
        "threads": options.threads,
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "ratio_to_laboratory": {
            name: summary([a / b for a, b in zip(values, seconds[OURS], strict=True)])
            for name, values in seconds.items()
        },
        "loss": losses,
        "missing": missing,
        "versions": {
            name: version(package)
            for name, package in (
                ("torch", "torch"),
                ("keras", "keras"),
                ("paddlepaddle", "paddlepaddle"),
            )
            if importlib.util.find_spec(package.replace("paddlepaddle", "paddle")) is not None
        },
        "environment": describe("cpu"),
    }
    text = table(figures)
    print(text)
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "training_time.json", json.dumps(figures, indent=2).encode())
    write_atomically(options.out / "training_time.md", text.encode())
    print(f"written to {options.out / 'training_time.json'} and .md", file=sys.stderr)


if __name__ == "__main__":
    main()
