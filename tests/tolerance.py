"""How far a result may be from the oracle's: the one table of it.

A result of float32 may be off by a few units in the last place of the largest term that went into
it: ``RELATIVE`` times the result and, where terms cancel, times the ``scale`` the caller gives.
"""

import numpy as np

RELATIVE = {"float64": 1e-12, "float32": 2e-6}


def assert_close(got, want, dtype, scale=0.0):
    """Compare; NaN and infinities must be where they are expected, and nowhere else.

    What is beyond the largest number of the type is expected to be infinite.
    """
    got, want = np.asarray(got, dtype=np.float64), np.asarray(want, dtype=np.float64)
    largest = float(np.finfo(dtype).max)
    want = np.where(np.abs(want) > largest, np.copysign(np.inf, want), want)
    assert got.shape == want.shape
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want), "NaN", strict=True)
    special = ~np.isfinite(want) | ~np.isfinite(got)
    np.testing.assert_array_equal(got[special], want[special], "infinities")
    with np.errstate(invalid="ignore"):
        allowed = RELATIVE[dtype] * (np.abs(want) + scale)
        off = ~special & (np.abs(got - want) > allowed)
    assert not off.any(), f"got {got[off]}, expected {want[off]}, allowed {allowed[off]}"
