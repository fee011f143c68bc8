"""LeNet-5's step from zero beside PyTorch's, and pooling beside other NumPy code.

    python benchmarks/from_zero.py [--threads 1]

All in one run, by turns, on the same threads; medians, and the ratio to flexpool's. numpy-ml and
scikit-image take part where they are installed.
"""

from __future__ import annotations

import argparse
import collections.abc
import importlib
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

Call = Callable[[], Any]
ROUNDS = 15


def by_turns(calls: dict[str, Call], rounds: int = ROUNDS) -> dict[str, float]:
    """Give the median milliseconds of each."""
    for call in calls.values():
        call()
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(times) for name, times in taken.items()}


def show(title: str, times: dict[str, float], own: str = "flexpool") -> None:
    print(f"\n{title}")
    for name, milliseconds in times.items():
        print(f"  {name:34} {milliseconds:10.3f} ms   {milliseconds / times[own]:9.2f} x {own}")


def step_of_lenet(name: str) -> dict[str, float]:
    import numpy as np
    import torch

    import flexpool.numpy as zero
    from flexpool.lab import nets

    rng = np.random.default_rng(0)
    x, t = rng.normal(size=(64, 1, 28, 28)).astype(np.float32), rng.integers(0, 10, 64)
    net, model = zero.nets.build(name), nets.build(name)
    loss, ours = zero.CrossEntropyLoss(), zero.Adam(net)
    theirs = torch.optim.Adam(model.parameters(), fused=True)
    images, labels = torch.from_numpy(x), torch.from_numpy(t)

    def numpy_step() -> None:
        loss(net(x), t)
        net.backward(loss.backward())
        ours.step()

    def torch_step() -> None:
        theirs.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        theirs.step()

    return by_turns({"PyTorch": torch_step, "flexpool.numpy": numpy_step}, 60)


def naive(x: Any, k: int, s: int) -> Any:
    """Pool as teaching texts do: four loops."""
    import numpy as np

    n, c, h, w = x.shape
    y = np.zeros((n, c, (h - k) // s + 1, (w - k) // s + 1), x.dtype)
    for image in range(n):
        for channel in range(c):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    window = x[image, channel, i * s : i * s + k, j * s : j * s + k]
                    y[image, channel, i, j] = window.max()
    return y


def optional(name: str) -> Any:
    for alias in ("Hashable", "Iterable", "Mapping", "Sequence"):  # numpy-ml asks for them there
        setattr(collections, alias, getattr(collections.abc, alias))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ImportError as error:
        print(f"{name} takes no part: {type(error).__name__}: {error}")
        return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    threads = parser.parse_args().threads
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ[name] = str(threads)

    import numpy as np
    import scipy.ndimage
    import torch

    import flexpool
    from flexpool.numpy import Pooling

    torch.set_num_threads(threads)  # flexpool's kernels take that number too
    for net in ("lenet5", "lenet5-nopool"):
        times = step_of_lenet(net)
        show(f"{net}: a step of 64 images, float32, {threads} thread", times, "PyTorch")

    x = np.random.default_rng(0).normal(size=(64, 6, 28, 28)).astype(np.float32)
    layer = Pooling("pool1", 2, 2, "max")
    calls: dict[str, Call] = {"flexpool": lambda: layer(x)}
    calls["four loops"] = lambda: naive(x, 2, 2)
    np.testing.assert_array_equal(naive(x, 2, 2), layer(x))
    layers = optional("numpy_ml.neural_nets.layers")
    if layers is not None:
        theirs, last = layers.Pool2D((2, 2), 2, mode="max"), x.transpose(0, 2, 3, 1).copy()
        np.testing.assert_array_equal(theirs.forward(last).transpose(0, 3, 1, 2), layer(x))
        calls["numpy-ml Pool2D"] = lambda: theirs.forward(last)
    show("max 2 x 2 of (64, 6, 28, 28), forward", by_turns(calls, 3))

    measure = optional("skimage.measure")
    for dtype in ("uint8", "uint16", "float32"):
        for shape in ((2048, 2048), (128, 128, 128)):
            image = (np.random.default_rng(0).random(shape) * 200).astype(dtype)
            axes = tuple(range(image.ndim))
            for name, function in (("max", np.max), ("avg", np.mean)):
                mine = lambda i=image, a=axes, n=name: flexpool.pool(i, n, 2, axes=a)  # noqa: E731
                calls = {"flexpool": mine}
                if measure is not None:
                    block = lambda i=image, f=function: measure.block_reduce(i, 2, f)  # noqa: E731
                    np.testing.assert_allclose(block(), mine(), rtol=1e-6)
                    calls["skimage block_reduce"] = block
                show(f"{name} of 2 a side, {dtype}, {shape}", by_turns(calls, 5))
            mine = lambda i=image, a=axes: flexpool.pool(i, "max", 3, 1, axes=a)  # noqa: E731
            other = lambda i=image: scipy.ndimage.maximum_filter(i, 3)  # noqa: E731
            np.testing.assert_array_equal(other()[(slice(1, -1),) * image.ndim], mine())
            times = by_turns({"flexpool": mine, "scipy maximum_filter": other}, 5)
            show(f"max of 3 a side, stride 1, {dtype}, {shape}", times)


if __name__ == "__main__":
    main()
