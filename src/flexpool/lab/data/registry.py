"""The data sets by name. To add one, write a file like `digits.py` and name it here."""

from __future__ import annotations

from flexpool.errors import unknown
from flexpool.lab.data.dataset import Kind
from flexpool.lab.data.digits import DIGITS
from flexpool.lab.data.mnist import FASHION_MNIST, MNIST

__all__ = ["KINDS", "find"]

_ALL: tuple[Kind, ...] = (DIGITS, MNIST, FASHION_MNIST)

KINDS: dict[str, Kind] = {kind.about.name: kind for kind in _ALL}


def find(name: str) -> Kind:
    """Look a data set up by name.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    if name not in KINDS:
        raise unknown("data set", name, KINDS)
    return KINDS[name]
