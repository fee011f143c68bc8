"""The data sets by name. To add one, write a file like `digits.py` and name it here."""

from __future__ import annotations

from pathlib import Path

from flexpool.errors import ArgumentError, unknown
from flexpool.lab.data.cifar import CIFAR10, CIFAR100, CIFAR100_COARSE
from flexpool.lab.data.dataset import Kind
from flexpool.lab.data.digits import DIGITS
from flexpool.lab.data.folder import PREFIX, FolderSet
from flexpool.lab.data.mnist import FASHION_MNIST, MNIST

__all__ = ["KINDS", "find"]

_ALL: tuple[Kind, ...] = (DIGITS, MNIST, FASHION_MNIST, CIFAR10, CIFAR100, CIFAR100_COARSE)

KINDS: dict[str, Kind] = {kind.about.name: kind for kind in _ALL}


def find(name: str, resize: int | None = None) -> Kind:
    """Look a data set up by name, or make that of ``folder:PATH``.

    Args:
        name: one of ``KINDS``, or ``folder:`` and a path.
        resize: height and width that the images will have in use: a folder's images of several
            sizes are brought there on reading. It does not change what the others load.

    Raises:
        ArgumentError: if there is none of that name; it names the nearest.
    """
    if name.startswith(PREFIX):
        return FolderSet.named(name, resize)
    if name not in KINDS:
        if Path(name).is_dir():
            raise ArgumentError(
                f"unknown data set {name!r}. For the images in that folder, write {PREFIX}{name}"
            )
        raise unknown("data set", name, [*KINDS, f"{PREFIX}PATH"])
    return KINDS[name]
