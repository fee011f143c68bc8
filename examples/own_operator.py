"""A pooling operator of your own, trained in LeNet-5 on scikit-learn's digits.

    python examples/own_operator.py [--epochs 2]

A formula says what is done with one window; derivatives and kernels are made from it. Here each
value counts the less, the farther it lies below the window's maximum. How fast that goes can be a
number, beta, which the network learns: 0 gives the average, a large beta comes near the maximum.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import torch
from torch import nn

from flexpool import Param
from flexpool.lab import data, nets
from flexpool.lab.train_torch import Images, scaling, train_epoch
from flexpool.nn import Pool2d, SoftPool2d

BATCH = 64


def near_max(x):
    w = 1 / (1 + (x.max() - x) ** 2)
    return (w * x).sum() / w.sum()


def near_max_learned(x, beta=Param(1.0)):
    w = 1 / (1 + (beta * (x.max() - x)) ** 2)
    return (w * x).sum() / w.sum()


POOLINGS = {
    "near_max": lambda: Pool2d(near_max, 2),
    "near_max, beta learned": lambda: Pool2d(near_max_learned, 2),
    "soft, built in": lambda: SoftPool2d(2),
}


def lenet(pooling: str) -> nn.Sequential:
    model = nets.build("lenet5")
    model.down1, model.down2 = POOLINGS[pooling](), POOLINGS[pooling]()
    return model.to(memory_format=torch.channels_last)


def train(model: nn.Module, images: Images, epochs: int) -> tuple[list[float], float]:
    """Return the mean loss of each epoch, and the median time of a step in milliseconds."""
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    shuffle = torch.Generator().manual_seed(0)
    losses, ends = [], []
    for _ in range(epochs):
        order = torch.randperm(len(images), generator=shuffle)
        loss, _ = train_epoch(
            model, optimiser, images, order, BATCH, lambda *_: ends.append(time.perf_counter())
        )
        losses.append(float(loss) / len(images))
    steps = [1000 * (end - begin) for begin, end in itertools.pairwise(ends)]
    return losses, statistics.median(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args()

    torch.set_num_threads(1)
    digits = data.load("digits")
    offset, scale = scaling("standard", digits.train_images)
    images = Images(
        digits.train_images, digits.train_labels, offset=offset, scale=scale, device="cpu"
    )
    for pooling in POOLINGS:
        model = lenet(pooling)
        losses, step = train(model, images, options.epochs)
        learned = [
            f"{name} = {value.item():.3f}"
            for name, value in model.named_parameters()
            if name.endswith("beta")
        ]
        shown = " -> ".join(f"{loss:.3f}" for loss in losses)
        print(f"{pooling:23} loss {shown}   {step:.2f} ms a step   {', '.join(learned)}".rstrip())


if __name__ == "__main__":
    main()
