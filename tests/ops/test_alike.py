"""Formulas written in two ways: along x alone, the gradient of the second is the oracle's too."""

import numpy as np
import pytest

from flexpool.declare import operator, operators
from flexpool.errors import TraceError
from flexpool.ir import Grid, differentiate
from flexpool.math import alike
from ops.settings import SETTINGS, spelled
from ops.test_conformance import SPECIAL, drawn
from running import BACKENDS, Call, Windows, along_a_line
from tolerance import assert_close


def is_written_twice(operator):
    first = differentiate(operator.graph(), {"x": Grid.ELEMENT})
    alone = operator.gradient(("x",))
    return [node.op for node in alone.nodes()] != [node.op for node in first.nodes()]


NAMES = [name for name, operator in operators().items() if is_written_twice(operator)]
OTHERS = [{"r": r} for r in (1e-12, -1e-3, 0.1, -300.0)]  # near 0, and far below
CASES = [("lse", given) for given in [*SETTINGS["lse"], *OTHERS]]


def test_all_are_listed():
    assert NAMES == ["lse"]


def test_nothing_is_computed_with_it():
    """What is computed would take the second way's value for the first's."""
    for formula in (
        lambda x: alike(x.mean(), x.sum()) * 2,
        lambda x: x.max() + 0 * alike(x.mean(), x.sum()),
    ):
        with pytest.raises(TraceError, match="is what a formula returns"):
            operator(formula).graph()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "given"), CASES, ids=[f"{n}-{spelled(g)}" for n, g in CASES])
def test_gradient_along_the_input_alone_is_the_oracles(name, given, backend, dtype):
    call = Call(name, drawn((5, 6)), Windows(2, 2, 2), given)
    _, derivatives = call.expected(gy := call.gy())
    found = call.gradient(backend, gy, dtype, wanted=("x",))
    assert found.keys() == {"x"}
    assert_close(found["x"], derivatives["x"], dtype, scale=np.abs(gy).max())


@pytest.mark.parametrize("values", SPECIAL.values(), ids=SPECIAL)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_finite_is_where_the_other_way_has_it(name, values):
    call = along_a_line(name, values)
    gy = np.ones_like(call.gy())
    alone, first = (call.gradient("interpret", gy, wanted=way)["x"] for way in (("x",), None))
    assert_close(alone, first, "float64", scale=1.0)
