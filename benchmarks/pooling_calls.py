"""Find from which size on flexpool pools faster than PyTorch, for ``flexpool/sooner.py``.

    python benchmarks/pooling_calls.py [pooling ...] [--threads N] [--dtype bfloat16]

Each row is a case of the rules: a pooling, a layout, with or without a backward pass, windows that
share elements or not. A column is a window and a size; it says how many times as long PyTorch takes
as flexpool, through the very code that takes its place, the least of rounds that alternate. "from"
is the least work, elements read, from which on flexpool was the faster one in all columns.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from unittest import mock

import torch
from torch import Tensor, nn

from flexpool import accelerate, sooner
from flexpool.drop_in import rules

SHAPES: Mapping[int, list[tuple[int, ...]]] = {
    1: [(2, 16, 256), (8, 16, 256), (8, 64, 1024), (8, 64, 8192)],
    2: [
        *[(1, 4, 28, 28), (1, 16, 28, 28), (16, 16, 10, 10), (8, 64, 14, 14)],
        *[(2, 64, 56, 56), (8, 64, 56, 56), (8, 64, 112, 112)],
    ],
    3: [(1, 8, 8, 14, 14), (2, 16, 16, 28, 28), (2, 32, 16, 56, 56)],
}
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
WINDOWS: Mapping[str, list[tuple[object, ...]]] = {
    "disjoint": [(2,)],
    "overlapping": [(3, 2, 1), (3, 1, 1)],
    "adaptive": [(1,), (7,)],
}
POOLINGS: Mapping[str, tuple[str, dict[str, bool]]] = {
    "max": ("MaxPool", {}),
    "max with indices": ("MaxPool", {"return_indices": True}),
    "avg": ("AvgPool", {}),
    "adaptive max": ("AdaptiveMaxPool", {}),
    "adaptive avg": ("AdaptiveAvgPool", {}),
}
ROUNDS = 5


class Everything(dict[sooner.Kind, sooner.Least]):
    """Rules that give flexpool every call."""

    def get(self, kind: object, default: object = None) -> sooner.Least:
        return sooner.Least(0, 0, 0, 0)

    def __iter__(self) -> Iterator[sooner.Kind]:
        return iter([sooner.Kind(p, d, "planes") for p in POOLINGS for d in (1, 2, 3)])


def step(pool: nn.Module, x: Tensor, trained: bool) -> Callable[[], object]:
    """Make what is timed: a forward pass, and a backward pass where trained."""

    def run() -> object:
        y = pool(x)
        y = y[0] if isinstance(y, tuple) else y
        return torch.autograd.grad(y, x, gradient) if trained else y

    first = pool(x)
    first = first[0] if isinstance(first, tuple) else first
    gradient = torch.ones_like(first)
    return run


def ratio(theirs: Callable[[], object], ours: Callable[[], object]) -> float:
    begin = time.perf_counter()
    theirs()
    repeats = max(1, int(1e-3 / (time.perf_counter() - begin)))
    least = [float("inf"), float("inf")]
    for _ in range(ROUNDS):
        for side, function in enumerate((theirs, ours)):
            begin = time.perf_counter()
            for _ in range(repeats):
                function()
            least[side] = min(least[side], time.perf_counter() - begin)
    return least[0] / least[1]


def row(
    pooling: str, dimensions: int, layout: str, trained: bool, kind: str, dtype: torch.dtype
) -> None:
    name, more = POOLINGS[pooling]
    found = []
    for shape in SHAPES[dimensions]:
        for window in WINDOWS[kind]:
            x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            x = x.to(memory_format=LAST[x.ndim]) if layout == "channels last" else x
            x = x.to(dtype)
            x.requires_grad_(trained)
            plain = getattr(nn, f"{name}{dimensions}d")(*window, **more)
            kernel = plain.kernel_size if kind != "adaptive" else 0
            with (
                mock.patch.object(sooner, "LEAST_WORK", Everything()),
                mock.patch.object(rules, "LEAST_ELEMENTS", 0),
            ):
                ours = accelerate(plain, inplace=False)
                factor = ratio(step(plain, x, trained), step(ours, x, trained))
            outputs = ours(x)[0].numel() if more else ours(x).numel()
            size = kernel[0] if isinstance(kernel, tuple) else kernel
            work = outputs * size**dimensions or x.numel()
            found.append((work, factor, window))
    found.sort(key=lambda item: item[0])
    start = None
    for work, factor, _ in reversed(found):
        if factor < 1:
            break
        start = work
    passes = "both passes" if trained else "forward"
    texts = [f"{work / 1000:.0f}k {factor:.2f}x" for work, factor, _ in found]
    about = f"{pooling} {dimensions}d, {layout}, {kind}, {passes}"
    print(f"{about:56} from {start or 'never'!s:9} {'  '.join(texts)}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("poolings", nargs="*", default=list(POOLINGS), metavar="pooling")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    dtype, threads = getattr(torch, given.dtype), torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {given.dtype}; times of PyTorch's")
    for pooling in given.poolings:
        for dimensions in (1, 2, 3):
            for layout in ("planes", "channels last")[: 1 if dimensions == 1 else 2]:
                for trained in (False, True):
                    kinds = ["adaptive"] if "adaptive" in pooling else ["disjoint", "overlapping"]
                    for kind in kinds:
                        with contextlib.suppress(NotImplementedError):  # PyTorch lacks some types
                            row(pooling, dimensions, layout, trained, kind, dtype)


if __name__ == "__main__":
    main()
