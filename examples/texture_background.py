"""Does max pooling keep texture, and average pooling the background?

    python examples/texture_background.py [--out texture_background.png]

It is often said, and half of it is seen. Max keeps more texture than the average, but above all
what is bright on dark: of the negative it keeps less. Where the photograph is smooth, both keep the
background; where it is not, max paints over it, four times as far off as the average in one
photograph and twice in the other.

Two things are measured when a photograph is made smaller.

* Background: how far the small picture is from the photograph's brightness around the same place,
  blurred, in percent of full brightness. Once where the photograph is smooth, once where it is not.
* Texture: how much the small picture varies from place to place (what is left when its own blur is
  taken away), as a share of how much it would if one pixel of each window were kept as it is. Once
  for the photograph, once for its negative, in which all that was bright is dark.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image

import flexpool

FACTOR = 4
NAMES = ("max", "avg", "min", "median", "soft")
DRAWN = ("max", "avg", "min")
PART = slice(50, 250), slice(180, 480)


def photograph(name: str) -> np.ndarray:
    """A photograph that comes with scikit-learn, as brightness from 0 to 1."""
    image = load_sample_image(name).mean(axis=2) / 255
    height, width = (size - size % FACTOR for size in image.shape)
    return image[:height, :width]


def smaller(image: np.ndarray, name: str) -> np.ndarray:
    if name == "slice":
        return image[FACTOR // 2 :: FACTOR, FACTOR // 2 :: FACTOR]
    return flexpool.pool(image[None, None], name, FACTOR)[0, 0]


def detail(image: np.ndarray) -> np.ndarray:
    """What is left of a picture when its blur is taken away."""
    return image - gaussian_filter(image, 2)


def windows(image: np.ndarray) -> np.ndarray:
    """The values of each window, last."""
    height, width = (size // FACTOR for size in image.shape)
    parts = image.reshape(height, FACTOR, width, FACTOR).transpose(0, 2, 1, 3)
    return parts.reshape(height, width, FACTOR**2)


def measure(image: np.ndarray, name: str) -> tuple[float, float, float, float]:
    """Errors of the background where it is smooth and where it is not; texture kept of both."""
    small = smaller(image, name)
    blurred = windows(gaussian_filter(image, FACTOR)).mean(axis=2)
    contrast = windows(image).std(axis=2)
    smooth = contrast < np.median(contrast)
    error = 100 * np.abs(small - blurred)
    plain = detail(smaller(image, "slice")).std()
    share = [detail(smaller(x, name)).std() / plain for x in (image, 1 - image)]
    return error[smooth].mean(), error[~smooth].mean(), share[0], share[1]


def draw(image: np.ndarray, out: Path) -> None:
    matplotlib.use("Agg")
    figure, axes = plt.subplots(2, 4, figsize=(12, 4.6), layout="constrained")
    for row, (shown, title) in zip(
        axes, ((image, "photograph"), (1 - image, "its negative")), strict=True
    ):
        row[0].imshow(shown[PART], cmap="gray", vmin=0, vmax=1)
        row[0].set_title(title)
        for axis, name in zip(row[1:], DRAWN, strict=True):
            small = smaller(shown[PART], name)
            axis.imshow(small, cmap="gray", vmin=0, vmax=1)
            axis.set_title(f"{name}, {FACTOR} × {FACTOR}")
    for axis in axes.flat:
        axis.set_axis_off()
    figure.savefig(out, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("texture_background.png"))
    options = parser.parse_args()

    for file in ("china.jpg", "flower.jpg"):
        print(f"{file:10}  error of the background, %    texture kept")
        print("            where smooth  elsewhere       photograph  negative")
        for name in NAMES:
            smooth, rough, kept, negative = measure(photograph(file), name)
            print(f"{name:10}  {smooth:12.1f}  {rough:9.1f}       {kept:10.2f}  {negative:8.2f}")
        print()
    draw(photograph("china.jpg"), options.out)
    print(f"The pictures: {options.out}")


if __name__ == "__main__":
    main()
