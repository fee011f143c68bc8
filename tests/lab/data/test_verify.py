"""Reading published files: everything that is not the file is refused, with its reason."""

from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flexpool.lab.data import verify
from flexpool.lab.data.verify import MismatchError
from lab.data.fakes import NAMES, Fake, idx

IMAGES, LABELS, TEST_IMAGES, TEST_LABELS = NAMES


def found(path: Path, fake: Fake, position: int = 0) -> str:
    with pytest.raises(MismatchError) as caught:
        verify.read(path, fake.files[position])
    return str(caught.value)


@pytest.mark.parametrize("name", ["packed.gz", "packed"])
def test_a_packed_file_is_read_whatever_its_name(alpha: Fake, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(alpha.packed(IMAGES))
    assert verify.read(tmp_path / name, alpha.files[0]) == alpha.contents[IMAGES]


@pytest.mark.parametrize("name", ["plain", "plain.gz"])
def test_a_plain_file_is_read_whatever_its_name(alpha: Fake, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(alpha.contents[LABELS])
    assert verify.read(tmp_path / name, alpha.files[1]) == alpha.contents[LABELS]


def test_another_compression_of_the_same_content_is_the_same(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    halves = alpha.contents[IMAGES][:100], alpha.contents[IMAGES][100:]
    path.write_bytes(b"".join(gzip.compress(half, 1) for half in halves))
    assert verify.read(path, alpha.files[0]) == alpha.contents[IMAGES]


def test_an_empty_file(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert found(path, alpha) == "an empty file"


def test_a_web_page(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"<!DOCTYPE html><html>please log in</html>")
    assert found(path, alpha) == "neither gzip nor IDX: it begins with b'<!DOCTYPE ht'"


def test_a_truncated_gzip_file(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.packed(IMAGES)[:-20])
    assert found(path, alpha).startswith("a gzip file that ends early, after ")


def test_a_gzip_file_that_lacks_only_its_checksum(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.packed(IMAGES)[:-8])
    assert found(path, alpha).startswith("a gzip file that ends early")


@pytest.mark.parametrize("place", [12, -6, 400])
def test_a_changed_byte(alpha: Fake, tmp_path: Path, place: int) -> None:
    path = tmp_path / "file"
    content = bytearray(alpha.packed(IMAGES))
    content[place] ^= 0xFF
    path.write_bytes(content)
    assert "damaged gzip file" in found(path, alpha) or "ends early" in found(path, alpha)


def test_a_changed_byte_in_a_plain_file(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    content = bytearray(alpha.contents[IMAGES])
    content[-1] ^= 1
    path.write_bytes(content)
    assert found(path, alpha).startswith("other content of the same length (SHA-256 ")


def test_a_truncated_plain_file(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.contents[IMAGES][:1000])
    assert found(path, alpha) == "an IDX header of 40 x 12 x 12 and only 1000 bytes"


def test_a_plain_file_with_something_behind_it(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.contents[IMAGES] + b"more")
    assert found(path, alpha) == "an IDX header of 40 x 12 x 12 and more than 5776 bytes"


def test_the_file_of_another_data_set_is_named(alpha: Fake, beta: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(beta.packed(IMAGES))
    assert found(path, alpha) == "the file of beta: train images"


def test_a_shorter_file_of_the_same_data_set_is_named(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.packed(TEST_LABELS))
    assert found(path, alpha, 0) == "the file of alpha: test labels"


def test_a_longer_file_is_told_by_its_header(alpha: Fake, beta: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.packed(IMAGES))
    assert found(path, alpha, 1) == (
        "an IDX header of 40 x 12 x 12, as in alpha: train images or beta: train images"
    )


def test_a_folder_in_place_of_a_file(alpha: Fake, tmp_path: Path) -> None:
    assert found(tmp_path, alpha) == "a file that cannot be read (Is a directory)"


def test_a_gzip_bomb_is_not_unpacked(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(gzip.compress(idx(np.zeros(16 << 20, np.uint8))))
    tracemalloc.start()
    try:
        message = found(path, alpha)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message == "an IDX header of 16777216 and more than 5776 bytes"
    assert most < 4 << 20


def test_recognising_a_file_needs_no_name(alpha: Fake, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(alpha.packed(TEST_LABELS))
    assert verify.recognise(path, alpha.files[3].size) == alpha.files[3]
    path.write_bytes(idx(np.zeros(12)))
    assert verify.recognise(path, alpha.files[3].size) is None
    path.write_bytes(b"\x1f\x8b broken")
    assert verify.recognise(path, alpha.files[3].size) is None
