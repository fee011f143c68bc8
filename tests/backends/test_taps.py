"""What the taps of a row of windows read is copied to a line each, in vectors."""

import itertools

import numba
import numpy as np
import pytest

from flexpool.backends import numba_lanes
from flexpool.backends.numba_cpu.plan import Shape, Writer
from flexpool.backends.numba_cpu.taps import Taps
from flexpool.backends.numba_math import index_of, row


def splitting(columns, step, dilation, dtype):
    """Make a function that splits a row of one plane into lines of 60."""
    shape = Shape((1, columns), (1, step), (1, dilation), 2, dtype, False, False)
    writer = Writer()
    writer.depth = 1
    writer.line("in_x_all = row(in_x, (0, 0, 0))")
    Taps(["x"], 1, 60, shape, writer).write_row(["(0, 0, begin)"], "0")
    code = "\n".join(["def function(in_x, begin, windows, x_taps):", *writer.lines])
    names = {"row": row, "index_of": index_of, "F": np.dtype(dtype).type}
    names |= {name: getattr(numba_lanes, name) for name in ("load_apart", "store_lanes")}
    exec(code, names)
    return numba.njit(names["function"])


@pytest.mark.parametrize(
    ("columns", "step", "dilation", "dtype"),
    [
        (3, 2, 1, "float32"),
        (3, 2, 1, "float64"),
        (3, 3, 2, "float32"),
        (2, 4, 1, "float32"),
        (2, 1, 3, "float32"),
    ],
)
def test_taps_are_split_and_nothing_outside_of_the_array_is_read(columns, step, dilation, dtype):
    function = splitting(columns, step, dilation, dtype)
    for windows, begin in itertools.product((1, 5, 16, 17, 40), (-3, 0, 2)):
        most = begin + step * (windows - 1) + dilation * (columns - 1)
        length = max(1, most)  # the last window lacks an element
        around = np.full(length + 400, np.nan, dtype)
        array = around[200:][:length].reshape(1, 1, length)
        array[:] = np.arange(2, length + 2)
        lines = np.full((columns + 1, 60), -1, dtype)
        function(array, begin, windows, lines)
        for v in range(columns):
            places = begin + dilation * v + step * np.arange(windows)
            inside = (places >= 0) & (places < length)
            known = np.where(inside, places + 2, 1)
            np.testing.assert_array_equal(lines[v, :windows], known)
        assert not np.isnan(lines).any()


def test_a_line_may_have_more_elements_than_32_bits_count():
    @numba.njit
    def read(line, count, onto):
        (vector,) = numba_lanes.load_apart(line, count, -3, 1, -7.0)
        numba_lanes.store_lanes(onto, 0, vector)

    found = np.empty(8)
    read(np.arange(100.0), 2**32, found)  # it has not, but only its first elements are read
    np.testing.assert_array_equal(found, [-7, -7, -7, 0, 1, 2, 3, 4])
