"""The IDX format: what is read, and what is refused."""

import numpy as np
import pytest

from flexpool.errors import DataError
from flexpool.lab.data import idx
from lab.data.fakes import idx as written

CUBE = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_an_array_survives_the_round_trip() -> None:
    read = idx.parse(written(CUBE))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, CUBE)


def test_the_array_is_a_read_only_view() -> None:
    content = written(CUBE)
    read = idx.parse(content)
    assert not read.flags.writeable
    assert np.shares_memory(read, np.frombuffer(content, np.uint8))


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0\0\x08", id="shorter than a magic number"),
        pytest.param(b"\x01\0\x08\x01\0\0\0\0", id="first byte not zero"),
        pytest.param(b"\0\x01\x08\x01\0\0\0\0", id="second byte not zero"),
        pytest.param(b"\0\0\x0d\x01\0\0\0\0", id="floats"),
        pytest.param(b"\0\0\x08\x00", id="no dimension"),
        pytest.param(b"\0\0\x08\x05" + bytes(20), id="too many dimensions"),
        pytest.param(b"\0\0\x08\x02\0\0\0\x01\0\0\0", id="dimensions cut off"),
    ],
)
def test_other_headers_are_refused(head: bytes) -> None:
    assert idx.dimensions(head) is None
    with pytest.raises(DataError, match="expected an IDX file of unsigned bytes"):
        idx.parse(head)


@pytest.mark.parametrize("change", [-1, 1])
def test_the_number_of_values_must_be_the_announced_one(change: int) -> None:
    content = written(CUBE)
    wrong = content[:change] if change < 0 else content + b"\0"
    with pytest.raises(DataError) as caught:
        idx.parse(wrong)
    assert str(caught.value) == (
        f"expected 24 values after an IDX header of 2 x 3 x 4, got {24 + change}"
    )


def test_huge_dimensions_do_not_overflow() -> None:
    with pytest.raises(DataError, match="got 0"):
        idx.parse(b"\0\0\x08\x04" + b"\xff" * 16)
