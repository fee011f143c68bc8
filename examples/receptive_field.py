"""How much of the image one output sees, layer by layer, with poolings and without.

    python examples/receptive_field.py

Check it by eye: a convolution of 5 adds 4 pixels, and after a pooling with stride 2 it adds 8. The
last column is measured: an input pixel matters to an output where its gradient is not 0.
"""

from __future__ import annotations

import numpy as np

from flexpool.numpy import AvgPool2d, Conv2d, Layer, Sequential
from flexpool.window import receptive_fields, window

NETS = {
    "with poolings": [("conv", 5, 1), ("pool", 2, 2), ("conv", 5, 1), ("pool", 2, 2)],
    "without": [("conv", 5, 1), ("conv", 5, 1)],
}
SIZE = 32


def layer(kind: str, kernel: int, stride: int) -> Layer:
    made = AvgPool2d(kernel, stride) if kind == "pool" else Conv2d(1, 1, kernel, stride, bias=False)
    for weight in made.parameters.values():
        weight[...] = 1  # so that nothing cancels
    return made


def seen(net: Sequential) -> int:
    """Count the columns of the image that the middle output depends on, by its gradient."""
    y = net(np.zeros((1, 1, SIZE, SIZE)))
    grad = np.zeros_like(y)
    grad[0, 0, y.shape[2] // 2, y.shape[3] // 2] = 1
    return int(net.backward(grad)[0, 0].any(axis=0).sum())


def main() -> None:
    for name, chain in NETS.items():
        print(f"{name}, image {SIZE} x {SIZE}")
        fields = receptive_fields([window(2, kernel, stride) for _, kernel, stride in chain])
        for depth, ((kind, kernel, stride), field) in enumerate(zip(chain, fields, strict=True), 1):
            net = Sequential(*(layer(*settings) for settings in chain[:depth]))
            print(
                f"  {kind} {kernel} x {kernel}, stride {stride} sees {field.size[0]:2} x "
                f"{field.size[1]:2}, neighbours {field.jump[0]} apart; by gradient {seen(net):2}  "
                + "#"
                * field.size[0]
            )


if __name__ == "__main__":
    main()
