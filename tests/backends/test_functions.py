"""The functions of Numba's kernels: digits near 0, the ends of the range, NaN, the sign of 0."""

import numba
import numpy as np
import pytest

from flexpool.backends import numba_math
from flexpool.backends.kernel_files import OPTIONS

INF, NAN = np.inf, np.nan
ENDS = [-INF, -800.0, -100.0, -1.0, -0.5, -0.0, 0.0, 0.5, 80.0, 1e30, INF, NAN]
# Around where e^a leaves the normal numbers, and the numbers, of both types.
LAST = [
    88.72,
    88.73,
    -87.33,
    -87.34,
    -103.9,
    -104.0,
    709.78,
    709.79,
    -708.3,
    -708.4,
    -745.1,
    -745.2,
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "log1p", "tanh"])
def test_within_a_few_units_of_the_last_place(name, dtype):
    function = getattr(numba_math, name)

    @numba.njit(**OPTIONS)
    def loop(a, out):
        for i in range(len(a)):
            out[i] = function(a[i])

    draw = np.random.default_rng(3)
    small = draw.normal(size=2000) * 10.0 ** draw.uniform(-30, 1.5, 2000)
    tiny = np.finfo(dtype).smallest_subnormal * np.array([1.0, 3.0, 1000.0])
    a = np.concatenate([ENDS, LAST, small, abs(small), tiny]).astype(dtype)
    got = np.empty_like(a)
    loop(a, got)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(a.astype(np.longdouble))
        want = exact.astype(dtype)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    np.testing.assert_array_equal(np.signbit(got[want == 0]), np.signbit(want[want == 0]))
    off = abs(got[finite] - exact[finite]) / np.spacing(abs(want[finite]))
    assert off.max() < 4
