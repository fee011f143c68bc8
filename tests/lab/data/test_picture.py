"""The picture of training images: the right images, each under its class."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from flexpool.errors import ArgumentError
from flexpool.lab import data
from flexpool.lab.data import picture as drawing
from flexpool.lab.data.dataset import Dataset
from flexpool.lab.data.picture import choose, draw

STEP = drawing._TILE + drawing._GAP
TOP = drawing._MARGIN + drawing._HEAD


@pytest.fixture
def digits() -> Dataset:
    return data.load("digits")


def pixels(file: bytes) -> np.ndarray:
    return np.rint(imread(io.BytesIO(file), format="png")[..., :3] * 255).astype(np.uint8)


def tile(page: np.ndarray, row: int, column: int, top: int = TOP) -> np.ndarray:
    y, x = top + row * STEP, drawing._MARGIN + column * STEP
    return page[y : y + drawing._TILE, x : x + drawing._TILE]


@pytest.mark.parametrize("count", [10, 11, 40, 57, 400])
def test_each_class_is_present_about_equally_often(digits: Dataset, count: int) -> None:
    chosen = choose(digits.train_labels, 10, count, seed=1)
    often = Counter(digits.train_labels[chosen].tolist())
    assert len(set(chosen.tolist())) == count
    assert sorted(often) == list(range(10))
    assert max(often.values()) - min(often.values()) <= 1


def test_fewer_images_than_classes_are_of_different_classes(digits: Dataset) -> None:
    chosen = choose(digits.train_labels, 10, 4, seed=0)
    assert sorted(digits.train_labels[chosen].tolist()) == [0, 1, 2, 3]


def test_a_class_that_runs_out_is_passed_over() -> None:
    labels = np.array([0, 1, 1, 1, 3])
    chosen = choose(labels, 4, 10, seed=0)
    assert labels[chosen].tolist() == [0, 1, 3, 1, 1]


def test_the_seed_decides(digits: Dataset) -> None:
    first, again, other = (choose(digits.train_labels, 10, 20, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def centres(shown: np.ndarray) -> np.ndarray:
    """Take one pixel from the middle of each enlarged one: matplotlib 3.10 is off by a pixel."""
    return shown[2::4, 2::4]


@pytest.mark.parametrize("count", [3, 37])
def test_every_tile_holds_its_image_in_the_column_of_its_class(digits: Dataset, count: int) -> None:
    page = pixels(draw(digits, count, seed=5))
    chosen = choose(digits.train_labels, 10, count, seed=5)
    for place, sample in enumerate(chosen):
        assert digits.train_labels[sample] == place % 10
        shown = centres(tile(page, *divmod(place, 10)))
        np.testing.assert_array_equal(shown, np.dstack([digits.train_images[sample, 0]] * 3))


def test_names_stand_above_the_columns_that_are_used(digits: Dataset) -> None:
    page = pixels(draw(digits, 3, seed=0))
    band = page[TOP - 28 : TOP - 6]
    inked = [
        band[:, drawing._MARGIN + k * STEP :][:, : drawing._TILE].min() < 128 for k in range(6)
    ]
    assert inked == [True, True, True, False, False, False]


def test_many_classes_stand_in_rows_of_ten_with_names_below(digits: Dataset) -> None:
    names = tuple(f"a long name of class {k}" for k in range(25))
    many = replace(digits, train_labels=np.arange(1257) % 25, classes=names)
    page = pixels(draw(many, 25, seed=0))
    chosen = choose(many.train_labels, 25, 25, seed=0)
    down = STEP + drawing._NAME
    for place in (0, 9, 10, 24):
        row, column = divmod(place, 10)
        top = TOP - drawing._NAME + row * drawing._NAME
        shown = centres(tile(page, row, column, top))
        np.testing.assert_array_equal(shown[..., 0], many.train_images[chosen[place], 0])
        below = TOP - drawing._NAME + row * down + drawing._TILE
        left = drawing._MARGIN + column * STEP
        assert page[below : below + drawing._NAME, left : left + drawing._TILE].min() < 128
    assert drawing._short(names[0]) == "a long name…"
    assert drawing._short("Ankle boot") == "Ankle boot"


def test_colours_are_kept(digits: Dataset) -> None:
    coloured = replace(digits, train_images=np.tile(digits.train_images, (1, 3, 1, 1)).copy())
    coloured.train_images[:, 1:] = [[[10]], [[20]]]
    shown = tile(pixels(draw(coloured, 1, seed=0)), 0, 0)
    assert np.all(shown[..., 1] == 10)
    assert np.all(shown[..., 2] == 20)


def test_large_images_are_shrunk_to_a_tile(digits: Dataset) -> None:
    large = replace(digits, train_images=digits.train_images.repeat(8, 2).repeat(8, 3))
    shown = tile(pixels(draw(large, 1, seed=0)), 0, 0)
    sample = choose(digits.train_labels, 10, 1, seed=0)[0]
    image = digits.train_images[sample, 0].repeat(4, 0).repeat(4, 1)
    np.testing.assert_array_equal(shown[..., 0], image)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert data.show("digits", count=12, seed=3) == data.show("digits", count=12, seed=3)
    assert data.show("digits", count=12, seed=3) != data.show("digits", count=12, seed=4)


@pytest.mark.parametrize("count", [0, -1, 401, 2.0, True, "7"])
def test_the_count_must_lie_in_its_domain(count: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        data.show("digits", count=count)  # type: ignore[arg-type]
    assert str(caught.value) == f"data.show: expected count to be an int in 1..400, got {count!r}."


@pytest.mark.parametrize("seed", [-1, 0.5, False, None])
def test_the_seed_must_lie_in_its_domain(seed: object) -> None:
    with pytest.raises(ArgumentError) as caught:
        data.show("digits", seed=seed)  # type: ignore[arg-type]
    assert str(caught.value) == f"data.show: expected seed to be an int >= 0, got {seed!r}."
