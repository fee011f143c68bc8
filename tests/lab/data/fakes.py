"""Small data sets in the published format, for tests without the published files."""

from __future__ import annotations

import gzip
import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flexpool.lab.data.dataset import About
from flexpool.lab.data.idx_set import IdxSet
from flexpool.lab.data.published import PublishedFile

CLASSES = tuple("abcdefghij")
TRAIN, TEST, SIDE = 40, 20, 12

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
_HOLDS = ("train images", "train labels", "test images", "test labels")


@dataclass
class Fake:
    """A data set with the content of its four files by file name."""

    kind: IdxSet
    files: tuple[PublishedFile, ...]
    contents: dict[str, bytes]

    @property
    def name(self) -> str:
        return self.kind.about.name

    def packed(self, name: str) -> bytes:
        return gzip.compress(self.contents[name], mtime=0)

    def write(self, folder: Path, suffix: str = ".gz", names: tuple[str, ...] = NAMES) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            content = self.packed(name) if suffix else self.contents[name]
            (folder / f"{name}{suffix}").write_bytes(content)
        return folder


def idx(array: np.ndarray) -> bytes:
    """Write an array of bytes in the IDX format."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def fake(name: str, seed: int, mirrors: tuple[str, ...]) -> Fake:
    """Make a data set of noise, in which every class occurs equally often."""
    rng = np.random.default_rng(seed)
    arrays = (
        rng.integers(0, 256, (TRAIN, SIDE, SIDE)),
        rng.permutation(np.arange(TRAIN) % len(CLASSES)),
        rng.integers(0, 256, (TEST, SIDE, SIDE)),
        rng.permutation(np.arange(TEST) % len(CLASSES)),
    )
    contents = {key: idx(array) for key, array in zip(NAMES, arrays, strict=True)}
    files = tuple(
        PublishedFile(
            name, holds, key, len(content), hashlib.sha256(content).hexdigest(), 1_500_000
        )
        for holds, (key, content) in zip(_HOLDS, contents.items(), strict=True)
    )
    about = About(name, TRAIN, TEST, (1, SIDE, SIDE), CLASSES, "none", "nobody")
    kind = IdxSet(about=about, mirrors=mirrors, folders=(name, f"{name.title()}/raw"))
    return Fake(kind, files, contents)
