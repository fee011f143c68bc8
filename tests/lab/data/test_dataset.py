"""Putting a data set together: what is checked, and what the fingerprint depends on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from flexpool.errors import DataError
from flexpool.lab.data.dataset import About, Dataset, assemble

ABOUT = About("small", 3, 2, (1, 4, 5), ("x", "y"), "none", "nobody")


def parts(**changed: Any) -> dict[str, np.ndarray]:
    return {
        "train_images": np.arange(60, dtype=np.uint8).reshape(3, 4, 5),
        "train_labels": np.array([0, 1, 0]),
        "test_images": np.arange(40, dtype=np.uint8).reshape(2, 4, 5),
        "test_labels": np.array([1, 0]),
    } | changed


def made(**changed: Any) -> Dataset:
    p = parts(**changed)
    return assemble(
        ABOUT,
        "here",
        (p["train_images"], p["train_labels"]),
        (p["test_images"], p["test_labels"]),
    )


def test_images_get_a_channel_and_labels_become_int64() -> None:
    data = made(train_labels=np.array([0, 1, 0], np.uint8))
    assert data.train_images.shape == (3, 1, 4, 5)
    assert data.train_labels.dtype == np.int64
    assert (data.name, data.source, data.classes) == ("small", "here", ("x", "y"))
    assert (data.licence, data.citation) == ("none", "nobody")
    np.testing.assert_array_equal(data.test_images[:, 0], parts()["test_images"])


def test_images_that_have_channels_keep_them() -> None:
    data = made(train_images=parts()["train_images"][:, None])
    assert data.fingerprint == made().fingerprint


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_arrays_are_read_only_since_they_are_shared(name: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        getattr(made(), name)[0] = 0


@pytest.mark.parametrize("name", ["train_images", "train_labels", "test_images", "test_labels"])
def test_one_changed_value_changes_the_fingerprint(name: str) -> None:
    changed = parts()[name]
    changed.flat[0] ^= 1
    assert made(**{name: changed}).fingerprint != made().fingerprint


def test_the_fingerprint_is_the_same_on_every_machine() -> None:
    assert made().fingerprint == (
        "4206206b41e5c338fca89f97c516d67eca94c47d7f9920aee984ab7c6e1b6727"
    )
    swapped = np.array([0, 1, 0], ">i8")
    assert made(train_labels=swapped).fingerprint == made().fingerprint


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"train_images": np.zeros((2, 4, 5), np.uint8)},
            "expected the training images of small to be uint8 of shape (3, 1, 4, 5), "
            "got uint8 of shape (2, 1, 4, 5)",
        ),
        (
            {"test_images": np.zeros((2, 4, 5))},
            "expected the test images of small to be uint8 of shape (2, 1, 4, 5), "
            "got float64 of shape (2, 1, 4, 5)",
        ),
        (
            {"train_labels": np.array([0, 1])},
            "expected 3 training labels of small, got shape (2,)",
        ),
        (
            {"test_labels": np.array([0, 2])},
            "expected the test labels of small to lie in 0..1, got 2",
        ),
        (
            {"test_labels": np.array([0, -1])},
            "expected the test labels of small to lie in 0..1, got -1",
        ),
    ],
    ids=["count", "dtype", "labels", "label too large", "label negative"],
)
def test_parts_that_do_not_fit_are_refused(changed: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(DataError) as caught:
        made(**changed)
    assert str(caught.value) == message
