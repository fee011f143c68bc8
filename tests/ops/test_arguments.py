"""What the operators refuse."""

import pytest

from flexpool.declare import find
from flexpool.errors import ArgumentError


@pytest.mark.parametrize("divisor", [0, True, 2.0, "2"])
def test_avg_refuses_a_divisor(divisor):
    with pytest.raises(ArgumentError) as caught:
        find("avg")(divisor_override=divisor)
    rule = "expected divisor_override to be None or an int other than 0"
    assert str(caught.value) == f"{rule}, got {divisor!r}."


@pytest.mark.parametrize("divisor", [None, -1, 7])
def test_avg_takes_a_divisor(divisor):
    assert find("avg")(divisor_override=divisor).bound == {"divisor_override": divisor}


@pytest.mark.parametrize("p", [0, -1.0, float("inf"), float("nan")])
def test_lp_refuses_an_exponent(p):
    with pytest.raises(ArgumentError) as caught:
        find("lp")(p=p)
    assert str(caught.value) == f"expected p to be a number > 0, got {p!r}."
