"""How much the laboratory's training loop costs beside a bare PyTorch loop.

One epoch of LeNet-5 on 60,000 images of 28 x 28, batch 64, one thread, Adam (fused). The bare loop
has its images in memory as float32, scaled beforehand, and does nothing but train; it knows neither
progress nor accuracy. Both take the same batches from the same initial weights, in turns, and the
figure is the ratio of their times in one run.

    python benchmarks/training_loop.py [--rounds 3] [--net lenet5] [--json FILE]

With FLEXPOOL_DATA_DIR the images are MNIST's; without it they are random: the time is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch.nn import functional

from flexpool.lab import data, nets
from flexpool.lab.environment import describe
from flexpool.lab.files import write_atomically
from flexpool.lab.train_torch import Images, scaling, train_epoch

BATCH = 64


def load_images() -> tuple[np.ndarray, np.ndarray, str]:
    if os.environ.get("FLEXPOOL_DATA_DIR"):
        mnist = data.load("mnist")
        return mnist.train_images, mnist.train_labels, "mnist"
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, size=(60_000, 1, 28, 28), dtype=np.uint8)
    return pixels, rng.integers(0, 10, size=60_000), "random pixels"


def bare_epoch(net: str, x: torch.Tensor, y: torch.Tensor, order: torch.Tensor) -> float:
    model = nets.build(net)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    began = time.perf_counter()
    for start in range(0, len(order), BATCH):
        index = order[start : start + BATCH]
        loss = functional.cross_entropy(model(x[index]), y[index])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return time.perf_counter() - began


def laboratory_epoch(net: str, images: Images, order: torch.Tensor, channels_last: bool) -> float:
    model = nets.build(net)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    began = time.perf_counter()
    train_epoch(model, optimiser, images, order, BATCH)
    return time.perf_counter() - began


def summary(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--net", default="lenet5", choices=sorted(nets.NETS))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()

    torch.set_num_threads(1)
    pixels, labels, source = load_images()
    offset, scale = scaling("standard", pixels)
    images = Images(pixels, labels, offset=offset, scale=scale, device="cpu")
    x = (torch.from_numpy(pixels.astype(np.float32)) - offset) * scale
    y = torch.tensor(labels)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))

    loops: dict[str, Callable[[torch.Tensor], float]] = {
        "bare": lambda order: bare_epoch(options.net, x, y, order),
        "laboratory": lambda order: laboratory_epoch(options.net, images, order, True),
        "laboratory, NCHW": lambda order: laboratory_epoch(options.net, images, order, False),
    }
    for loop in loops.values():  # the first step loads a good deal of torch: not counted
        loop(order[: 10 * BATCH])
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    for number in track(range(options.rounds), "rounds"):
        names = list(loops)
        for name in names[number % 3 :] + names[: number % 3]:  # each is first in its turn
            seconds[name].append(loops[name](order))
    ratios = {
        name: summary([a / b for a, b in zip(values, seconds["bare"], strict=True)])
        for name, values in seconds.items()
    }
    figures = {
        "what": f"one epoch of {options.net}, 60,000 images ({source}), batch {BATCH}, 1 thread",
        "rounds": options.rounds,
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "ratio_to_bare": ratios,
        "environment": describe("cpu"),
    }
    print(figures["what"])
    for name, values in seconds.items():
        ratio = ratios[name]
        print(
            f"  {name:18} {statistics.median(values):6.2f} s   "
            f"{ratio['median']:.3f} of bare  [{ratio['min']:.3f}, {ratio['max']:.3f}]"
        )
    if options.json:
        write_atomically(options.json, json.dumps(figures, indent=2).encode())
        print(f"written to {options.json}", file=sys.stderr)


if __name__ == "__main__":
    main()
