"""The embedded digits: their scaling, their split, and that they need no network."""

from __future__ import annotations

import socket

import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

from flexpool.lab import data
from flexpool.lab.data.digits import enlarge


def test_the_content_is_the_same_everywhere() -> None:
    # If a new release of scikit-learn splits otherwise, results are not comparable: look into it.
    assert data.load("digits").fingerprint == (
        "338dd84a35e74bf9042cad99ff71524f6360eb31b1be4a095b22874cc876d4ed"
    )


def test_digits_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the digits are embedded")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    loaded = data.load("digits")
    assert loaded.source == "embedded"
    assert loaded.train_images.shape == (1257, 1, 28, 28)
    assert loaded.test_images.shape == (540, 1, 28, 28)
    assert loaded.train_images.min() == 0
    assert loaded.train_images.max() == 255


def test_each_class_is_split_70_to_30() -> None:
    loaded = data.load("digits")
    train, test = np.bincount(loaded.train_labels), np.bincount(loaded.test_labels)
    assert len(train) == len(test) == 10
    assert np.all(np.abs(test - 0.3 * (train + test)) <= 1)


def test_each_digit_is_in_one_part_with_its_own_label() -> None:
    loaded = data.load("digits")
    images = np.concatenate([loaded.train_images, loaded.test_images])
    labels = np.concatenate([loaded.train_labels, loaded.test_labels])
    source = load_digits()
    expected = enlarge(source.images.astype(np.int64))

    def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
        return sorted(
            (image.tobytes(), int(label)) for image, label in zip(images, labels, strict=True)
        )

    assert pairs(images, labels) == pairs(expected, source.target)


def test_enlarging_agrees_with_scipy() -> None:
    small = load_digits().images[:20]
    scaled = [
        ndimage.zoom(image * 255 / 16, 3.5, order=1, mode="nearest", grid_mode=True)
        for image in small
    ]
    difference = enlarge(small.astype(np.int64)).astype(float) - np.array(scaled)
    assert np.abs(difference).max() <= 0.5 + 1e-9


def test_enlarging_keeps_left_from_right_and_top_from_bottom() -> None:
    corner = np.zeros((1, 8, 8), np.int64)
    corner[0, 0, 7] = 16
    large = enlarge(corner)[0]
    assert large[0, -1] == 255
    assert large[:4, -4:].sum() > 0.3 * large.sum()
    assert large[-1].max() == large[:, 0].max() == 0
