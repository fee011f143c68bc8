"""The 8x8 digits that come with scikit-learn: real handwriting, no download.

1797 digits by 13 people. Training and test set share their writers, so accuracy on `digits` says
nothing about strangers' hands; it is a data set for trying things out.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flexpool.lab.data.dataset import About, Dataset, assemble

__all__ = ["DIGITS", "Digits", "enlarge"]

_FROM, _TO = 8, 28
_BRIGHTEST = 16


@dataclass(frozen=True)
class Digits:
    """The digits of scikit-learn, enlarged to the size of MNIST's."""

    about: About

    def where(self, data_dir: Path | None) -> str:
        """Say where the data are: always at hand."""
        return "embedded"

    def load(self, data_dir: Path | None) -> Dataset:
        """Load the digits, split 70 to 30, each class in proportion, always the same way."""
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split

        small = load_digits()
        labels = small.target
        train, test = train_test_split(
            np.arange(len(labels)), test_size=0.3, random_state=0, stratify=labels
        )
        images = enlarge(small.images.astype(np.int64))
        return assemble(
            self.about, "embedded", (images[train], labels[train]), (images[test], labels[test])
        )


def enlarge(images: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Scale images of 8x8 values in 0..16 to 28x28 values in 0..255, bilinearly.

    In whole numbers, so that every machine gets the same bytes and with them the same fingerprint.

    Args:
        images: integers in 0..16, shape (N, 8, 8).

    Returns:
        uint8, shape (N, 28, 28), rounded to the nearest.

    Example:
        >>> enlarge(np.full((1, 8, 8), 16))[0, 0, :3]
        array([255, 255, 255], dtype=uint8)
    """
    # The centre of output pixel i lies at (i + 1/2) * 8/28 - 1/2 = (4 i - 5) / 14 of the input.
    # Outside the outermost centres the border pixel is repeated.
    centre = np.clip(4 * np.arange(_TO) - 5, 0, 14 * (_FROM - 1))
    left, part = np.divmod(centre, 14)
    weights = np.zeros((_TO, _FROM), np.int64)
    rows = np.arange(_TO)
    weights[rows, left] += 14 - part
    weights[rows, np.minimum(left + 1, _FROM - 1)] += part
    total = weights @ images @ weights.T
    most = 14 * 14 * _BRIGHTEST
    return ((255 * total + most // 2) // most).astype(np.uint8)


DIGITS = Digits(
    About(
        name="digits",
        train=1257,
        test=540,
        shape=(1, _TO, _TO),
        classes=tuple("0123456789"),
        licence="CC BY 4.0",
        citation=(
            "E. Alpaydin, C. Kaynak (1998), Optical Recognition of Handwritten Digits, "
            "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49"
        ),
    )
)
