"""Time whole nets with PyTorch's pooling and with flexpool's in its place, in one run.

    python benchmarks/accelerate.py [net ...] [--threads N]

Each net first has to give equal results both ways. Then rounds take turns, so that a slow moment of
the machine meets all; medians are printed, and the median and quartiles of the rounds' ratios.
"modules" is flexpool.accelerate(), "functions" the unchanged net in flexpool.accelerated().
"pooling" is the share of PyTorch's time that its pooling takes, by its profiler.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import flexpool

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from drop_in.nets_to_accelerate import NETS, made

WIDTHS = {"vgg": 64, "resnet": 64, "inception": 64, "densenet": 32}
LAYOUTS = {"NCHW": torch.contiguous_format, "channels last": torch.channels_last}
SIZE, IMAGES, TRAINED = 224, 8, 2
SECONDS = 9  # of rounds, for each line


def inference(net: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    def run() -> Tensor:
        with torch.inference_mode():
            result: Tensor = net(x)
        return result

    net.eval()
    return run


def training(net: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    labels = torch.arange(len(x))

    def run() -> Tensor:
        net.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        return loss.detach()

    net.train()
    return run


def with_functions(run: Callable[[], Tensor]) -> Callable[[], Tensor]:
    def inside() -> Tensor:
        with flexpool.accelerated():
            return run()

    return inside


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def share(run: Callable[[], object]) -> float:
    """Say how much of PyTorch's time its pooling takes, by its profiler."""
    with torch.autograd.profiler.profile(use_kineto=False) as profile:
        run()
    events = profile.key_averages()
    whole = sum(event.self_cpu_time_total for event in events)
    pooling = sum(event.self_cpu_time_total for event in events if "pool" in event.key)
    return pooling / whole


def compare(name: str, layout: str, trained: bool) -> str:
    x = torch.randn(TRAINED if trained else IMAGES, 3, SIZE, SIZE)
    x = x.contiguous(memory_format=LAYOUTS[layout])
    make = training if trained else inference
    nets = [made(name, WIDTHS[name], SIZE).to(memory_format=LAYOUTS[layout]) for _ in range(3)]
    runs = [make(nets[0], x), make(flexpool.accelerate(nets[1]), x), make(nets[2], x)]
    runs[2] = with_functions(runs[2])
    results = [run() for run in runs]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-3, atol=1e-4)
    rounds = int(SECONDS / sum(map(seconds, runs)))
    times: list[list[float]] = [[], [], []]
    for turn in range(min(max(rounds, 4), 40)):
        for side in ((0, 1, 2), (1, 2, 0), (2, 0, 1))[turn % 3]:
            times[side].append(seconds(runs[side]))
    texts = []
    for side in (1, 2):
        ratios = [theirs / ours for theirs, ours in zip(times[0], times[side], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        texts.append(f"{middle:5.2f}x [{low:.2f}, {high:.2f}]")
    torchs, ours = (statistics.median(times[side]) * 1e3 for side in (0, 1))
    about = f"{name:10} {layout:14} {'training' if trained else 'inference':10}"
    return f"{about}{torchs:8.0f}{ours:10.0f}   {'   '.join(texts)}   {share(runs[0]):5.0%}"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("nets", nargs="*", default=list(NETS))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{IMAGES} images 3x{SIZE}x{SIZE}, {TRAINED} for training; float32, ", end="")
    print(f"torch {torch.__version__}, {given.threads} threads; ms, and ratios with quartiles")
    print(f"{'':36}{'torch':>7}{'flexpool':>10}   {'modules':20}{'functions':20}pooling")
    for name in given.nets:
        for layout in LAYOUTS:
            for trained in (False, True):
                print(compare(name, layout, trained), flush=True)


if __name__ == "__main__":
    main()
