"""CIFAR-10 and CIFAR-100: 60 000 colour photographs of 32x32 pixels, in 10, 100 or 20 classes.

Read from the binary version of the archives, records of labels and pixels. The version "for
Python" is pickled, and reading a pickle can run any code, so that one is never opened.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from flexpool.errors import DataError
from flexpool.lab.data import verify
from flexpool.lab.data.archive import Archive, members
from flexpool.lab.data.dataset import About, Dataset, assemble
from flexpool.lab.data.fetch import Wanted, fetch
from flexpool.lab.data.locate import cache_folder, first_file

__all__ = ["CIFAR10", "CIFAR100", "CIFAR100_COARSE", "CifarSet"]

_log = logging.getLogger(__name__)

_MIRRORS = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")


@dataclass(frozen=True)
class CifarSet:
    """A published archive of records: some bytes of labels, then the pixels, plane by plane.

    Args:
        about: what is known of it.
        archive: the file it is in.
        train: names of the files in the archive with training images, of equally many each.
        test: name of the file with test images.
        labels: bytes of labels before each image.
        label: which of them is the class.
        mirrors: addresses, ending in a slash, under which the archive lies.
        folder: where the archive may lie under a data folder, and where it lies in the cache.
    """

    about: About
    archive: Archive
    train: tuple[str, ...]
    test: str
    labels: int
    label: int
    mirrors: tuple[str, ...]
    folder: str

    def where(self, data_dir: Path | None) -> str:
        """Say where the archive lies, or how much has to be downloaded."""
        path = self._own(data_dir) or first_file([self._cached])
        if path:
            return str(path.parent)
        return f"to be downloaded ({math.ceil(self.archive.size / 1e6)} MB)"

    def load(self, data_dir: Path | None) -> Dataset:
        """Load the archive from the first place that has it, verified."""
        content, folder = self._content(data_dir)
        record = self.labels + math.prod(self.about.shape)
        each = self.about.train // len(self.train) * record
        sizes = dict.fromkeys(self.train, each) | {self.test: self.about.test * record}
        files = members(content, sizes, self.archive.unpacked)
        train = b"".join(files[name] for name in self.train)
        return assemble(
            self.about, str(folder), self._records(train), self._records(files[self.test])
        )

    def _records(self, content: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        rows = np.frombuffer(content, np.uint8).reshape(
            -1, self.labels + math.prod(self.about.shape)
        )
        images = rows[:, self.labels :].reshape(-1, *self.about.shape)
        return images, rows[:, self.label]

    def _content(self, data_dir: Path | None) -> tuple[bytes, Path]:
        if path := self._own(data_dir):
            return self._read_own(path), path.parent
        cached = self._cached
        if first_file([cached]):
            try:
                return self.archive.read(cached), cached.parent
            except verify.MismatchError as error:
                _log.warning("%s is %s; downloading it again", cached, error)
        wanted = Wanted(
            title=self.about.name,
            name=self.archive.name,
            mirrors=self.mirrors,
            target=cached,
            limit=self.archive.size,
            check=self.archive.read,
            by_hand=(
                f"To supply it by hand, put {self.archive.name}, the binary version and not the "
                f"one for Python, into a folder D/{self.folder} and give D with --data-dir or in "
                "FLEXPOOL_DATA_DIR."
            ),
        )
        return fetch(wanted), cached.parent

    def _read_own(self, path: Path) -> bytes:
        try:
            return self.archive.read(path)
        except verify.MismatchError as error:
            raise DataError(
                f"expected {path} to be the published archive ({self.archive.size} bytes, SHA-256 "
                f"{self.archive.sha256[:8]}...), got {error}. "
                "Put an intact copy in its place, or remove it: it is then downloaded."
            ) from None

    def _own(self, data_dir: Path | None) -> Path | None:
        if data_dir is None:
            return None
        return first_file(
            [data_dir / self.folder / self.archive.name, data_dir / self.archive.name]
        )

    @property
    def _cached(self) -> Path:
        return cache_folder() / self.folder / self.archive.name


_CITATION = (
    "A. Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, technical "
    "report, University of Toronto, https://www.cs.toronto.edu/~kriz/cifar.html"
)
_LICENCE = "none stated"

_TEN = """
    airplane automobile bird cat deer dog frog horse ship truck
"""

CIFAR10 = CifarSet(
    about=About(
        name="cifar10",
        train=50_000,
        test=10_000,
        shape=(3, 32, 32),
        classes=tuple(_TEN.split()),
        licence=_LICENCE,
        citation=_CITATION,
    ),
    archive=Archive(
        name="cifar-10-binary.tar.gz",
        size=170_052_171,
        sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        unpacked=190_000_000,
    ),
    train=tuple(f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)),
    test="cifar-10-batches-bin/test_batch.bin",
    labels=1,
    label=0,
    mirrors=_MIRRORS,
    folder="cifar10",
)

_FINE = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
    crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse
    mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy
    porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail
    snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger
    tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""

_COARSE = """
    aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices
    household_furniture insects large_carnivores large_man-made_outdoor_things
    large_natural_outdoor_scenes large_omnivores_and_herbivores medium_mammals
    non-insect_invertebrates people reptiles small_mammals trees vehicles_1 vehicles_2
"""


def _hundred(name: str, classes: str, label: int) -> CifarSet:
    return CifarSet(
        about=About(
            name=name,
            train=50_000,
            test=10_000,
            shape=(3, 32, 32),
            classes=tuple(classes.split()),
            licence=_LICENCE,
            citation=_CITATION,
        ),
        archive=Archive(
            name="cifar-100-binary.tar.gz",
            size=168_513_733,
            sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
            unpacked=190_000_000,
        ),
        train=("cifar-100-binary/train.bin",),
        test="cifar-100-binary/test.bin",
        labels=2,
        label=label,
        mirrors=_MIRRORS,
        folder="cifar100",
    )


CIFAR100 = _hundred("cifar100", _FINE, label=1)
CIFAR100_COARSE = _hundred("cifar100-coarse", _COARSE, label=0)
