"""Small inputs, as users call them: modules, functions and accelerated modules beside PyTorch.

    python benchmarks/small.py [--threads N] [--out benchmarks/results]

Prints, and writes to ``small.csv``, microseconds of a call without gradient ("inference") and of a
forward pass with its backward pass ("training"), each the least of rounds that alternate. What
flexpool leaves to PyTorch is left to it here. PyTorch has no soft pooling: its row is composed of
its own functions.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

import flexpool

Call = Callable[[Tensor], Tensor]
ROUNDS, SECONDS = 15, 0.01
SHAPES = [
    (1, 1, 4, 4),
    (1, 6, 14, 14),
    (8, 16, 10, 10),
    (8, 6, 28, 28),
    (64, 16, 10, 10),
    (64, 6, 28, 28),
]


class Composed(nn.Module):
    """Soft pooling as it is written with PyTorch's functions."""

    def forward(self, x: Tensor) -> Tensor:
        weights = x.exp()
        return F.avg_pool2d(weights * x, 2) / F.avg_pool2d(weights, 2)


# Modules of both, then functions of both.
POOLINGS: dict[str, tuple[nn.Module, nn.Module, Call, Call]] = {
    "max 2": (
        nn.MaxPool2d(2),
        flexpool.nn.MaxPool2d(2),
        lambda x: F.max_pool2d(x, 2),
        lambda x: flexpool.max_pool(x, 2),
    ),
    "max 3, stride 2, padding 1": (
        nn.MaxPool2d(3, 2, 1),
        flexpool.nn.MaxPool2d(3, 2, 1),
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: flexpool.max_pool(x, 3, 2, 1),
    ),
    "avg 2": (
        nn.AvgPool2d(2),
        flexpool.nn.AvgPool2d(2),
        lambda x: F.avg_pool2d(x, 2),
        lambda x: flexpool.avg_pool(x, 2),
    ),
    "avg 3, stride 2, padding 1": (
        nn.AvgPool2d(3, 2, 1),
        flexpool.nn.AvgPool2d(3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: flexpool.avg_pool(x, 3, 2, 1),
    ),
    "avg, whole map": (
        nn.AdaptiveAvgPool2d(1),
        flexpool.nn.AdaptiveAvgPool2d(1),
        lambda x: F.adaptive_avg_pool2d(x, 1),
        lambda x: flexpool.global_pool(x, "avg"),
    ),
    "lp 2": (
        nn.LPPool2d(2, 2),
        flexpool.nn.LPPool2d(2, 2),
        lambda x: F.lp_pool2d(x, 2, 2),
        lambda x: flexpool.lp_pool(x, 2, p=2),
    ),
    "soft 2": (
        Composed(),
        flexpool.nn.SoftPool2d(2),
        Composed().forward,
        lambda x: flexpool.soft_pool(x, 2),
    ),
}


def calls(name: str) -> dict[str, Call]:
    theirs, ours, their_function, our_function = POOLINGS[name]
    found: dict[str, Call] = {"PyTorch": theirs, "module": ours}
    if not isinstance(theirs, Composed):
        found["accelerated"] = flexpool.accelerate(theirs, inplace=False)
    return found | {"PyTorch's function": their_function, "function": our_function}


def step(pool: Call, x: Tensor) -> Callable[[], object]:
    """Make what is timed: a forward pass, and a backward pass if the input wants a gradient."""
    gradient = torch.ones_like(pool(x))

    def run() -> object:
        y = pool(x)
        return torch.autograd.grad(y, x, gradient) if x.requires_grad else y

    return run


def least(runs: dict[str, Callable[[], object]]) -> dict[str, float]:
    found = {}
    repeats = {}
    for name, run in runs.items():
        run()
        begin = time.perf_counter()
        run()
        repeats[name] = max(3, int(SECONDS / (time.perf_counter() - begin)))
        found[name] = math.inf
    for _ in range(ROUNDS):
        for name, run in runs.items():
            begin = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            found[name] = min(found[name], (time.perf_counter() - begin) / repeats[name])
    return found


def measure(threads: list[int]) -> pd.DataFrame:
    rows = []
    plan = [(n, s, t, c) for c in threads for n in POOLINGS for s in SHAPES for t in (False, True)]
    for name, shape, trained, count in track(plan, "small inputs"):
        torch.set_num_threads(count)
        x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_(trained)
        with torch.set_grad_enabled(trained):
            times = least({who: step(pool, x) for who, pool in calls(name).items()})
        about = {"threads": count, "pooling": name, "shape": "x".join(map(str, shape))}
        about["pass"] = "training" if trained else "inference"
        rows.append(about | {who: round(1e6 * seconds, 2) for who, seconds in times.items()})
    return pd.DataFrame(rows)


def cells(row: dict[str, float]) -> Iterator[str]:
    for who, time_of_theirs in (
        ("module", row["PyTorch"]),
        ("accelerated", row["PyTorch"]),
        ("function", row["PyTorch's function"]),
    ):
        ratio = time_of_theirs / row[who]
        text = f"{row[who]:.1f} ({ratio:.2f}x)"
        yield "" if math.isnan(ratio) else f"[red]{text}[/red]" if ratio < 0.9 else text


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, action="append")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    given = parser.parse_args()
    found = measure(given.threads or sorted({1, os.cpu_count() or 1}))
    given.out.mkdir(parents=True, exist_ok=True)
    found.to_csv(given.out / "small.csv", index=False)
    table = Table(title="microseconds, and how many times as long PyTorch takes")
    for column in (*found.columns[:5], "module", "accelerated", "PyTorch's function", "function"):
        table.add_column(column, justify="right")
    for row in found.to_dict("records"):
        ours = list(cells(row))
        theirs = [f"{row[who]:.1f}" for who in ("PyTorch", "PyTorch's function")]
        texts = [theirs[0], *ours[:2], theirs[1], ours[2]]
        table.add_row(*map(str, list(row.values())[:4]), *texts)
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
