"""The wording of errors: one template, one name in front."""

import pytest

from flexpool.errors import ArgumentError, DataError, called, expected, unknown


def test_expected_says_what_was_expected_what_came_and_what_to_do():
    message = expected("p", "to be a finite number > 0", float("inf"), "Use MaxPool2d.")
    assert message == "expected p to be a finite number > 0, got inf. Use MaxPool2d."


def test_unknown_suggests_the_nearest_name_and_lists_all():
    error = unknown("net", "LeNet", ["lenet5", "nin"])
    assert str(error) == "unknown net 'LeNet'. Did you mean 'lenet5'? Known: lenet5, nin."


def test_unknown_suggests_nothing_where_nothing_is_near():
    assert str(unknown("net", "zzz", ["lenet5"])) == "unknown net 'zzz'. Known: lenet5."


def test_the_name_is_added_once_and_the_class_is_kept():
    with pytest.raises(DataError, match=r"^inner: broken$"), called("outer"), called("inner"):
        raise DataError("broken")


def test_other_errors_pass_unchanged():
    with pytest.raises(KeyError), called("outer"):
        raise KeyError("x")


def test_argument_errors_are_value_errors():
    assert issubclass(ArgumentError, ValueError)
