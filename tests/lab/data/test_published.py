"""The table of published files, and the published files themselves where they are at hand."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from flexpool.errors import DataError
from flexpool.lab import data
from flexpool.lab.data import published, verify
from flexpool.lab.data.idx_set import IdxSet
from flexpool.lab.data.mnist import FASHION_MNIST, MNIST

# Published with the data sets, for the decompressed files.
MD5 = {
    "mnist: train images": "6bbc9ace898e44ae57da46a324031adb",
    "mnist: train labels": "a25bea736e30d166cdddb491f175f624",
    "mnist: test images": "2646ac647ad5339dbf082846283269ea",
    "mnist: test labels": "27ae3e4e09519cfbb04c329615203637",
    "fashion_mnist: train images": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
    "fashion_mnist: train labels": "9018921c3c673c538a1fc5bad174d6f9",
    "fashion_mnist: test images": "8181f5470baa50b63fa0f6fddb340f0a",
    "fashion_mnist: test labels": "15d484375f8d13e6eb1aabb0c3f46965",
}


def test_the_table_is_complete_and_without_repetition() -> None:
    assert [str(file) for file in published.PUBLISHED] == list(MD5)
    assert len({file.sha256 for file in published.PUBLISHED}) == 8
    assert all(len(bytes.fromhex(file.sha256)) == 32 for file in published.PUBLISHED)


@pytest.mark.parametrize("kind", [MNIST, FASHION_MNIST], ids=lambda kind: kind.about.name)
def test_the_sizes_are_those_of_the_images(kind: IdxSet) -> None:
    about = kind.about
    pixels = int(np.prod(about.shape))
    assert [file.size for file in published.files_of(about.name)] == [
        16 + about.train * pixels,
        8 + about.train,
        16 + about.test * pixels,
        8 + about.test,
    ]


@pytest.mark.parametrize("kind", [MNIST, FASHION_MNIST], ids=lambda kind: kind.about.name)
def test_mirrors_are_several_and_end_in_a_slash(kind: IdxSet) -> None:
    assert len(kind.mirrors) >= 2
    assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in kind.mirrors)


@pytest.mark.parametrize(
    ("name", "first", "often"),
    [
        ("mnist", [5, 0, 4, 1, 9, 2], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("fashion_mnist", [9, 0, 0, 3, 0, 2], [6000] * 10),
    ],
)
def test_the_published_files_are_what_the_world_knows(
    real_dir: Path, name: str, first: list[int], often: list[int]
) -> None:
    loaded = data.load(name, real_dir)
    assert loaded.train_images.shape == (60000, 1, 28, 28)
    assert loaded.test_images.shape == (10000, 1, 28, 28)
    assert loaded.train_labels[:6].tolist() == first
    assert np.bincount(loaded.train_labels).tolist() == often
    digests = {
        f"{name}: train images": loaded.train_images,
        f"{name}: test images": loaded.test_images,
    }
    for key, images in digests.items():
        header = np.array([0x803, *np.delete(images.shape, 1)], ">u4").tobytes()
        assert hashlib.md5(header + images.tobytes()).hexdigest() == MD5[key]


def test_the_two_sets_are_not_mistaken_for_each_other(real_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "mnist").symlink_to(real_dir / "fashion_mnist")
    with pytest.raises(DataError, match="got the file of fashion_mnist: train images"):
        data.load("mnist", tmp_path)


def test_the_published_files_lie_directly_in_a_folder(real_dir: Path) -> None:
    where = {row.name: row.where for row in data.available(real_dir / "mnist")}
    assert where["mnist"] == str((real_dir / "mnist").resolve())
    assert where["fashion_mnist"] == "to be downloaded (31 MB)"


def test_labels_in_place_of_images_are_named(real_dir: Path) -> None:
    images = published.files_of("mnist")[0]
    labels = real_dir / "mnist" / "train-labels-idx1-ubyte.gz"
    with pytest.raises(verify.MismatchError, match="the file of mnist: train labels"):
        verify.read(labels, images)
