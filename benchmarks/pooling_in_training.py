"""How much sooner the laboratory is through an epoch with flexpool's pooling than with PyTorch's.

The laboratory's own loop trains the same net, from the same weights on the same batches, as it is
and with PyTorch's pooling in the place of flexpool's; the two take turns. The losses must be equal
to the last digit. A third net does the same steps with a pooling that computes nothing: no pooling
could be faster than that, and what is left is convolutions.

    python benchmarks/pooling_in_training.py [--nets lenet5,vgg-small] [--images 12800] [--rounds 5]

With FLEXPOOL_DATA_DIR the images are MNIST's; without it they are random: the time is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from itertools import product
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from rich.progress import track
from torch import nn

import flexpool.nn
from flexpool.lab import data, nets
from flexpool.lab.environment import describe
from flexpool.lab.files import write_atomically
from flexpool.lab.train_torch import Images, scaling, train_epoch

BATCH = 64
KINDS = ("flexpool", "torch", "nothing")  # who pools
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def load_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    if os.environ.get("FLEXPOOL_DATA_DIR"):
        mnist = data.load("mnist")
        return mnist.train_images[:count], mnist.train_labels[:count]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(count, 1, 28, 28), dtype=np.uint8)
    return pixels, rng.integers(0, 10, size=count)


class Nothing(torch.autograd.Function):
    """A 2×2 pooling that computes nothing: each batch has the result of the first."""

    known: ClassVar[dict[torch.Size, tuple[torch.Tensor, torch.Tensor]]] = {}

    @staticmethod
    def forward(ctx, x):
        if x.shape not in Nothing.known:
            Nothing.known[x.shape] = nn.functional.avg_pool2d(x, 2), torch.full_like(x, 1e-6)
        y, ctx.gradient = Nothing.known[x.shape]
        return y.detach()

    @staticmethod
    def backward(ctx, grad):
        return ctx.gradient


class NothingPool(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Nothing.apply(x)


def with_pooling(model: nn.Module, kind: str) -> nn.Module:
    """Put another pooling in the place of flexpool's."""
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is flexpool.nn.MaxPool2d:
                window = (child.kernel_size, child.stride, child.padding)
                setattr(parent, name, nn.MaxPool2d(*window) if kind == "torch" else NothingPool())
                replaced += 1
    if not replaced:
        raise SystemExit("expected a net with maximum pooling")
    return model


def epoch(net: str, images: Images, kind: str, layout: torch.memory_format) -> tuple[float, float]:
    model = nets.build(net, image=(1, 28, 28))
    if kind != "flexpool":
        model = with_pooling(model, kind)
    model = model.to(memory_format=layout)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    Nothing.known.clear()  # of another layout
    began = time.perf_counter()
    loss, _ = train_epoch(model, optimiser, images, order, BATCH)
    return time.perf_counter() - began, float(loss)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nets", default="lenet5,vgg-small")
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    pixels, labels = load_images(options.images)
    offset, scale = scaling("standard", pixels)
    images = Images(pixels, labels, offset=offset, scale=scale, device="cpu")
    few = Images(pixels[: 4 * BATCH], labels[: 4 * BATCH], offset=offset, scale=scale, device="cpu")
    cases = list(product(options.nets.split(","), LAYOUTS))
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for net, layout in track(cases, "nets"):
        for kind in KINDS:
            epoch(net, few, kind, LAYOUTS[layout])  # kernels are loaded
        for number in range(options.rounds):
            losses = {}
            for kind in KINDS[number % 3 :] + KINDS[: number % 3]:
                taken, losses[kind] = epoch(net, images, kind, LAYOUTS[layout])
                seconds.setdefault((net, layout, kind), []).append(taken)
            if losses["flexpool"] != losses["torch"]:
                raise SystemExit(f"expected equal losses, got {losses} with {net}, {layout}")

    rows = []
    for net, layout in cases:
        row = {"net": net, "layout": layout}
        torchs = seconds[net, layout, "torch"]
        for kind in KINDS:
            taken = seconds[net, layout, kind]
            ratios = [a / b for a, b in zip(taken, torchs, strict=True)]
            row[kind] = {
                "seconds": statistics.median(taken),
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
            }
        rows.append(row)
        found = ", ".join(
            f"{kind} {row[kind]['seconds']:.2f} s {row[kind]['ratio']:.3f} "
            f"[{row[kind]['ratio_range'][0]:.3f}, {row[kind]['ratio_range'][1]:.3f}]"
            for kind in KINDS
        )
        print(f"{net}, {layout}: {found}")
    print("losses equal to the last digit")
    figures = {
        "what": f"an epoch of {options.images} images, batch {BATCH}, {options.threads} threads",
        "rows": rows,
        "environment": describe("cpu"),
    }
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "pooling_in_training.json"
    write_atomically(path, json.dumps(figures, indent=2).encode())


if __name__ == "__main__":
    main()
