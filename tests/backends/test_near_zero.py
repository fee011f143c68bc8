"""``expm1`` and ``log1p`` of Numba's kernels: digits near 0, the ends of the range, NaN."""

import numba
import numpy as np
import pytest

from flexpool.backends import numba_math
from flexpool.backends.kernel_files import OPTIONS

INF, NAN = np.inf, np.nan
ENDS = [-INF, -800.0, -100.0, -1.0, -0.5, -0.0, 0.0, 0.5, 80.0, 1e30, INF, NAN]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_within_a_few_units_of_the_last_place(name, dtype):
    function = getattr(numba_math, name)

    @numba.njit(**OPTIONS)
    def loop(a, out):
        for i in range(len(a)):
            out[i] = function(a[i])

    draw = np.random.default_rng(3)
    small = draw.normal(size=2000) * 10.0 ** draw.uniform(-30, 1.5, 2000)
    a = np.concatenate([ENDS, small]).astype(dtype)
    got = np.empty_like(a)
    loop(a, got)
    with np.errstate(all="ignore"):
        exact = getattr(np, name)(a.astype(np.longdouble))
        want = exact.astype(dtype)
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite])
    off = abs(got[finite] - exact[finite]) / np.spacing(abs(want[finite]))
    assert off.max() < 4
