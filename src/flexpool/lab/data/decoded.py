"""The pixels of a folder's images, kept in the cache once they were read.

Without it each of many training processes would decode every file again. There is one file for a
folder and a size; it counts as long as no image was added, removed, renamed or written.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flexpool.errors import StorageError
from flexpool.lab.data.locate import cache_folder
from flexpool.lab.files import storing, write_atomically

__all__ = ["find", "keep"]

_log = logging.getLogger(__name__)

# Raised whenever a change to the reading of images makes other pixels of the same files.
_READING = "1"

Pixels = npt.NDArray[np.uint8]


def find(folder: Path, resize: int | None, signature: str) -> tuple[Pixels, Pixels] | None:
    """Return the training and test images of a folder, or None if they are not kept."""
    from safetensors import SafetensorError, safe_open

    path = _place(folder, resize)
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="np") as file:
            facts = file.metadata() or {}
            train, test = file.get_tensor("train"), file.get_tensor("test")
    except (SafetensorError, OSError):
        return None  # damaged: the images are read again
    right = facts.get("signature") == signature and facts.get("digest") == _digest(train, test)
    return (train, test) if right else None


def keep(folder: Path, resize: int | None, signature: str, train: Pixels, test: Pixels) -> None:
    """Keep the images of a folder, in the place of those kept before; says so if it cannot."""
    from safetensors.numpy import save

    path = _place(folder, resize)
    facts = {"signature": signature, "digest": _digest(train, test)}
    try:
        with storing(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save({"train": train, "test": test}, facts))
    except StorageError as error:
        _log.warning("%s Every process will read the images again.", error)


def _place(folder: Path, resize: int | None) -> Path:
    name = hashlib.sha256(f"{_READING}\n{resize}\n{folder}".encode(errors="surrogateescape"))
    return cache_folder() / "folders" / f"{name.hexdigest()[:24]}.safetensors"


def _digest(*parts: Pixels) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{part.shape};".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
