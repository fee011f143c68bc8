"""A 5 x 5 map pooled by hand: max, average and sum of 3 x 3 windows, and what goes backward.

    python examples/pooling_by_hand.py

Check it by eye: the first window is the upper left 3 x 3 of the map.
"""

from __future__ import annotations

import numpy as np

from flexpool.numpy import Pooling

MAP = np.array(
    [
        [1, 3, 2, 1, 3],
        [2, 9, 1, 1, 5],
        [1, 3, 2, 3, 2],
        [8, 3, 5, 1, 0],
        [5, 6, 1, 2, 9],
    ],
    dtype=float,
)


def table(values: np.ndarray) -> str:
    return "\n".join("  " + " ".join(f"{value:6.2f}" for value in row) for row in values)


def main() -> None:
    x = MAP[None, None]  # one image with one channel: (N, C, H, W) = (1, 1, 5, 5)
    print(f"The map:\n{table(MAP)}")
    for kind in ("max", "average", "sum"):
        layer = Pooling("pool1", ksize=3, stride=1, type=kind)
        y = layer(x)
        print(f"\n{kind} of each 3 x 3 window, stride 1: (5 - 3) / 1 + 1 = 3 windows a side")
        print(table(y[0, 0]))
        print("its gradient, if each result's is 1: how much of the results each number is")
        print(table(layer.backward(np.ones_like(y))[0, 0]))

    colours = np.stack([MAP, 10 * MAP, 10 - MAP])[None]
    print("\nEach channel is pooled by itself: the map, ten times the map, 10 minus the map; max")
    for channel in Pooling("pool1", ksize=3, stride=1, type="max")(colours)[0]:
        print(table(channel), end="\n\n")


if __name__ == "__main__":
    main()
