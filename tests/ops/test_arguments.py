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


@pytest.mark.parametrize("k", [0, -1, True, 2.0, "2", None])
@pytest.mark.parametrize("name", ["topk", "t_max_avg"])
def test_k_is_a_number_of_elements(name, k):
    with pytest.raises(ArgumentError) as caught:
        find(name)(k=k)
    assert str(caught.value) == f"expected k to be an int >= 1, got {k!r}."


@pytest.mark.parametrize("eps", [0, -1.0, True, float("inf"), float("nan"), "1", None])
@pytest.mark.parametrize("name", ["gem", "geometric", "power", "gaussian"])
def test_eps_is_positive(name, eps):
    with pytest.raises(ArgumentError) as caught:
        find(name)(eps=eps)
    assert str(caught.value) == f"expected eps to be a number > 0, got {eps!r}."


def test_words_that_are_no_choice():
    for name, argument, rule in [
        ("soft", "gradient", "'exact' or 'detached'"),
        ("t_max_avg", "reached_by", "'all' or 'largest'"),
    ]:
        with pytest.raises(ArgumentError) as caught:
            find(name)(**{argument: "most"})
        assert str(caught.value) == f"expected {argument} to be {rule}, got 'most'."


def test_lehmer_refuses_an_exponent_below_0():
    with pytest.raises(ArgumentError) as caught:
        find("lehmer")(q=-0.5)
    assert str(caught.value) == "expected q to be a number >= 0, got -0.5."
