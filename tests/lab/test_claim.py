"""The example about texture and background measures what it says."""

import runpy
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "texture_background.py"


@pytest.fixture(scope="module")
def example():
    return runpy.run_path(str(EXAMPLE), run_name="example")


def test_what_is_said_of_the_photographs_is_so(example):
    for file, least in (("china.jpg", 4), ("flower.jpg", 2)):
        image = example["photograph"](file)
        highest, average, lowest = (example["measure"](image, n) for n in ("max", "avg", "min"))
        assert highest[2] > average[2] == pytest.approx(average[3])  # more texture
        assert highest[3] < 0.85 * highest[2]  # less of the negative's
        assert highest[2:] == pytest.approx(lowest[3:1:-1])  # max of one is min of the other
        assert highest[0] < 1.5  # smooth places
        assert average[0] < 1
        assert highest[1] > least * average[1]


def test_lines_on_a_plain_ground_by_hand(example):
    image = np.zeros((8, 8))
    image[:, 1] = 1.0
    assert example["smaller"](image, "max").tolist() == [[1, 0], [1, 0]]
    assert example["smaller"](image, "avg").tolist() == [[0.25, 0], [0.25, 0]]
    assert example["smaller"](1 - image, "max").tolist() == [[1, 1], [1, 1]]  # the line is gone
    image[0, 4:] = 0.5
    assert example["windows"](image)[0, 1].tolist() == [0.5] * 4 + [0] * 12
