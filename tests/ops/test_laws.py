"""What an operator's declaration says about it: its laws and what it becomes at the limits.

Laws are declared for the default arguments and for windows inside the input.
"""

import ast
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flexpool.declare import Param, operators
from running import along_a_line

BACKEND = "interpret"
QUICK = settings(max_examples=25, deadline=None, derandomize=True, database=None)
VALUES = st.lists(st.integers(-400, 400).map(lambda n: n / 8), min_size=1, max_size=6)
BREAKING = [[-3.0, 1.0, 5.0], [-3.0, -2.0, -1.0], [0.0, 0.0, 4.0], [1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]
BREAKING += [[0.25, 0.375]]
BREAKING += [[0.0, 1.0, 2.0, 5.0], [5.0, 1.0, 0.0, 7.0]]
BREAKING += [[0.0, -8.0, 2.0, 2.0, 2.0, 0.0, 2.0, 2.0]]


def pooled(name, values, seed=1, **parameters):
    return along_a_line(name, values, parameters, seed).value(BACKEND).item()


def permutation(f, values, other):
    order = np.random.default_rng(int(abs(8 * other))).permutation(len(values))
    return f(np.array(values)[order]), "==", f(values)


def between(f, values, other):
    y = f(values)
    return min(max(y, min(values)), max(values)), "==", y


def shift(f, values, other):
    return f([value + other for value in values]), "==", f(values) + other


def scale(f, values, other):
    factor = 2.0 ** round(other / 10)  # exact, so that a draw stays the same
    return f([value * factor for value in values]), "==", f(values) * factor


def monotone(f, values, other):
    bumps = np.random.default_rng(int(abs(8 * other))).integers(0, 2, len(values)) * abs(other)
    return f(np.array(values) + bumps), ">=", f(values)


def even(f, values, other):
    return f([-value for value in values]), "==", f(values)


def constant(f, values, other):
    return f([other] * len(values)), "==", other


LAWS = {law.__name__: law for law in (permutation, between, shift, scale, monotone, even, constant)}


def holds(name, law, values, other, seed=1):
    left, relation, right = LAWS[law](lambda window: pooled(name, window, seed), values, other)
    size = 1 + np.abs(values).max() + abs(other)
    slack = 6e-12 * max(size * max(1, 2.0 ** (other / 10)), abs(right))
    return left >= right - slack if relation == ">=" else abs(left - right) <= slack


DECLARED = [(name, law) for name, o in operators().items() for law in o.laws]
LEFT_OUT = [(name, law) for name, o in operators().items() for law in LAWS if law not in o.laws]
LIMITS = [(name, *limit) for name, o in operators().items() for limit in o.limits.items()]


@pytest.mark.parametrize(("name", "law"), DECLARED)
def test_declared_law_holds(name, law):
    @QUICK
    @given(VALUES, st.integers(-200, 200).map(lambda n: n / 8))
    def check(values, other):
        assert holds(name, law, values, other)

    check()


@pytest.mark.parametrize(("name", "law"), LEFT_OUT)
def test_a_law_left_out_has_a_counter_example(name, law):
    tried = itertools.product(BREAKING, (-2.0, 0.25, 0.5, 0.75, 1.0, 10.0), range(5))
    assert any(not holds(name, law, *case) for case in tried)


def parsed(call):
    """Read ``name`` or ``name(parameter=value)``."""
    node = ast.parse(call, mode="eval").body
    if isinstance(node, ast.Name):
        return node.id, {}
    return node.func.id, {k.arg: ast.literal_eval(k.value) for k in node.keywords}


@pytest.mark.parametrize(("name", "setting", "other"), LIMITS)
def test_limit_is_the_other_operator(name, setting, other):
    argument, value = setting.split("=")
    number = ast.literal_eval(value)
    if isinstance(operators()[name].arguments[argument], Param):
        number = float(number)
    other_name, parameters = parsed(other)

    @QUICK
    @given(VALUES)
    def check(values):
        here, there = (
            pooled(name, values, **{argument: number}),
            pooled(other_name, values, **parameters),
        )
        assert abs(here - there) <= 1e-8 * (1 + np.abs(values).max())

    check()


@pytest.mark.parametrize(
    ("name", "parameters", "other"),
    [
        ("gem", {"p": 1.0}, "avg"),
        ("gem", {"p": 1e9}, "max"),
        ("gem", {"p": 1e-7}, "geometric"),
        ("power", {"alpha": -1.0}, "avg"),
        ("power", {"alpha": 1.0}, "geometric"),
        ("power", {"alpha": 1 - 1e-12}, "geometric"),
        ("power", {"alpha": -1e9}, "max"),
        ("power", {"alpha": 1e9}, "min"),
        ("power", {"alpha": -5.0}, "gem"),
        ("lehmer", {"q": 1e9}, "max"),
        ("learned_norm", {"rho": -50.0}, "avg"),
        ("learned_norm", {"rho": 1e9}, "max"),
        ("lp", {"p": 1.0}, "sum"),
        ("lp", {"p": 1e9}, "max"),
    ],
)
def test_limit_on_positive_values(name, parameters, other):
    @QUICK
    @given(st.lists(st.integers(1, 400).map(lambda n: n / 8), min_size=1, max_size=6))
    def check(values):
        here, there = pooled(name, values, **parameters), pooled(other, values)
        assert abs(here - there) <= 1e-5 * there

    check()
