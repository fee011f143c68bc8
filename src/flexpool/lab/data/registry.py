"""The data sets by name. To add one, write a file like `digits.py` and name it here."""

from __future__ import annotations

from flexpool.lab.data.dataset import Kind
from flexpool.lab.data.digits import DIGITS
from flexpool.lab.data.mnist import FASHION_MNIST, MNIST

__all__ = ["KINDS"]

_ALL: tuple[Kind, ...] = (DIGITS, MNIST, FASHION_MNIST)

KINDS: dict[str, Kind] = {kind.about.name: kind for kind in _ALL}
