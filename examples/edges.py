"""Edges found by correlation with two numbers: in an image of 6 x 8 pixels, then in a photograph.

    python examples/edges.py [--out edges.png]

The kernel [1, -1] subtracts from each pixel its right neighbour, so it answers where the image
changes from left to right: at vertical edges. Its transpose finds horizontal ones. Turned around,
as conv2d turns it, it answers with the other sign.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_image

import flexpool

VERTICAL = np.array([[1.0, -1.0]])
HORIZONTAL = VERTICAL.T


def small_image() -> np.ndarray:
    """Bright, with two dark patches."""
    image = np.ones((6, 8))
    image[0:2, 2:6] = 0
    image[3:6, 2:6] = 0
    return image


def photograph() -> np.ndarray:
    """A photograph that comes with scikit-learn, as brightness from 0 to 1."""
    return load_sample_image("china.jpg").mean(axis=2) / 255


def edges(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertical and horizontal edges."""
    return flexpool.corr2d(image, VERTICAL), flexpool.corr2d(image, HORIZONTAL)


def draw(out: Path) -> None:
    matplotlib.use("Agg")
    titles = ("image", "vertical edges, [1, −1]", "horizontal edges, [1, −1]ᵀ")
    figure, axes = plt.subplots(2, 3, figsize=(11, 6), layout="constrained")
    for row, (image, limit) in zip(axes, ((small_image(), 1.0), (photograph(), 0.4)), strict=True):
        for axis, shown, title in zip(row, (image, *edges(image)), titles, strict=True):
            whole = shown is image
            axis.imshow(
                shown,
                cmap="gray" if whole else "RdBu_r",  # red: it gets darker, blue: brighter
                vmin=0 if whole else -limit,
                vmax=1 if whole else limit,
            )
            axis.set(title=title, xticks=[], yticks=[])
    figure.savefig(out, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("edges.png"))
    options = parser.parse_args()

    image = small_image()
    vertical, horizontal = edges(image)
    for name, shown in (
        ("image", image),
        ("corr2d with [1, -1]: vertical edges", vertical),
        ("corr2d with its transpose: horizontal edges", horizontal),
        ("conv2d with [1, -1]: the kernel is turned", flexpool.conv2d(image, VERTICAL)),
    ):
        print(f"{name}\n{np.array2string(shown.astype(int))}\n")
    draw(options.out)
    print(f"The same for a photograph: {options.out}")


if __name__ == "__main__":
    main()
