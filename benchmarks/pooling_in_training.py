"""How much sooner the laboratory is through an epoch with flexpool's pooling than with PyTorch's.

The laboratory's own loop trains the same net twice, from the same weights on the same batches, once
as it is and once with PyTorch's pooling in the place of flexpool's; the two take turns. The losses
must be equal to the last digit.

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
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}


def load_images(count: int) -> tuple[np.ndarray, np.ndarray]:
    if os.environ.get("FLEXPOOL_DATA_DIR"):
        mnist = data.load("mnist")
        return mnist.train_images[:count], mnist.train_labels[:count]
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(count, 1, 28, 28), dtype=np.uint8)
    return pixels, rng.integers(0, 10, size=count)


def with_torch_pooling(model: nn.Module) -> nn.Module:
    """Put PyTorch's pooling in the place of flexpool's."""
    replaced = 0
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is flexpool.nn.MaxPool2d:
                window = (child.kernel_size, child.stride, child.padding)
                setattr(parent, name, nn.MaxPool2d(*window))
                replaced += 1
    if not replaced:
        raise SystemExit("expected a net with maximum pooling")
    return model


def epoch(net: str, images: Images, own: bool, layout: torch.memory_format) -> tuple[float, float]:
    model = nets.build(net, image=(1, 28, 28))
    if not own:
        model = with_torch_pooling(model)
    model = model.to(memory_format=layout)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
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
    seconds: dict[tuple[str, str, bool], list[float]] = {}
    for net, layout in track(cases, "nets"):
        for own in (True, False):
            epoch(net, few, own, LAYOUTS[layout])  # kernels are loaded
        for number in range(options.rounds):
            losses = set()
            for own in (True, False) if number % 2 else (False, True):
                taken, loss = epoch(net, images, own, LAYOUTS[layout])
                seconds.setdefault((net, layout, own), []).append(taken)
                losses.add(loss)
            if len(losses) > 1:
                raise SystemExit(f"expected equal losses, got {losses} with {net}, {layout}")

    rows = []
    for net, layout in cases:
        ours, torchs = seconds[net, layout, True], seconds[net, layout, False]
        ratios = [a / b for a, b in zip(ours, torchs, strict=True)]
        rows.append(
            {
                "net": net,
                "layout": layout,
                "seconds": statistics.median(ours),
                "seconds_torch": statistics.median(torchs),
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
            }
        )
        print(
            f"{net:12} {layout:14} {rows[-1]['seconds']:6.2f} s, with PyTorch's pooling "
            f"{rows[-1]['seconds_torch']:6.2f} s: {rows[-1]['ratio']:.3f}  "
            f"[{min(ratios):.3f}, {max(ratios):.3f}]"
        )
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
