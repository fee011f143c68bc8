"""Trained nets evaluated, on their own data and on others'."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from flexpool import lab
from flexpool.errors import ArgumentError, DataError
from flexpool.lab import data
from flexpool.lab.store import Store


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    for settings in ({}, {"framework": "numpy"}, {"resize": 20, "net": "lenet5/avg"}):
        lab.train(**{"epochs": 1, "out": folder, "progress": False, **settings})  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("name", ["lenet5-max", "numpy", "lenet5-avg"])
def test_an_evaluation_gives_what_training_gave(out: Path, name: str) -> None:
    (record,) = (r for r in Store(out).records() if r.config.folder.startswith(name))
    last = record.curve[-1]
    found = lab.evaluate(name, out=out)
    assert (found.accuracy, found.top2) == (last.test_accuracy, last.test_top2)
    assert found.loss == pytest.approx(last.test_loss, rel=1e-5)
    assert (found.n, found.data) == (540, "digits")
    test = binomtest(round(540 * found.accuracy), 540).proportion_ci(method="wilson")
    assert found.ci95 == pytest.approx((test.low, test.high))


def test_classes_and_confusion_by_hand(out: Path) -> None:
    net, digits = lab.load("lenet5-max", out=out), data.load("digits")
    few = dataclasses.replace(
        digits,
        test_images=digits.test_images[digits.test_labels != 3],
        test_labels=digits.test_labels[digits.test_labels != 3],
    )
    found = lab.evaluate(net, few)
    predicted = net.predict(few.test_images).argmax(axis=1)
    for number, row in enumerate(found.confusion.counts):
        own = predicted[few.test_labels == number]
        assert list(row) == np.bincount(own, minlength=10).tolist()
        result = found.classes[number]
        assert (result.name, result.n) == (str(number), len(own))
        if number == 3:
            assert (result.accuracy, result.ci95) == (None, None)
        else:
            assert result.accuracy == (own == number).mean()
    assert json.loads(json.dumps(found.to_dict()))["confusion"] == [
        list(r) for r in found.confusion.counts
    ]


def test_another_data_set_must_fit(out: Path) -> None:
    digits = data.load("digits")
    net = lab.load("lenet5-max", out=out)
    named = dataclasses.replace(digits, name="letters", classes=tuple("abcdefghij"))
    with pytest.raises(DataError) as caught:
        lab.evaluate(net, named)
    assert str(caught.value) == (
        "evaluate: expected the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 for lenet5/max seed 0, and "
        "those of letters are a, b, c, d, e, f, g, h, i, j. Evaluate it on a data set like digits, "
        "or train a net on letters."
    )
    smaller = dataclasses.replace(digits, name="small", test_images=digits.test_images[..., 4:])
    with pytest.raises(DataError) as caught:
        lab.evaluate(net, smaller)
    assert str(caught.value) == (
        "evaluate: expected images of 1 x 28 x 28 for lenet5/max seed 0, and those of small are of "
        "1 x 28 x 24. Evaluate it on a data set like digits, or train a net on small."
    )
    coloured = dataclasses.replace(
        digits, name="coloured", test_images=digits.test_images.repeat(3, axis=1)
    )
    resized = lab.load("lenet5-avg", out=out)
    with pytest.raises(DataError, match=r"expected images of 1 x 20 x 20 .* of 3 x 28 x 28\."):
        lab.evaluate(resized, coloured)
    assert lab.evaluate(resized, smaller).n == 540
    nothing = dataclasses.replace(
        digits, test_images=digits.test_images[:0], test_labels=digits.test_labels[:0]
    )
    with pytest.raises(DataError, match="digits has no test images"):
        lab.evaluate(net, nothing)
    with pytest.raises(ArgumentError, match="unknown data set 'letters'"):
        lab.evaluate(net, "letters")
