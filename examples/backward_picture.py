"""Where a pooling layer sends its gradient, drawn: each window's 1 goes to its pixels.

    python examples/backward_picture.py [--out backward.png]

Check it by eye: max gives all to one pixel of each window, average the same to all, and where
windows overlap their shares add up. Below each map stands the sum: the number of windows.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np

from flexpool.numpy import Pool2d

mpl.use("Agg")
from matplotlib import pyplot as plt

WINDOWS = ((2, 2), (3, 2))
OPERATORS = ("max", "avg", "soft", "median")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("backward.png"))
    out = parser.parse_args().out

    rows, columns = np.mgrid[:9, :9]
    x = (np.hypot(rows - 2.5, columns - 5.3) % 3)[None, None]  # rings

    figure, axes = plt.subplots(
        len(WINDOWS), 1 + len(OPERATORS), figsize=(13, 5.6), layout="constrained"
    )
    for line, (kernel, stride) in zip(axes, WINDOWS, strict=True):
        line[0].imshow(x[0, 0], cmap="gray")
        line[0].set_title(f"input; windows of {kernel}, stride {stride}", fontsize=10)
        for name, place in zip(OPERATORS, line[1:], strict=True):
            layer = Pool2d(name, kernel, stride)
            gradient = layer.backward(np.ones_like(layer(x)))[0, 0]
            shown = place.imshow(gradient, cmap="RdBu", vmin=-2, vmax=2)
            place.set_title(f"gradient of {name}", fontsize=10)
            place.set_xlabel(f"sum {gradient.sum():.2f}")
            print(
                f"{name:7} window {kernel}, stride {stride}: the gradient's sum is "
                f"{gradient.sum():.2f}, {np.count_nonzero(gradient)} of 81 pixels have some"
            )
        for place in line:
            place.set_xticks([])
            place.set_yticks([])
    figure.colorbar(shown, ax=axes, shrink=0.8, label="gradient")
    figure.savefig(out, dpi=110)
    print(f"drawn: {out}")


if __name__ == "__main__":
    main()
