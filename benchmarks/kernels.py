"""Time the first operators' kernels beside eager PyTorch, forward and backward, in one run.

    python benchmarks/kernels.py [operator ...]

Each row is checked for equal results before it is timed. The times include what a user pays: making
the result and, in the backward pass, autograd. PyTorch's side is its own pooling where it has one,
else the formula composed of its operations. Rounds alternate, so that a slow moment of the machine
meets both. "copy" is ``Tensor.copy_`` of the input into an array that is there already.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import flexpool

SHAPE, WINDOW, ROUNDS = (32, 64, 112, 112), 2, 5


def windows(x: Tensor) -> Tensor:
    """Lay out the elements of each window along a last axis."""
    n, c, h, w = x.shape
    blocks = x.unfold(2, WINDOW, WINDOW).unfold(3, WINDOW, WINDOW)
    return blocks.reshape(n, c, h // WINDOW, w // WINDOW, WINDOW * WINDOW)


def soft(x: Tensor, beta: float = 1.0) -> Tensor:
    weight = (beta * x).exp()
    return F.avg_pool2d(weight * x, WINDOW) / F.avg_pool2d(weight, WINDOW)


def stochastic(x: Tensor) -> Tensor:
    v = windows(x)
    weight = v.detach().clamp(min=0).flatten(0, -2) + 1e-30
    return v.flatten(0, -2).gather(1, weight.multinomial(1)).view(v.shape[:-1])


def lip(x: Tensor, logits: Tensor) -> Tensor:
    weight = logits.exp()
    return F.avg_pool2d(weight * x, WINDOW) / F.avg_pool2d(weight, WINDOW)


def blur(x: Tensor) -> Tensor:
    channels = x.shape[1]
    weight = torch.full((channels, 1, WINDOW, WINDOW), 1 / WINDOW**2)
    return F.conv2d(x, weight, stride=WINDOW, groups=channels)


def signed(shape: tuple[int, ...]) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


PEERS: dict[str, Callable[..., Tensor]] = {
    "max": lambda x: F.max_pool2d(x, WINDOW),
    "min": lambda x: -F.max_pool2d(-x, WINDOW),
    "avg": lambda x: F.avg_pool2d(x, WINDOW),
    "sum": lambda x: F.avg_pool2d(x, WINDOW, divisor_override=1),
    "lp": lambda x: F.lp_pool2d(x, 2.0, WINDOW),
    "soft": soft,
    "boltzmann": lambda x: soft(x, 1.7),
    "median": lambda x: windows(x).median(-1).values,
    "stochastic": stochastic,
    "mixed": lambda x: 0.3 * F.max_pool2d(x, WINDOW) + 0.7 * F.avg_pool2d(x, WINDOW),
    "lip": lip,
    "blur": blur,
}
SETTINGS = {"boltzmann": {"beta": 1.7}, "mixed": {"a": 0.3}}
RANDOM = {"stochastic"}


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def compare(name: str, last: bool) -> dict[str, tuple[float, float, float]]:
    """Time one operator; milliseconds of ours and of PyTorch's, and their ratio, per pass."""
    layout = torch.channels_last if last else torch.contiguous_format
    x = signed(SHAPE).to(memory_format=layout)
    more = [signed(SHAPE).to(memory_format=layout)] if name == "lip" else []
    given = {"logits": more[0]} if more else {}
    settings = SETTINGS.get(name, {})

    def ours(z: Tensor) -> Tensor:
        return flexpool.pool(z, name, WINDOW, **settings, **given)

    def peer(z: Tensor) -> Tensor:
        return PEERS[name](z, *more)

    if name not in RANDOM:
        torch.testing.assert_close(ours(x), peer(x), rtol=1e-4, atol=1e-5)
    times: dict[str, tuple[list[float], list[float]]] = {"forward": ([], []), "backward": ([], [])}
    trained = x.clone().requires_grad_()
    results = [ours(trained), peer(trained)]
    grad = torch.ones_like(results[0])
    for turn in range(ROUNDS + 1):
        for side, function in enumerate((ours, peer)):
            with torch.no_grad():
                forward = seconds(lambda: function(x))  # noqa: B023 - called at once
            backward = seconds(
                lambda: torch.autograd.grad(results[side], trained, grad, retain_graph=True)  # noqa: B023
            )
            if turn:  # the first warms up
                times["forward"][side].append(forward)
                times["backward"][side].append(backward)
    rows = {}
    for phase, (mine, theirs) in times.items():
        a, b = statistics.median(mine), statistics.median(theirs)
        rows[phase] = (a * 1e3, b * 1e3, b / a)
    return rows


def main() -> None:
    names = sys.argv[1:] or list(PEERS)
    x, y = signed(SHAPE), torch.empty(SHAPE)
    copy = statistics.median(seconds(lambda: y.copy_(x)) for _ in range(9)) * 1e3
    print(f"{SHAPE} float32, kernel 2, stride 2, {torch.get_num_threads()} threads, ", end="")
    print(f"torch {torch.__version__}, numpy {np.__version__}; copy {copy:.1f} ms")
    print(f"{'':12}{'forward, ms':>30}{'backward, ms':>32}")
    head = f"{'flexpool':>10}{'torch':>9}{'ratio':>8}"
    for last in (False, True):
        print(f"{'channels last' if last else 'NCHW':14}{head}   {head}")
        for name in names:
            rows = compare(name, last)
            texts = [f"{a:10.1f}{b:9.1f}{r:7.1f}x" for a, b, r in rows.values()]
            print(f"{name:14}{'   '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
