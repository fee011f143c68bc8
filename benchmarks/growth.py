"""Time per element as inputs and windows grow, on one thread and on all, beside PyTorch.

    python benchmarks/growth.py [--largest 1e9] [--out benchmarks/results]

Writes ``growth.csv`` and ``growth.png``. First the input grows, from 10**4 elements on, under
windows of 2 x 2; then the window, from 2 to 31, with stride 2 over (8, 64, 112, 112). Each is the
least of a few rounds that alternate between flexpool and PyTorch, all that a caller pays included;
small inputs too are computed here, none is left to PyTorch.
PyTorch has no soft pooling: its row is composed of PyTorch's own functions, which keep six arrays
as large as the input; where these would not fit into memory, it has no figure.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import psutil
import torch
import torch.nn.functional as F
from rich.progress import track
from torch import Tensor

import flexpool
from flexpool.torch_small import nothing_handed_over

Pool = Callable[[Tensor, int, int], Tensor]
ROUNDS, SECONDS = 5, 0.2
KERNELS = (2, 3, 5, 7, 11, 15, 21, 31)
COLUMNS = ["grows", "elements", "kernel", "operator", "pass", "threads"]


def soft(x: Tensor, kernel: int, stride: int) -> Tensor:
    weights = x.exp()
    return F.avg_pool2d(weights * x, kernel, stride) / F.avg_pool2d(weights, kernel, stride)


PEERS: dict[str, dict[str, Pool]] = {
    "max": {"flexpool": flexpool.max_pool, "PyTorch": F.max_pool2d},
    "avg": {"flexpool": flexpool.avg_pool, "PyTorch": F.avg_pool2d},
    "soft": {"flexpool": flexpool.soft_pool, "PyTorch": soft},
}


def cases(largest: float) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Give what grows, the input's shape and the kernel's size."""
    for power in range(4, round(math.log10(largest)) + 1):
        side = 16 if power < 6 else 112
        channels = 40 if power == 4 else 64
        images = max(1, round(10**power / (channels * side * side)))
        yield "input", (images, channels, side, side), 2
    for kernel in KERNELS:
        yield "window", (8, 64, 112, 112), kernel


def work(pool: Pool, x: Tensor, kernel: int, backward: bool) -> Callable[[], object]:
    """Make what is timed: a forward pass, or a backward pass of a forward pass made before."""
    if not backward:
        return lambda: pool(x, kernel, 2)
    leaf = x.detach().requires_grad_()
    y = pool(leaf, kernel, 2)
    gradient = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, leaf, gradient, retain_graph=True)


def least(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Time in turns, each round a few calls; the least time of a call."""
    found = {}
    repeats = {}
    for name, function in functions.items():
        function()
        begin = time.perf_counter()
        function()
        found[name] = time.perf_counter() - begin
        repeats[name] = max(1, min(200, int(SECONDS / ROUNDS / found[name])))
    for _, (name, function) in itertools.product(range(ROUNDS), functions.items()):
        if found[name] > 1:  # seconds: two calls are enough
            continue
        begin = time.perf_counter()
        for _ in range(repeats[name]):
            function()
        found[name] = min(found[name], (time.perf_counter() - begin) / repeats[name])
    return found


def fits(operator: str, peer: str, x: Tensor) -> bool:
    """Tell whether a pooling and what it keeps fit into memory: the composed one needs the most."""
    arrays = 6 if (operator, peer) == ("soft", "PyTorch") else 4
    return arrays * x.numel() * x.element_size() < 0.8 * psutil.virtual_memory().total


def measure(largest: float) -> pd.DataFrame:
    rows = []
    threads = sorted({1, os.cpu_count() or 1})
    plan = list(itertools.product(cases(largest), PEERS, (False, True), threads))
    for (grows, shape, kernel), operator, backward, count in track(plan, "growth"):
        torch.set_num_threads(count)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
        pools = [pool for pool in PEERS[operator].items() if fits(operator, pool[0], x)]
        with nothing_handed_over():
            figures = least({name: work(pool, x, kernel, backward) for name, pool in pools})
        scaled = {name: 1e9 * seconds / x.numel() for name, seconds in figures.items()}
        about = (grows, x.numel(), kernel, operator, "backward" if backward else "forward", count)
        rows.append(dict(zip(COLUMNS, about, strict=True)) | scaled)
    return pd.DataFrame(rows)


def draw(table: pd.DataFrame, path: Path) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(11, 7), sharey="row", layout="constrained")
    most = table["threads"].max()
    for row, direction in enumerate(("forward", "backward")):
        for column, (grows, over) in enumerate((("input", "elements"), ("window", "kernel"))):
            panel = axes[row][column]
            for number, operator in enumerate(PEERS):
                for peer, style in (("flexpool", "-o"), ("PyTorch", ":s")):
                    some = table.query(
                        "grows == @grows and operator == @operator and `pass` == @direction "
                        "and threads == @most"
                    )
                    panel.plot(
                        *(some[over], some[peer], style),
                        color=f"C{number}",
                        markersize=4,
                        label=f"{operator}, {peer}",
                    )
            panel.set(xscale="log", yscale="log", title=f"{direction}, growing {grows}")
            panel.set_xlabel("elements of the input" if column == 0 else "kernel_size, stride 2")
            panel.grid(alpha=0.3)
            if column == 1:
                panel.set_xticks(KERNELS, map(str, KERNELS), minor=False)
                panel.minorticks_off()
        axes[row][0].set_ylabel("ns per element of the input")
    axes[0][0].legend(fontsize=8, ncols=3)
    figure.suptitle(f"Time per element, {most} threads, float32")
    figure.savefig(path, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--largest", type=float, default=1e9)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    table = measure(given.largest)
    given.out.mkdir(parents=True, exist_ok=True)
    table.to_csv(given.out / "growth.csv", index=False, float_format="%.4g")
    draw(table, given.out / "growth.png")


if __name__ == "__main__":
    main()
